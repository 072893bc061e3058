//! Numbers and structures of bpf(2) and of libbpf's calls (include/uapi/linux/bpf.h, if_link.h).

use libc::c_char;

/// Kind of a program.
pub type bpf_prog_type = u32;
/// Kind of a map.
pub type bpf_map_type = u32;
/// Where a program is attached.
pub type bpf_attach_type = u32;

#[allow(missing_docs)]
mod numbers {
    pub const bpf_prog_type_BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;
    pub const bpf_prog_type_BPF_PROG_TYPE_KPROBE: u32 = 2;
    pub const bpf_prog_type_BPF_PROG_TYPE_TRACEPOINT: u32 = 5;
    pub const bpf_prog_type_BPF_PROG_TYPE_XDP: u32 = 6;
    pub const bpf_prog_type_BPF_PROG_TYPE_SK_SKB: u32 = 14;
    pub const bpf_prog_type_BPF_PROG_TYPE_TRACING: u32 = 26;
    pub const bpf_prog_type_BPF_PROG_TYPE_SK_LOOKUP: u32 = 30;

    pub const bpf_map_type_BPF_MAP_TYPE_HASH: u32 = 1;
    pub const bpf_map_type_BPF_MAP_TYPE_ARRAY: u32 = 2;
    pub const bpf_map_type_BPF_MAP_TYPE_PERF_EVENT_ARRAY: u32 = 4;
    pub const bpf_map_type_BPF_MAP_TYPE_PERCPU_HASH: u32 = 5;
    pub const bpf_map_type_BPF_MAP_TYPE_PERCPU_ARRAY: u32 = 6;
    pub const bpf_map_type_BPF_MAP_TYPE_LRU_HASH: u32 = 9;
    pub const bpf_map_type_BPF_MAP_TYPE_LRU_PERCPU_HASH: u32 = 10;
    pub const bpf_map_type_BPF_MAP_TYPE_DEVMAP: u32 = 14;

    pub const bpf_attach_type_BPF_SK_SKB_STREAM_PARSER: u32 = 4;
    pub const bpf_attach_type_BPF_SK_SKB_STREAM_VERDICT: u32 = 5;
    pub const bpf_attach_type_BPF_TRACE_ITER: u32 = 28;
    pub const bpf_attach_type_BPF_SK_LOOKUP: u32 = 36;

    pub const BPF_ANY: u32 = 0;
    pub const BPF_F_RDONLY_PROG: u32 = 1 << 7;
    pub const BPF_PSEUDO_MAP_FD: u32 = 1;
    pub const BPF_PSEUDO_MAP_VALUE: u32 = 2;

    pub const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1;
    pub const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
    pub const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
    pub const XDP_FLAGS_HW_MODE: u32 = 1 << 3;
    pub const XDP_FLAGS_REPLACE: u32 = 1 << 4;
    pub const XDP_FLAGS_MODES: u32 = XDP_FLAGS_SKB_MODE | XDP_FLAGS_DRV_MODE | XDP_FLAGS_HW_MODE;
    pub const XDP_FLAGS_MASK: u32 =
        XDP_FLAGS_UPDATE_IF_NOEXIST | XDP_FLAGS_MODES | XDP_FLAGS_REPLACE;
}
pub use numbers::*;

/// One instruction slot.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct bpf_insn {
    /// Operation.
    pub code: u8,
    /// Destination register in the low half, source register in the high half.
    registers: u8,
    /// Offset.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

impl bpf_insn {
    /// The source register (or the meaning of an immediate load).
    pub fn src_reg(&self) -> u8 {
        self.registers >> 4
    }

    /// Sets the source register; only the low 4 bits of `register` count.
    pub fn set_src_reg(&mut self, register: u8) {
        self.registers = self.registers & 0x0f | register << 4;
    }

    /// The destination register.
    pub fn dst_reg(&self) -> u8 {
        self.registers & 0x0f
    }

    /// Sets the destination register; only the low 4 bits of `register` count.
    pub fn set_dst_reg(&mut self, register: u8) {
        self.registers = self.registers & 0xf0 | register & 0x0f;
    }
}

/// A map as the `maps` section of an ELF file defines it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct bpf_map_def {
    pub type_: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub map_flags: u32,
}

// SAFETY: all fields are integers, so any bytes are a value and there is no padding.
unsafe impl zero::Pod for bpf_insn {}
// SAFETY: as above.
unsafe impl zero::Pod for bpf_map_def {}

/// What to create a map with.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct bpf_create_map_attr {
    pub name: *const c_char,
    pub map_type: bpf_map_type,
    pub map_flags: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub numa_node: u32,
    pub btf_fd: u32,
    pub btf_key_type_id: u32,
    pub btf_value_type_id: u32,
    pub map_ifindex: u32,
    pub inner_map_fd: u32,
}

/// The kernel version of old program kinds, or the program a tracing program hangs on.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub union bpf_load_program_attr__bindgen_ty_1 {
    pub kern_version: u32,
    pub attach_prog_fd: u32,
}

/// The device of an offloaded program, or the BTF id of a tracing program's function.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub union bpf_load_program_attr__bindgen_ty_2 {
    pub prog_ifindex: u32,
    pub attach_btf_id: u32,
}

/// What to load a program with.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct bpf_load_program_attr {
    pub prog_type: bpf_prog_type,
    pub expected_attach_type: bpf_attach_type,
    pub name: *const c_char,
    pub insns: *const bpf_insn,
    pub insns_cnt: u64,
    pub license: *const c_char,
    pub __bindgen_anon_1: bpf_load_program_attr__bindgen_ty_1,
    pub __bindgen_anon_2: bpf_load_program_attr__bindgen_ty_2,
    pub log_level: u32,
    pub prog_flags: u32,
}

/// The head of what the kernel tells of a map; it fills as much as it is given room for.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct bpf_map_info {
    pub type_: u32,
    pub id: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub map_flags: u32,
    pub name: [c_char; 16],
}

/// Options of [`crate::bpf_link_create`]; redbpf passes none.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct bpf_link_create_opts {
    /// Size of this structure.
    pub sz: u64,
}
