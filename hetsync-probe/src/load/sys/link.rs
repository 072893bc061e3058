//! Attaching programs that know by themselves where they go (fentry, fexit) or go by name (raw tracepoints).

use super::call::{self, RawTracepoint, command};
use super::program::Program;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Attaches an fentry or fexit program to the function it was loaded for, until the descriptor is closed.
///
/// # Errors
/// The kernel's reason.
pub fn attach_tracing(program: &Program) -> io::Result<OwnedFd> {
    open(program, None)
}

/// Attaches a raw-tracepoint program to a tracepoint by name, until the descriptor is closed.
///
/// # Errors
/// The kernel's reason (`ENOENT`: no such tracepoint).
pub fn attach_raw_tracepoint(program: &Program, name: &CStr) -> io::Result<OwnedFd> {
    open(program, Some(name))
}

fn open(program: &Program, name: Option<&CStr>) -> io::Result<OwnedFd> {
    let mut attr = RawTracepoint {
        name: name.map_or(0, |name| name.as_ptr() as u64),
        prog_fd: program.as_raw_fd() as u32,
        ..RawTracepoint::default()
    };
    // SAFETY: the name, if any, is a live C string; the command returns a new descriptor.
    unsafe { call::bpf_fd(command::RAW_TRACEPOINT_OPEN, &mut attr) }
}
