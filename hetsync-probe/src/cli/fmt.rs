//! `fmt`: scripts in the one form that the printer gives them.

use std::path::Path;

use crate::cli::args::FmtArgs;
use crate::cli::exit::Exit;
use crate::cli::script::{complain, read_source, use_color};
use crate::diagnostic::render;
use crate::syntax;

/// Runs `fmt`. Every file is looked at; one that cannot be formatted is left as it is.
pub(super) fn main(args: &FmtArgs) -> Exit {
    let mut exit = Exit::Ok;
    for file in &args.files {
        if let Err(failure) = format_one(file, args) {
            exit = failure;
        }
    }
    exit
}

fn format_one(file: &Path, args: &FmtArgs) -> Result<(), Exit> {
    let name = file.to_str().ok_or_else(|| {
        complain(&format!("the name {} is not UTF-8", file.display()));
        Exit::Failure
    })?;
    let source = read_source(name)?;
    let formatted = syntax::format(source.text()).map_err(|mistakes| {
        say_as_is!("{}", render::text(&mistakes, &source, use_color()));
        Exit::Failure
    })?;
    if args.check {
        if formatted != source.text() {
            println!("{name} is not formatted; run: hetsync-probe fmt --write {name}");
            return Err(Exit::Failure);
        }
    } else if args.write && name != "-" {
        if formatted != source.text() {
            replace(file, &formatted).map_err(|error| {
                complain(&format!("cannot write {name}: {error}"));
                Exit::Failure
            })?;
        }
    } else {
        crate::cli::print(formatted.as_bytes())?;
    }
    Ok(())
}

/// Puts the new text in place in one step, so that a full disk leaves the old one.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let beside = file.with_file_name(name);
    std::fs::write(&beside, text)?;
    let permissions = std::fs::metadata(file)?.permissions();
    std::fs::set_permissions(&beside, permissions)?;
    std::fs::rename(&beside, file).inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}
