//! A Python worker of the old kind, unchanged, against this server.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

/// Lines of a worker that has ended well: the rounds, then the seconds.
fn output(worker: Child) -> (Vec<String>, f64) {
    let output = worker.wait_with_output().expect("the worker ends");
    assert!(output.status.success(), "the worker failed");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let last = lines.pop().expect("a last line");
    let seconds = last.strip_prefix("seconds ").expect("the time");
    (lines, seconds.parse().expect("a number"))
}

#[test]
fn four_old_workers_get_their_sums() {
    if !has_python() {
        return;
    }
    let server = TestServer::start(|builder| builder);
    let workers: Vec<Child> = (1..=4)
        .map(|value| start(&server, 20, 1000, value as f32))
        .collect();
    for worker in workers {
        let (rounds, _) = output(worker);
        let expected: Vec<String> = (0..20)
            .map(|round| format!("{round} {0}.0 {0}.0", 10 + 4 * round))
            .collect();
        assert_eq!(rounds, expected);
    }
    let stats = server.stop();
    assert_eq!((stats.full_rounds, stats.accepted), (20, 80));
}

/// Header and payload in two writes cost 40 ms a round, unless the server
/// acknowledges the header at once. The bound lies far from both.
#[test]
fn an_old_worker_is_spared_the_delayed_acknowledgement() {
    if !has_python() {
        return;
    }
    let median = |quick_ack| {
        let server = TestServer::start(|builder| builder.workers(1).quick_ack(quick_ack));
        let (_, seconds) = output(start(&server, 50, 10, 1.0));
        Duration::from_secs_f64(seconds / 50.0)
    };
    let spared = median(true);
    let plain = median(false);
    say(&format!(
        "a round of an old worker takes {plain:?}, {spared:?} with quick acknowledgement"
    ));
    assert!(spared < Duration::from_millis(10), "{spared:?} a round");
    assert!(
        plain > spared * 2,
        "no difference: {plain:?} and {spared:?}"
    );
}
