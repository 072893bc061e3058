//! Two engines that run a script without a kernel, as oracles for the compiler.
//!
//! * [`script`] walks the checked script itself: what it *means*.
//! * [`ebpf`] runs the compiled instructions: what they *do*, under the verifier's memory rules.
//!
//! Both see the same [`World`], fire the same [`Firing`]s and leave the same [`Contents`] behind, byte
//! for byte in the layouts of [`crate::layout`], so a test compares them with `==`.
//!
//! Neither attaches anything, and neither is used to run scripts for people.

pub mod ebpf;
mod memory;
pub mod script;
mod world;

pub use memory::Memory;
pub use world::{Contents, Firing, Ring, Table, World};
