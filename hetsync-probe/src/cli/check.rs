//! `check`: a script's mistakes, and what the stages of the compiler make of it.

use crate::cli::args::{CheckArgs, MistakeForm};
use crate::cli::emit;
use crate::cli::exit::Exit;
use crate::cli::script::Script;
use crate::diagnostic::{Diagnostic, render};
use crate::kernel::{Kernel, NoKernel};
use crate::{Target, compile, syntax};

/// Runs `check`.
pub(super) fn main(args: &CheckArgs) -> Exit {
    let script = match Script::read(&args.script) {
        Ok(script) => script,
        Err(exit) => return exit,
    };
    let tell = |diagnostics: &[Diagnostic]| {
        match args.form {
            MistakeForm::Text => script.tell(diagnostics, !args.script.no_warnings),
            MistakeForm::Json => println!("{}", render::json(diagnostics, &script.source)),
        }
        if diagnostics.iter().any(Diagnostic::is_error) {
            Exit::Failure
        } else {
            Exit::Ok
        }
    };
    if args.parse_only {
        return tell(&syntax::parse(script.source.text()).1);
    }
    let kernel: Box<dyn Kernel> = if args.this_kernel {
        crate::cli::this_kernel()
    } else {
        Box::new(NoKernel)
    };
    let options = script.options(&args.script, kernel.as_ref(), None);
    if let Some(stage) = args.script.emit {
        return emit::main(stage, &script, &options, &args.script, None);
    }
    match compile(script.source.text(), &options, &Target::plain()) {
        Ok(compiled) => tell(&compiled.warnings),
        Err(diagnostics) => tell(&diagnostics),
    }
}
