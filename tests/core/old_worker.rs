//! A Python worker of the old kind, unchanged, against this server.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use hetsync_core::Span;
use hetsync_core::policy::Deadline;

use crate::support::TestServer;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/old_worker.py");

fn start(server: &TestServer, rounds: usize, floats: usize, value: f32) -> Child {
    Command::new("python3")
        .arg(SCRIPT)
        .arg(server.address.port().to_string())
        .args([rounds.to_string(), floats.to_string(), value.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs")
}

fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output();
    let works = found.is_ok_and(|output| output.status.success());
    if !works {
        say("skipped: there is no python3 on this machine");
    }
    works
}

/// Past the test harness, which keeps what a passing test prints.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The rounds of a worker that has ended well, a line each.
fn output(worker: Child) -> Vec<String> {
    let output = worker.wait_with_output().expect("the worker ends");
    assert!(output.status.success(), "the worker failed");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let last = lines.pop().expect("a last line");
    assert!(last.starts_with("seconds "), "{last}");
    lines
}

/// With and without quick acknowledgement, which changes how long it takes
/// (see the benchmark) and nothing else.
#[test]
fn four_old_workers_get_their_sums() {
    if !has_python() {
        return;
    }
    for quick_ack in [true, false] {
        four_old_workers(quick_ack);
    }
}

fn four_old_workers(quick_ack: bool) {
    let policy = Deadline::new(Span::from_secs(20));
    let server = TestServer::start(|builder| builder.quick_ack(quick_ack).policy(policy));
    let workers: Vec<Child> = (1..=4)
        .map(|value| start(&server, 20, 1000, value as f32))
        .collect();
    for worker in workers {
        let expected: Vec<String> = (0..20)
            .map(|round| format!("{round} {0}.0 {0}.0", 10 + 4 * round))
            .collect();
        assert_eq!(output(worker), expected);
    }
    let stats = server.stop();
    assert_eq!((stats.full_rounds, stats.accepted), (20, 80));
}
