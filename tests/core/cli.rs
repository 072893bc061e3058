//! The command: flags, logs, signals, exit codes.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

pub(crate) const HETSYNC: &str = env!("CARGO_BIN_EXE_hetsync");

pub(crate) fn run(args: &[&str]) -> Output {
    Command::new(HETSYNC)
        .args(args)
        .output()
        .expect("hetsync runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running server and the lines that it has not told yet.
pub(crate) struct Served {
    child: Ending,
    lines: BufReader<ChildStderr>,
    pub(crate) address: String,
}

impl Served {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(HETSYNC)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .expect("hetsync serves");
        let mut lines = BufReader::new(child.stderr.take().expect("its log"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("a first line");
        let address = first.trim().rsplit(' ').next().expect("an address");
        let address = address.to_owned();
        Self {
            child: Ending(child),
            lines,
            address,
        }
    }

    /// Reads the log up to a line with `what` in it.
    pub(crate) fn wait(&mut self, what: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let count = self.lines.read_line(&mut line).expect("its log");
            assert!(count > 0, "the log ended without `{what}`:\n{seen}");
            if line.contains(what) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) {
        self.signal(rustix::process::Signal::TERM);
        self.child.0.wait().expect("it ends");
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child.0);
        rustix::process::kill_process(pid, signal).expect("the server runs");
    }
}

/// A process that ends with its test, however that ends.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn connections_that_bring_nothing_are_told_of_only_when_asked() {
    for (flags, first) in [(&[][..], "worker 1 "), (&["-v"][..], "worker 0 ")] {
        let mut served = Served::start(&[&["--workers", "1"], flags].concat());
        // A health check.
        drop(TcpStream::connect(&served.address).expect("it listens"));
        let worker = ["worker", "-c", &served.address, "-r", "2"];
        assert!(run(&worker).status.success());
        let left = served.wait("left: closed by the worker");
        served.stop();
        assert!(left.contains(first), "{left}");
    }
}

#[test]
fn serve_logs_rounds_and_stops_cleanly_on_both_signals() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut served = Served::start(&["--workers", "2", "--deadline", "200ms"]);
        let workers = run(&[
            "worker",
            "-c",
            &served.address,
            "-n",
            "2",
            "-r",
            "5",
            "--think",
            "1ms",
        ]);
        assert!(workers.status.success(), "{}", text(&workers.stderr));
        assert!(text(&workers.stderr).contains("5 rounds in"));
        served.wait("model has 10 floats");
        served.wait("round 0 closed full");
        served.wait("left: closed by the worker");
        served.signal(signal);
        served.wait("stopping");
        let last = served.wait("5 rounds: 5 full");
        assert!(last.contains("10 taken, 0 late and dropped"), "{last}");
        assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));
    }
}

#[test]
fn serve_names_who_was_left_out_and_why() {
    let mut served = Served::start(&["--workers", "2", "--deadline", "100ms"]);
    let address = served.address.clone();
    let mut straggler = Command::new(HETSYNC)
        .args(["worker", "-c", &address, "--straggle", "400ms", "-r", "1"])
        .stderr(Stdio::null())
        .spawn()
        .expect("a straggler");
    let fast = run(&["worker", "-c", &address, "-r", "3", "--think", "10ms"]);
    assert!(fast.status.success(), "{}", text(&fast.stderr));
    let line = served.wait("closed by its deadline");
    assert!(line.contains("1 in; left out: "), "{line}");
    straggler.wait().expect("it ends");
    served.signal(rustix::process::Signal::TERM);
    assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));
}

