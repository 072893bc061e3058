//! The running kernel's verifier accepts what the compiler makes. `guest.rs` runs the same on kernels 5.10, 6.1 and 6.12.

#[path = "fronts.rs"]
mod fronts;

use crate::scripts::SCRIPTS;
use crate::{checked, compiled};
use hetsync_probe::codegen::{self, Options, disasm};
use hetsync_probe::image::{Image, Program as Compiled, ProgramKind, resolve};
use hetsync_probe::ir::limits::TRIES;
use hetsync_probe::kernel::features;
use hetsync_probe::kernel::running::Running;
use hetsync_probe::load::plan::Tried;
use hetsync_probe::load::sys::{Described, Map, Program, ProgramType, load_btf};
use hetsync_probe::load::{LoadError, plan};
use hetsync_probe::object;
use std::os::fd::{AsFd, AsRawFd};

/// Creates an image's maps and loads its programs, with the script's lines if it knows its script.
pub(crate) fn load(
    image: &Image,
    kind: impl Fn(&Compiled) -> ProgramType,
) -> Result<Vec<Program>, LoadError> {
    let maps: Vec<Map> = (image.maps.iter())
        .map(Map::create)
        .collect::<Result<_, _>>()?;
    let fds: Vec<i32> = maps.iter().map(AsRawFd::as_raw_fd).collect();
    let debug = object::debug(image);
    let btf = (debug.as_ref()).and_then(|debug| load_btf(&debug.btf).ok());
    (image.programs.iter().enumerate())
        .map(|(at, program)| {
            let insns = resolve(program, &fds, 1).expect("resolves");
            let described = (btf.as_ref().zip(debug.as_ref())).map(|(btf, debug)| Described {
                btf: btf.as_fd(),
                lines: &debug.programs[at],
            });
            let (name, kind) = (&program.name, kind(program));
            Program::load_described(name, kind, &insns, &program.spans, described)
        })
        .collect()
}

/// Compiles with loops shorter and shorter until the kernel takes them, as `run` does; the image and the last refusal, if any.
/// `shorter` is what to begin with: emulated kernels take half a minute for the longest loops.
fn compile_and_load(
    compile: impl Fn(u32) -> Image,
    kind: impl Fn(&Compiled) -> ProgramType,
    mut shorter: u32,
) -> (Image, Result<Vec<Program>, LoadError>) {
    loop {
        let image = compile(shorter);
        let loaded = load(&image, &kind);
        match &loaded {
            Err(error) if error.is_too_long() && shorter < TRIES && !image.loops.is_empty() => {
                println!("loops {:?} are too long for this kernel", image.loops);
                shorter += 1;
            }
            _ => return (image, loaded),
        }
    }
}

fn plain(program: &Compiled) -> ProgramType {
    match program.kind {
        ProgramKind::Run => ProgramType::RawTracepoint,
        _ => ProgramType::Kprobe,
    }
}

/// Whether programs can be loaded here; prints the reason if not.
fn can_load(test: &str) -> bool {
    match load(&compiled("begin { @x = 1; }").1, plain) {
        Ok(_) => true,
        Err(LoadError::NotPermitted { .. }) => {
            println!("{test}: skipped, bpf(2) is not permitted");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

fn refused(name: &str, source: &str, image: &Image, error: &LoadError) -> ! {
    panic!("{name}: {error:#?}\n{}", disasm::image(image, source));
}

/// The scripts this kernel can run: before 5.13 none that goes over a map's entries.
fn scripts() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let each = features::for_each();
    SCRIPTS.iter().filter(move |(name, _)| {
        let can = each || !name.starts_with("each_");
        if !can {
            println!("{name}: not for this kernel, which has no bpf_for_each_map_elem");
        }
        can
    })
}

#[test]
fn the_kernel_takes_the_lines_of_every_script() {
    if !can_load("the_kernel_takes_the_lines_of_every_script") {
        return;
    }
    for (name, source) in scripts() {
        let debug = object::debug(&compiled(source).1).expect("it knows its script");
        if let Err(error) = load_btf(&debug.btf) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn the_verifier_accepts_every_script() {
    if !can_load("the_verifier_accepts_every_script") {
        return;
    }
    for (name, source) in scripts() {
        let program = checked(source);
        let compile = |shorter_loops| {
            let options = Options {
                shorter_loops,
                ..Options::plain()
            };
            codegen::compile(&program, &options).expect("compiles")
        };
        if let (image, Err(error)) = compile_and_load(compile, plain, 0) {
            refused(name, source, &image, &error);
        }
    }
}

#[test]
fn the_verifier_accepts_spills() {
    if !can_load("the_verifier_accepts_spills") {
        return;
    }
    for (name, source) in scripts() {
        for registers in crate::allocation::POOLS {
            let program = checked(source);
            let compile = |shorter_loops| {
                let options = Options {
                    pool: crate::allocation::pool(registers),
                    shorter_loops,
                    ..Options::plain()
                };
                codegen::compile(&program, &options).expect("compiles")
            };
            if let (image, Err(error)) = compile_and_load(compile, plain, 2) {
                refused(name, source, &image, &error);
            }
        }
    }
}

#[test]
fn the_verifier_accepts_what_is_lowered_to_trampolines() {
    const TEST: &str = "the_verifier_accepts_what_is_lowered_to_trampolines";
    if !can_load(TEST) {
        return;
    }
    let mut lowered = 0;
    for (name, source) in scripts() {
        // Functions with three arguments, the first of them pointers.
        let source = (source.replace("probe:f", "probe:tcp_sendmsg"))
            .replace("probe:g", "probe:tcp_recvmsg")
            .replace("arg3", "arg0")
            .replace("arg4", "arg1")
            .replace("arg5", "arg2");
        let program = checked(&source);
        let options = plan::Options {
            lower: true,
            loader: None,
            ..Default::default()
        };
        let plan = plan(&program, &Running::new(), &Tried, &options);
        let planned = |point: (usize, usize)| &plan.points[point.0][point.1];
        let compile = |shorter_loops| {
            let options = Options {
                lower: &|probe, point| Some(planned((probe, point)).kind.clone()),
                atomic_fetch: plan.atomic_fetch,
                shorter_loops,
                ..Options::plain()
            };
            codegen::compile(&program, &options).expect("compiles")
        };
        let kind = |program: &Compiled| {
            let planned = planned(program.point);
            match (&program.kind, planned.btf_id) {
                (ProgramKind::Fentry { .. }, Some(id)) => ProgramType::Fentry(id),
                (ProgramKind::Fexit { .. }, Some(id)) => ProgramType::Fexit(id),
                _ => plain(program),
            }
        };
        let (image, loaded) = compile_and_load(compile, kind, 1);
        lowered += (image.programs.iter())
            .filter(|program| planned(program.point).btf_id.is_some())
            .count();
        if let Err(error) = loaded {
            refused(name, &source, &image, &error);
        }
    }
    println!("{TEST}: {lowered} programs lowered");
}
