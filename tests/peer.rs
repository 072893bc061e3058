//! The program under the name `bpftrace`, beside real bpftrace: its command line, the bytes it prints, and other people's
//! scripts over the same traffic.

#[path = "peer/name.rs"]
mod name;
#[path = "peer/outputs.rs"]
mod outputs;
#[path = "peer/tools.rs"]
mod tools;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Our program under the name `bpftrace`.
pub(crate) struct Named {
    folder: tempfile::TempDir,
}

impl Named {
    pub(crate) fn new() -> Named {
        let folder = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_hetsync-probe");
        std::os::unix::fs::symlink(program, folder.path().join("bpftrace")).unwrap();
        Named { folder }
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join("bpftrace"));
        command
            .args(args)
            .stdin(Stdio::null())
            .env_remove("__BPFTRACE_NOTIFY_PROBES_ATTACHED");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the program starts")
    }

    /// Whether programs can be run in this kernel; prints why a test is skipped if not.
    pub(crate) fn can_run(&self) -> bool {
        let output = self.run(&["-q", "-e", "begin { exit() }"]);
        if !output.status.success() {
            println!(
                "skipped: this process may not load programs: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        output.status.success()
    }
}

/// A file of the repository's tests.
pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../tests")
        .join(name)
}
