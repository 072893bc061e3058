//! A compiled script as an ELF file: what `build -o x.o` writes and libbpf or bpftool can load, and a form
//! with file descriptors put in for loaders that make no maps of their own.
//!
//! What it is not: nothing here loads anything, and the code is the image's, byte for byte.
//!
//! | section | holds |
//! |---|---|
//! | `kprobe/f`, `kretprobe/f`, `fentry/f`, `fexit/f`, `raw_tp`, ... | the programs of one place, a function symbol at the start of each |
//! | `.text` | the bodies of loops over maps, each a function that programs refer to |
//! | `license` | `Dual MIT/GPL` |
//! | `.maps` | the maps, in libbpf's manner |
//! | `.BTF`, `.BTF.ext` | as types the maps' definitions and the programs' functions; the script's line of each instruction |
//! | `.data.*` | maps of one value that programs address directly; libbpf makes an array of each |
//!
//! `elapsed` counts from boot in such a file: nobody puts the time of loading in.

mod btf;
mod ext;
mod lines;

pub use lines::{Debug, FunctionStart, Line, ProgramLines, debug};

use std::collections::BTreeSet;
use std::ops::Range;

use ::object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use ::object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};

use crate::codegen::disasm::section;
use crate::codegen::insn;
use crate::image::{self, Image, Program, RelocationKind, ResolveError, resolve};

/// The licence programs declare; some helpers are for GPL-compatible ones only.
const LICENSE: &[u8] = b"Dual MIT/GPL\0";

/// A relocatable file that libbpf 1.0 and later loads.
pub fn write(image: &Image) -> Vec<u8> {
    let mut file = new_file();
    let mut types = btf::Types::default();
    let maps = add_maps(&mut file, image, &mut types);
    let mut names = BTreeSet::new();
    let mut sections: Vec<(String, SectionId, ext::Section)> = Vec::new();
    let debug = image.source.is_some() || image.programs.iter().any(|p| p.functions.len() > 1);
    for program in &image.programs {
        let name = unique_name(&mut names, &program.name);
        let described = lines::describe(&mut types, program, &name, image.source.as_ref());
        // libbpf takes every function of a program's section for a program, so bodies of loops have one to themselves.
        let mut bodies: Vec<(SectionId, u64, Range<usize>)> = Vec::new();
        let mut body_text = None;
        let ends = program.functions.iter().skip(1);
        let ends: Vec<usize> = ends.copied().chain([program.insns.len()]).collect();
        let mut start = ends[0];
        for (i, &end) in ends.iter().enumerate().skip(1) {
            let section = section_of(&mut file, &mut sections, &mut types, ".text");
            let (_, text, lines) = &mut sections[section];
            let name = lines::body_name(&name, i);
            let starts: Vec<u64> = bodies.iter().map(|(_, at, _)| *at).collect();
            let code = insns(program, start..end, &starts);
            let at = file.append_section_data(*text, &code, 8);
            let symbol = add_symbol(&mut file, &name, *text, at, code.len(), SymbolKind::Text);
            // Seen from outside, it would have to be verified by itself.
            file.symbol_mut(symbol).scope = SymbolScope::Compilation;
            lines.programs.push((at as u32, described.part(start..end)));
            bodies.push((*text, at, start..end));
            body_text = Some(*text);
            start = end;
        }
        let place = section(&program.kind);
        // Several programs of one place share its section, by whose name libbpf finds their lines.
        let section = section_of(&mut file, &mut sections, &mut types, &place);
        let (_, text, lines) = &mut sections[section];
        let starts: Vec<u64> = bodies.iter().map(|(_, at, _)| *at).collect();
        let code = insns(program, 0..ends[0], &starts);
        let at = file.append_section_data(*text, &code, 8);
        add_symbol(&mut file, &name, *text, at, code.len(), SymbolKind::Text);
        lines.programs.push((at as u32, described.part(0..ends[0])));
        bodies.push((*text, at, 0..ends[0]));
        for (text, at, part) in bodies {
            relocate(&mut file, (text, at), program, part, &maps, body_text);
        }
    }
    add_data(&mut file, ".BTF", &types.finish());
    if debug {
        let sections: Vec<ext::Section> = sections.into_iter().map(|(.., lines)| lines).collect();
        add_data(&mut file, ".BTF.ext", &ext::write(&sections));
    }
    written(file.write())
}

/// Index of the section of code with this name, which is made if there is none.
fn section_of(
    file: &mut Object<'_>,
    sections: &mut Vec<(String, SectionId, ext::Section)>,
    types: &mut btf::Types,
    name: &str,
) -> usize {
    let known = sections.iter().position(|(known, ..)| known == name);
    known.unwrap_or_else(|| {
        let text = file.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Text);
        let lines = ext::Section {
            name: types.string(name),
            programs: Vec::new(),
        };
        sections.push((name.to_owned(), text, lines));
        sections.len() - 1
    })
}

fn add_data(file: &mut Object<'_>, name: &str, bytes: &[u8]) {
    let section = file.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Metadata);
    file.append_section_data(section, bytes, 4);
}

