//! The bare system call: bpf(2) commands as plain structures (`union bpf_attr` of include/uapi/linux/bpf.h).
//!
//! Each structure is the head of the kernel's union for its command. The kernel takes any length and treats what is
//! missing as 0, so a structure ends with the last field this crate sets. None has padding: the kernel refuses
//! attributes with unknown bits set.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Commands of bpf(2).
#[allow(missing_docs)]
pub(crate) mod command {
    pub(crate) const MAP_CREATE: u32 = 0;
    pub(crate) const MAP_LOOKUP_ELEM: u32 = 1;
    pub(crate) const MAP_UPDATE_ELEM: u32 = 2;
    pub(crate) const MAP_DELETE_ELEM: u32 = 3;
    pub(crate) const MAP_GET_NEXT_KEY: u32 = 4;
    pub(crate) const PROG_LOAD: u32 = 5;
    pub(crate) const PROG_TEST_RUN: u32 = 10;
    pub(crate) const OBJ_GET_INFO_BY_FD: u32 = 15;
    pub(crate) const RAW_TRACEPOINT_OPEN: u32 = 17;
    pub(crate) const BTF_LOAD: u32 = 18;
    pub(crate) const BTF_GET_FD_BY_ID: u32 = 19;
    pub(crate) const BTF_GET_NEXT_ID: u32 = 23;
    pub(crate) const MAP_LOOKUP_BATCH: u32 = 24;
    pub(crate) const MAP_LOOKUP_AND_DELETE_BATCH: u32 = 25;
    pub(crate) const LINK_CREATE: u32 = 28;
}

/// `BPF_TRACE_KPROBE_MULTI`, as a program's and as a link's attach type.
pub(crate) const TRACE_KPROBE_MULTI: u32 = 42;

/// Bytes of an object's name with its NUL (`BPF_OBJ_NAME_LEN`).
pub(crate) const NAME_BYTES: usize = 16;

#[repr(C)]
#[derive(Default)]
pub(crate) struct MapCreate {
    pub(crate) map_type: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) map_flags: u32,
    pub(crate) inner_map_fd: u32,
    pub(crate) numa_node: u32,
    pub(crate) map_name: [u8; NAME_BYTES],
}

#[repr(C)]
#[derive(Default)]
pub(crate) struct Elem {
    pub(crate) map_fd: u32,
    pub(crate) reserved: u32,
    pub(crate) key: u64,
    /// Address of the value, or of the next key.
    pub(crate) value: u64,
    pub(crate) flags: u64,
}

#[repr(C)]
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) in_batch: u64,
    pub(crate) out_batch: u64,
    pub(crate) keys: u64,
    pub(crate) values: u64,
    pub(crate) count: u32,
    pub(crate) map_fd: u32,
    pub(crate) elem_flags: u64,
    pub(crate) flags: u64,
}

#[repr(C)]
#[derive(Default)]
pub(crate) struct ProgLoad {
    pub(crate) prog_type: u32,
    pub(crate) insn_cnt: u32,
    pub(crate) insns: u64,
    pub(crate) license: u64,
    pub(crate) log_level: u32,
    pub(crate) log_size: u32,
    pub(crate) log_buf: u64,
    pub(crate) kern_version: u32,
    pub(crate) prog_flags: u32,
    pub(crate) prog_name: [u8; NAME_BYTES],
    pub(crate) prog_ifindex: u32,
    pub(crate) expected_attach_type: u32,
    pub(crate) prog_btf_fd: u32,
    pub(crate) func_info_rec_size: u32,
    pub(crate) func_info: u64,
    pub(crate) func_info_cnt: u32,
    pub(crate) line_info_rec_size: u32,
    pub(crate) line_info: u64,
    pub(crate) line_info_cnt: u32,
    pub(crate) attach_btf_id: u32,
    /// The BTF object `attach_btf_id` is of; 0 for that of vmlinux. Older kernels know no more than the place of it, and want 0.
    pub(crate) attach_btf_obj_fd: u32,
    pub(crate) _end: u32,
}

#[repr(C)]
#[derive(Default)]
pub(crate) struct BtfLoad {
    pub(crate) btf: u64,
    pub(crate) log_buf: u64,
    pub(crate) btf_size: u32,
    pub(crate) log_size: u32,
    pub(crate) log_level: u32,
    /// Written by kernels from 6.4 on; before, it has to be 0.
    pub(crate) log_true_size: u32,
}

#[repr(C)]
#[derive(Default)]
pub(crate) struct TestRun {
    pub(crate) prog_fd: u32,
    pub(crate) retval: u32,
    pub(crate) data_size_in: u32,
    pub(crate) data_size_out: u32,
    pub(crate) data_in: u64,
    pub(crate) data_out: u64,
    pub(crate) repeat: u32,
    pub(crate) duration: u32,
    pub(crate) ctx_size_in: u32,
    pub(crate) ctx_size_out: u32,
    pub(crate) ctx_in: u64,
    pub(crate) ctx_out: u64,
    pub(crate) flags: u32,
    pub(crate) cpu: u32,
}

#[repr(C)]
#[derive(Default)]
pub(crate) struct Info {
    pub(crate) bpf_fd: u32,
    pub(crate) info_len: u32,
    pub(crate) info: u64,
}

/// Names an object, or asks for the one after it.
#[repr(C)]
#[derive(Default)]
pub(crate) struct BtfId {
    pub(crate) id: u32,
    pub(crate) next_id: u32,
    pub(crate) open_flags: u32,
}

