//! bpf(2), one function a command redbpf uses.

use crate::types::*;
use libc::{c_char, c_int, c_void};
use std::mem::size_of;

const MAP_CREATE: c_int = 0;
const MAP_LOOKUP_ELEM: c_int = 1;
const MAP_UPDATE_ELEM: c_int = 2;
const MAP_DELETE_ELEM: c_int = 3;
const MAP_GET_NEXT_KEY: c_int = 4;
const PROG_LOAD: c_int = 5;
const OBJ_PIN: c_int = 6;
const OBJ_GET: c_int = 7;
const PROG_ATTACH: c_int = 8;
const OBJ_GET_INFO_BY_FD: c_int = 15;
const BTF_LOAD: c_int = 18;
const LINK_CREATE: c_int = 28;
const ITER_CREATE: c_int = 33;

/// Bytes of an object's name with its NUL (`BPF_OBJ_NAME_LEN`).
const NAME_BYTES: usize = 16;

/// Calls bpf(2) with `attr`, a structure of plain numbers without padding.
///
/// # Safety
/// Addresses in `attr` must be what the command takes them for.
unsafe fn bpf<T>(command: c_int, attr: &T) -> c_int {
    // SAFETY: `attr` is live and `size_of::<T>()` bytes long; the kernel only writes through the addresses in it.
    unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attr),
            size_of::<T>(),
        ) as c_int
    }
}

/// Copies a C string into an object's name, cut to 15 bytes.
///
/// # Safety
/// `name` is null or points to a C string.
unsafe fn name(name: *const c_char) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    if !name.is_null() {
        // SAFETY: by this function's contract.
        let name = unsafe { std::ffi::CStr::from_ptr(name) }.to_bytes();
        let len = name.len().min(NAME_BYTES - 1);
        bytes[..len].copy_from_slice(&name[..len]);
    }
    bytes
}

#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; NAME_BYTES],
    map_ifindex: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
}

/// Creates a map; its descriptor, or -1.
///
/// # Safety
/// `attr` points to a filled structure whose name is null or a C string.
pub unsafe fn bpf_create_map_xattr(attr: *const bpf_create_map_attr) -> c_int {
    // SAFETY: by this function's contract; the structure has no addresses.
    unsafe {
        let attr = &*attr;
        bpf(
            MAP_CREATE,
            &MapCreate {
                map_type: attr.map_type,
                key_size: attr.key_size,
                value_size: attr.value_size,
                max_entries: attr.max_entries,
                map_flags: attr.map_flags,
                inner_map_fd: attr.inner_map_fd,
                numa_node: attr.numa_node,
                map_name: name(attr.name),
                map_ifindex: attr.map_ifindex,
                btf_fd: attr.btf_fd,
                btf_key_type_id: attr.btf_key_type_id,
                btf_value_type_id: attr.btf_value_type_id,
            },
        )
    }
}

#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME_BYTES],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// Loads a program; its descriptor, or -1. The verifier's log goes to `log_buf` if there is one and the level is not 0.
///
/// # Safety
/// `attr` points to a filled structure: `insns_cnt` instructions at `insns`, C strings as name and licence; `log_buf` is
/// null or `log_buf_sz` writable bytes.
pub unsafe fn bpf_load_program_xattr(
    attr: *const bpf_load_program_attr,
    log_buf: *mut c_char,
    log_buf_sz: u64,
) -> c_int {
    // SAFETY: by this function's contract; both members of each union are `u32`.
    unsafe {
        let attr = &*attr;
        let tracing = attr.prog_type == bpf_prog_type_BPF_PROG_TYPE_TRACING;
        let log = if attr.log_level == 0 || log_buf.is_null() {
            None
        } else {
            Some((log_buf as u64, log_buf_sz.min(u64::from(u32::MAX >> 2))))
        };
        bpf(
            PROG_LOAD,
            &ProgLoad {
                prog_type: attr.prog_type,
                insn_cnt: attr.insns_cnt as u32,
                insns: attr.insns as u64,
                license: attr.license as u64,
                log_level: log.map_or(0, |_| attr.log_level),
                log_size: log.map_or(0, |(_, size)| size as u32),
                log_buf: log.map_or(0, |(address, _)| address),
                kern_version: if tracing {
                    0
                } else {
                    attr.__bindgen_anon_1.kern_version
                },
                prog_flags: attr.prog_flags,
                prog_name: name(attr.name),
                prog_ifindex: if tracing {
                    0
                } else {
                    attr.__bindgen_anon_2.prog_ifindex
                },
                expected_attach_type: attr.expected_attach_type,
                prog_btf_fd: 0,
                func_info_rec_size: 0,
                func_info: 0,
                func_info_cnt: 0,
                line_info_rec_size: 0,
                line_info: 0,
                line_info_cnt: 0,
                attach_btf_id: if tracing {
                    attr.__bindgen_anon_2.attach_btf_id
                } else {
                    0
                },
            },
        )
    }
}

