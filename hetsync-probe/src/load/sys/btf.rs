//! BTF objects: a script's own, which its programs refer to, and the kernel's.
//!
//! The kernel's comes in one system call. Its file in sysfs hands out a page a read, over a thousand reads in all; the same
//! bytes come in one piece from the BTF object the kernel keeps for itself.

use super::call::{self, BtfId, BtfInfo, BtfLoad, Info, command};
use super::program::{Program, ProgramType};
use crate::codegen::insn::{Insn, op};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// BTF objects looked at in search of one: each loaded module and each loaded script has one.
const OBJECTS: usize = 4096;
/// Room for a module's name (`MODULE_NAME_LEN` of include/linux/moduleparam.h is 56 on 64-bit machines).
const NAME_BYTES: usize = 64;
/// Largest BTF taken: some ten times what kernels have.
const BYTES_MOST: u32 = 64 << 20;

/// Gives the kernel a BTF object, as [`crate::object::debug`] makes it.
///
/// # Errors
/// The kernel's reason.
pub fn load_btf(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = BtfLoad {
        btf: bytes.as_ptr() as u64,
        btf_size: bytes.len() as u32,
        ..BtfLoad::default()
    };
    // SAFETY: `bytes` is live and as long as said; the command returns a new descriptor.
    unsafe { call::bpf_fd(command::BTF_LOAD, &mut attr) }
}

/// The BTF of vmlinux.
///
/// # Errors
/// Before 5.11, or without CAP_SYS_ADMIN, there is no such object to be had.
pub fn vmlinux_btf() -> io::Result<Vec<u8>> {
    match find() {
        Ok(object) => read(&object),
        // The kernel makes its object when it first verifies a program.
        Err(_) => {
            let nothing = [
                Insn {
                    code: op::ALU64 | op::MOV | op::K,
                    ..Insn::default()
                },
                EXIT,
            ];
            let _ = Program::load("try", ProgramType::RawTracepoint, &nothing, &[]);
            read(&find()?)
        }
    }
}

const EXIT: Insn = Insn {
    code: op::JMP | op::EXIT,
    dst: 0,
    src: 0,
    off: 0,
    imm: 0,
};

/// The kernel's number of the BTF object of a loaded module.
///
/// # Errors
/// `ENOENT` where it has none (before 5.11), or the kernel's reason.
pub fn module_btf_id(module: &str) -> io::Result<u32> {
    find_named(module).map(|(id, _)| id)
}

/// Opens a BTF object by its number.
pub(super) fn open(id: u32) -> io::Result<OwnedFd> {
    let mut by_id = BtfId {
        id,
        ..BtfId::default()
    };
    // SAFETY: the structure of this command; it holds no addresses; the command returns a new descriptor.
    unsafe { call::bpf_fd(command::BTF_GET_FD_BY_ID, &mut by_id) }
}

/// The object that is the kernel's and called `vmlinux` (modules have theirs).
fn find() -> io::Result<OwnedFd> {
    find_named("vmlinux").map(|(_, object)| object)
}

/// The object of the kernel's with this name, and its number.
fn find_named(wanted: &str) -> io::Result<(u32, OwnedFd)> {
    let mut id = 0;
    for _ in 0..OBJECTS {
        let mut next = BtfId {
            id,
            ..BtfId::default()
        };
        // SAFETY: the structure of this command; it holds no addresses.
        unsafe { call::bpf(command::BTF_GET_NEXT_ID, &mut next) }?;
        id = next.next_id;
        // One may be gone by now.
        let Ok(object) = open(id) else { continue };
        let mut name = [0u8; NAME_BYTES];
        let mut about = BtfInfo {
            name: name.as_mut_ptr() as u64,
            name_len: name.len() as u32,
            ..BtfInfo::default()
        };
        // SAFETY: `name` is as long as said, and no room for the types is offered.
        let told = unsafe { info(&object, &mut about) }.is_ok();
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(0);
        if told && about.kernel_btf != 0 && &name[..end] == wanted.as_bytes() {
            return Ok((id, object));
        }
    }
    Err(io::Error::from_raw_os_error(libc::ENOENT))
}

fn read(object: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut about = BtfInfo::default();
    // SAFETY: neither name nor types are asked for.
    unsafe { info(object, &mut about) }?;
    if about.btf_size > BYTES_MOST {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let mut bytes = vec![0; about.btf_size as usize];
    let mut about = BtfInfo {
        btf: bytes.as_mut_ptr() as u64,
        btf_size: bytes.len() as u32,
        ..BtfInfo::default()
    };
    // SAFETY: `bytes` is as long as said and writable.
    unsafe { info(object, &mut about) }?;
    Ok(bytes)
}

/// Asks about a BTF object.
///
/// # Safety
/// Addresses in `about` are 0 or writable for the lengths beside them.
unsafe fn info(object: &OwnedFd, about: &mut BtfInfo) -> io::Result<()> {
    let mut attr = Info {
        bpf_fd: object.as_raw_fd() as u32,
        info_len: size_of::<BtfInfo>() as u32,
        info: std::ptr::from_mut(about) as u64,
    };
    // SAFETY: `about` is `info_len` writable bytes, and its addresses are good by this function's contract.
    unsafe { call::bpf(command::OBJ_GET_INFO_BY_FD, &mut attr) }.map(drop)
}
