//! The eBPF machine of `interp`: its rules one by one, arbitrary instructions, and random programs against the running
//! kernel (which needs bpf(2), that is root; the reason is printed where it is not to be had).

#[path = "machine/asm.rs"]
mod asm;
#[path = "machine/fuzz.rs"]
mod fuzz;
#[path = "machine/helpers.rs"]
mod helpers;
#[cfg(feature = "kernel")]
#[path = "machine/kernel.rs"]
mod kernel;
#[path = "machine/rules.rs"]
mod rules;
