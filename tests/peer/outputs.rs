//! Programs of our own over the whole language, and what bpftrace 0.23.2 printed for them (`outputs.tsv`).
//!
//! `RECORD_PEER=PROGRAM cargo test -p hetsync-probe --test peer outputs` runs that program, which is to be a real bpftrace,
//! and writes the file anew. A program is added as a line of its options, a tab, and its text with `⏎` for line ends.

use std::collections::BTreeMap;
use std::process::{Command, Output, Stdio};

use crate::{Named, data};

const FILE: &str = "peer/outputs.tsv";
/// What a row without a reason for its difference is given; the test does not take it for one.
const UNEXPLAINED: &str = "?";

struct Row<'a> {
    options: &'a str,
    program: &'a str,
    /// Exit status and standard output.
    theirs: String,
    reason: &'a str,
    /// Ours where it differs.
    ours: String,
}

impl<'a> Row<'a> {
    fn read(line: &'a str) -> Row<'a> {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        Row {
            options: next(),
            program: next(),
            theirs: next().into(),
            reason: next(),
            ours: next().into(),
        }
    }

    /// Options, `-e`, the program, and what stands behind `--`: its parameters.
    fn arguments(&self) -> Vec<String> {
        let (options, parameters) = self
            .options
            .split_once("--args ")
            .unwrap_or((self.options, ""));
        let program = self.program.replace('⏎', "\n");
        let words = options.split_whitespace().map(str::to_owned);
        words
            .chain(["-e".into(), program])
            .chain(parameters.split_whitespace().map(str::to_owned))
            .collect()
    }
}

/// Status and standard output on one line; a program that is refused is `refused`, whatever it is told.
fn shown(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(1) if text.is_empty() => "refused".into(),
        None => "crash".into(),
        // A wrapper's shell tells of signals so.
        Some(code) if code >= 128 => "crash".into(),
        Some(code) => format!("{code} {}", text.replace('\n', "⏎").replace('\t', "⇥")),
    }
}

#[test]
fn programs_print_what_bpftrace_prints_or_there_is_a_reason() {
    let named = Named::new();
    if !named.can_run() {
        return;
    }
    let table = std::fs::read_to_string(data(FILE)).unwrap();
    let (head, rows): (Vec<&str>, Vec<&str>) = table.lines().partition(|l| l.starts_with("# "));
    let reasons: BTreeMap<&str, &str> = head
        .iter()
        .filter_map(|line| line[2..].split_once("  "))
        .collect();
    let peer = std::env::var("RECORD_PEER").ok();
    let mut written = head.join("\n") + "\n";
    let (mut wrong, mut equal) = (Vec::new(), 0);
    for line in &rows {
        let mut row = Row::read(line);
        let arguments = row.arguments();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ours = shown(&named.run(&words));
        if let Some(peer) = &peer {
            let output = Command::new(peer)
                .args(&words)
                .stdin(Stdio::null())
                .output()
                .expect("the peer starts");
            row.theirs = shown(&output);
            row.ours = if ours == row.theirs {
                row.reason = "-";
                String::new()
            } else {
                if !reasons.contains_key(row.reason) {
                    row.reason = UNEXPLAINED;
                }
                ours.clone()
            };
            written += &format!(
                "{}\t{}\t{}\t{}\t{}\n",
                row.options, row.program, row.theirs, row.reason, row.ours
            );
        }
        let same = row.reason == "-";
        let expected = if same { &row.theirs } else { &row.ours };
        if ours != *expected {
            wrong.push(format!(
                "{} {}\n  prints  {ours}\n  and not {expected}",
                row.options, row.program
            ));
        }
        if !same && !reasons.contains_key(row.reason) {
            wrong.push(format!(
                "{} {}\n  bpftrace: {}\n  we:       {ours}\n  without a reason",
                row.options, row.program, row.theirs
            ));
        }
        equal += usize::from(same);
    }
    if peer.is_some() {
        std::fs::write(data(FILE), written).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        rows.len() >= 400 && equal * 4 >= rows.len() * 3,
        "{equal} of {}",
        rows.len()
    );
}
