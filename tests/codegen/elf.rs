//! The ELF files: what libbpf and redbpf look for is there.

use crate::compiled;
use ::object::read::elf::ElfFile64;
use ::object::{Endianness, Object, ObjectSection, ObjectSymbol, RelocationTarget};
use hetsync_probe::codegen::insn;
use hetsync_probe::image::{RelocationKind, resolve};
use hetsync_probe::object as elf;

const SCRIPT: &str = "kprobe:tcp_sendmsg { @start[tid] = nsecs; @n++; }
kretprobe:tcp_sendmsg /@start[tid]/ { @h[comm] = hist(elapsed); printf(\"%d\\n\", @n); delete(@start[tid]); }
interval:s:1 { @n = 0; } end { @n = 1; }";

#[test]
fn an_object_has_programs_maps_and_relocations() {
    let (_, image) = compiled(SCRIPT);
    let bytes = elf::write(&image);
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
    let license = file.section_by_name("license").expect("a licence");
    assert_eq!(license.data().unwrap(), b"Dual MIT/GPL\0");
    let names: Vec<&str> = file.sections().map(|s| s.name().unwrap()).collect();
    for name in [
        "kprobe/tcp_sendmsg",
        "kretprobe/tcp_sendmsg",
        "raw_tp",
        ".maps",
        ".BTF",
        ".data.n",
        ".data.hp_zeros",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let section = file.section_by_name("kretprobe/tcp_sendmsg").unwrap();
    let program = &image.programs[1];
    assert_eq!(section.data().unwrap().len(), 8 * program.insns.len());
    let mut targets: Vec<(u64, String)> = section
        .relocations()
        .map(|(offset, relocation)| {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                panic!("{relocation:?}");
            };
            let symbol = file.symbol_by_index(index).unwrap();
            (offset, symbol.name().unwrap().to_owned())
        })
        .collect();
    targets.sort();
    let expected: Vec<(u64, String)> = (program.relocations.iter())
        .filter_map(|relocation| match relocation.what {
            RelocationKind::Map(map) | RelocationKind::MapValue(map, _) => {
                Some((8 * relocation.insn as u64, image.maps[map].name.clone()))
            }
            RelocationKind::StartNs | RelocationKind::Function(_) => None,
        })
        .collect();
    assert_eq!(targets, expected);
    let text = file.symbols().find(|s| s.name() == Ok("kr_tcp_sendmsg"));
    assert!(text.expect("a symbol").is_global());
}

#[test]
fn bodies_of_loops_over_maps_are_functions_of_their_own() {
    let script = "kprobe:f { @m[tid] = 1; for ($kv : @m) { for ($in : @m) { @n[$in.0] = $kv.1; } } } \
        kprobe:g { @l = len(@m); }";
    let (_, image) = compiled(script);
    let bytes = elf::write(&image);
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
    let text = file.section_by_name(".text").expect("their section");
    let mut bodies: Vec<(u64, String)> = (file.symbols())
        .filter(|s| s.section_index() == Some(text.index()) && !s.name().unwrap().is_empty())
        .map(|s| {
            assert!(!s.is_global());
            (s.address(), s.name().unwrap().to_owned())
        })
        .collect();
    bodies.sort();
    let names: Vec<&str> = bodies.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["k_f_each1", "k_f_each2", "k_g_each1"]);
    // The one around calls the one inside; libbpf finds it by the section and the distance in the instruction.
    let code = text.data().unwrap();
    let calls = |data: &[u8], section: &object::read::elf::ElfSection64<'_, '_, Endianness>| {
        let mut found = Vec::new();
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                panic!("{relocation:?}");
            };
            if file.symbol_by_index(index).unwrap().section_index() == Some(text.index()) {
                let at = offset as usize;
                found.push(i32::from_le_bytes(data[at + 4..at + 8].try_into().unwrap()) as u64);
            }
        }
        found
    };
    assert_eq!(calls(code, &text), [bodies[0].0]);
    for (section, body) in [("kprobe/f", 1), ("kprobe/g", 2)] {
        let section = file.section_by_name(section).unwrap();
        assert_eq!(calls(section.data().unwrap(), &section), [bodies[body].0]);
    }
}

#[test]
fn a_resolved_object_has_only_programs_and_a_licence() {
    let (_, image) = compiled(SCRIPT);
    let fds: Vec<i32> = (10..).take(image.maps.len()).collect();
    let bytes = elf::write_resolved(&image, &fds, 77).expect("written");
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
    let names: Vec<&str> = (file.sections().map(|s| s.name().unwrap()))
        .filter(|name| !name.is_empty() && !name.starts_with('.'))
        .collect();
    assert_eq!(
        names,
        [
            "license",
            "kprobe/k_tcp_sendmsg",
            "kretprobe/kr_tcp_sendmsg",
            "raw_tp/run_2_0",
            "raw_tp/run_3_0"
        ]
    );
    let code = file.section_by_name("kprobe/k_tcp_sendmsg").unwrap();
    let expected = resolve(&image.programs[0], &fds, 77).unwrap();
    assert_eq!(code.data().unwrap(), insn::encode(&expected));
    assert!(elf::write_resolved(&image, &[], 0).is_err());
}

#[cfg(feature = "redbpf")]
#[test]
fn redbpf_reads_a_resolved_object() {
    let (_, image) = compiled(SCRIPT);
    let fds: Vec<i32> = (10..).take(image.maps.len()).collect();
    let bytes = elf::write_resolved(&image, &fds, 77).expect("written");
    // redbpf wants the bytes aligned to 8.
    let mut words = vec![0u64; bytes.len().div_ceil(8)];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
        let mut buffer = [0; 8];
        buffer[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(buffer);
    }
    // SAFETY: the words hold at least as many initialised bytes and outlive the slice.
    let aligned = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), bytes.len()) };
    let module = redbpf::Module::parse(aligned).expect("redbpf reads it");
    let mut names: Vec<&str> = module.programs.iter().map(|p| p.name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["k_tcp_sendmsg", "kr_tcp_sendmsg"]);
    assert_eq!(module.license, "Dual MIT/GPL");
}