#[repr(C)]
struct Elem {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value_or_next_key: u64,
    flags: u64,
}

/// # Safety
/// `key` and `value` are what `command` on this map takes them for.
unsafe fn elem(
    command: c_int,
    fd: c_int,
    key: *const c_void,
    value: *const c_void,
    flags: u64,
) -> c_int {
    let attr = Elem {
        map_fd: fd as u32,
        _pad: 0,
        key: key as u64,
        value_or_next_key: value as u64,
        flags,
    };
    // SAFETY: by this function's contract.
    unsafe { bpf(command, &attr) }
}

/// Stores `value` under `key`; 0 or -1.
///
/// # Safety
/// `key` and `value` point to as many bytes as the map's key and value have (per-CPU values: the size rounded up to 8, a
/// possible CPU each).
pub unsafe fn bpf_map_update_elem(
    fd: c_int,
    key: *const c_void,
    value: *const c_void,
    flags: u64,
) -> c_int {
    // SAFETY: by this function's contract.
    unsafe { elem(MAP_UPDATE_ELEM, fd, key, value, flags) }
}

/// Copies the value of `key` to `value`; 0 or -1.
///
/// # Safety
/// As for [`bpf_map_update_elem`], and `value` is writable.
pub unsafe fn bpf_map_lookup_elem(fd: c_int, key: *const c_void, value: *mut c_void) -> c_int {
    // SAFETY: by this function's contract.
    unsafe { elem(MAP_LOOKUP_ELEM, fd, key, value, 0) }
}

/// Removes `key`; 0 or -1.
///
/// # Safety
/// `key` points to as many bytes as the map's key has.
pub unsafe fn bpf_map_delete_elem(fd: c_int, key: *const c_void) -> c_int {
    // SAFETY: by this function's contract.
    unsafe { elem(MAP_DELETE_ELEM, fd, key, std::ptr::null(), 0) }
}

/// Copies the key after `key` (the first for null) to `next_key`; 0 or -1.
///
/// # Safety
/// `key` is null or points to as many bytes as the map's key has, `next_key` to as many writable ones.
pub unsafe fn bpf_map_get_next_key(fd: c_int, key: *const c_void, next_key: *mut c_void) -> c_int {
    // SAFETY: by this function's contract.
    unsafe { elem(MAP_GET_NEXT_KEY, fd, key, next_key, 0) }
}

