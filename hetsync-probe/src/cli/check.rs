//! `check`: a script's mistakes, and what the stages of the compiler make of it.

use crate::cli::args::{CheckArgs, MistakeForm};
use crate::cli::emit;
use crate::cli::exit::Exit;
use crate::cli::script::{Script, complain};
use crate::diagnostic::{Diagnostic, render};
use crate::kernel::btf::BtfError;
use crate::kernel::files::Files;
use crate::kernel::{Kernel, NoKernel};
use crate::sema::hir::{PointKind, Program};
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
    let kernel: Box<dyn Kernel> = match (args.this_kernel, files(args)) {
        (true, _) => crate::cli::this_kernel(),
        (false, Ok(Some(files))) => Box::new(files),
        (false, Ok(None)) => Box::new(NoKernel),
        (false, Err(problem)) => {
            complain(&problem);
            return Exit::Failure;
        }
    };
    let options = script.options(&args.script, kernel.as_ref(), None);
    if let Some(stage) = args.script.emit {
        return emit::main(stage, &script, &options, &args.script, None);
    }
    let (program, mut found) = match compile(script.source.text(), &options, &Target::plain()) {
        Ok(compiled) => (Some(compiled.program), compiled.warnings),
        Err(diagnostics) => (None, diagnostics),
    };
    if args.this_kernel {
        lacking(kernel.as_ref(), program.as_ref(), &mut found);
    }
    tell(&found)
}

/// The kernel that files tell of, if the arguments name any.
fn files(args: &CheckArgs) -> Result<Option<Files>, String> {
    if args.btf.is_none() && args.functions.is_none() && args.tracepoints.is_none() {
        return Ok(None);
    }
    let mut files = Files::new();
    if let Some(path) = &args.btf {
        let named = |error: BtfError| match error {
            BtfError::Read { .. } => error.to_string(),
            other => format!("cannot use {}: {other}", path.display()),
        };
        files = files.with_btf(path).map_err(named)?;
    }
    if let Some(path) = &args.functions {
        let list = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        files = files.with_functions(list);
    }
    if let Some(folder) = &args.tracepoints {
        if !folder.join("events").is_dir() {
            return Err(format!("{} has no folder `events`", folder.display()));
        }
        files = files.with_tracepoints(folder);
    }
    Ok(Some(files))
}

/// What this kernel cannot do at all for the script, instead of what it misses of names.
fn lacking(kernel: &dyn Kernel, program: Option<&Program>, found: &mut Vec<Diagnostic>) {
    if crate::cli::functions_can_be_probed(kernel) {
        return;
    }
    let lacks = |span, what: &str| {
        let lacks = Diagnostic::error("E0602", span, format!("this kernel has no {what}"))
            .with_label("cannot be attached here");
        #[cfg(feature = "kernel")]
        let lacks = lacks.with_help(crate::kernel::features::attachable());
        lacks
    };
    // A name that is not in a list of functions none of which can be probed is the lesser problem.
    for diagnostic in found.iter_mut() {
        if matches!(diagnostic.code, "E0204" | "E0205" | "E0206" | "E0207") {
            *diagnostic = lacks(diagnostic.span, "kprobes, nor fentry");
        }
    }
    let points = program.into_iter().flat_map(|program| &program.probes);
    for point in points.flat_map(|probe| &probe.points) {
        let what = match point.kind {
            PointKind::Kprobe { .. } | PointKind::Kretprobe { .. } => "kprobes",
            PointKind::Fentry { .. } | PointKind::Fexit { .. } => "fentry",
            _ => continue,
        };
        // A wildcard's places are one place in the script.
        if found
            .iter()
            .all(|told| told.span != point.span || told.code != "E0602")
        {
            found.push(lacks(point.span, what));
        }
    }
}