/// The instructions of a part of a program, as they stand in a file; `bodies` begin so many bytes into their section.
fn insns(program: &Program, part: Range<usize>, bodies: &[u64]) -> Vec<u8> {
    let mut insns = program.insns[part.clone()].to_vec();
    for relocation in &program.relocations {
        if !part.contains(&relocation.insn) {
            continue;
        }
        // The distance into a section stands in the instruction itself.
        let distance = match relocation.what {
            RelocationKind::MapValue(_, offset) => offset as i32,
            RelocationKind::Function(number) => bodies[number - 1] as i32,
            RelocationKind::Map(_) | RelocationKind::StartNs => continue,
        };
        insns[relocation.insn - part.start].imm = distance;
    }
    insn::encode(&insns)
}

/// Adds the relocations of a part of a program that lies at `at` of section `text`.
fn relocate(
    file: &mut Object<'_>,
    (text, at): (SectionId, u64),
    program: &Program,
    part: Range<usize>,
    maps: &[SymbolId],
    bodies: Option<SectionId>,
) {
    let here = |relocation: &&image::Relocation| part.contains(&relocation.insn);
    for relocation in program.relocations.iter().filter(here) {
        let symbol = match relocation.what {
            RelocationKind::Map(map) | RelocationKind::MapValue(map, _) => maps[map],
            // Functions not seen from outside are known to libbpf by their section.
            RelocationKind::Function(_) => match bodies {
                Some(section) => file.section_symbol(section),
                None => continue,
            },
            RelocationKind::StartNs => continue,
        };
        let symbol = Relocation {
            offset: at + 8 * (relocation.insn - part.start) as u64,
            symbol,
            addend: 0,
            flags: RelocationFlags::Elf {
                r_type: elf::R_BPF_64_64,
            },
        };
        written(file.add_relocation(text, symbol));
    }
}

/// A file without maps, the descriptors `fds` (one a map of the image) and the time of loading put into
/// the code; one section `kind/name` a program, as redbpf reads them. redbpf wants the bytes 8-byte aligned.
///
/// # Errors
///
/// Too few descriptors.
pub fn write_resolved(image: &Image, fds: &[i32], start_ns: u64) -> Result<Vec<u8>, ResolveError> {
    let mut file = new_file();
    let mut names = BTreeSet::new();
    for program in &image.programs {
        let insns = resolve(program, fds, start_ns)?;
        let name = unique_name(&mut names, &program.name);
        let section = format!("{}/{name}", kind_name(program)).into_bytes();
        let text = file.add_section(Vec::new(), section, SectionKind::Text);
        file.append_section_data(text, &insn::encode(&insns), 8);
    }
    Ok(written(file.write()))
}

/// The first part of a section's name.
fn kind_name(program: &Program) -> String {
    let name = section(&program.kind);
    name.split('/').next().unwrap_or_default().to_owned()
}

fn new_file() -> Object<'static> {
    let mut file = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let license = file.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    file.append_section_data(license, LICENSE, 1);
    file
}

fn add_symbol(
    file: &mut Object<'_>,
    name: &str,
    section: SectionId,
    value: u64,
    size: usize,
    kind: SymbolKind,
) -> SymbolId {
    file.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
        value,
        size: size as u64,
        kind,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    })
}

/// Sections and symbols of the maps; the symbol of each.
fn add_maps(file: &mut Object<'_>, image: &Image, types: &mut btf::Types) -> Vec<SymbolId> {
    let direct: BTreeSet<usize> = (image.programs.iter())
        .flat_map(|program| &program.relocations)
        .filter_map(|relocation| match relocation.what {
            RelocationKind::MapValue(map, _) => Some(map),
            _ => None,
        })
        .collect();
    let mut names = BTreeSet::new();
    let defined: Vec<(String, &crate::image::MapSpec)> = (image.maps.iter())
        .map(|map| (unique_name(&mut names, &map.name), map))
        .collect();
    let mut section = None;
    (defined.iter().enumerate())
        .map(|(i, (name, map))| {
            if direct.contains(&i) {
                let name = format!(".data.{name}");
                let data = file.add_section(Vec::new(), name.into_bytes(), SectionKind::Data);
                let size = map.value_size as usize;
                file.append_section_data(data, &vec![0; size], 8);
                return add_symbol(file, &defined[i].0, data, 0, size, SymbolKind::Data);
            }
            let section = *section.get_or_insert_with(|| {
                file.add_section(Vec::new(), b".maps".to_vec(), SectionKind::Data)
            });
            let size = types.map(name, map);
            let at = file.append_section_data(section, &vec![0; size], 8);
            add_symbol(file, name, section, at, size, SymbolKind::Data)
        })
        .collect()
}

/// The name, with a number after it where it was taken.
fn unique_name(taken: &mut BTreeSet<String>, name: &str) -> String {
    let mut unique = name.to_owned();
    let mut number = 1;
    while !taken.insert(unique.clone()) {
        number += 1;
        unique = format!("{name}_{number}");
    }
    unique
}

/// The writer refuses only what this module never asks for (other architectures, addends, sections out of order).
fn written<T>(result: ::object::write::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => unreachable!("an ELF file that cannot be written: {error}"),
    }
}
