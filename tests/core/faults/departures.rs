//! Workers that go: between rounds, in the middle of one, at its end.

use std::io::Read;

use hetsync_core::Span;
use hetsync_core::policy::Strict;
use hetsync_core::server::Event;

use super::{closed_with, strict};
use crate::support::{Peer, TestServer, Told, is_closed_round};

/// A peer that is gone when the result is sent raises SIGPIPE and ends the
/// original.
#[test]
fn a_peer_that_closes_at_broadcast_harms_nobody() {
    let server = strict(2);
    for round in 0..20 {
        let mut stays = server.join();
        let mut goes = server.join();
        if round % 2 == 0 {
            // The last gradient that is waited for, with its end right behind.
            stays.send(&[1.0; 50_000]);
            server.wait(|told| matches!(told, Told::Event(Event::ModelLength { .. })));
            goes.send(&[2.0; 50_000]);
            drop(goes);
        } else {
            goes.send(&[2.0; 50_000]);
            // A reset also takes back what has not been read yet.
            server.wait(|told| matches!(told, Told::Event(Event::ModelLength { .. })));
            // Its gradient goes with it; another takes the place.
            goes.reset();
            server.wait(|told| matches!(told, Told::Disconnected(..)));
            stays.send(&[1.0; 50_000]);
            let mut other = server.join();
            other.send(&[2.0; 50_000]);
            server.wait(is_closed_round);
            other.reset();
        }
        assert_eq!(stays.receive(), [3.0; 50_000]);
        // Both leave, so that the next round is a first one again.
        drop(stays);
        for _ in 0..2 {
            server.wait(|told| matches!(told, Told::Disconnected(..)));
        }
    }
    assert_eq!(server.stop().rounds(), 20);
}

/// In the original a worker that has left costs every later round its
/// whole time; here a strict server would hang if it were waited for.
#[test]
fn a_worker_that_leaves_between_rounds_is_not_waited_for() {
    let server = strict(3);
    let mut workers: Vec<Peer> = (0..3).map(|_| server.join()).collect();
    workers.iter_mut().for_each(|worker| worker.send(&[1.0]));
    workers
        .iter_mut()
        .for_each(|worker| assert_eq!(worker.receive(), [3.0]));
    let leaves = workers.remove(1);
    // One is in and waits for two; then there is only one to wait for.
    workers[0].send(&[1.0]);
    drop(leaves);
    workers[1].send(&[1.0]);
    for worker in &mut workers {
        assert_eq!(worker.receive(), [2.0]);
    }
}

#[test]
fn a_worker_that_leaves_in_mid_payload_leaves_no_trace() {
    let server = strict(2);
    let mut workers = [server.join(), server.join()];
    workers.iter_mut().for_each(|worker| worker.send(&[1.0; 8]));
    workers.iter_mut().for_each(|worker| drop(worker.receive()));
    let [mut stays, mut leaves] = workers;
    stays.send(&[4.0; 8]);
    let frame = hetsync_core::wire::v0::encode(&[9.0; 8]);
    leaves.raw(&frame[..frame.len() - 1]);
    drop(leaves);
    assert_eq!(stays.receive(), [4.0; 8]);
    let told = server.wait(|told| matches!(told, Told::Disconnected(..)));
    let why = "closed by the worker in the middle of a gradient, which was discarded";
    assert_eq!(told, Told::Disconnected(1, why.into()));
}

/// A passer-by that sends one gradient and closes: its model must not be
/// the law for those who come after, in whatever state it left the socket.
#[test]
fn a_passer_by_does_not_lock_a_strict_server() {
    for sends_ahead in [false, true] {
        let server = TestServer::start(|builder| {
            let idle = Span::from_millis(400);
            builder.workers(2).policy(Strict).idle(idle)
        });
        let mut stray = server.join();
        stray.send(&[9.0; 3]);
        if sends_ahead {
            stray.raw(&[0; 5]);
        }
        drop(stray);
        server.wait(|told| matches!(told, Told::Event(Event::Abandoned { .. })));
        let mut workers = [server.join(), server.join()];
        workers.iter_mut().for_each(|worker| worker.send(&[1.0; 5]));
        for worker in &mut workers {
            assert_eq!(worker.receive(), [2.0; 5]);
        }
    }
}

/// Ends its sending side and goes on reading, as `nc -N` does.
#[test]
fn a_half_closed_worker_gets_its_reply() {
    let server = strict(2);
    let mut one = server.join();
    let mut other = server.join();
    one.send(&[1.0]);
    one.stream
        .shutdown(std::net::Shutdown::Write)
        .expect("it is open");
    server.wait(|told| matches!(told, Told::Event(Event::HalfClosed { .. })));
    // The first byte of any reply is out already; with the rest it makes the
    // same frame as for everyone.
    let mut frame = [0xff; 12];
    one.stream.read_exact(&mut frame[..1]).expect("a byte");
    assert!(one.has_nothing());
    assert_eq!(other.submit(&[2.0]), [3.0]);
    one.stream.read_exact(&mut frame[1..]).expect("the rest");
    assert_eq!(frame, *hetsync_core::wire::v0::encode(&[3.0]));
    assert!(one.is_closed());
    assert_eq!(other.submit(&[4.0]), [4.0]);
}

/// A worker that dies with its gradient in and comes back is added once.
#[test]
fn a_reset_connections_gradient_is_withdrawn() {
    let server = strict(3);
    let mut workers = [server.join(), server.join()];
    let mut dies = server.join();
    dies.send(&[10.0]);
    server.wait(|told| matches!(told, Told::Event(Event::ModelLength { .. })));
    workers[0].send(&[1.0]);
    // In and waiting, so that the reset is seen by its watch.
    dies.reset();
    server.wait(|told| {
        matches!(
            told,
            Told::Event(Event::Withdrawn { .. } | Event::Abandoned { .. })
        )
    });
    let mut back = server.join();
    back.send(&[10.0]);
    workers[1].send(&[100.0]);
    assert_eq!(workers[0].receive(), [111.0]);
    assert_eq!(back.receive(), [111.0]);
}

/// The same with an orderly end, which is what a process leaves that dies
/// after its gradient is out.
#[test]
fn a_worker_that_ends_and_comes_back_in_the_same_round_is_counted_once() {
    let server = strict(3);
    let mut workers = [server.join(), server.join()];
    let mut dies = server.join();
    workers[0].send(&[1.0]);
    server.wait(|told| matches!(told, Told::Event(Event::ModelLength { .. })));
    dies.send(&[10.0]);
    drop(dies);
    server.wait(|told| matches!(told, Told::Event(Event::Withdrawn { .. })));
    let mut back = server.join();
    back.send(&[10.0]);
    workers[1].send(&[100.0]);
    assert_eq!(workers[0].receive(), [111.0]);
    assert_eq!(back.receive(), [111.0]);
    closed_with(&server, &[0, 1, 3]);
    let stats = server.stop();
    assert_eq!((stats.accepted, stats.abandoned), (4, 1));
}
