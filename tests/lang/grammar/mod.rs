//! What the grammar reads, one file an area: each row is a piece of a script and the tree it becomes.

mod expressions;
mod limits;
mod preprocessor;
mod probes;
mod programs;
mod statements;
mod toplevel;
mod trees;

use hetsync_probe::syntax;

/// The dump of a right script, which its formatted form has, too.
fn tree(text: &str) -> String {
    let (script, mistakes) = syntax::parse(text);
    assert!(mistakes.is_empty(), "{text}\n{mistakes:?}");
    let dump = syntax::dump(&script);
    let once = syntax::format(text).unwrap();
    let (again, mistakes) = syntax::parse(&once);
    assert!(mistakes.is_empty(), "{text}\nbecame\n{once}\n{mistakes:?}");
    assert_eq!(syntax::dump(&again), dump, "{text}\nbecame\n{once}");
    assert_eq!(syntax::format(&once).unwrap(), once, "{text}");
    dump
}

/// The tree of statements inside a probe, its lines joined with ` | `.
fn body(text: &str) -> String {
    let dump = tree(&format!("begin {{ {text} }}"));
    let lines: Vec<&str> = dump.lines().skip(1).map(|line| &line[2..]).collect();
    lines.join(" | ")
}

/// The code and the marked text of the first mistake of a script.
fn mistake(text: &str) -> (&'static str, String) {
    let (_, mistakes) = syntax::parse(text);
    let first = mistakes
        .first()
        .unwrap_or_else(|| panic!("accepted: {text}"));
    (first.code, text[first.span.range()].to_owned())
}
