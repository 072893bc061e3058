//! What the original server gets wrong, each as a test of this one, by kind of
//! fault. All on real sockets; the same rules in virtual time are in
//! `machine`.

#[path = "faults/connections.rs"]
mod connections;
#[path = "faults/departures.rs"]
mod departures;
#[path = "faults/frames.rs"]
mod frames;
#[path = "faults/memory.rs"]
mod memory;
#[path = "faults/rounds.rs"]
mod rounds;

use hetsync_core::Span;
use hetsync_core::policy::{Deadline, Strict};
use hetsync_core::server::{ConnId, Event, Refusal};

use crate::support::{TestServer, Told, is_closed_round};

fn strict(workers: usize) -> TestServer {
    TestServer::start(|builder| builder.workers(workers).policy(Strict))
}

fn deadline(workers: usize, ms: u64) -> TestServer {
    let policy = Deadline::new(Span::from_millis(ms));
    TestServer::start(|builder| builder.workers(workers).policy(policy))
}

/// Waits for a round to close and checks who is in.
fn closed_with(server: &TestServer, expected: &[u64]) -> hetsync_core::server::RoundReport {
    match server.wait(is_closed_round) {
        Told::Event(Event::Closed(report)) => {
            let came: Vec<u64> = report.arrivals.iter().map(|(conn, _)| conn.0).collect();
            assert_eq!(came, expected);
            *report
        }
        other => panic!("not a closed round: {other:?}"),
    }
}

fn refused(server: &TestServer, conn: u64) -> Refusal {
    match server.wait(|told| matches!(told, Told::Event(Event::Refused { .. }))) {
        Told::Event(Event::Refused { conn: who, refusal }) => {
            assert_eq!(who, ConnId(conn), "the wrong worker was blamed");
            refusal
        }
        other => panic!("not a refusal: {other:?}"),
    }
}
