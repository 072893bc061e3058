//! A thin layer over bpf(2) and perf_event_open(2): maps, programs, attaching, the ring buffer. Only `libc` is used.
//!
//! What this is not: a general eBPF library. It does what the compiler's images need, on 5.10 and later, x86-64.
//!
//! Invariants: every descriptor is an [`std::os::fd::OwnedFd`], so nothing stays in the kernel when its value is
//! dropped or the process is killed (entries of [`tracefs`] have a guard for that). The kernel is never asked for its version; what it can
//! do is found by trying.

mod btf;
mod call;
mod clock;
mod cpus;
mod elsewhere;
mod guard;
mod link;
mod loader;
mod map;
mod multi;
mod perf;
mod program;
mod ring;
mod shell;
pub mod tracefs;
mod verifier;

pub use btf::{load_btf, module_btf_id, vmlinux_btf};
pub use call::errno_name;
pub use clock::{boot_ns, booted_at_ns, tai_ahead_ns, time_of_day};
pub use cpus::{possible_cpus, visit_every_cpu};
pub use elsewhere::close_elsewhere;
pub use link::{attach_kprobe_multi, attach_raw_tracepoint, attach_tracing, kprobe_multi_missed};
pub use loader::SysLoader;
#[cfg(feature = "redbpf")]
pub(in crate::load) use loader::attach_error;
pub use map::{Entry, Map};
pub use perf::{PerfProbe, has_kprobe_source, has_source, try_kprobe};
pub use program::{Described, Program, ProgramInfo, ProgramType, program_info};
pub use ring::Ring;
pub use verifier::{LogEnd, log_end};