#[repr(C)]
struct Obj {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// Pins a map or program to a path on the bpf file system; 0 or -1.
///
/// # Safety
/// `pathname` is a C string.
pub unsafe fn bpf_obj_pin(fd: c_int, pathname: *const c_char) -> c_int {
    let attr = Obj {
        pathname: pathname as u64,
        bpf_fd: fd as u32,
        file_flags: 0,
    };
    // SAFETY: by this function's contract.
    unsafe { bpf(OBJ_PIN, &attr) }
}

/// Opens what is pinned at a path; its descriptor, or -1.
///
/// # Safety
/// `pathname` is a C string.
pub unsafe fn bpf_obj_get(pathname: *const c_char) -> c_int {
    let attr = Obj {
        pathname: pathname as u64,
        bpf_fd: 0,
        file_flags: 0,
    };
    // SAFETY: by this function's contract.
    unsafe { bpf(OBJ_GET, &attr) }
}

#[repr(C)]
struct Info {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// Asks the kernel about a map, program or link; 0 or -1. `info_len` becomes the number of bytes it knows.
///
/// # Safety
/// `info` points to `*info_len` writable bytes.
pub unsafe fn bpf_obj_get_info_by_fd(fd: c_int, info: *mut c_void, info_len: *mut u32) -> c_int {
    // SAFETY: by this function's contract. The kernel writes the length back into the attribute, hence the cell.
    unsafe {
        let attr = std::cell::UnsafeCell::new(Info {
            bpf_fd: fd as u32,
            info_len: *info_len,
            info: info as u64,
        });
        let result = libc::syscall(
            libc::SYS_bpf,
            OBJ_GET_INFO_BY_FD,
            attr.get(),
            size_of::<Info>(),
        ) as c_int;
        if result == 0 {
            *info_len = (*attr.get()).info_len;
        }
        result
    }
}

#[repr(C)]
struct ProgAttach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Attaches a program to a cgroup or socket map; 0 or -1.
///
/// # Safety
/// Always sound; unsafe as the function it stands for.
pub unsafe fn bpf_prog_attach(
    prog_fd: c_int,
    attachable_fd: c_int,
    kind: bpf_attach_type,
    flags: u32,
) -> c_int {
    let attr = ProgAttach {
        target_fd: attachable_fd as u32,
        attach_bpf_fd: prog_fd as u32,
        attach_type: kind,
        attach_flags: flags,
    };
    // SAFETY: no addresses.
    unsafe { bpf(PROG_ATTACH, &attr) }
}

#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// Makes a link; its descriptor, or -1. Options are not supported (`EINVAL`): redbpf gives none.
///
/// # Safety
/// Always sound; unsafe as the function it stands for.
pub unsafe fn bpf_link_create(
    prog_fd: c_int,
    target_fd: c_int,
    attach_type: bpf_attach_type,
    opts: *const bpf_link_create_opts,
) -> c_int {
    if !opts.is_null() {
        // SAFETY: the calling thread's own errno.
        unsafe { *libc::__errno_location() = libc::EINVAL };
        return -1;
    }
    let attr = LinkCreate {
        prog_fd: prog_fd as u32,
        target_fd: target_fd as u32,
        attach_type,
        flags: 0,
    };
    // SAFETY: no addresses.
    unsafe { bpf(LINK_CREATE, &attr) }
}

#[repr(C)]
struct IterCreate {
    link_fd: u32,
    flags: u32,
}

/// Opens an iterator to read from; its descriptor, or -1.
///
/// # Safety
/// Always sound; unsafe as the function it stands for.
pub unsafe fn bpf_iter_create(link_fd: c_int) -> c_int {
    let attr = IterCreate {
        link_fd: link_fd as u32,
        flags: 0,
    };
    // SAFETY: no addresses.
    unsafe { bpf(ITER_CREATE, &attr) }
}

#[repr(C)]
struct BtfLoad {
    btf: u64,
    log_buf: u64,
    btf_size: u32,
    log_size: u32,
    log_level: u32,
    _pad: u32,
}

/// Loads BTF; its descriptor, or -1. The log is written when asked for or, in a second try, when loading fails.
///
/// # Safety
/// `btf` points to `btf_size` bytes; `log_buf` is null or `log_buf_size` writable bytes.
pub unsafe fn bpf_load_btf(
    btf: *const c_void,
    btf_size: u32,
    log_buf: *mut c_char,
    log_buf_size: u32,
    do_log: bool,
) -> c_int {
    let attr = |log: bool| BtfLoad {
        btf: btf as u64,
        log_buf: if log { log_buf as u64 } else { 0 },
        btf_size,
        log_size: if log { log_buf_size } else { 0 },
        log_level: u32::from(log),
        _pad: 0,
    };
    let can_log = !log_buf.is_null() && log_buf_size > 0;
    // SAFETY: by this function's contract.
    unsafe {
        let fd = bpf(BTF_LOAD, &attr(do_log && can_log));
        if fd >= 0 || do_log || !can_log {
            return fd;
        }
        bpf(BTF_LOAD, &attr(true))
    }
}
