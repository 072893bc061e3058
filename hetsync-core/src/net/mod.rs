//! The socket shell on smol: the only async code, the only sockets and the
//! only clock of this crate.
//!
//! It decides nothing. It moves bytes between sockets and the decoder,
//! tells the machines what happened and when, and does what they say.
//!
//! Invariants: a connection is not read while its reply is outstanding, so
//! a peer that runs ahead is slowed by its own socket buffer; and a reply
//! that a slow peer has not taken occupies one shared buffer, not a copy.

mod attend;
mod builder;
mod client;
mod connection;
mod handle;
mod hub;
mod keeper;
mod link;
mod markers;
mod member;
mod memory;
mod metrics;
mod notice;
mod server;
mod session;
mod socket;
mod tcp_info;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod trace;
mod watch;

pub use builder::Builder;
pub use client::{Client, ClientError};
pub use handle::{Handle, Reported, Reports, Running};
pub use keeper::Checkpoints;
pub use member::MemberClient;
pub use notice::{Departure, Notice};
pub use server::Server;
pub use socket::listen;
#[cfg(feature = "tls")]
pub use tls::{TlsClient, TlsError, TlsServer};
