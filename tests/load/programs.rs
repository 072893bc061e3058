//! Programs: run by user space, refused with the verifier's words, described.

use crate::asm;
use crate::bpf_allowed;
use hetsync_probe::codegen::insn::{Insn, reg};
use hetsync_probe::image::{
    MapKind, ProgramKind, Relocation, RelocationKind, ResolveError, resolve,
};
use hetsync_probe::load::LoadError;
use hetsync_probe::load::sys::{Described, Map, Program, ProgramType, load_btf};
use hetsync_probe::object;
use hetsync_probe::source::Source;
use hetsync_probe::span::Span;
use std::os::fd::{AsFd, AsRawFd};

#[test]
fn a_program_runs_and_counts() {
    if !bpf_allowed("a_program_runs_and_counts") {
        return;
    }
    let map = Map::create(&asm::map("counts", MapKind::Array, 1)).expect("map");
    let source = asm::counter(ProgramKind::Run);
    let insns = resolve(&source, &[map.as_raw_fd()], 0).unwrap();
    let program = Program::load("counter", ProgramType::RawTracepoint, &insns, &[]).expect("load");
    for _ in 0..1000 {
        program.test_run(&[]).expect("run");
    }
    assert_eq!(
        map.lookup(&[0; 4]).unwrap(),
        Some(1000u64.to_le_bytes().to_vec())
    );
    let info = program.info().expect("info");
    assert!(info.translated_bytes >= 48, "{info:?}");
}

