//! A compiled script as an ELF file: what `build -o x.o` writes and libbpf or bpftool can load, and a form
//! with file descriptors put in for loaders that make no maps of their own.
//!
//! What it is not: nothing here loads anything, and the code is the image's, byte for byte.
//!
//! | section | holds |
//! |---|---|
//! | `kprobe/f`, `kretprobe/f`, `fentry/f`, `fexit/f`, `raw_tp`, ... | the programs of one place, a function symbol at the start of each |
//! | `license` | `Dual MIT/GPL` |
//! | `.maps` | the maps, in libbpf's manner |
//! | `.BTF`, `.BTF.ext` | as types the maps' definitions and the programs' functions; the script's line of each instruction |
//! | `.data.*` | maps of one value that programs address directly; libbpf makes an array of each |
//!
//! `elapsed` counts from boot in such a file: nobody puts the time of loading in.

mod btf;
mod ext;
mod lines;

pub use lines::{Debug, Line, ProgramLines, debug};

use std::collections::BTreeSet;

use ::object::write::{Object, Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use ::object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope, elf,
};

use crate::codegen::disasm::section;
use crate::codegen::insn;
use crate::image::{Image, Program, RelocationKind, ResolveError, resolve};

/// The licence programs declare; some helpers are for GPL-compatible ones only.
const LICENSE: &[u8] = b"Dual MIT/GPL\0";

/// A relocatable file that libbpf 1.0 and later loads.
pub fn write(image: &Image) -> Vec<u8> {
    let mut file = new_file();
    let mut types = btf::Types::default();
    let maps = add_maps(&mut file, image, &mut types);
    let mut names = BTreeSet::new();
    let mut sections: Vec<(String, SectionId, ext::Section)> = Vec::new();
    for program in &image.programs {
        let place = section(&program.kind);
        // Several programs of one place share its section, by whose name libbpf finds their lines.
        let known = sections.iter().position(|(name, ..)| *name == place);
        let at = known.unwrap_or_else(|| {
            let text = file.add_section(Vec::new(), place.as_bytes().to_vec(), SectionKind::Text);
            let lines = ext::Section {
                name: types.string(&place),
                programs: Vec::new(),
            };
            sections.push((place, text, lines));
            sections.len() - 1
        });
        let (_, text, lines) = &mut sections[at];
        let name = unique_name(&mut names, &program.name);
        let start = add_program(&mut file, *text, program, &name, &maps);
        if let Some(source) = &image.source {
            let described = lines::describe(&mut types, program, &name, source);
            lines.programs.push((start as u32, described));
        }
    }
    add_data(&mut file, ".BTF", &types.finish());
    if image.source.is_some() {
        let sections: Vec<ext::Section> = sections.into_iter().map(|(.., lines)| lines).collect();
        add_data(&mut file, ".BTF.ext", &ext::write(&sections));
    }
    written(file.write())
}

fn add_data(file: &mut Object<'_>, name: &str, bytes: &[u8]) {
    let section = file.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Metadata);
    file.append_section_data(section, bytes, 4);
}

/// Adds a program, its symbol and its relocations to a section; the bytes before it there.
fn add_program(
    file: &mut Object<'_>,
    text: SectionId,
    program: &Program,
    name: &str,
    maps: &[SymbolId],
) -> u64 {
    let mut insns = program.insns.clone();
    for relocation in &program.relocations {
        // The distance into a data section stands in the instruction itself.
        if let RelocationKind::MapValue(_, offset) = relocation.what {
            insns[relocation.insn].imm = offset as i32;
        }
    }
    let start = file.append_section_data(text, &insn::encode(&insns), 8);
    add_symbol(file, name, text, start, 8 * insns.len(), SymbolKind::Text);
    for relocation in &program.relocations {
        let map = match relocation.what {
            RelocationKind::Map(map) | RelocationKind::MapValue(map, _) => map,
            RelocationKind::StartNs => continue,
        };
        let symbol = Relocation {
            offset: start + 8 * relocation.insn as u64,
            symbol: maps[map],
            addend: 0,
            flags: RelocationFlags::Elf {
                r_type: elf::R_BPF_64_64,
            },
        };
        written(file.add_relocation(text, symbol));
    }
    start
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
