//! The front end: source text to AST to checked script, its messages, and the formatter.

#[path = "lang/book.rs"]
mod book;
#[path = "lang/codes.rs"]
mod codes;
#[path = "lang/frozen.rs"]
mod frozen;
#[path = "lang/fuzz.rs"]
mod fuzz;
#[path = "lang/grammar/mod.rs"]
mod grammar;
#[path = "lang/invalid.rs"]
mod invalid;
#[path = "lang/kernel.rs"]
mod kernel;
#[path = "lang/macros.rs"]
mod macros;
#[path = "lang/peer.rs"]
mod peer;
#[path = "lang/random.rs"]
mod random;
#[path = "lang/shape.rs"]
mod shape;
#[path = "lang/shipped.rs"]
mod shipped;
#[path = "lang/types.rs"]
mod types;
#[path = "lang/valid.rs"]
mod valid;

use std::path::{Path, PathBuf};

use hetsync_probe::diagnostic::Diagnostic;
use hetsync_probe::sema::{self, hir};
use hetsync_probe::source::Source;
use hetsync_probe::syntax;

/// The top of the repository.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares a text with `snapshots/NAME.snap`.
fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(top().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Parameters every test script is given.
fn params() -> Vec<String> {
    ["tcp", "5"].map(str::to_owned).to_vec()
}

/// Options for the small kernel of the tests.
fn options(kernel: &kernel::Small) -> sema::Options<'_> {
    sema::Options {
        params: params(),
        kernel,
        pid_filter: None,
        settings: vec![],
        max_keys: 4096,
        allow_unsafe: false,
    }
}

/// Parses and checks; all messages, warnings too, and the program if there is one.
fn compile(text: &str) -> (Option<hir::Program>, Vec<Diagnostic>) {
    let (script, mut diagnostics) = syntax::parse(text);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return (None, diagnostics);
    }
    match sema::check(&script, &options(&kernel::Small { listed: true })) {
        Ok((program, warnings)) => {
            diagnostics.extend(warnings);
            (Some(program), diagnostics)
        }
        Err(mistakes) => {
            diagnostics.extend(mistakes);
            (None, diagnostics)
        }
    }
}

/// The program of a script that must be right.
fn program(text: &str) -> hir::Program {
    let (program, diagnostics) = compile(text);
    program.unwrap_or_else(|| {
        let source = Source::new("test.hp", text);
        panic!(
            "{}",
            hetsync_probe::diagnostic::render::text(&diagnostics, &source, false)
        )
    })
}

/// Codes of the messages a script gets.
fn codes_of(text: &str) -> Vec<&'static str> {
    compile(text)
        .1
        .iter()
        .map(|diagnostic| diagnostic.code)
        .collect()
}

/// The files of a folder under the top with an extension, sorted, with their stems.
fn files(folder: &str, extension: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(top().join(folder))
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no .{extension} files in {folder}");
    found
}
