//! Settings from a file and the environment, as the command tells of them.

use std::process::{Command, Output};

use crate::cli::{Served, text};

const HETSYNC: &str = env!("CARGO_BIN_EXE_hetsync");

/// `hetsync serve` in a folder with this `hetsync.toml`.
fn check(toml: &str, variables: &[(&str, &str)], args: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("hetsync.toml"), toml).expect("a file");
    Command::new(HETSYNC)
        .current_dir(folder.path())
        .args(["serve", "--check-config", "--config", "hetsync.toml"])
        .args(args)
        .envs(variables.iter().copied())
        .output()
        .expect("hetsync runs")
}

#[test]
fn a_file_in_order_is_shown_with_where_each_setting_is_from() {
    let toml = "workers = 8\ndeadline = '2s'\n\n[job.vision]\nfloats = 100\n";
    let output = check(toml, &[("HETSYNC_IDLE", "5m")], &["--max-workers", "9"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    for (setting, place) in [
        ("workers = 8", "hetsync.toml:1:1"),
        ("deadline = \"2s\"", "hetsync.toml:2:1"),
        ("idle = \"5m\"", "HETSYNC_IDLE"),
        ("max-workers = 9", "command line"),
        ("hello = \"30s\"", "default"),
        ("floats = 100", "hetsync.toml:5:1"),
        (
            "# rounds close by deadline(2s)",
            "policy and deadline together",
        ),
    ] {
        let line = shown.lines().find(|line| line.starts_with(setting));
        let line = line.unwrap_or_else(|| panic!("{setting} is not in\n{shown}"));
        assert!(line.ends_with(&format!("# {place}")), "{line}");
    }
}

#[test]
fn every_fault_is_named_with_file_and_line_and_the_exit_code_is_that_of_wrong_usage() {
    let toml = "workers = 0\npolicy = 'quorum(3/4'\nwrokers = 3\n";
    let output = check(toml, &[("HETSYNC_HELLO", "soon")], &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    let starts: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split(": ").next())
        .collect();
    let places = [
        "HETSYNC_HELLO",
        "hetsync.toml:1:1",
        "hetsync.toml:2:1",
        "hetsync.toml:3:1",
    ];
    assert_eq!(starts, places, "{said}");
    assert!(said.contains("did you mean `workers`?"), "{said}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = check("", &[], &["--config", "other.toml"]);
    assert_eq!(output.status.code(), Some(2), "--config is given twice");
    let output = Command::new(HETSYNC)
        .args(["serve", "--config", "/nonexistent/hetsync.toml"])
        .output()
        .expect("hetsync runs");
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("/nonexistent/hetsync.toml:1:1: cannot read it"),
        "{said}"
    );
}

/// The rounds of the job are those that its table asks for.
#[test]
fn a_job_of_the_file_is_served_by_its_own_rules() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hetsync.toml");
    std::fs::write(&path, "workers = 7\n[job.small]\nworkers = 1\n").expect("a file");
    let mut served = Served::start(&["--config", &path.display().to_string()]);
    let worker = crate::cli::run(&[
        "worker",
        "--protocol",
        "1",
        "--job",
        "small",
        "-c",
        &served.address,
        "-r",
        "2",
        "-t",
        "1ms",
    ]);
    assert!(worker.status.success(), "{}", text(&worker.stderr));
    served.wait("round 0 closed full");
    served.stop();
}