/// A server that waits for somebody says for whom, and what a stop costs.
#[test]
fn a_round_that_stands_open_is_told_of() {
    let mut served = Served::start(&["-w", "3", "-p", "strict", "--grace", "50ms"]);
    let _silent = TcpStream::connect(&served.address).expect("it listens");
    let worker = Command::new(HETSYNC)
        .args(["worker", "-c", &served.address, "-t", "0s"])
        .stderr(Stdio::null())
        .spawn();
    let _worker = Ending(worker.expect("a worker"));
    let line = served.wait("has been open for");
    assert!(line.contains("round 0 has been open for "), "{line}");
    assert!(line.contains(": 1 in, waits for worker 0 ("), "{line}");
    assert!(
        line.contains(") and 1 not connected; nothing but they"),
        "{line}"
    );
    served.signal(rustix::process::Signal::TERM);
    let line = served.wait("stopping");
    assert!(line.contains("round 0 has 50.000 ms to close"), "{line}");
    let line = served.wait("abandoned");
    assert!(
        line.contains("the grace is over: 1 in, waits for"),
        "{line}"
    );
    assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_worker_says_at_once_that_it_reaches_nobody() {
    let refused = run(&["worker", "-c", "127.0.0.1:1", "-t", "0s", "-n", "2"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    let first = said.lines().next().expect("a line");
    assert!(first.contains("no connection to 127.0.0.1:1 yet"), "{said}");
    assert_eq!(said.matches("no connection").count(), 2, "{said}");
}

#[test]
fn a_worker_stops_cleanly_on_a_signal_and_says_when_nobody_serves() {
    let mut served = Served::start(&["--workers", "1"]);
    let worker = Command::new(HETSYNC)
        .args(["worker", "-c", &served.address])
        .stderr(Stdio::piped())
        .spawn()
        .expect("a worker");
    served.wait("round 0 closed full");
    let pid = rustix::process::Pid::from_child(&worker);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let output = worker.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr).trim(), "stopped");
    served.signal(rustix::process::Signal::TERM);
    assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));

    let lonely = run(&["worker", "-c", "127.0.0.1:1"]);
    assert_eq!(lonely.status.code(), Some(1));
    let said = text(&lonely.stderr);
    assert!(said.contains("cannot connect to 127.0.0.1:1"), "{said}");
    assert!(said.contains("hetsync serve"), "{said}");
}

