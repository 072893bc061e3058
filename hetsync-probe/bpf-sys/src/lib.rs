//! The functions and types of `bpf-sys` that redbpf 2.3.0 names, over bpf(2) itself.
//!
//! The published crate of this name builds libbpf with clang, libelf and zlib; redbpf calls fourteen of its functions.
//! Those are here, with the names and layouts redbpf expects, so that it builds unmodified and without a C toolchain.
//!
//! What this is not: a binding of libbpf, or something to call from elsewhere (the probe's own layer is its
//! `load::sys`). Names are the C ones on purpose.
//!
//! Invariants: every function returns what libbpf's did (a descriptor or 0, negative on failure) and leaves the
//! kernel's reason in `errno`, because that is where redbpf looks.

#![allow(non_camel_case_types, non_upper_case_globals)]

mod btf;
mod call;
mod netlink;
mod types;
pub mod uname;

pub use btf::*;
pub use call::*;
pub use netlink::bpf_set_link_xdp_fd;
pub use types::*;
