//! One eBPF instruction as the kernel takes it (include/uapi/linux/bpf.h), and names for its parts.
//!
//! Constructors cover instruction set v3 (32-bit jumps), the one every supported kernel runs,
//! plus atomic fetch-add where asked for.

/// One 8-byte instruction slot. A 64-bit immediate load takes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Insn {
    /// Class, source bit, operation or size and mode.
    pub code: u8,
    /// Destination register, 0 to 10.
    pub dst: u8,
    /// Source register, or a pseudo value for immediate loads and calls.
    pub src: u8,
    /// Memory offset in bytes, or jump distance in slots.
    pub off: i16,
    /// Immediate.
    pub imm: i32,
}

impl Insn {
    /// The 8 bytes the kernel reads (little-endian hosts).
    pub fn encode(self) -> [u8; 8] {
        let off = self.off.to_le_bytes();
        let imm = self.imm.to_le_bytes();
        [
            self.code,
            self.src << 4 | self.dst,
            off[0],
            off[1],
            imm[0],
            imm[1],
            imm[2],
            imm[3],
        ]
    }

    /// The instruction in 8 bytes.
    pub fn decode(bytes: [u8; 8]) -> Self {
        Self {
            code: bytes[0],
            dst: bytes[1] & 15,
            src: bytes[1] >> 4,
            off: i16::from_le_bytes([bytes[2], bytes[3]]),
            imm: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        }
    }
}

/// All the bytes of a program.
pub fn encode(insns: &[Insn]) -> Vec<u8> {
    insns.iter().flat_map(|insn| insn.encode()).collect()
}

/// The register every program finds its context in, and the frame pointer.
#[allow(missing_docs)]
pub mod reg {
    pub const R0: u8 = 0;
    pub const R1: u8 = 1;
    pub const R2: u8 = 2;
    pub const R3: u8 = 3;
    pub const R4: u8 = 4;
    pub const R5: u8 = 5;
    pub const R6: u8 = 6;
    pub const R7: u8 = 7;
    pub const R8: u8 = 8;
    pub const R9: u8 = 9;
    pub const FP: u8 = 10;
}

/// Opcode parts, under their kernel names without `BPF_`.
#[allow(missing_docs)]
pub mod op {
    pub const LD: u8 = 0x00;
    pub const LDX: u8 = 0x01;
    pub const ST: u8 = 0x02;
    pub const STX: u8 = 0x03;
    pub const ALU: u8 = 0x04;
    pub const JMP: u8 = 0x05;
    pub const JMP32: u8 = 0x06;
    pub const ALU64: u8 = 0x07;

    pub const W: u8 = 0x00;
    pub const H: u8 = 0x08;
    pub const B: u8 = 0x10;
    pub const DW: u8 = 0x18;

    pub const IMM: u8 = 0x00;
    pub const MEM: u8 = 0x60;
    pub const ATOMIC: u8 = 0xc0;

    pub const K: u8 = 0x00;
    pub const X: u8 = 0x08;

    pub const ADD: u8 = 0x00;
    pub const SUB: u8 = 0x10;
    pub const MUL: u8 = 0x20;
    pub const DIV: u8 = 0x30;
    pub const OR: u8 = 0x40;
    pub const AND: u8 = 0x50;
    pub const LSH: u8 = 0x60;
    pub const RSH: u8 = 0x70;
    pub const NEG: u8 = 0x80;
    pub const MOD: u8 = 0x90;
    pub const XOR: u8 = 0xa0;
    pub const MOV: u8 = 0xb0;
    pub const ARSH: u8 = 0xc0;
    pub const END: u8 = 0xd0;

    pub const JA: u8 = 0x00;
    pub const JEQ: u8 = 0x10;
    pub const JGT: u8 = 0x20;
    pub const JGE: u8 = 0x30;
    pub const JSET: u8 = 0x40;
    pub const JNE: u8 = 0x50;
    pub const JSGT: u8 = 0x60;
    pub const JSGE: u8 = 0x70;
    pub const CALL: u8 = 0x80;
    pub const EXIT: u8 = 0x90;
    pub const JLT: u8 = 0xa0;
    pub const JLE: u8 = 0xb0;
    pub const JSLT: u8 = 0xc0;
    pub const JSLE: u8 = 0xd0;

    /// `imm` of an atomic add; or with [`FETCH`].
    pub const ATOMIC_ADD: i32 = 0x00;
    pub const FETCH: i32 = 0x01;

    /// `src` of a 64-bit immediate load whose immediate is a map's file descriptor.
    pub const PSEUDO_MAP_FD: u8 = 1;
    /// The same, for the address inside the map's one value; the second slot's `imm` is the offset.
    pub const PSEUDO_MAP_VALUE: u8 = 2;
    /// The same, for a function of the program: how many slots behind the second one it begins.
    pub const PSEUDO_FUNC: u8 = 4;
}

/// Helper numbers (the kernel's `BPF_FUNC_*`).
#[allow(missing_docs)]
pub mod helper {
    pub const MAP_LOOKUP_ELEM: i32 = 1;
    pub const MAP_UPDATE_ELEM: i32 = 2;
    pub const MAP_DELETE_ELEM: i32 = 3;
    pub const KTIME_GET_NS: i32 = 5;
    pub const MAP_LOOKUP_PERCPU_ELEM: i32 = 195;
    pub const GET_PRANDOM_U32: i32 = 7;
    pub const GET_SOCKET_COOKIE: i32 = 46;
    pub const GET_SMP_PROCESSOR_ID: i32 = 8;
    pub const GET_CURRENT_PID_TGID: i32 = 14;
    pub const GET_CURRENT_UID_GID: i32 = 15;
    pub const GET_CURRENT_COMM: i32 = 16;
    pub const GET_STACKID: i32 = 27;
    pub const GET_CURRENT_TASK: i32 = 35;
    pub const GET_NUMA_NODE_ID: i32 = 42;
    pub const GET_CURRENT_CGROUP_ID: i32 = 80;
    pub const SEND_SIGNAL: i32 = 109;
    pub const PROBE_READ_USER: i32 = 112;
    pub const PROBE_READ_KERNEL: i32 = 113;
    pub const PROBE_READ_USER_STR: i32 = 114;
    pub const PROBE_READ_KERNEL_STR: i32 = 115;
    pub const JIFFIES64: i32 = 118;
    pub const KTIME_GET_BOOT_NS: i32 = 125;
    pub const RINGBUF_OUTPUT: i32 = 130;
    pub const RINGBUF_RESERVE: i32 = 131;
    pub const RINGBUF_SUBMIT: i32 = 132;
    pub const RINGBUF_DISCARD: i32 = 133;
    pub const FOR_EACH_MAP_ELEM: i32 = 164;
    pub const GET_ATTACH_COOKIE: i32 = 174;
    pub const GET_FUNC_ARG: i32 = 183;
    pub const KTIME_GET_TAI_NS: i32 = 208;
}

/// `BPF_NOEXIST`: create, never overwrite.
pub const NOEXIST: i32 = 1;
