//! Markers for tracing (`usdt` probes), written out by hand: of each kind of argument one, one with a semaphore, and one in two places.
//!
//! The note's form is that of SystemTap's `sys/sdt.h`, version 3.

use super::Outcome;

/// In a page of the file that is mapped once. Where linkers let it share a page with what becomes read-only, the kernel
/// counts in the wrong one of the two mappings.
#[cfg(target_arch = "x86_64")]
#[repr(align(4096))]
struct Semaphore(u16);

/// How many probes are at `workload:guarded`, as the kernel counts them.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[used]
#[unsafe(link_section = ".probes")]
static mut hetsync_workload_guarded_semaphore: Semaphore = Semaphore(0);

/// A `nop` and its note. `$sem` is the semaphore's address or 0; the operands are those of the arguments' text.
#[cfg(target_arch = "x86_64")]
macro_rules! mark {
    ($name:literal, $sem:literal, $args:literal, $($operand:tt)*) => {
        // SAFETY: a `nop`; everything else goes into sections of their own.
        unsafe {
            core::arch::asm!(
                "990: nop",
                ".pushsection .note.stapsdt, \"?\", \"note\"",
                ".balign 4",
                ".4byte 992f-991f, 994f-993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b, _.stapsdt.base",
                concat!(".8byte ", $sem),
                ".asciz \"workload\"",
                concat!(".asciz \"", $name, "\""),
                concat!(".asciz \"", $args, "\""),
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
                $($operand)*
                options(att_syntax, nostack, preserves_flags)
            )
        }
    };
}

/// Passes each marker `n` times, with numbers that follow from the round.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
pub(super) fn marks(n: &str) -> Outcome {
    let n: u32 = n.parse()?;
    let mut guarded = 0;
    for round in 0..n {
        let negative = -(round as i32);
        let large = u64::from(round) << 32;
        let pair = [7u64, u64::from(round) * 3];
        let text = c"a marked text".as_ptr();
        mark!(
            "round", "0", "-4@{0:e} 8@{1} 4@$5 -8@$-1 8@8({2}) 8@({2},{3},8) 8@{4}",
            in(reg) negative, in(reg) large, in(reg) pair.as_ptr(), in(reg) 1u64, in(reg) text,
        );
        // SAFETY: the kernel writes it, nobody else; a race gives an old count.
        let traced = unsafe { (&raw const hetsync_workload_guarded_semaphore.0).read_volatile() };
        if traced != 0 {
            guarded += 1;
            mark!("guarded", "hetsync_workload_guarded_semaphore", "4@{0:e}", in(reg) round,);
        }
        match round % 2 {
            0 => mark!("two", "0", "4@{0:e}", in(reg) round,),
            _ => mark!("two", "0", "-8@{0}", in(reg) i64::from(negative),),
        }
        mark!("float", "0", "8f@%xmm0 4@{0:e}", in(reg) round,);
    }
    println!("marks={n} guarded={guarded}");
    Ok(())
}

/// Other processors have other operands.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn marks(_: &str) -> Outcome {
    Err("markers are written for x86-64 only".into())
}