/// `struct bpf_btf_info`: what [`Info`] points to for BTF.
#[repr(C)]
#[derive(Default)]
pub(crate) struct BtfInfo {
    pub(crate) btf: u64,
    pub(crate) btf_size: u32,
    pub(crate) id: u32,
    pub(crate) name: u64,
    pub(crate) name_len: u32,
    pub(crate) kernel_btf: u32,
}

#[repr(C)]
#[derive(Default)]
pub(crate) struct RawTracepoint {
    /// Address of the tracepoint's name; 0 for programs that say by themselves where they go.
    pub(crate) name: u64,
    pub(crate) prog_fd: u32,
    pub(crate) reserved: u32,
}

#[repr(C)]
#[derive(Default)]
pub(crate) struct LinkCreate {
    pub(crate) prog_fd: u32,
    pub(crate) target_fd: u32,
    pub(crate) attach_type: u32,
    pub(crate) flags: u32,
}

/// [`LinkCreate`] for programs of [`TRACE_KPROBE_MULTI`].
#[repr(C)]
#[derive(Default)]
pub(crate) struct LinkMulti {
    pub(crate) link: LinkCreate,
    /// 1: when the functions return.
    pub(crate) kprobe_flags: u32,
    pub(crate) count: u32,
    /// Address of the addresses of the functions' names.
    pub(crate) symbols: u64,
    pub(crate) addresses: u64,
    /// Address of a word for each.
    pub(crate) cookies: u64,
}

/// Calls bpf(2) and retries while a signal interrupts it.
///
/// # Safety
/// `T` is one of the structures above, the one `command` takes, and every address in it is what the command takes it
/// for: live, long enough, writable where the kernel writes.
pub(crate) unsafe fn bpf<T>(command: u32, attr: &mut T) -> io::Result<i32> {
    // A refused load is asked again by the kernel itself with EAGAIN when a signal is pending.
    for _ in 0..16 {
        // SAFETY: `attr` is live and `size_of::<T>()` long; the rest by this function's contract.
        let result = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                libc::c_long::from(command),
                std::ptr::from_mut(attr),
                size_of::<T>(),
            )
        };
        if result >= 0 {
            return Ok(result as i32);
        }
        let error = io::Error::last_os_error();
        if !matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN)) {
            return Err(error);
        }
    }
    Err(io::Error::from_raw_os_error(libc::EINTR))
}

/// As [`bpf`], for commands that return a new descriptor.
///
/// # Safety
/// As for [`bpf`], and `command` returns a descriptor.
pub(crate) unsafe fn bpf_fd<T>(command: u32, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: by this function's contract; a returned descriptor is new and nobody else's.
    unsafe { Ok(OwnedFd::from_raw_fd(bpf(command, attr)?)) }
}

/// Calls `attempt`; if the kernel refuses with EPERM, raises the locked-memory limit and calls it once more.
///
/// Kernels before 5.11 charge maps and programs to `RLIMIT_MEMLOCK` (64 KiB by default) and say EPERM when it is
/// full. Newer ones never need this, so the limit is left alone unless something was refused.
pub(crate) fn with_memlock<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let refused = match attempt() {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => error,
        other => return other,
    };
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is live; the call touches nothing else.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) } != 0 {
        return Err(refused);
    }
    attempt()
}

/// A name as the kernel takes it: at most 15 bytes of `[A-Za-z0-9_.]`, others replaced by `_`.
pub(crate) fn object_name(name: &str) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    for (to, from) in bytes[..NAME_BYTES - 1].iter_mut().zip(name.bytes()) {
        let plain = from.is_ascii_alphanumeric() || matches!(from, b'_' | b'.');
        *to = if plain { from } else { b'_' };
    }
    bytes
}

/// The kernel's name of an error number, e.g. `EPERM`; `errno N` where it has none here.
pub fn errno_name(errno: i32) -> String {
    let name = match errno {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::EINTR => "EINTR",
        libc::E2BIG => "E2BIG",
        libc::EBADF => "EBADF",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EFAULT => "EFAULT",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::ENODEV => "ENODEV",
        libc::EINVAL => "EINVAL",
        libc::EMFILE => "EMFILE",
        libc::ENOSPC => "ENOSPC",
        libc::EROFS => "EROFS",
        libc::ERANGE => "ERANGE",
        libc::ENOSYS => "ENOSYS",
        libc::EILSEQ => "EILSEQ",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        // Not an errno of user space, yet bpf(2) lets it out (include/linux/errno.h).
        524 => "ENOTSUPP",
        _ => return format!("errno {errno}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_kernel_accepts() {
        assert_eq!(&object_name("tcp_sendmsg"), b"tcp_sendmsg\0\0\0\0\0");
        assert_eq!(&object_name("a b:c/d.e-fghijklmno"), b"a_b_c_d.e_fghij\0");
        assert_eq!(object_name(""), [0; 16]);
    }

    #[test]
    fn attributes_have_the_kernels_offsets() {
        assert_eq!(std::mem::offset_of!(ProgLoad, attach_btf_id), 108);
        assert_eq!(std::mem::offset_of!(ProgLoad, attach_btf_obj_fd), 112);
        assert_eq!(std::mem::offset_of!(TestRun, cpu), 68);
        assert_eq!(std::mem::offset_of!(Batch, flags), 48);
        assert_eq!(size_of::<MapCreate>(), 44);
    }
}
