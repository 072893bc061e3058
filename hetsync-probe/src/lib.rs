//! A bpftrace-style profiler with its own compiler: small scripts become eBPF without LLVM.
//!
//! ```text
//! source -> syntax -> sema -> ir -> codegen -> object -> load -> report
//!           AST       HIR     IR    Image      ELF       kernel  tables
//! ```
//!
//! Dependencies point one way, left to right. `syntax` knows no kernel; `sema` asks the [`kernel::Kernel`] trait for
//! facts; `ir` knows no ELF; `load` alone makes system calls; `report` gets values, never file descriptors.

pub mod codegen;
pub mod diagnostic;
pub mod image;
pub mod interp;
pub mod ir;
pub mod kernel;
pub mod layout;
pub mod limits;
#[cfg(feature = "kernel")]
pub mod load;
pub mod object;
pub mod provider;
pub mod report;
pub mod sema;
pub mod source;
pub mod span;
pub mod syntax;
