//! `--emit`: one stage of the compiler as text, or the object as bytes.

use std::path::Path;

use crate::cli::args::{ScriptArgs, Stage};
use crate::cli::exit::Exit;
use crate::cli::script::{Script, complain};
use crate::diagnostic::Diagnostic;
use crate::sema::{self, Options};
use crate::{Target, check, codegen, compile, object, syntax};

/// Prints what `stage` makes of the script, to standard output or a file.
pub(super) fn main(
    stage: Stage,
    script: &Script,
    options: &Options<'_>,
    args: &ScriptArgs,
    to: Option<&Path>,
) -> Exit {
    let bytes = match dump(stage, script, options, args) {
        Ok(bytes) => bytes,
        Err(exit) => return exit,
    };
    let written = match to {
        None => crate::cli::print(&bytes),
        Some(path) => std::fs::write(path, &bytes).map_err(|error| {
            complain(&format!("cannot write {}: {error}", path.display()));
            Exit::Failure
        }),
    };
    written.err().unwrap_or(Exit::Ok)
}

fn dump(
    stage: Stage,
    script: &Script,
    options: &Options<'_>,
    args: &ScriptArgs,
) -> Result<Vec<u8>, Exit> {
    let refused = |diagnostics: Vec<Diagnostic>| {
        script.tell(&diagnostics, !args.no_warnings);
        Exit::Failure
    };
    let text = script.source.text();
    if stage == Stage::Ast {
        let (tree, diagnostics) = syntax::parse(text);
        if diagnostics.iter().any(Diagnostic::is_error) {
            return Err(refused(diagnostics));
        }
        return Ok(syntax::dump(&tree).into_bytes());
    }
    if stage == Stage::Types {
        let (program, _) = check(text, options).map_err(refused)?;
        return Ok(sema::dump(&program).into_bytes());
    }
    let mut compiled = compile(text, options, &Target::plain()).map_err(refused)?;
    compiled.image.source = Some(script.source.clone());
    match stage {
        Stage::Ir => {
            let ir = compiled
                .plan
                .with_codegen_options(|options| codegen::emit_ir(&compiled.program, options));
            ir.map(String::into_bytes).map_err(refused)
        }
        Stage::Asm => Ok(codegen::disasm::image(&compiled.image, text).into_bytes()),
        Stage::Ast | Stage::Types | Stage::Elf => Ok(object::write(&compiled.image)),
    }
}
