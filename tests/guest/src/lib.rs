//! Boots a stock Debian kernel in QEMU and runs commands in it as root.
//!
//! The project's programs live on kernel features that a build machine's own
//! kernel often lacks or forbids. So tests, benchmarks, and the demo run them in a
//! guest: an unmodified Debian kernel with a root file system of a few
//! megabytes, made at each boot from this machine's own programs. A boot takes
//! seconds even without virtualisation.
//!
//! - [`Kernel`] says which kernel; it is fetched as a package from the archive
//!   that the machine's own apt sources name, once, and kept in
//!   `target/guest`.
//! - [`Options`] say what lies in the guest; [`Guest::boot`] starts it;
//!   [`Guest::run`], [`Guest::put`] and [`Guest::get`] use it.
//! - With `HETSYNC_KERNEL=host` the same calls run on the host, if its kernel
//!   has kprobes and we are root.
//!
//! Invariants: nothing outside the guest's folder is written; a guest never
//! outlives the process that booted it; every wait has a limit, and past it
//! the guest is ended by the handle of its own QEMU process.
//!
//! It is not a container tool and keeps nothing between boots.

mod accel;
mod apt;
mod boot;
mod closure;
mod cpio;
mod error;
mod guest;
mod host;
mod initramfs;
mod kernel;
mod link;
mod modules;
mod options;
mod packages;
mod paths;
mod qemu;
mod shell;
mod wire;

pub use accel::Accel;
pub use error::{Error, Result};
pub use guest::{BootReport, Guest, Job, Output, Stream, quote};
pub use kernel::{Files, Kernel};
pub use options::Options;
pub use packages::Suite;
pub use paths::home;
pub use shell::shell;

/// The workload program beside another one of the workspace's, `beside`. `cargo test --workspace` builds it; a run of one
/// package's tests alone does not, and the one an earlier build left may lack what they ask for.
///
/// # Errors
/// It does not build.
pub fn workload(beside: &std::path::Path) -> Result<std::path::PathBuf> {
    build(beside, "hetsync-guest", "hetsync-workload")
}

/// Builds the parameter server, and says where it is: beside `beside`.
///
/// # Errors
/// It does not build.
pub fn server(beside: &std::path::Path) -> Result<std::path::PathBuf> {
    build(beside, "hetsync-core", "hetsync")
}

fn build(beside: &std::path::Path, package: &str, program: &str) -> Result<std::path::PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = std::process::Command::new(cargo);
    build.args(["build", "-q", "-p", package, "--bin", program]);
    paths::output(&mut build, "cargo")?;
    Ok(beside.with_file_name(program))
}
