//! Wrong scripts, one file a code or more: `tests/data/invalid/CODE-what.hp`. Their messages are snapshots.

use std::collections::BTreeSet;

use hetsync_probe::diagnostic::{Diagnostic, codes, render};
use hetsync_probe::limits;
use hetsync_probe::sema;
use hetsync_probe::source::Source;
use hetsync_probe::syntax;

use super::kernel::Small;
use super::{files, options, snapshot};

/// Everything the compiler has to say about a file. The kernel's list of functions is unreadable if the file says so.
fn messages(name: &str, bytes: &[u8]) -> (Source, Vec<Diagnostic>) {
    let source = match Source::from_bytes(name, bytes) {
        Ok(source) => source,
        Err(bad) => return (bad.source, vec![bad.diagnostic]),
    };
    let (script, mut diagnostics) = syntax::parse(source.text());
    if !diagnostics.iter().any(Diagnostic::is_error) {
        let listed = !source.text().contains("no list of functions");
        match sema::check(&script, &options(&Small { listed })) {
            Ok((_, found)) | Err(found) => diagnostics.extend(found),
        }
    }
    (source, diagnostics)
}

#[test]
fn each_fixture_gets_its_code_and_a_stable_message() {
    for (stem, path) in files("tests/data/invalid", "hp") {
        let name = format!("{stem}.hp");
        let (source, diagnostics) = messages(&name, &std::fs::read(&path).unwrap());
        let code = stem.split('-').next().unwrap();
        assert!(
            diagnostics.iter().any(|diagnostic| diagnostic.code == code),
            "{name}: {diagnostics:?}"
        );
        snapshot(
            &format!("errors__{stem}"),
            &render::text(&diagnostics, &source, false),
        );
    }
}

#[test]
fn every_code_has_a_fixture() {
    let covered: BTreeSet<String> = files("tests/data/invalid", "hp")
        .into_iter()
        .map(|(stem, _)| stem.split('-').next().unwrap().to_owned())
        .collect();
    for entry in codes::all() {
        // A megabyte of text is made in a test of its own; what only compiling or a kernel (or its BTF) finds is tested there.
        let elsewhere = entry.code.starts_with("E06")
            || [
                "E0003", "E0220", "E0246", "W0009", "E0508", "E0509", "E0510",
            ]
            .contains(&entry.code);
        assert!(
            elsewhere || covered.contains(entry.code),
            "no fixture for {}",
            entry.code
        );
    }
    for code in &covered {
        assert!(codes::find(code).is_some(), "{code} is in no table");
    }
}

#[test]
fn a_script_over_a_megabyte_is_refused() {
    let text = " ".repeat(limits::SOURCE_BYTES + 1);
    let (source, diagnostics) = messages("huge.hp", text.as_bytes());
    assert_eq!(diagnostics[0].code, "E0003");
    assert_eq!(syntax::parse(&text).1[0].code, "E0003");
    snapshot(
        "errors__E0003-too-large",
        &render::text(&diagnostics, &source, false),
    );
    let fits = format!(
        "begin {{ exit(); }}{}",
        " ".repeat(limits::SOURCE_BYTES - 18)
    );
    assert!(messages("large.hp", fits.as_bytes()).1.is_empty());
}

#[test]
fn messages_can_be_json() {
    let text = "kretprobe:f {\n\tif (retval < 0) { print(pdi); }\n}\n";
    let (source, diagnostics) = messages("small.hp", text.as_bytes());
    let json: serde_json::Value =
        serde_json::from_str(&render::json(&diagnostics, &source)).unwrap();
    assert_eq!(json[0]["code"], "W0001");
    assert_eq!(json[1]["severity"], "error");
    assert_eq!(json[1]["span"]["start"]["line"], 2);
    assert_eq!(json[1]["span"]["start"]["column"], 26);
    snapshot("errors__json", &render::json(&diagnostics, &source));
}

#[test]
fn color_only_adds_escapes() {
    let (source, diagnostics) = messages("small.hp", b"begin { print(pdi); }");
    let colored = render::text(&diagnostics, &source, true);
    assert!(colored.contains("\x1b["));
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some(at) = rest.find('\x1b') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1 + rest[at..].find('m').unwrap()..];
    }
    plain.push_str(rest);
    assert_eq!(plain, render::text(&diagnostics, &source, false));
}

#[test]
fn many_mistakes_are_reported_at_once_but_not_endlessly() {
    let three = "begin { $a = ; print(1) print(2); $b = (3; }\nkprobe:f { @ = ; }";
    assert_eq!(
        super::codes_of(three).len(),
        4,
        "{:?}",
        super::compile(three).1
    );
    let thousand = format!("begin {{ {} }}", "$a = ; ".repeat(1000));
    assert_eq!(super::codes_of(&thousand).len(), limits::DIAGNOSTICS);
}
