//! nom grammar, AST, printer. Knows no kernel and no types.
//!
//! The grammar works on the text itself, without a token list: what a `/` or a `*` means depends on where it stands
//! (an attach point, a predicate, an expression). Every grammar function starts at a token and leaves the input after
//! it and the white space behind it. A mistake ends its statement only: `recover` finds the next one,
//! so that several are reported at once.

pub mod ast;
mod control;
mod ctype;
mod definition;
mod dump;
mod expr;
mod grammar;
mod literal;
mod operator;
mod preprocess;
mod print;
mod probe;
mod recover;
mod script;
mod stmt;
mod token;

pub use dump::dump;
pub(crate) use literal::{integer, signed_integer};

use crate::diagnostic::Diagnostic;
use crate::limits;

/// Parses a script. The tree holds what could be understood; it stands for the whole script only if none of the
/// diagnostics is an error.
///
/// Never panics: too large, too deep and binary texts are refused with errors of their own.
///
/// ```
/// let (script, mistakes) = hetsync_probe::syntax::parse("kprobe:tcp_sendmsg { @[comm] = count(); }");
/// assert!(mistakes.is_empty());
/// assert_eq!(script.probes.len(), 1);
/// ```
pub fn parse(source: &str) -> (ast::Script, Vec<Diagnostic>) {
    if let Some(diagnostic) = refused(source) {
        return (ast::Script::default(), vec![diagnostic]);
    }
    let preprocessed = preprocess::run(source);
    let grammar = grammar::Grammar::new(&preprocessed.text, &preprocessed.map);
    let (mut script, mut diagnostics) = grammar.script();
    script.includes = preprocessed.includes;
    if !preprocessed.diagnostics.is_empty() {
        diagnostics.extend(preprocessed.diagnostics);
        diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        diagnostics.truncate(limits::DIAGNOSTICS);
    }
    (script, diagnostics)
}

/// A script in the one form that the formatter gives it.
///
/// Lines of the preprocessor stay as they are. Where they cut statements in pieces, so that the script cannot be
/// understood without running them, all of the text stays as it is.
///
/// # Errors
/// The mistakes of a script that is not right.
///
/// ```
/// use hetsync_probe::syntax;
/// assert_eq!(syntax::format("kprobe:f/pid==1/{@=count()}").unwrap(), "kprobe:f /pid == 1/ {\n    @ = count();\n}\n");
/// ```
pub fn format(source: &str) -> Result<String, Vec<Diagnostic>> {
    let (script, diagnostics) = parse(source);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(diagnostics);
    }
    if !preprocess::has_directives(source) {
        return Ok(print::print(&script, source));
    }
    let map = preprocess::Map::default();
    let (script, diagnostics) = grammar::Grammar::as_written(source, &map).script();
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Ok(source.into());
    }
    let formatted = print::print(&script, source);
    Ok(if print::same_order(source, &formatted) {
        formatted
    } else {
        source.into()
    })
}

/// A text that no parser should look at.
fn refused(source: &str) -> Option<Diagnostic> {
    if source.len() > limits::SOURCE_BYTES {
        return Some(crate::source::too_large());
    }
    source.find('\0').map(crate::source::binary)
}