#[test]
fn an_address_in_use_is_told_with_a_way_out() {
    let mut served = Served::start(&[]);
    let second = run(&["serve", "--listen", &served.address]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stderr);
    assert!(
        said.contains("cannot listen on") && said.contains("--listen"),
        "{said}"
    );
    served.signal(rustix::process::Signal::TERM);
    served.child.0.wait().expect("it ends");
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_wanted() {
    for (args, wanted) in [
        (vec!["serve", "--deadline", "soon"], "250ms"),
        (vec!["serve", "--workers", "0"], "at least 1"),
        (vec!["serve", "--max-payload", "huge"], "64M"),
        (vec!["serve", "--idle", "0s"], "longer than nothing"),
        (vec!["bench", "--duration", "0s"], "longer than nothing"),
        (vec!["serve", "--deadline", "0s"], "longer than nothing"),
        (vec!["bench", "--deadline", "0ms"], "longer than nothing"),
        (vec!["serve", "--deadline", "9000000h"], "is too long"),
        (vec!["serve", "--deadline=-1s"], "below zero"),
        (vec!["serve", "--max-payload", "5"], "write 4 or 8"),
        (vec!["serve", "--max-payload", "3"], "at least one float"),
        (
            vec!["serve", "--workers", "5", "--max-connections", "4"],
            "raise --max-connections to at least 5",
        ),
        (
            vec!["serve", "--max-memory", "23"],
            "does not hold one float",
        ),
        (
            vec!["serve", "--floats", "100", "--max-memory", "2399"],
            "need 2400 bytes",
        ),
        (
            vec!["serve", "--floats", "100", "--max-payload", "40"],
            "at least 400",
        ),
        (
            vec![
                "serve",
                "--floats",
                "9223372036854775807",
                "--max-payload",
                "16000000000G",
            ],
            "more than any machine holds",
        ),
        (
            vec!["serve", "--policy", "lenient"],
            "there are strict, deadline",
        ),
        (vec!["serve", "--policy", "quorum(3/4"], "at character 11"),
        (vec!["serve", "--late", "keep"], "next_round"),
        (vec!["worker", "--jitter", "200"], "0 to 100"),
        (vec!["worker", "--straggle-chance", "5"], "--straggle"),
        (vec![], "Usage"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = text(&output.stderr);
        assert!(said.contains(wanted), "{args:?} said:\n{said}");
    }
}

/// What no single flag can see is told with the usage of its command, too.
#[test]
fn usage_names_the_command_that_was_used_wrongly() {
    let output = run(&["serve", "--floats", "100", "--max-payload", "40"]);
    let said = text(&output.stderr);
    assert!(said.contains("Usage: hetsync serve"), "{said}");
}

/// Rounds that wait for all connected workers last their deadline while one
/// of them is silent.
#[test]
fn serve_waits_for_whom_it_is_told_to() {
    let rounds = |whom: &str| {
        let args = ["--workers", "2", "--deadline", "50ms", "--wait-for", whom];
        let mut served = Served::start(&[&args[..], &["-v"]].concat());
        let address = served.address.clone();
        let mut straggler = Command::new(HETSYNC)
            .args(["worker", "-c", &address, "-t", "1ms"])
            .stderr(Stdio::null())
            .spawn()
            .expect("a straggler");
        let mut fast = Command::new(HETSYNC)
            .args(["worker", "-c", &address, "-t", "1ms"])
            .stderr(Stdio::null())
            .spawn()
            .expect("a worker");
        served.wait("closed full");
        // It has taken part; now it hangs, connected as before.
        let pid = rustix::process::Pid::from_child(&straggler);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it runs");
        served.wait("closed by its deadline");
        let next = served.wait("closed");
        for child in [&mut straggler, &mut fast] {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
        served.signal(rustix::process::Signal::TERM);
        assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));
        next
    };
    let next = rounds("in-step");
    assert!(next.contains("closed full"), "{next}");
    let next = rounds("connected");
    assert!(next.contains("closed by its deadline"), "{next}");
}

#[test]
fn help_version_man_and_completions_are_there() {
    let help = text(&run(&["serve", "--help"]).stdout);
    for default in [
        "127.0.0.1:9999",
        "default: 4",
        "default: replay",
        "default: sum",
    ] {
        assert!(help.contains(default), "{default} is not in\n{help}");
    }
    let version = text(&run(&["--version"]).stdout);
    assert_eq!(
        version.trim(),
        concat!("hetsync ", env!("CARGO_PKG_VERSION"))
    );
    assert!(text(&run(&["man"]).stdout).contains(".TH hetsync 1"));
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&run(&["completions", shell]).stdout);
        assert!(script.contains("straggle-chance"), "{shell}: {script}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for args in [&["completions", "bash"][..], &["man"][..]] {
        let mut child = Command::new(HETSYNC)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
    }
}

/// A log that cannot be written, or that nobody reads, costs no round, and
/// no exit code.
#[test]
fn a_log_that_is_closed_or_full_is_not_felt() {
    for is_closed in [true, false] {
        let served = Served::start(&["-v", "--workers", "1"]);
        let Served {
            mut child,
            lines,
            address,
        } = served;
        let unread = (!is_closed).then_some(lines);
        // Far more than a pipe holds, a line for each round.
        let worker = run(&["worker", "-c", &address, "-r", "4000", "-t", "0s"]);
        assert!(worker.status.success(), "{}", text(&worker.stderr));
        let pid = rustix::process::Pid::from_child(&child.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        assert_eq!(child.0.wait().expect("it ends").code(), Some(0));
        drop(unread);
    }
}

#[test]
fn a_worker_whose_log_is_closed_or_full_goes_on() {
    for is_closed in [true, false] {
        let mut served = Served::start(&["--workers", "1"]);
        let mut child = Command::new(HETSYNC)
            .args(["worker", "-v", "-c", &served.address])
            .args(["-r", "4000", "-t", "0s"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("a worker");
        let unread = child.stderr.take().filter(|_| !is_closed);
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
        drop(unread);
        served.signal(rustix::process::Signal::TERM);
        assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));
    }
}

#[test]
fn names_are_resolved() {
    let mut served = Served::start(&["--workers", "1"]);
    let port = served.address.rsplit(':').next().expect("a port");
    let name = format!("localhost:{port}");
    let worker = run(&["worker", "-c", &name, "-r", "1", "-t", "0s"]);
    assert!(worker.status.success(), "{}", text(&worker.stderr));
    served.signal(rustix::process::Signal::TERM);
    assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_worker_that_is_refused_gives_up_and_says_so() {
    let mut served = Served::start(&["--workers", "1", "--floats", "3"]);
    let worker = run(&["worker", "-c", &served.address, "-t", "0s"]);
    assert_eq!(worker.status.code(), Some(1));
    let said = text(&worker.stderr);
    assert!(said.contains("closed 10 connections in a row"), "{said}");
    served.signal(rustix::process::Signal::TERM);
    assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));
}

