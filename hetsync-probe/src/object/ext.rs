//! The section `.BTF.ext`: by section of code, where functions and lines begin. libbpf hands them to the kernel.
//!
//! Layout: Documentation/bpf/btf.rst. Offsets are in bytes from the section's start.

use super::lines::ProgramLines;

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: u32 = 24;
const FUNCTION_BYTES: u32 = 8;
const LINE_BYTES: u32 = 16;

/// Records of one section of code.
#[derive(Debug)]
pub(super) struct Section {
    /// Offset of its name in the strings of `.BTF`.
    pub(super) name: u32,
    /// Its programs with the bytes before each.
    pub(super) programs: Vec<(u32, ProgramLines)>,
}

/// The bytes of `.BTF.ext`.
pub(super) fn write(sections: &[Section]) -> Vec<u8> {
    let mut functions = vec![FUNCTION_BYTES];
    let mut lines = vec![LINE_BYTES];
    for section in sections {
        let count: usize = (section.programs.iter())
            .map(|(_, p)| p.functions.len())
            .sum();
        functions.extend([section.name, count as u32]);
        for (start, program) in &section.programs {
            for function in &program.functions {
                functions.extend([start + 8 * function.insn, function.ty]);
            }
        }
        let count: usize = section.programs.iter().map(|(_, p)| p.lines.len()).sum();
        lines.extend([section.name, count as u32]);
        for (start, program) in &section.programs {
            for line in &program.lines {
                let at = start + 8 * line.insn;
                lines.extend([at, line.file, line.text, line.position]);
            }
        }
    }
    let mut bytes = MAGIC.to_le_bytes().to_vec();
    // Version and flags.
    bytes.extend([1, 0]);
    let [functions_len, lines_len] = [&functions, &lines].map(|part| 4 * part.len() as u32);
    let header = [HEADER_BYTES, 0, functions_len, functions_len, lines_len];
    let words = header.iter().chain(&functions).chain(&lines);
    bytes.extend(words.flat_map(|word| word.to_le_bytes()));
    bytes
}
