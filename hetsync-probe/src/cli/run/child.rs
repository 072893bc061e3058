//! The command of `-c`: made before anything is attached, but stopped; continued once everything is.
//!
//! It is started through `sh`, which stops itself and, once continued, becomes the command. So no code runs between fork and
//! exec, and its process id is the command's from the start.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};

/// Why a command cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    /// Quotes that do not close, or nothing at all.
    #[error("-c: `{0}` is not a command line: it is empty, or a quote is not closed")]
    Words(String),
    /// No such program.
    #[error("-c: there is no command `{0}`; give its path, or a name that is in PATH")]
    Missing(String),
    /// There is a file, but it cannot be run.
    #[error("-c: `{0}` is not an executable file")]
    NotExecutable(String),
    /// The system refused.
    #[error("-c: cannot start `{command}`: {source}")]
    Start {
        /// The command line.
        command: String,
        /// Why.
        source: io::Error,
    },
}

/// A command line whose program exists.
#[derive(Debug)]
pub(super) struct Command {
    line: String,
    program: PathBuf,
    words: Vec<String>,
}

impl Command {
    /// Splits a command line as a shell does (quotes, no variables) and finds its program.
    ///
    /// # Errors
    /// Any [`ChildError`] but `Start`.
    pub(super) fn parse(line: &str) -> Result<Command, ChildError> {
        let words = shlex::split(line).filter(|words| !words.is_empty());
        let mut words = words.ok_or_else(|| ChildError::Words(line.into()))?;
        let program = find(&words[0])?;
        words.remove(0);
        Ok(Command {
            line: line.into(),
            program,
            words,
        })
    }
}

/// A child that is stopped, running or over.
#[derive(Debug)]
pub(super) struct StoppedChild {
    child: Child,
    pid: Pid,
    over: bool,
}

impl StoppedChild {
    /// Makes the command, stopped.
    ///
    /// # Errors
    /// [`ChildError::Start`]; then there is no child.
    pub(super) fn start(command: Command) -> Result<StoppedChild, ChildError> {
        let Command {
            line,
            program,
            words,
        } = command;
        let failed = |source| ChildError::Start {
            command: line,
            source,
        };
        let started = std::process::Command::new("/bin/sh")
            .args(["-c", "kill -STOP $$; exec \"$@\"", "sh"])
            .arg(program)
            .args(words)
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error) => return Err(failed(error)),
        };
        let pid = Pid::from_child(&child);
        let mut stopped = StoppedChild {
            child,
            pid,
            over: false,
        };
        // Only a stopped child can be continued, so its stop is waited for.
        match waitpid(Some(pid), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => Ok(stopped),
            Ok(_) => {
                stopped.over = true;
                Err(failed(io::Error::other("it ended before it was started")))
            }
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// Lets the command run.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn go(&self) -> io::Result<()> {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// A descriptor that becomes readable when the child ends.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn watch(&self) -> io::Result<OwnedFd> {
        watch(self.pid)
    }

    /// The exit status if it is over, as a shell would give it.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn status(&mut self) -> io::Result<Option<u8>> {
        let status = self.child.try_wait()?;
        self.over |= status.is_some();
        Ok(status.map(shell_status))
    }
}

impl Drop for StoppedChild {
    /// A child that outlived the run is asked to end; one still stopped is continued to hear it.
    fn drop(&mut self) {
        if !self.over && matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(self.pid, Signal::TERM);
            let _ = kill_process(self.pid, Signal::CONT);
        }
    }
}

/// A descriptor that becomes readable when the process ends.
pub(super) fn watch(pid: Pid) -> io::Result<OwnedFd> {
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn shell_status(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => 128u8.saturating_add(signal as u8),
        (None, None) => 1,
    }
}

/// The file of a command: the path given, or the first of that name in PATH.
fn find(name: &str) -> Result<PathBuf, ChildError> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match path.metadata() {
            Err(_) => Err(ChildError::Missing(name.into())),
            Ok(_) if is_executable(&path) => Ok(path),
            Ok(_) => Err(ChildError::NotExecutable(name.into())),
        };
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    folders
        .as_bytes()
        .split(|&byte| byte == b':')
        .map(|folder| Path::new(OsStr::from_bytes(folder)).join(name))
        .find(|path| is_executable(path))
        .ok_or_else(|| ChildError::Missing(name.into()))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
