//! The command line of what measures: `bench` and `simulate`.

use std::process::{Command, Stdio};

use crate::cli::{HETSYNC, run, signal_when_caught, text};

/// The real thing in a second: the same path as the headline table.
#[test]
fn bench_measures_and_writes_every_form() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (csv, json, svg, png) = (path("t.csv"), path("t.json"), path("t.svg"), path("t.png"));
    let output = run(&[
        "bench",
        "--duration",
        "1s",
        "--think",
        "5ms",
        "--straggle",
        "200ms",
        "--deadline",
        "20ms",
        "--csv",
        &csv,
        "--json",
        &json,
        "--svg",
        &svg,
        "--png",
        &png,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("3 of 4 (75 %)"));

    let csv = std::fs::read_to_string(csv).expect("the CSV");
    assert_eq!(csv.lines().count(), 9);
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(json).expect("the file")).expect("JSON");
    let rate = |policy: &str, percent: u64| {
        let cells = json["cells"].as_array().expect("cells");
        let cell = cells
            .iter()
            .find(|cell| cell["policy"] == policy && cell["stragglers_percent"] == percent);
        cell.expect("the cell")["updates_per_s"]
            .as_f64()
            .expect("a number")
    };
    // One straggler holds a strict round for 200 ms: at most 5 a second.
    assert!(rate("strict", 25) > 0.0 && rate("strict", 25) <= 5.1);
    assert!(rate("deadline", 25) > 2.0 * rate("strict", 25));
    assert!(rate("strict", 0) > 2.0 * rate("strict", 25));

    let svg = std::fs::read_to_string(svg).expect("the SVG");
    assert!(svg.starts_with("<svg") && svg.contains("deadline") && svg.contains("75 %"));
    let png = std::fs::read(png).expect("the PNG");
    assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000);
}

#[test]
fn bench_finds_out_before_measuring_what_it_cannot_write() {
    let output = run(&["bench", "--duration", "1h", "--png", "/nonexistent/x.png"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("cannot write /nonexistent/x.png"), "{said}");

    // What could be written is not there yet, and what was there is whole.
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("old.json"), "old").expect("a file");
    let args = ["--csv", &path("new.csv"), "--json", &path("old.json")];
    let last = ["--png", "/nonexistent/x.png"];
    let output = run(&[&["bench", "--duration", "1h"], &args[..], &last[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(!directory.path().join("new.csv").exists());
    let old = std::fs::read_to_string(path("old.json")).expect("a file");
    assert_eq!(old, "old");
}

#[test]
fn bench_writes_csv_alone_to_standard_output() {
    let output = run(&["bench", "--duration", "300ms", "-q", "--csv", "-"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let csv = text(&output.stdout);
    assert!(
        csv.starts_with("policy,") && csv.lines().count() == 9,
        "{csv}"
    );
}

#[test]
fn bench_of_two_workers_has_two_rows_and_counts_no_round_that_did_not_close() {
    let flags = [
        "bench",
        "-w",
        "2",
        "--duration",
        "300ms",
        "--straggle",
        "10s",
    ];
    let output = run(&[&flags[..], &["-q", "--csv", "-"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let csv = text(&output.stdout);
    let of = |policy: &str| {
        let rows = csv.lines().filter(|line| line.starts_with(policy));
        let shares = rows.map(|line| line.split(',').skip(1).take(2).collect::<Vec<_>>());
        shares.collect::<Vec<_>>()
    };
    assert_eq!(of("strict,"), [["0", "0"], ["50", "1"]], "{csv}");
    // The straggler's first step is not over; a round that ends because the workers are stopped is none.
    assert!(csv.contains("\nstrict,50,1,0.0000,0,"), "{csv}");
}

/// A bench that is stopped tells what it has measured, and ends well.
#[test]
fn bench_and_simulate_tell_what_is_done_when_they_are_stopped() {
    for (args, wanted) in [
        (&["bench", "--duration", "1h"][..], "3 of 4 (75 %)"),
        (
            &["simulate", "-n", "1000000000"][..],
            "one needs 5 s a step",
        ),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let json = directory.path().join("all.json");
        let child = Command::new(HETSYNC)
            .args(args)
            .arg("--json")
            .arg(&json)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        signal_when_caught(&child);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("stopped: the figures"));
        assert!(text(&output.stdout).contains(wanted));
        let json = std::fs::read(json).expect("the file");
        serde_json::from_slice::<serde_json::Value>(&json).expect("JSON");
    }
}

#[test]
fn simulate_says_the_same_again_and_writes_every_form() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (json, svg, png) = (path("t.json"), path("t.svg"), path("t.png"));
    let few = ["simulate", "-q", "-n", "2", "--seed", "5"];
    let rules = ["--policy", "quorum(3/4)", "--policy", "deadline(1s)"];
    let files = ["--json", &json, "--svg", &svg, "--png", &png];
    let first = run(&[&few[..], &rules, &files].concat());
    assert!(first.status.success(), "{}", text(&first.stderr));
    let said = text(&first.stdout);
    assert!(said.contains("one needs 5 s a step"), "{said}");
    assert!(
        said.contains("quorum(3/4), by family, strict judge"),
        "{said}"
    );
    let again = run(&[&few[..], &rules, &["--json", "-"]].concat());
    let written = std::fs::read(json).expect("the JSON");
    assert_eq!(text(&again.stdout), text(&written));
    let report: serde_json::Value = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(report["seed"], 5);
    let rules = report["rules"].as_array().expect("rules");
    assert_eq!(rules[1]["rule"], "deadline(1s)");
    assert_eq!(rules[1]["scenarios"].as_array().expect("all").len(), 2);
    // A fixed deadline is no better than the best of fifty, give or take
    // what the two servers do differently.
    let ratio = rules[1]["scenarios"][0]["ratio_here"].as_f64();
    assert!(ratio.is_some_and(|ratio| ratio > 0.0 && ratio < 1.5));
    let svg = std::fs::read_to_string(svg).expect("the SVG");
    assert!(svg.starts_with("<svg") && svg.contains("deadline(1s)"));
    let png = std::fs::read(png).expect("the PNG");
    assert!(png.starts_with(b"\x89PNG"));

    let output = run(&["simulate", "-n", "1000000", "--svg", "/nonexistent/x.svg"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot write /nonexistent/x.svg"));
}
