//! Attaching programs that know by themselves where they go (fentry, fexit), or go by name: to raw tracepoints, to many
//! functions at once.

use super::call::{self, Info, LinkCreate, LinkMulti, RawTracepoint, TRACE_KPROBE_MULTI, command};
use super::program::Program;
use std::ffi::{CStr, CString};
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

/// Attaches a program of [`ProgramType::KprobeMulti`](super::ProgramType) to functions by name, each with the word that
/// `bpf_get_attach_cookie` gives there, until the descriptor is closed. All or none are attached.
///
/// # Errors
/// The kernel's reason (`ESRCH`: there is a function that it cannot trace); a name with a NUL in it.
pub fn attach_kprobe_multi(
    program: &Program,
    functions: &[(&str, u64)],
    on_return: bool,
) -> io::Result<OwnedFd> {
    let names = functions.iter().map(|(name, _)| CString::new(*name));
    let names: Vec<CString> = names.collect::<Result<_, _>>()?;
    let symbols: Vec<*const libc::c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let cookies: Vec<u64> = functions.iter().map(|&(_, cookie)| cookie).collect();
    let mut attr = LinkMulti {
        link: LinkCreate {
            prog_fd: program.as_raw_fd() as u32,
            attach_type: TRACE_KPROBE_MULTI,
            ..LinkCreate::default()
        },
        kprobe_flags: u32::from(on_return),
        count: functions.len() as u32,
        symbols: symbols.as_ptr() as u64,
        cookies: cookies.as_ptr() as u64,
        ..LinkMulti::default()
    };
    // SAFETY: the names, their addresses and the cookies are live and `count` long; the command returns a new descriptor.
    unsafe { call::bpf_fd(command::LINK_CREATE, &mut attr) }
}

/// Hits that a link of [`attach_kprobe_multi`] did not see; `None` on a kernel that does not say (before 6.8).
pub fn kprobe_multi_missed(link: &OwnedFd) -> Option<u64> {
    // `struct bpf_link_info`: the count came in 6.7 and shows from the length that 6.8 has.
    const BYTES: usize = 64;
    const MISSED: usize = 32;
    let mut info = [0u8; BYTES];
    let mut attr = Info {
        bpf_fd: link.as_raw_fd() as u32,
        info_len: BYTES as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: `info` is `info_len` writable bytes; being zero it names no buffers of its own.
    unsafe { call::bpf(command::OBJ_GET_INFO_BY_FD, &mut attr) }.ok()?;
    if (attr.info_len as usize) < BYTES {
        return None;
    }
    let missed = info[MISSED..MISSED + 8].try_into().ok()?;
    Some(u64::from_ne_bytes(missed))
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
