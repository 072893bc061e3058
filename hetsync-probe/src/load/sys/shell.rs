//! A shell that outlives this process for a moment, to do what is to be done when a pipe closes.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};

/// Starts a shell with a script that leaves a reader of its standard input behind and ends at once, so that nobody has to wait
/// for it later. It is in a process group of its own: Ctrl-C in a terminal does not reach it. `name` is its `$0`.
pub(super) fn leave_reader(script: &str, name: &OsStr) -> io::Result<ChildStdin> {
    let mut shell = Command::new("/bin/sh")
        .arg("-c")
        .arg(script)
        .arg(name)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let pipe = shell.stdin.take();
    shell.wait()?;
    pipe.ok_or(io::ErrorKind::BrokenPipe.into())
}
