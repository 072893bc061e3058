//! What is told of programs beside their code: functions and the script's lines, as the kernel and libbpf want them.

use crate::compiled;
use crate::scripts::SCRIPTS;
use ::object::read::elf::ElfFile64;
use ::object::{Endianness, Object, ObjectSection};
use hetsync_probe::kernel::btf::{Btf, Kind, Space};
use hetsync_probe::object::{self, Line};

const SCRIPT: &str = "begin { @n = 1; }
kprobe:f {
    @calls[comm] = count();
    @bytes = sum(arg2);
}
end { @n = 2; }";

/// The string at an offset of a BTF object.
fn string(btf: &[u8], at: u32) -> &str {
    let word = |at: usize| u32::from_le_bytes(btf[at..at + 4].try_into().unwrap()) as usize;
    // The strings begin behind a header of so many bytes and so many before them.
    let tail = &btf[word(4) + word(16) + at as usize..];
    let end = tail.iter().position(|&byte| byte == 0).expect("a NUL");
    std::str::from_utf8(&tail[..end]).expect("UTF-8")
}

/// Number of the line, column, text.
fn told<'a>(btf: &'a [u8], line: &Line) -> (u32, u32, &'a str) {
    (
        line.position >> 10,
        line.position & 1023,
        string(btf, line.text),
    )
}

#[test]
fn records_name_the_lines() {
    let (_, image) = compiled(SCRIPT);
    let debug = object::debug(&image).expect("it knows its script");
    let lines = |program: usize| -> Vec<(u32, &str)> {
        let mut lines: Vec<_> = (debug.programs[program].lines.iter())
            .map(|line| told(&debug.btf, line))
            .map(|(number, _, text)| (number, text))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    };
    assert_eq!(lines(0), [(1, "begin { @n = 1; }")]);
    let kprobe = lines(1);
    for line in [
        (3, "    @calls[comm] = count();"),
        (4, "    @bytes = sum(arg2);"),
    ] {
        assert!(kprobe.contains(&line), "{kprobe:?}");
    }
    assert!(
        kprobe.iter().all(|(number, _)| (2..=5).contains(number)),
        "{kprobe:?}"
    );
    assert_eq!(lines(2), [(6, "end { @n = 2; }")]);
    for line in debug.programs.iter().flat_map(|program| &program.lines) {
        assert_eq!(string(&debug.btf, line.file), "test.hp");
    }
}

#[test]
fn records_are_as_the_kernel_wants_them() {
    for (name, source) in SCRIPTS {
        let (_, image) = compiled(source);
        let debug = object::debug(&image).expect("it knows its script");
        for (program, described) in image.programs.iter().zip(&debug.programs) {
            let at: Vec<usize> = (described.lines.iter().map(|line| line.insn as usize)).collect();
            assert_eq!(at.first(), Some(&0), "{name}");
            assert!(at.is_sorted_by(|a, b| a < b), "{name}: {at:?}");
            // The second half of an immediate load has no code of its own.
            let halves = at.iter().filter(|&&at| program.insns[at].code == 0);
            assert_eq!(halves.count(), 0, "{name}");
            for line in &described.lines {
                let (number, column, text) = told(&debug.btf, line);
                assert_eq!(
                    source.lines().nth(number as usize - 1),
                    Some(text),
                    "{name}"
                );
                assert!(
                    column as usize <= text.chars().count() + 1,
                    "{name}: {column}"
                );
            }
        }
    }
}

#[test]
fn long_lines_and_far_columns_are_cut() {
    let head = format!("begin {{ @n = 1; {} ", "/* ä */ ".repeat(400));
    let (_, image) = compiled(&format!("{head}@m = 2; }}"));
    let debug = object::debug(&image).expect("it knows its script");
    let lines = debug.programs[0].lines.iter();
    let furthest = lines.max_by_key(|line| line.position).expect("a line");
    let (number, column, text) = told(&debug.btf, furthest);
    assert_eq!((number, column), (1, 1023));
    assert!(text.len() <= 512 && head.starts_with(text), "{text}");
}

