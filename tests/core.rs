//! Tests of hetsync-core from outside: what a user of the crate, of the
//! command or of the wire sees.
//!
//! `faults` holds one test for each thing that the server this one takes
//! the place of is known to get wrong.

#[path = "core/aggregate.rs"]
mod aggregate;
#[path = "core/attribution.rs"]
mod attribution;
#[path = "core/checkpoint.rs"]
mod checkpoint;
#[path = "core/cli.rs"]
mod cli;
#[path = "core/cli_measures.rs"]
mod cli_measures;
#[path = "core/config.rs"]
mod config;
#[path = "core/decoder.rs"]
mod decoder;
#[path = "core/dtypes.rs"]
mod dtypes;
#[path = "core/embedding.rs"]
mod embedding;
#[path = "core/examples.rs"]
mod examples;
#[path = "core/faults.rs"]
mod faults;
#[path = "core/late.rs"]
mod late;
#[path = "core/machine.rs"]
mod machine;
#[path = "core/markers.rs"]
mod markers;
#[path = "core/metrics.rs"]
mod metrics;
#[path = "core/model.rs"]
mod model;
#[path = "core/old_worker.rs"]
mod old_worker;
#[path = "core/oracle.rs"]
mod oracle;
#[path = "core/restart.rs"]
mod restart;
#[path = "core/rules.rs"]
mod rules;
#[path = "core/saving.rs"]
mod saving;
#[path = "core/schedules.rs"]
mod schedules;
#[path = "core/service.rs"]
mod service;
#[path = "core/sockets.rs"]
mod sockets;
#[path = "core/support.rs"]
mod support;
#[path = "core/tls.rs"]
mod tls;
#[path = "core/v1_book.rs"]
mod v1_book;
#[path = "core/v1_cli.rs"]
mod v1_cli;
#[path = "core/v1_fuzz.rs"]
mod v1_fuzz;
#[path = "core/v1_hostile.rs"]
mod v1_hostile;
#[path = "core/v1_member.rs"]
mod v1_member;
#[path = "core/v1_peer.rs"]
mod v1_peer;
#[path = "core/v1_replicas.rs"]
mod v1_replicas;
#[path = "core/v1_sockets.rs"]
mod v1_sockets;
#[path = "core/v1_wire.rs"]
mod v1_wire;
