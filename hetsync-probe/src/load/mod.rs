//! Loading and attaching; all `unsafe` of the crate lives here.
//!
//! ```text
//! Session: Image + Plan -> maps, programs, events, account
//!   loader: RedbpfLoader | sys::SysLoader
//!     sys: bpf(2), perf_event_open(2), tracefs
//! ```
//!
//! What this is not: it does not know the script's values ([`crate::report`] reads them) and never asks the kernel for
//! its version.

pub mod error;
pub mod loader;
#[cfg(feature = "redbpf")]
pub mod redbpf;
pub mod session;
pub mod sys;

pub use crate::plan::{self, Facts, LoaderName, Options, Plan, Planned, plan};
pub use error::LoadError;
pub use session::{Account, ProbeAccount, Session};