#[test]
fn a_program_sees_its_context_and_returns_r0() {
    if !bpf_allowed("a_program_sees_its_context_and_returns_r0") {
        return;
    }
    let insns = [asm::load(reg::R0, reg::R1, 8), asm::exit()];
    let program = Program::load("second", ProgramType::RawTracepoint, &insns, &[]).expect("load");
    assert_eq!(program.test_run(&[1, 42]).unwrap(), 42);
    let error = program.test_run(&[1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot run program \"second\": EINVAL: Invalid argument"
    );
}

#[test]
fn a_refusal_has_errno_the_last_lines_and_the_place() {
    if !bpf_allowed("a_refusal_has_errno_the_last_lines_and_the_place") {
        return;
    }
    let insns = [
        asm::mov(reg::R0, 1),
        asm::load(reg::R0, reg::R0, 0),
        asm::exit(),
    ];
    let spans: Vec<Span> = (0..3).map(|i| Span::new(10 * i, 10 * i + 5)).collect();
    let error = Program::load("bad", ProgramType::Kprobe, &insns, &spans).unwrap_err();
    let LoadError::Refused {
        program,
        log,
        insn,
        span,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        (program.as_str(), *insn, *span),
        ("bad", Some(1), Some(Span::new(10, 15)))
    );
    assert!(
        log.last().unwrap().starts_with("R0 invalid mem access"),
        "{log:?}"
    );
    assert_eq!(error.errno(), Some(libc::EACCES));
    assert_eq!(error.span(), Some(Span::new(10, 15)));
    let text = error.to_string();
    assert!(
        text.starts_with(
            "the kernel refused program \"bad\" (EACCES: Permission denied) at instruction 1"
        ),
        "{text}"
    );
}

#[test]
fn a_refusal_shows_the_scripts_lines() {
    if !bpf_allowed("a_refusal_shows_the_scripts_lines") {
        return;
    }
    let mut source = asm::counter(ProgramKind::Run);
    source.insns = vec![
        asm::mov(reg::R0, 1),
        asm::load(reg::R0, reg::R0, 0),
        asm::exit(),
    ];
    source.relocations.clear();
    source.spans = vec![Span::new(0, 5), Span::new(6, 13), Span::new(6, 13)];
    let mut image = asm::image(vec![source], Vec::new());
    image.source = Some(Source::new("t.hp", "first\n\tsecond"));
    let debug = object::debug(&image).expect("it knows its script");
    let btf = load_btf(&debug.btf).expect("the kernel takes it");
    let described = Described {
        btf: btf.as_fd(),
        lines: &debug.programs[0],
    };
    let (kind, program) = (ProgramType::RawTracepoint, &image.programs[0]);
    let (insns, spans) = (&program.insns, &program.spans);
    let error = Program::load_described("bad", kind, insns, spans, Some(described)).unwrap_err();
    let LoadError::Refused { log, insn, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*insn, Some(1));
    // Newer kernels add the file and the line's number.
    assert!(
        log.iter().any(|line| line.starts_with("; first")),
        "{log:?}"
    );
    assert!(
        log.iter().any(|line| line
            .trim_start_matches("; ")
            .trim_start()
            .starts_with("second")),
        "{log:?}"
    );
}

#[test]
fn a_log_longer_than_the_buffer_still_gives_its_end() {
    if !bpf_allowed("a_log_longer_than_the_buffer_still_gives_its_end") {
        return;
    }
    // Each instruction is a line of some 50 bytes: about 1.5 MB of log, the mistake at its end.
    let mut insns = vec![asm::mov(reg::R0, 0); 30_000];
    insns.extend([asm::load(reg::R1, reg::R0, 0), asm::exit()]);
    let error = Program::load("long", ProgramType::Kprobe, &insns, &[]).unwrap_err();
    let LoadError::Refused { insn, log, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*insn, Some(30_000));
    assert!(
        log.last().unwrap().starts_with("R0 invalid mem access"),
        "{log:?}"
    );
}

#[test]
fn mistakes_found_before_the_walk_are_refusals_too() {
    if !bpf_allowed("mistakes_found_before_the_walk_are_refusals_too") {
        return;
    }
    let unknown = Insn {
        code: 0xff,
        ..Insn::default()
    };
    for insns in [
        vec![unknown, asm::exit()],
        vec![],
        vec![asm::mov(reg::R0, 0)],
    ] {
        let error = Program::load("bad", ProgramType::Kprobe, &insns, &[]).unwrap_err();
        assert!(matches!(error, LoadError::Refused { .. }), "{error:?}");
        assert!(error.errno().is_some());
    }
}

#[test]
fn relocations_are_put_in() {
    let mut program = asm::sender(1, 5);
    let insns = resolve(&program, &[7, 8], 0).unwrap();
    assert_eq!((insns[1].src, insns[1].imm, insns[2].imm), (1, 8, 0));

    program.relocations[0].what = RelocationKind::MapValue(0, 24);
    let insns = resolve(&program, &[7, 8], 0).unwrap();
    assert_eq!((insns[1].src, insns[1].imm, insns[2].imm), (2, 7, 24));

    program.relocations[0].what = RelocationKind::StartNs;
    let insns = resolve(&program, &[7, 8], 0x1234_5678_9abc_def0).unwrap();
    assert_eq!(
        (insns[1].src, insns[1].imm, insns[2].imm),
        (0, 0x9abc_def0_u32 as i32, 0x1234_5678)
    );

    program.relocations[0].what = RelocationKind::Map(2);
    assert_eq!(
        resolve(&program, &[7, 8], 0),
        Err(ResolveError::Map { insn: 1, map: 2 })
    );
    for insn in [0, 9, usize::MAX] {
        program.relocations = vec![Relocation {
            insn,
            what: RelocationKind::StartNs,
        }];
        assert_eq!(resolve(&program, &[], 0), Err(ResolveError::Insn { insn }));
    }
}

#[test]
fn a_kernel_that_gives_up_on_too_many_paths_is_told_of() {
    let refused = |errno: i32, log: &[&str]| LoadError::Refused {
        program: "kprobe:f".into(),
        log: log.iter().map(|line| line.to_string()).collect(),
        insn: None,
        span: None,
        lowered: false,
        source: std::io::Error::from_raw_os_error(errno),
    };
    let jumps = ["The sequence of 8193 jumps is too complex."];
    for error in [refused(libc::E2BIG, &[]), refused(libc::EFAULT, &jumps)] {
        let text = error.to_string();
        assert!(
            text.starts_with("the kernel gave up on \"kprobe:f\": too many paths"),
            "{text}"
        );
    }
    let other = refused(libc::EACCES, &["R0 !read_ok"]).to_string();
    assert!(other.starts_with("the kernel refused program"), "{other}");
}
