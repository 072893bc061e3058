//! Loading and attaching; all `unsafe` of the crate lives here.
//!
//! ```text
//! plan: how each attach point is attached   (before code generation)
//! Session: Image + Plan -> maps, programs, events, account
//!   loader: RedbpfLoader | sys::SysLoader
//!     sys: bpf(2), perf_event_open(2), tracefs
//! ```
//!
//! What this is not: it does not know the script's values ([`crate::report`] reads them) and never asks the kernel for
//! its version.

pub mod error;
pub mod loader;
pub mod plan;
#[cfg(feature = "redbpf")]
pub mod redbpf;
pub mod session;
pub mod sys;
pub mod usage;

pub use error::LoadError;
pub use plan::{Facts, LoaderName, Options, Plan, Planned, plan};
pub use session::{Account, ProbeAccount, Session};
