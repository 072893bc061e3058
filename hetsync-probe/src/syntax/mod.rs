//! nom grammar, AST, printer. Knows no kernel and no types.
//!
//! The grammar works on the text itself, without a token list: what a `/` or a `*` means depends on where it stands
//! (an attach point, a predicate, an expression). Every grammar function starts at a token and leaves the input after
//! it and the white space behind it. A mistake ends its statement only: `recover` finds the next one,
//! so that several are reported at once.

pub mod ast;
mod dump;
mod expr;
mod grammar;
mod literal;
pub mod print;
mod probe;
mod recover;
mod stmt;
mod token;

pub use dump::dump;
pub(crate) use expr::INT_TYPES;
pub(crate) use literal::integer;

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
    let refused = if source.len() > limits::SOURCE_BYTES {
        Some(crate::source::too_large(source.len()))
    } else {
        source.find('\0').map(crate::source::binary)
    };
    match refused {
        Some(diagnostic) => (ast::Script::default(), vec![diagnostic]),
        None => grammar::Grammar::new(source).script(),
    }
}
