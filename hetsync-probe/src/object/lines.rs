//! What the kernel, libbpf and `bpftool` are told of programs beside their code: that each is a function, and which
//! line of the script each instruction comes from.
//!
//! A function and its prototype are types of a BTF object; names, the file's name and the lines' text are its strings.
//! Records beside it say where in the code a function or a line begins. The kernel takes them with the program, counted
//! in instructions; an ELF file has them in `.BTF.ext`, counted in bytes ([`super::ext`]).
//!
//! Invariants: a program's records rise, the first is at its first instruction, none is at the second half of an
//! immediate load. The kernel refuses others (`check_btf_line` in kernel/bpf/verifier.c).

use std::ops::Range;

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

/// A program's functions, and its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramLines {
    /// Where functions begin, the program itself first.
    pub functions: Vec<FunctionStart>,
    /// Where lines begin.
    pub lines: Vec<Line>,
}

impl ProgramLines {
    /// Those of some of the program's instructions, counted from the first of them.
    pub(super) fn part(&self, insns: Range<usize>) -> ProgramLines {
        let insns = insns.start as u32..insns.end as u32;
        let functions = self.functions.iter().filter(|f| insns.contains(&f.insn));
        let lines = self.lines.iter().filter(|line| insns.contains(&line.insn));
        ProgramLines {
            functions: functions
                .map(|function| FunctionStart {
                    insn: function.insn - insns.start,
                    ..*function
                })
                .collect(),
            lines: lines
                .map(|line| Line {
                    insn: line.insn - insns.start,
                    ..*line
                })
                .collect(),
        }
    }
}

/// Where a function begins: `struct bpf_func_info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct FunctionStart {
    /// Index of the instruction in its program.
    pub insn: u32,
    /// Number of the function's type.
    pub ty: u32,
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

/// Functions and lines of the programs of an image that knows its script, or has programs of several functions: the kernel wants
/// to know of those. Without the script there are no lines.
pub fn debug(image: &Image) -> Option<Debug> {
    let source = image.source.as_ref();
    if source.is_none() && !image.programs.iter().any(|p| p.functions.len() > 1) {
        return None;
    }
    let mut types = Types::default();
    let programs = (image.programs.iter())
        .map(|program| describe(&mut types, program, &program.name, source))
        .collect();
    Some(Debug {
        btf: types.finish(),
        programs,
    })
}

/// Adds a program's functions, itself called `name`, and its lines.
pub(super) fn describe(
    types: &mut Types,
    program: &Program,
    name: &str,
    source: Option<&Source>,
) -> ProgramLines {
    let mut functions = vec![FunctionStart {
        insn: 0,
        ty: types.function(name),
    }];
    for (i, &start) in program.functions.iter().enumerate().skip(1) {
        functions.push(FunctionStart {
            insn: start as u32,
            ty: types.body(&body_name(name, i)),
        });
    }
    let lines = source.map_or_else(Vec::new, |source| lines(types, program, source));
    ProgramLines { functions, lines }
}

/// What the body of a program's loop over a map is called.
pub(super) fn body_name(program: &str, number: usize) -> String {
    format!("{program}_each{number}")
}

fn lines(types: &mut Types, program: &Program, source: &Source) -> Vec<Line> {
    let file = types.string(source.name());
    let mut lines: Vec<Line> = Vec::new();
    let mut last = None;
    let mut wide = false;
    for (at, (insn, span)) in program.insns.iter().zip(&program.spans).enumerate() {
        // Each function begins with a line.
        let begins = program.functions.contains(&at);
        if std::mem::replace(&mut wide, is_wide(*insn)) || (last == Some(span.start) && !begins) {
            continue;
        }
        last = Some(span.start);
        let place = source.position(span.start);
        let position = place.line.min(LINE_MOST) << 10 | place.column.min(COLUMN_MOST);
        if !begins
            && lines
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
    lines
}

/// Whether an instruction takes two places.
fn is_wide(insn: Insn) -> bool {
    insn.code == op::LD | op::DW | op::IMM
}
