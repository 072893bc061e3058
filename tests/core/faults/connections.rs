//! Many connections, silent ones and stuck ones.

use std::net::TcpStream;

use hetsync_core::Span;
use hetsync_core::net::listen;
use hetsync_core::policy::Strict;
use hetsync_core::server::Event;

use super::strict;
use crate::support::{PATIENCE, Peer, TestServer, Told};

/// The original takes 4.1 s to accept 900 connections: 128 fit its queue,
/// the rest wait for a SYN to be sent again. Here they fit the queue while
/// nobody accepts at all.
#[test]
fn nine_hundred_connections_fit_the_queue() {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    if let Some(most) = most.ok().and_then(|most| most.trim().parse::<u32>().ok())
        && most < 900
    {
        eprintln!("skipped: this system lets no queue be longer than {most}");
        return;
    }
    let listener = listen(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = listener.get_ref().local_addr().expect("its address");
    let waiting: Vec<TcpStream> = (0..900)
        .map(|number| {
            TcpStream::connect_timeout(&address, PATIENCE)
                .unwrap_or_else(|error| panic!("connection {number} was left out: {error}"))
        })
        .collect();
    drop(waiting);
}

/// All of them take part in one round.
#[test]
fn nine_hundred_connections_are_served() {
    let server = strict(900);
    let mut peers: Vec<Peer> = (0..900).map(|_| server.connect()).collect();
    peers.iter_mut().for_each(|peer| peer.send(&[1.0]));
    for peer in &mut peers {
        assert_eq!(peer.receive(), [900.0]);
    }
    assert_eq!(server.stop().rounds(), 1);
}

/// A connection that says nothing for the idle time is closed, one that
/// waits for its round is not.
#[test]
fn a_silent_connection_is_closed_and_a_waiting_worker_is_not() {
    let server = TestServer::start(|builder| {
        builder
            .workers(2)
            .policy(Strict)
            .idle(Span::from_millis(300))
    });
    let mut waiting = server.join();
    waiting.send(&[1.0]);
    server.wait(|told| matches!(told, Told::Event(Event::ModelLength { .. })));
    for conn in 1..4 {
        let mut silent = server.join();
        assert!(silent.is_closed());
        let told = server.wait(|told| matches!(told, Told::Disconnected(..)));
        let Told::Disconnected(who, why) = told else {
            unreachable!("the filter lets nothing else through");
        };
        assert_eq!(who, conn);
        assert!(why.contains("--idle"), "{why}");
    }
    assert_eq!(server.join().submit(&[1.0]), [2.0]);
    assert_eq!(waiting.receive(), [2.0]);
}

#[test]
fn connections_over_the_limit_are_turned_away() {
    let server = TestServer::start(|builder| builder.workers(1).max_connections(2));
    let mut first = server.join();
    assert_eq!(first.submit(&[1.0]), [1.0]);
    // Half a header is enough to keep a place.
    let mut second = server.join();
    second.raw(&[0; 4]);
    // The server has read it when the round after it has closed.
    assert_eq!(first.submit(&[1.0]), [1.0]);
    assert_eq!(first.submit(&[1.0]), [1.0]);
    assert!(server.connect().is_closed());
    server.wait(|told| *told == Told::TurnedAway);
    assert_eq!(first.submit(&[1.0]), [1.0]);
    // A place that becomes free can be taken.
    drop(second);
    server.wait(|told| matches!(told, Told::Disconnected(..)));
    // Nobody waits for it before it speaks, and then it is behind by none.
    let mut third = server.join();
    third.send(&[2.0]);
    assert_eq!(third.receive().len(), 1);
}

/// Silent clients hold every place; whoever comes gets the place of the
/// oldest of them at once. Whoever has sent as much as a byte keeps its own.
#[test]
fn silent_clients_make_room_for_workers() {
    let server = TestServer::start(|builder| builder.workers(1).max_connections(8));
    let mut slow = server.join();
    slow.raw(&[0, 0, 0]);
    let mut silent: Vec<Peer> = (1..8).map(|_| server.join()).collect();
    let mut worker = server.join();
    assert_eq!(worker.submit(&[1.0]), [1.0]);
    assert!(silent[0].is_closed());
    let told = server.wait(|told| matches!(told, Told::Disconnected(..)));
    assert!(matches!(told, Told::Disconnected(1, why) if why.contains("made room")));
    assert!(silent[1].has_nothing());
    // The slow one goes on from where it was.
    slow.raw(&hetsync_core::wire::v0::encode(&[2.0])[3..]);
    assert_eq!(slow.receive(), [1.0], "it was late for the first round");
}

/// Far more idle connections than there are places, with one worker before
/// them, and one after.
#[test]
fn five_thousand_idle_connections_lock_nobody_out() {
    let server = TestServer::start(|builder| builder.workers(1).max_connections(64));
    let mut worker = server.join();
    let mut idle = std::collections::VecDeque::new();
    for number in 0..5_000 {
        idle.push_back(server.connect());
        idle.truncate(200);
        if number % 500 == 0 {
            assert_eq!(worker.submit(&[1.0]), [1.0]);
        }
    }
    let mut late = server.connect();
    assert_eq!(late.submit(&[1.0]), [1.0]);
    assert_eq!(worker.submit(&[1.0]), [1.0]);
    assert_eq!(server.stop().rounds(), 11);
}

#[test]
fn a_gradient_that_stops_in_the_middle_is_given_up() {
    let server = TestServer::start(|builder| builder.hello(Span::from_millis(50)));
    let mut stuck = server.join();
    stuck.raw(&[0, 0, 0]);
    assert!(stuck.is_closed());
    let told = server.wait(|told| matches!(told, Told::Disconnected(..)));
    assert!(matches!(told, Told::Disconnected(0, why) if why.contains("--hello")));
}
