//! The command as a person types it: every subcommand, exit codes, and what each kind of bad input says.

#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/facts.rs"]
mod facts;
#[path = "cli/markers.rs"]
mod markers;
#[path = "cli/modes.rs"]
mod modes;
#[cfg(feature = "kernel")]
#[path = "cli/peer.rs"]
mod peer;
#[cfg(feature = "kernel")]
#[path = "cli/run.rs"]
mod run;

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// What a finished command left.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn of(output: Output) -> Done {
        Done {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("the output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("the messages are UTF-8"),
        }
    }

    /// Everything for a failed assertion.
    pub(crate) fn all(&self) -> String {
        format!(
            "exit {:?}\n-- stdout\n{}\n-- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Done {
        assert_eq!(self.code, Some(0), "{}", self.all());
        self
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32, says: &[&str]) -> Done {
        assert_eq!(self.code, Some(code), "{}", self.all());
        for part in says {
            assert!(
                self.stderr.contains(part),
                "does not say {part:?}: {}",
                self.all()
            );
        }
        self
    }
}

/// The program under test.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hetsync-probe"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env_remove("NO_COLOR")
        .env_remove("__BPFTRACE_NOTIFY_PROBES_ATTACHED");
    command
}

/// Runs it to its end.
pub(crate) fn hetsync_probe(args: &[&str]) -> Done {
    Done::of(command(args).output().expect("the program starts"))
}

/// Runs it with a text on standard input.
pub(crate) fn with_stdin(args: &[&str], text: &str) -> Done {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It may refuse the text before it has read all of it.
    let _ = child
        .stdin
        .take()
        .expect("it has one")
        .write_all(text.as_bytes());
    Done::of(child.wait_with_output().expect("it ends"))
}

/// Whether programs can be run in this kernel; prints why a test is skipped if not.
#[cfg(feature = "kernel")]
pub(crate) fn kernel_runs_programs() -> bool {
    let done = hetsync_probe(&["run", "-q", "-e", "begin { exit() }"]);
    if done.code != Some(0) {
        println!(
            "skipped: this process may not load programs: {}",
            done.stderr.trim()
        );
    }
    done.code == Some(0)
}
