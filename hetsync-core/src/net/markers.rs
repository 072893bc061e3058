//! Markers for tracing (USDT): places in the running server that a profiler
//! finds by name, whether or not the program has symbols.
//!
//! Each is one `nop` and a note in the section `.note.stapsdt`, in the form
//! of SystemTap's `sys/sdt.h`, version 3, which perf, bpftrace, bcc and
//! hetsync-probe read. The provider is `hetsync`. Nobody pays for them but who
//! traces. Elsewhere than on x86-64 and AArch64 there are none.
//!
//! Names and arguments stay in every version; further arguments come behind.

#![allow(
    unsafe_code,
    reason = "inline assembly of one `nop`; the rest of it is a note that is not loaded"
)]

#[cfg(target_arch = "x86_64")]
macro_rules! arguments {
    () => {
        ".asciz \"8@%{0} 8@%{1} 8@%{2}\""
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! arguments {
    () => {
        ".asciz \"8@{0} 8@{1} 8@{2}\""
    };
}

/// A `nop`, and its note with three arguments of eight bytes.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! mark {
    ($name:literal, $a:expr, $b:expr, $c:expr) => {
        // SAFETY: the only instruction is a `nop`; all else goes into
        // sections that are not loaded, but for one byte that is never read.
        unsafe {
            core::arch::asm!(
                "990: nop",
                ".pushsection .note.stapsdt, \"?\", \"note\"",
                ".balign 4",
                ".4byte 992f-991f, 994f-993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b, _.stapsdt.base, 0",
                ".asciz \"hetsync\"",
                concat!(".asciz \"", $name, "\""),
                arguments!(),
                "994: .balign 4",
                ".popsection",
                // Kept although nothing but notes refers to it.
                ".ifndef _.stapsdt.base",
                ".pushsection .stapsdt.base, \"aGR\", \"progbits\", .stapsdt.base, comdat",
                ".weak _.stapsdt.base",
                ".hidden _.stapsdt.base",
                "_.stapsdt.base: .space 1",
                ".size _.stapsdt.base, 1",
                ".popsection",
                ".endif",
                in(reg) $a,
                in(reg) $b,
                in(reg) $c,
                options(nomem, nostack, preserves_flags)
            )
        }
    };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
macro_rules! mark {
    ($name:literal, $a:expr, $b:expr, $c:expr) => {
        let _ = ($a, $b, $c);
    };
}

/// The first gradient of a round has come, from this connection or worker.
#[inline(never)]
pub(super) fn round_open(round: u64, worker: u64) {
    mark!("round_open", round, worker, 0_u64);
}

/// A round has closed with so many gradients of so many that were hoped for.
/// The replies follow, on the same thread unless they wait for a checkpoint.
#[inline(never)]
pub(super) fn round_close(round: u64, contributors: u64, expected: u64) {
    mark!("round_close", round, contributors, expected);
}

/// A whole gradient has come while this round was open or next.
#[inline(never)]
pub(super) fn gradient(worker: u64, round: u64, bytes: u64) {
    mark!("gradient", worker, round, bytes);
}

/// An answer of so many bytes is about to be sent on this connection.
#[inline(never)]
pub(super) fn reply(connection: u64, bytes: u64) {
    mark!("reply", connection, bytes, 0_u64);
}
