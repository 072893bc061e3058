//! A straggler-tolerant synchronisation barrier for distributed training.
//!
//! Workers compute gradients and send them; the server adds up what has
//! come in a round and sends the sum back. A round closes when everyone has
//! come, or when a policy says that waiting is no longer worth it.
//!
//! Without features this crate is pure: state machines, rules and frames,
//! with time as an argument. The feature `net` adds the socket shell on
//! [smol](https://docs.rs/smol), the feature `cli` the `hetsync` command.
//!
//! # The drain rule
//! A machine is told of one change (`handle_*`), then its outputs are
//! drained (`poll_output` until `None`), then its next timeout is read
//! (`poll_timeout`). Nothing is lost if the timeout is served late.
//!
//! ```
//! use hetsync_core::policy::Deadline;
//! use hetsync_core::server::{Config, ConnId, Event, Machine, Output};
//! use hetsync_core::{Payload, Span, Time};
//!
//! let mut machine = Machine::new(Config {
//!     workers: 2,
//!     policy: Box::new(Deadline::new(Span::from_secs(2))),
//!     ..Config::default()
//! });
//! let start = Time::ZERO;
//! machine.handle_connect(start, ConnId(0));
//! machine.handle_connect(start, ConnId(1));
//!
//! // Worker 0 is in, worker 1 is a straggler.
//! machine.handle_gradient(start, ConnId(0), None, Payload::from_floats(&[0.5]));
//! let due = machine.poll_timeout().expect("the open round has a deadline");
//! assert_eq!(due, start + Span::from_secs(2));
//! machine.handle_timeout(due);
//!
//! let outputs: Vec<Output> = std::iter::from_fn(|| machine.poll_output()).collect();
//! assert!(outputs.iter().any(|output| matches!(output,
//!     Output::Event(Event::Closed(report)) if report.missed == [ConnId(1)])));
//! assert!(outputs.iter().any(|output| matches!(output,
//!     Output::Deliver { to: ConnId(0), result } if result.contributors() == 1)));
//! ```

// One call in `net::tcp_info` and the `nop`s of `net::markers` are the exceptions.
#![deny(unsafe_code)]
#![cfg_attr(not(feature = "net"), forbid(unsafe_code))]

pub mod aggregate;
pub mod checkpoint;
mod coder;
pub mod member;
pub mod metrics;
mod name;
#[cfg(feature = "net")]
pub mod net;
mod payload;
pub mod policy;
mod retry;
pub mod server;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stats;
mod text;
pub mod time;
pub mod wire;
pub mod worker;

pub use coder::{Coder, Coding};
pub use name::{MAX_NAME_BYTES, Name, NameError};
pub use payload::{FLOAT_BYTES, Payload};
pub use time::{Span, Time};
