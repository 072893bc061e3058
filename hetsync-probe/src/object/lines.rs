//! What the kernel, libbpf and `bpftool` are told of programs beside their code: that each is a function, and which
//! line of the script each instruction comes from.
//!
//! A function and its prototype are types of a BTF object; names, the file's name and the lines' text are its strings.
//! Records beside it say where in the code a function or a line begins. The kernel takes them with the program, counted
//! in instructions; an ELF file has them in `.BTF.ext`, counted in bytes ([`super::ext`]).
//!
//! Invariants: a program's records rise, the first is at its first instruction, none is at the second half of an
//! immediate load. The kernel refuses others (`check_btf_line` in kernel/bpf/verifier.c).

use super::btf::{Types, at_most};
use crate::codegen::insn::{Insn, op};
use crate::image::{Image, Program};
use crate::source::Source;

/// Bytes of a line's text that are kept; lines of programs given by `-e` may be the whole script.
const LINE_BYTES: usize = 512;
/// The largest line and column a record has room for.
const LINE_MOST: usize = (1 << 22) - 1;
const COLUMN_MOST: usize = (1 << 10) - 1;

/// Functions and lines of an image's programs.
#[derive(Debug, Clone, Default)]
pub struct Debug {
    /// The BTF object: types and strings.
    pub btf: Vec<u8>,
    /// One an image's program, in its order.
    pub programs: Vec<ProgramLines>,
}

/// A program as a function, and its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramLines {
    /// Number of the function's type.
    pub function: u32,
    /// Where lines begin.
    pub lines: Vec<Line>,
}

/// Where a line begins: `struct bpf_line_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Line {
    /// Index of the instruction in its program.
    pub insn: u32,
    /// Offset of the file's name in the strings.
    pub file: u32,
    /// Offset of the line's text in the strings.
    pub text: u32,
    /// Number of the line and, in the low ten bits, of the column, both from 1.
    pub position: u32,
}

/// Functions and lines of the programs of an image that knows its script.
pub fn debug(image: &Image) -> Option<Debug> {
    let source = image.source.as_ref()?;
    let mut types = Types::default();
    let programs = (image.programs.iter())
        .map(|program| describe(&mut types, program, &program.name, source))
        .collect();
    Some(Debug {
        btf: types.finish(),
        programs,
    })
}

/// Adds a program's function, called `name`, and its lines.
pub(super) fn describe(
    types: &mut Types,
    program: &Program,
    name: &str,
    source: &Source,
) -> ProgramLines {
    let function = types.function(name);
    let file = types.string(source.name());
    let mut lines: Vec<Line> = Vec::new();
    let mut last = None;
    let mut wide = false;
    for (at, (insn, span)) in program.insns.iter().zip(&program.spans).enumerate() {
        if std::mem::replace(&mut wide, is_wide(*insn)) || last == Some(span.start) {
            continue;
        }
        last = Some(span.start);
        let place = source.position(span.start);
        let position = place.line.min(LINE_MOST) << 10 | place.column.min(COLUMN_MOST);
        if lines
            .last()
            .is_some_and(|line| line.position == position as u32)
        {
            continue;
        }
        lines.push(Line {
            insn: at as u32,
            file,
            text: types.string(at_most(source.line(place.line), LINE_BYTES)),
            position: position as u32,
        });
    }
    ProgramLines { function, lines }
}

/// Whether an instruction takes two places.
fn is_wide(insn: Insn) -> bool {
    insn.code == op::LD | op::DW | op::IMM
}
