//! What can go wrong, with its cause and, where there is one, its mend.

use std::{io, path::PathBuf, time::Duration};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a guest could not be made, booted, or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a folder on the host could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A program that the guest needs is not installed.
    #[error(
        "{program} cannot be started: {source}; on Debian or Ubuntu: apt-get install {package}"
    )]
    Missing {
        /// The program's name.
        program: String,
        /// The Debian package that has it.
        package: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A program was started and failed.
    #[error("{program} failed: {detail}")]
    Program {
        /// The program's name.
        program: String,
        /// The end of what it wrote, or its status.
        detail: String,
    },
    /// The machine's package sources name no Debian archive.
    #[error(
        "no Debian archive is named in /etc/apt/sources.list or /etc/apt/sources.list.d, so the \
         test kernels cannot be fetched; name one with HETSYNC_APT_URI, and install \
         debian-archive-keyring"
    )]
    NoArchive,
    /// The archive cannot be reached or lacks a package.
    #[error(
        "Debian {suite}, {package}: {detail}\n(the archive is the one this machine's apt sources \
         name; HETSYNC_APT_URI names another)"
    )]
    NoPackage {
        /// The package asked for.
        package: String,
        /// The Debian release it was looked for in.
        suite: &'static str,
        /// What apt said.
        detail: String,
    },
    /// A file does not have the form it should have.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What was expected or found.
        what: String,
    },
    /// An option has a value that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The kernel panicked before user space, twice.
    #[error("the kernel panicked before user space, twice; the end of its console:\n{console}")]
    Panic {
        /// The last lines of the guest's console.
        console: String,
    },
    /// The guest did not reach user space in time; it was ended.
    #[error(
        "the guest did not reach user space within {} s and was ended; the end of its console:\n{console}",
        limit.as_secs()
    )]
    BootTimeout {
        /// The time it was given.
        limit: Duration,
        /// The last lines of the guest's console.
        console: String,
    },
    /// A command did not end in time; the guest was ended.
    #[error("no answer within {} s, so the guest was ended: {what}", limit.as_secs())]
    Timeout {
        /// The time it was given.
        limit: Duration,
        /// The command, or what was done to which file.
        what: String,
    },
    /// The guest ended by itself: its kernel panicked, or a command powered it off.
    #[error("the guest ended before its answer; the end of its console:\n{console}")]
    Ended {
        /// The last lines of the guest's console.
        console: String,
    },
    /// The agent in the guest could not do what it was asked for.
    #[error("in the guest: {0}")]
    Agent(String),
    /// The host was asked for, but its kernel or the rights do not allow it.
    #[error("on this machine's own kernel (`host`): {0}")]
    Host(String),
}

/// Names the file in an I/O error.
pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |source| Error::File { path, source }
}
