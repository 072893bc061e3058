//! The verdicts of real bpftrace on scripts beside ours: on their syntax, `tests/data/peer-verdicts.tsv`, and on their names
//! and types, `tests/data/peer-checks.tsv`.

use std::collections::BTreeSet;

use hetsync_probe::diagnostic::Diagnostic;
use hetsync_probe::source::Source;
use hetsync_probe::{sema, syntax};

use super::kernel::Small;
use super::{options, top};

/// `ok`, or line:column of the first mistake.
fn verdict(text: &str) -> String {
    let (_, diagnostics) = syntax::parse(text);
    match diagnostics.iter().find(|found| found.is_error()) {
        None => "ok".into(),
        Some(Diagnostic { span, .. }) => {
            let place = Source::new("peer", text).position(span.start);
            format!("{}:{}", place.line, place.column)
        }
    }
}

#[test]
fn scripts_get_the_verdict_of_bpftrace_or_there_is_a_reason() {
    let table = std::fs::read_to_string(top().join("tests/data/peer-verdicts.tsv")).unwrap();
    let (head, rows): (Vec<&str>, Vec<&str>) =
        table.lines().partition(|line| line.starts_with("# "));
    let known: BTreeSet<&str> = head
        .iter()
        .filter_map(|line| line[2..].split_once("  "))
        .map(|(reason, _)| reason)
        .collect();
    let (mut wrong, mut equal) = (Vec::new(), 0);
    let rows: Vec<&str> = rows
        .into_iter()
        .filter(|row| !row.starts_with('#'))
        .collect();
    for row in &rows {
        let mut columns = row.splitn(5, '\t');
        let mut next = || columns.next().unwrap_or_else(|| panic!("too short: {row}"));
        let (_oldest, peer, ours, reason, script) = (next(), next(), next(), next(), next());
        let script = script.replace('⏎', "\n");
        let found = verdict(&script);
        if found != ours {
            wrong.push(format!("{found} and not {ours}: {script}"));
        }
        let has_reason = known.contains(reason);
        if (peer == ours) == has_reason {
            wrong.push(format!(
                "bpftrace {peer}, we {ours}, because `{reason}`: {script}"
            ));
        }
        if reason == "column" {
            let line = |verdict: &str| verdict.split(':').next().map(str::to_owned);
            assert_eq!(line(peer), line(ours), "{script}");
        }
        equal += usize::from(peer == ours);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        rows.len() >= 270 && equal >= 200,
        "{equal} of {}",
        rows.len()
    );
}

/// `ok`, or line:column of the first mistake that the whole check finds.
fn checked(text: &str) -> String {
    let (script, mut found) = syntax::parse(text);
    if !found.iter().any(Diagnostic::is_error) {
        let kernel = Small { listed: true };
        found.extend(match sema::check(&script, &options(&kernel)) {
            Ok((_, warnings)) => warnings,
            Err(mistakes) => mistakes,
        });
    }
    match found.iter().find(|found| found.is_error()) {
        None => "ok".into(),
        Some(Diagnostic { span, .. }) => {
            let place = Source::new("peer", text).position(span.start);
            format!("{}:{}", place.line, place.column)
        }
    }
}

#[test]
fn checks_end_as_those_of_a_bpftrace_or_there_is_a_reason() {
    let table = std::fs::read_to_string(top().join("tests/data/peer-checks.tsv")).unwrap();
    let (head, rows): (Vec<&str>, Vec<&str>) =
        table.lines().partition(|line| line.starts_with('#'));
    let known: BTreeSet<&str> = head
        .iter()
        .filter_map(|line| line.strip_prefix("# ")?.split_once("  "))
        .map(|(reason, _)| reason)
        .collect();
    let (mut wrong, mut equal) = (Vec::new(), 0);
    for row in &rows {
        let mut columns = row.splitn(5, '\t');
        let mut next = || columns.next().unwrap_or_else(|| panic!("too short: {row}"));
        let (older, newer, ours, reason, script) = (next(), next(), next(), next(), next());
        let found = checked(&script.replace('⏎', "\n"));
        if found != ours {
            wrong.push(format!("{found} and not {ours}: {script}"));
        }
        let same = ours == older || ours == newer;
        if same == known.contains(reason) {
            wrong.push(format!(
                "bpftrace {older} and {newer}, we {ours}, because `{reason}`: {script}"
            ));
        }
        let is_place = |verdict: &str| verdict.contains(':');
        let refused = is_place(older) || is_place(newer);
        match reason {
            "column" if !(refused && is_place(ours)) => {
                wrong.push(format!("not refused by both: {script}"));
            }
            "taken" if !refused || ours != "ok" => wrong.push(format!("not taken: {script}")),
            "refused" if ours == "ok" => wrong.push(format!("not refused: {script}")),
            _ => {}
        }
        equal += usize::from(same);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() >= 350, "{equal} of {}", rows.len());
}