/// A flag that would say nothing is refused.
#[test]
fn a_deadline_that_its_rule_cannot_take_is_refused() {
    for command in ["serve", "bench"] {
        for (policy, wanted) in [
            ("strict", "first_of(strict, deadline)"),
            ("quorum(3/4)", "has no deadline that --deadline could set"),
            ("deadline(1s)", "names its time"),
        ] {
            let output = run(&[command, "--policy", policy, "--deadline", "3s"]);
            assert_eq!(output.status.code(), Some(2), "{command} {policy}");
            let said = text(&output.stderr);
            assert!(said.contains(wanted), "{command} {policy} said:\n{said}");
            assert!(
                said.contains(&format!("Usage: hetsync {command}")),
                "{said}"
            );
        }
    }
}

/// Sends SIGTERM as soon as the process has a handler for it.
pub(crate) fn signal_when_caught(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    let catches = || {
        let status = std::fs::read_to_string(&status).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("SigCgt:"));
        let mask = line.and_then(|line| line.split_whitespace().nth(1));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask, 16).ok());
        mask.is_some_and(|mask| mask & (1 << 14) != 0)
    };
    while !catches() {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
}

/// Process managers send several signals at once; that is one request. A
/// person who sends another wants the end at once.
#[test]
fn signals_that_come_together_are_one_and_a_later_one_is_impatient() {
    for is_impatient in [false, true] {
        let grace = if is_impatient { "1h" } else { "100ms" };
        let mut served = Served::start(&["--workers", "2", "--grace", grace]);
        let mut worker = Command::new(HETSYNC)
            .args(["worker", "-c", &served.address, "-t", "0s"])
            .stderr(Stdio::null())
            .spawn()
            .expect("a worker");
        // Its round stays open, for the lack of another.
        served.wait("model has");
        served.signal(rustix::process::Signal::TERM);
        served.signal(rustix::process::Signal::INT);
        served.wait("stopping");
        let pid = rustix::process::Pid::from_child(&served.child.0);
        while is_impatient && served.child.0.try_wait().expect("it is ours").is_none() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            std::thread::yield_now();
        }
        let code = served.child.0.wait().expect("it ends").code();
        assert_eq!(code, Some(i32::from(is_impatient)));
        worker.kill().expect("it is ours");
        worker.wait().expect("it ends");
    }
}

/// One of several workers that fails ends the command, though the others
/// could go on.
#[test]
fn a_worker_of_the_wrong_length_ends_with_an_error() {
    let mut served = Served::start(&["--workers", "1", "--floats", "3"]);
    for (protocol, wanted) in [("0", "(--floats)"), ("1", "the model has 12")] {
        let args = ["-c", &served.address, "-t", "0s", "-n", "2", "-f", "5"];
        let protocol = ["worker", "--protocol", protocol];
        let worker = run(&[&protocol[..], &args].concat());
        assert_eq!(worker.status.code(), Some(1));
        let said = text(&worker.stderr);
        assert!(said.contains(wanted), "{said}");
    }
    served.signal(rustix::process::Signal::TERM);
    assert_eq!(served.child.0.wait().expect("it ends").code(), Some(0));
}
