//! Names, types, and the table of built-ins: an AST in, a [`hir::Program`] or diagnostics out.
//!
//! Maps are typed by all their uses, and a use may stand before the assignment that types it (`kretprobe` bodies are often
//! written first). So the script is lowered in rounds: each round reads the types the rounds before have found
//! and adds what it learns, until nothing changes; only the last round's program and mistakes count. Types only ever
//! grow (see `shape::Shape`), so the rounds end.
//!
//! This module knows no kernel: facts come from [`Kernel`], and [`crate::provider`] reads the attach points.

mod access;
mod aggregate;
mod args;
mod call;
mod cast;
mod checker;
mod comptime;
mod config;
mod control;
mod ctypes;
mod delete;
mod derived;
mod dump;
mod each;
mod expr;
mod format;
mod functions;
pub mod hir;
mod latency;
mod later;
mod locals;
mod lookup;
mod macros;
mod maps;
mod names;
mod operator;
mod points;
mod registers;
mod shape;
mod shown;
mod stmt;
mod tables;
pub mod types;
mod walk;
mod within;

pub use dump::dump;

use crate::diagnostic::Diagnostic;
use crate::kernel::Kernel;
use crate::syntax::ast;
use checker::Checker;

/// What a script is checked against.
pub struct Options<'a> {
    /// The script's parameters, `$1` first.
    pub params: Vec<String>,
    /// What is known of the kernel it will run on.
    pub kernel: &'a dyn Kernel,
    /// Only this process (thread group) fires kprobes and kretprobes.
    pub pid_filter: Option<u32>,
    /// Keys each map with keys can hold; 0 leaves it to the script's `config`, or to [`crate::limits::DEFAULT_MAX_KEYS`].
    pub max_keys: u32,
    /// Whether calls that act on the system are allowed.
    pub allow_unsafe: bool,
    /// Settings and their values, as those of `config`, which is stronger: what the environment says.
    pub settings: Vec<(String, String)>,
}

/// Checks a script: the program and the warnings, or every mistake (warnings among them).
///
/// ```
/// use hetsync_probe::{kernel::NoKernel, sema, syntax};
/// let (script, mistakes) = syntax::parse("kprobe:tcp_sendmsg { @[comm] = count(); }");
/// assert!(mistakes.is_empty());
/// let options = sema::Options { params: vec![], kernel: &NoKernel, pid_filter: None, max_keys: 4096, allow_unsafe: false, settings: vec![] };
/// let (program, warnings) = sema::check(&script, &options).unwrap();
/// assert_eq!(program.maps.len(), 1);
/// assert!(warnings.is_empty());
/// ```
pub fn check(
    script: &ast::Script,
    options: &Options<'_>,
) -> Result<(hir::Program, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut tables = tables::Tables::default();
    let mut types = ctypes::Types::new(options.kernel);
    let mut mistakes = types.define(&script.types);
    let (config, told) = config::settings(script, &options.settings);
    mistakes.extend(told);
    let resolved = points::resolve(script, options, config.missing);
    let (map_kinds, told) = config::maps(script);
    mistakes.extend(told);
    let mut settled = false;
    // One more round sees that nothing changes, and one settles maps that only get themselves.
    for _ in 0..crate::limits::TYPE_ROUNDS + 2 {
        let before = tables.clone();
        let (macros, told) = macros::find(script);
        let round = Checker::new(options, (config, &map_kinds), macros, tables, types);
        let round = round.script(script, &resolved);
        (tables, types) = (round.tables, round.types);
        let (program, mut diagnostics) = (round.program, round.diagnostics);
        if tables != before {
            continue;
        }
        // A map that only ever gets its own value has no type yet; it is an integer then.
        if !settled && tables.settle_unknown() {
            settled = true;
            continue;
        }
        if resolved.diagnostics.iter().any(Diagnostic::is_error) {
            // The body that assigns a map may be one whose attach points were refused.
            diagnostics.retain(|found| found.code != "E0214");
        }
        diagnostics.splice(0..0, resolved.diagnostics.iter().cloned());
        diagnostics.extend(told);
        diagnostics.extend(mistakes);
        diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        diagnostics.truncate(crate::limits::DIAGNOSTICS);
        return if diagnostics.iter().any(Diagnostic::is_error) {
            Err(diagnostics)
        } else {
            Ok((program, diagnostics))
        };
    }
    Err(vec![
        Diagnostic::error(
            "E0507",
            crate::span::Span::default(),
            format!(
                "types go from map to map in more than {} steps here",
                crate::limits::TYPE_ROUNDS
            ),
        )
        .with_help("assign maps of a known type first"),
    ])
}
