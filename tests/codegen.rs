//! The back end: scripts compiled, run in the eBPF machine beside the interpreter of the checked script, shown to the
//! running kernel's verifier where bpf(2) is allowed; IR and code as text; the allocator against its checker.

#[path = "codegen/agree.rs"]
mod agree;
#[path = "codegen/allocation.rs"]
mod allocation;
#[path = "codegen/cost.rs"]
mod cost;
#[path = "codegen/elf.rs"]
mod elf;
#[cfg(feature = "kernel")]
#[path = "codegen/guests.rs"]
mod guests;
#[cfg(feature = "kernel")]
#[path = "codegen/kernel.rs"]
mod kernel;
#[path = "codegen/lines.rs"]
mod lines;
#[path = "codegen/scripts.rs"]
mod scripts;
#[path = "codegen/text.rs"]
mod text;

use hetsync_probe::codegen::{self, Options};
use hetsync_probe::image::Image;
use hetsync_probe::kernel::NoKernel;
use hetsync_probe::sema::{self, hir};
use hetsync_probe::source::Source;
use hetsync_probe::syntax;

/// Checks a script that has no mistakes.
fn checked(source: &str) -> hir::Program {
    let (script, mistakes) = syntax::parse(source);
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    let options = sema::Options {
        params: vec![],
        kernel: &NoKernel,
        pid_filter: None,
        settings: vec![],
        max_keys: 64,
        allow_unsafe: false,
    };
    match sema::check(&script, &options) {
        Ok((program, _)) => program,
        Err(mistakes) => panic!("{source}\n{mistakes:#?}"),
    }
}

/// Gives a script's loops the limits that the compiler has chosen.
fn cut_alike(program: &mut hir::Program, image: &Image) {
    for (one, most) in program.loops.iter_mut().zip(&image.loops) {
        one.most = Some(*most);
    }
}

/// Compiles a script the plain way.
fn compiled(source: &str) -> (hir::Program, Image) {
    let mut program = checked(source);
    let mut image = codegen::compile(&program, &Options::plain()).expect("compiles");
    cut_alike(&mut program, &image);
    image.source = Some(Source::new("test.hp", source));
    (program, image)
}
