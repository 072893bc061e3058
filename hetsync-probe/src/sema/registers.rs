//! Registers by name: where `struct pt_regs` keeps them (arch/x86/include/asm/ptrace.h, and the `user_pt_regs` of 64-bit Arm in
//! arch/arm64/include/uapi/asm/ptrace.h). Everything here is about the machine this is built for, as the programs are.

#[cfg(not(target_arch = "aarch64"))]
const NAMES: &[&str] = &[
    "r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di",
    "orig_ax", "ip", "cs", "flags", "sp", "ss",
];

#[cfg(target_arch = "aarch64")]
const NAMES: &[&str] = &[
    "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27",
    "r28", "r29", "r30", "sp", "pc", "pstate",
];

/// The stack pointer.
pub(super) const STACK: &str = "sp";

/// Bytes between the stack pointer on entry to a function and what is passed on the stack.
pub(super) const STACK_ARGS: u64 = if cfg!(target_arch = "aarch64") { 0 } else { 8 };

/// The register, its bits and their value that tell that a process was running.
#[cfg(not(target_arch = "aarch64"))]
pub(super) const PRIVILEGE: (&str, u64, u64) = ("cs", 3, 3);
#[cfg(target_arch = "aarch64")]
pub(super) const PRIVILEGE: (&str, u64, u64) = ("pstate", 0xf, 0);

/// Bytes from the start of the registers to one of them.
pub(super) fn offset(name: &str) -> Option<u16> {
    let at = NAMES.iter().position(|known| *known == name)?;
    Some(8 * at as u16)
}

/// All names, for messages.
pub(super) fn names() -> String {
    let names: Vec<String> = NAMES.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
