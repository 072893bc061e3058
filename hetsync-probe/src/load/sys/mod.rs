//! A thin layer over bpf(2) and perf_event_open(2): maps, programs, attaching, the ring buffer. Only `libc` is used.
//!
//! What this is not: a general eBPF library. It does what the compiler's images need, on 5.10 and later, x86-64.
//!
//! Invariants: every descriptor is an [`std::os::fd::OwnedFd`], so nothing stays in the kernel when its value is
//! dropped or the process is killed. The kernel is never asked for its version; what it can do is found by trying.

mod call;
mod cpus;
mod map;
mod program;
mod verifier;

pub use call::errno_name;
pub use cpus::possible_cpus;
pub use map::{Entry, Map};
pub use program::{Program, ProgramInfo, ProgramType};
pub use verifier::{LogEnd, log_end};