#[test]
fn programs_are_functions_of_their_context() {
    let (_, image) = compiled(SCRIPT);
    let debug = object::debug(&image).expect("it knows its script");
    let btf = Btf::parse(debug.btf).expect("BTF");
    for (program, described) in image.programs.iter().zip(&debug.programs) {
        let id = btf
            .find(Space::Function, &program.name)
            .expect(&program.name);
        assert_eq!(
            (id.0, 0),
            (described.functions[0].ty, described.functions[0].insn)
        );
        let Some(Kind::Func { proto }) = btf.kind(id) else {
            panic!("{:?}", btf.kind(id));
        };
        assert!(matches!(btf.kind(proto), Some(Kind::FuncProto { .. })));
    }
}

#[test]
fn each_function_of_a_program_is_told_of_with_a_line_at_its_start() {
    let script =
        "begin { @m[1] = 1; for ($kv : @m) { for ($in : @m) { @n = $in.1; } } @l = len(@m); }";
    let (_, mut image) = compiled(script);
    let starts: Vec<u32> = image.programs[0]
        .functions
        .iter()
        .map(|&at| at as u32)
        .collect();
    assert_eq!(starts.len(), 4);
    let debug = object::debug(&image).expect("it knows its script");
    let described = &debug.programs[0];
    let told: Vec<u32> = described.functions.iter().map(|f| f.insn).collect();
    assert_eq!(told, starts);
    for start in starts {
        assert!(
            described.lines.iter().any(|line| line.insn == start),
            "{start}"
        );
    }
    // The kernel wants to know of the functions also where there is no script.
    image.source = None;
    let debug = object::debug(&image).expect("it has functions");
    assert_eq!(debug.programs[0].functions.len(), 4);
    assert!(debug.programs[0].lines.is_empty());
}

#[test]
fn an_object_has_the_same_by_section() {
    let (_, image) = compiled(SCRIPT);
    let bytes = object::write(&image);
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
    let data = |name: &str| file.section_by_name(name).expect(name).data().expect(name);
    let (btf, ext) = (data(".BTF"), data(".BTF.ext"));
    let words: Vec<u32> = (ext.chunks_exact(4))
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    // Magic and version; the header's length; where functions and lines are, after it.
    let [_, 24, functions_at, functions_len, lines_at, lines_len] = words[..6] else {
        panic!("{:?}", &words[..6]);
    };
    assert_eq!((functions_at, lines_at), (0, functions_len));
    assert_eq!(24 + functions_len + lines_len, ext.len() as u32);
    // Both `raw_tp` programs are in one section.
    let functions = &words[6..][..functions_len as usize / 4];
    let first = 8 * image.programs[0].insns.len() as u32;
    let [8, run, 2, 0, _, second, _, kprobe, 1, 0, _] = functions[..] else {
        panic!("{functions:?}");
    };
    assert_eq!(second, first);
    assert_eq!(
        [run, kprobe].map(|at| string(btf, at)),
        ["raw_tp", "kprobe/f"]
    );
    assert_eq!(
        data("raw_tp").len() as u32,
        first + 8 * image.programs[2].insns.len() as u32
    );
    // Of the lines: as many as the kernel is told, each at an instruction of its section.
    let debug = object::debug(&image).expect("it knows its script");
    let mut lines = words[(24 + lines_at) as usize / 4..].iter().copied();
    assert_eq!(lines.next(), Some(16));
    for (section, programs) in [("raw_tp", vec![0, 2]), ("kprobe/f", vec![1])] {
        assert_eq!(string(btf, lines.next().expect("a name")), section);
        let count: usize = programs
            .iter()
            .map(|&at: &usize| debug.programs[at].lines.len())
            .sum();
        assert_eq!(lines.next(), Some(count as u32));
        let mut before = None;
        for _ in 0..count {
            let [at, file, text, _] = [(); 4].map(|()| lines.next().expect("a record"));
            assert!(before < Some(at) && at % 8 == 0 && (at as usize) < data(section).len());
            assert_ne!(data(section)[at as usize], 0);
            assert_eq!(string(btf, file), "test.hp");
            assert!(SCRIPT.lines().any(|line| line == string(btf, text)));
            before = Some(at);
        }
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn without_its_script_an_image_has_no_lines() {
    let (_, mut image) = compiled(SCRIPT);
    image.source = None;
    assert!(object::debug(&image).is_none());
    let bytes = object::write(&image);
    let file = ElfFile64::<Endianness>::parse(&*bytes).expect("an ELF file");
    assert!(file.section_by_name(".BTF.ext").is_none());
    assert!(file.section_by_name(".BTF").is_some());
}
