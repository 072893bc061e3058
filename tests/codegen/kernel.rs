//! The running kernel's verifier accepts what the compiler makes.

use crate::compiled;
use crate::scripts::SCRIPTS;
use hetsync_probe::image::{Image, ProgramKind, resolve};
use hetsync_probe::load::LoadError;
use hetsync_probe::load::sys::{Map, Program, ProgramType};
use std::os::fd::AsRawFd;

fn load(image: &Image) -> Result<Vec<Program>, LoadError> {
    let maps: Vec<Map> = (image.maps.iter())
        .map(Map::create)
        .collect::<Result<_, _>>()?;
    let fds: Vec<i32> = maps.iter().map(AsRawFd::as_raw_fd).collect();
    (image.programs.iter())
        .map(|program| {
            let insns = resolve(program, &fds, 1).expect("resolves");
            let kind = match program.kind {
                ProgramKind::Run => ProgramType::RawTracepoint,
                _ => ProgramType::Kprobe,
            };
            Program::load(&program.name, kind, &insns, &program.spans)
        })
        .collect()
}

#[test]
fn the_verifier_accepts_every_script() {
    for (name, source) in SCRIPTS {
        let (_, image) = compiled(source);
        match load(&image) {
            Ok(_) => {}
            Err(LoadError::NotPermitted { .. }) => {
                println!("the_verifier_accepts_every_script: skipped, bpf(2) is not permitted");
                return;
            }
            Err(error) => {
                for program in &image.programs {
                    println!("{}", hetsync_probe::codegen::disasm::print(program, source));
                }
                panic!("{name}: {error:#?}");
            }
        }
    }
}
