//! A bpftrace-style profiler with its own compiler: small scripts become eBPF without LLVM.
//!
//! ```text
//! source -> syntax -> sema -> plan -> ir -> codegen -> load -> report
//!           AST       HIR     Plan    IR    Image      kernel  tables
//!                      |                     |  |
//!                      +------ interp -------+  +----> object: ELF
//! ```
//!
//! Dependencies point one way, left to right. `syntax` knows no kernel; `sema` asks the [`kernel::Kernel`] trait for
//! facts; `plan` decides how each probe is attached; `ir` knows no ELF; `load` alone speaks to the kernel; `report` gets values, never
//! file descriptors. [`compile`] is the pipeline up to the instructions; the `hetsync-probe` command is [`cli::main`].
//!
//! Without the feature `kernel` everything is there but `load` and `run`, on any system.
//!
//! # Compile a script
//! Nothing here needs root or a kernel; facts about one come from [`kernel::NoKernel`], which knows nothing and objects to nothing.
//!
//! ```
//! use hetsync_probe::{Target, codegen::disasm, compile, kernel::NoKernel, sema};
//!
//! let options = sema::Options {
//!     params: vec![],
//!     kernel: &NoKernel,
//!     pid_filter: None,
//!     settings: vec![],
//!     max_keys: 4096,
//!     allow_unsafe: false,
//! };
//! let script = "kprobe:tcp_sendmsg { @[comm] = hist(arg2); }";
//! let compiled = compile(script, &options, &Target::plain()).expect("a right script");
//! assert_eq!(compiled.image.programs.len(), 1);
//! assert!(disasm::image(&compiled.image, script).contains("call get_current_comm"));
//!
//! // All mistakes are told at once, each with a code and its place.
//! let wrong = "kprobe:tcp_sendmsg { @[com] = hist(retval); }";
//! let mistakes = compile(wrong, &options, &Target::plain()).unwrap_err();
//! let codes: Vec<&str> = mistakes.iter().map(|mistake| mistake.code).collect();
//! assert_eq!(codes, ["E0209", "E0211"]);
//! assert_eq!(&wrong[mistakes[0].span.start as usize..][..3], "com");
//! ```
//!
//! `examples/script_without_kernel.rs` goes on from here: it runs the instructions and prints the table.

pub mod cli;
pub mod codegen;
pub mod diagnostic;
pub mod image;
pub mod interp;
pub mod ir;
pub mod kernel;
pub mod layout;
pub mod limits;
#[cfg(feature = "kernel")]
pub mod load;
pub mod object;
pub mod plan;
pub mod provider;
pub mod report;
pub mod sema;
pub mod source;
pub mod span;
pub mod syntax;

use diagnostic::Diagnostic;
use image::Image;
use plan::{Facts, Plan};
use sema::hir::Program;
use source::Source;

/// For which kernel, and how, a script is compiled.
pub struct Target<'a> {
    /// What the kernel can do.
    pub facts: &'a dyn Facts,
    /// What the user asked for.
    pub plan: plan::Options,
}

impl Target<'_> {
    /// What every supported kernel runs: kprobes and kretprobes. For `check`, `build` and `--emit`.
    pub fn plain() -> Target<'static> {
        Target {
            facts: &plan::Plain,
            plan: plan::Options::default(),
        }
    }

    /// The running kernel, asked by trying.
    #[cfg(feature = "kernel")]
    pub fn running(plan: plan::Options) -> Target<'static> {
        Target {
            facts: &plan::Tried,
            plan,
        }
    }
}

/// A script, compiled.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The checked script.
    pub program: Program,
    /// How each attach point is attached.
    pub plan: Plan,
    /// What is loaded.
    pub image: Image,
    /// What is probably not as meant.
    pub warnings: Vec<Diagnostic>,
}

/// The whole compiler.
///
/// # Errors
/// Every mistake found, warnings among them.
pub fn compile(
    text: &str,
    options: &sema::Options<'_>,
    target: &Target<'_>,
) -> Result<Compiled, Vec<Diagnostic>> {
    let (program, warnings) = check(text, options)?;
    let plan = plan::plan(&program, options.kernel, target.facts, &target.plan);
    let mut image = plan.with_codegen_options(|options| codegen::compile(&program, options))?;
    image.source = Some(Source::new("script", text));
    Ok(Compiled {
        program,
        plan,
        image,
        warnings,
    })
}

/// The front half: a script to its checked form, with warnings.
///
/// # Errors
/// Every mistake found, warnings among them.
pub fn check(
    text: &str,
    options: &sema::Options<'_>,
) -> Result<(Program, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (script, mut found) = syntax::parse(text);
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    let (program, warnings) = sema::check(&script, options)?;
    found.extend(warnings);
    Ok((program, found))
}
