//! What peers of protocol 1 do wrong, by accident or not.

use hetsync_core::Time;
use hetsync_core::policy::{Outcome, Policy, RoundView, Strict, Verdict};
use hetsync_core::server::{Event, RoundId, Token};
use hetsync_core::wire::v1::message::{Hello, Join, Leave, Push, Tensor};
use hetsync_core::wire::v1::{self, ErrorCode, HEADER_BYTES, Message};

use crate::support::{TestServer, Told};
use crate::v1_peer::{NewPeer, hello, push};

fn server() -> TestServer {
    TestServer::start(|builder| {
        let builder = builder.workers(1).policy(Strict).max_payload_bytes(64);
        builder.token(Token::new("secret"))
    })
}

/// What the server says to these bytes, and that it goes on serving.
fn told(bytes: &[u8]) -> (ErrorCode, String) {
    let server = server();
    let mut peer = NewPeer::connect(&server);
    peer.try_raw(bytes);
    let told = peer.farewell();
    // Else it is read for a while in vain.
    drop(peer);
    let departed = |told: &Told| matches!(told, Told::Disconnected(0, _));
    server.wait(departed);
    let mut other = member(&server, "other");
    other.push(0, &[1.0]);
    assert_eq!(other.result().1, [1.0]);
    told
}

fn member(server: &TestServer, name: &str) -> NewPeer {
    let mut peer = NewPeer::connect(server);
    peer.say(&hello("", name, b"secret"));
    assert!(matches!(peer.hear(), Message::Welcome(_)));
    peer.say(&Message::Join(Join::default()));
    peer.caught_up();
    peer
}

/// What a member is told to these bytes.
fn member_told(bytes: &[u8]) -> (ErrorCode, String) {
    let server = server();
    let mut peer = member(&server, "a");
    peer.push(0, &[1.0, 2.0]);
    peer.result();
    peer.try_raw(bytes);
    peer.farewell()
}

#[test]
fn who_may_not_come_in_is_told_why() {
    let (code, text) = told(&v1::encode(&hello("", "a", b"guess")));
    assert_eq!(code, ErrorCode::Unauthorized);
    assert!(text.contains("not the server's"), "{text}");
    let (code, text) = told(&v1::encode(&hello("", "a", b"")));
    assert_eq!(code, ErrorCode::Unauthorized);
    assert!(text.contains("demands"), "{text}");
    let (code, text) = told(&v1::encode(&hello("else", "a", b"secret")));
    assert_eq!(code, ErrorCode::UnknownJob);
    assert!(text.contains("else"), "{text}");
    for name in ["", "two words", "\u{1b}[2J", &"x".repeat(65)] {
        let (code, text) = told(&v1::encode(&hello("", name, b"secret")));
        assert_eq!(code, ErrorCode::Protocol);
        assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text}");
        let (code, text) = told(&v1::encode(&hello(&format!("!{name}"), "a", b"secret")));
        assert_eq!(code, ErrorCode::UnknownJob);
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn a_peer_that_has_not_said_hello_gets_no_memory() {
    // Not even with a header that is right, for a gradient that would be.
    let (code, _) = told(&push(0, Vec::new(), &[1.0]));
    assert_eq!(code, ErrorCode::TooLarge);
    let long = Message::Hello(Hello {
        token: vec![0; 5000],
        ..Hello::default()
    });
    assert_eq!(told(&v1::encode(&long)).0, ErrorCode::TooLarge);
    assert_eq!(
        told(&v1::encode(&Message::Join(Join::default()))).0,
        ErrorCode::Protocol
    );
    assert_eq!(
        told(&v1::encode(&Message::Leave(Leave {}))).0,
        ErrorCode::Protocol
    );
    assert_eq!(
        told(b"HSYN but not really, and on for more than a header").0,
        ErrorCode::Version
    );
}

#[test]
fn frames_that_are_not_in_order_are_told_and_nobody_else_is_hurt() {
    let good = push(1, Vec::new(), &[1.0, 2.0]);
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    assert_eq!(member_told(&flipped(0)).0, ErrorCode::Protocol);
    assert_eq!(member_told(&flipped(4)).0, ErrorCode::Version);
    for at in [5, 6, 9, 17, 28, HEADER_BYTES, good.len() - 1] {
        assert_eq!(
            member_told(&flipped(at)).0,
            ErrorCode::Checksum,
            "byte {at}"
        );
    }
    // Longer than --max-payload, and nothing is set aside for it.
    let huge = Message::Push(Push {
        weight: 0.0,
        round: 1,
        tensors: Vec::new(),
    });
    let huge = v1::encode_before_tensors(&huge, 1 << 40, 0);
    let (code, text) = member_told(&huge);
    assert_eq!(code, ErrorCode::TooLarge);
    assert!(text.contains("--max-payload"), "{text}");
    // A server does not take what only a server sends.
    let welcome = Message::Welcome(v1::message::Welcome::default());
    let (code, text) = member_told(&v1::encode(&welcome));
    assert_eq!(code, ErrorCode::Protocol);
    assert!(text.contains("welcome"), "{text}");
    assert_eq!(
        member_told(&v1::encode(&hello("", "a", b"secret"))).0,
        ErrorCode::Protocol
    );
}

#[test]
fn gradients_that_do_not_fit_are_told_so() {
    let (code, text) = member_told(&push(1, Vec::new(), &[1.0, 2.0, 3.0]));
    assert_eq!(code, ErrorCode::Layout);
    assert!(
        text.contains("12 bytes") && text.contains("has 8"),
        "{text}"
    );
    let named = vec![Tensor {
        name: "w".into(),
        elements: 2,
    }];
    let (code, text) = member_told(&push(1, named, &[1.0, 2.0]));
    assert_eq!(code, ErrorCode::Layout);
    assert!(text.contains("\"w\" of 2 elements"), "{text}");
    let (code, text) = member_told(&push(1, Vec::new(), &[1.0, f32::NAN]));
    assert_eq!(code, ErrorCode::NotFinite);
    assert!(text.contains("element 1"), "{text}");
    let (code, text) = member_told(&push(7, Vec::new(), &[1.0, 2.0]));
    assert_eq!(code, ErrorCode::Round);
    assert!(
        text.contains("round 7") && text.contains("round 1"),
        "{text}"
    );
}

/// The reason gets through although the peer is still sending: megabytes
/// are on their way when the server refuses them by their head.
#[test]
fn an_error_is_read_by_a_peer_that_is_still_sending() {
    let server = TestServer::start(|b| b.workers(1).policy(Strict));
    let mut peer = NewPeer::join(&server, "a");
    peer.push(0, &[1.0]);
    peer.result();
    peer.try_raw(&push(1, Vec::new(), &vec![0.5; 2_000_000]));
    assert_eq!(peer.farewell().0, ErrorCode::Layout);
}

#[test]
fn a_worker_refused_may_come_again() {
    let server = TestServer::start(|b| b.workers(1).policy(Strict));
    let (mut peer, welcome, _) = NewPeer::rejoin(&server, "a", None, 0);
    let mut stays = NewPeer::join(&server, "b");
    peer.push(0, &[f32::INFINITY]);
    assert_eq!(peer.farewell().0, ErrorCode::NotFinite);
    let (mut peer, again, _) = NewPeer::rejoin(&server, "a", Some(0), welcome.epoch);
    assert_eq!((again.epoch, again.seen), (welcome.epoch, None));
    peer.push(0, &[1.0]);
    stays.push(0, &[1.0]);
    assert_eq!(peer.result().1, [2.0]);
}

/// Waits for everyone in the first round, and then for nobody.
#[derive(Debug)]
struct OneIsEnough;

impl Policy for OneIsEnough {
    fn name(&self) -> &'static str {
        "one is enough"
    }

    fn decide(&mut self, _now: Time, round: &RoundView<'_>) -> Verdict {
        match (round.round, round.awaited) {
            (_, 0) => Verdict::Close(Outcome::Full),
            (RoundId(0), _) => Verdict::Wait,
            _ => Verdict::Close(Outcome::Quorum),
        }
    }
}

/// It reads nothing of what it is sent; the others do not feel it.
#[test]
fn a_slow_reader_delays_nobody() {
    let server = TestServer::start(|builder| builder.workers(2).policy(OneIsEnough));
    let mut quick = NewPeer::join(&server, "quick");
    let mut slow = NewPeer::join(&server, "slow");
    let floats = vec![1.0; 1_000_000];
    for round in 0..5 {
        quick.push(round, &floats);
        if round == 0 {
            slow.push(0, &floats);
        }
        assert_eq!(quick.result().0.round, round);
    }
    // It wakes up, and gets all it was promised, in order.
    assert_eq!(slow.result().0.round, 0);
    slow.push(1, &floats);
    let catch_up = slow.caught_up();
    assert_eq!((catch_up.first, catch_up.count), (1, 4));
    for round in 1..5 {
        assert_eq!(slow.result().0.round, round);
    }
}

/// A connection that nobody reads from is replaced all the same, and is not
/// kept for the sake of telling it so.
#[test]
fn a_connection_that_is_stuck_is_given_up_for_another() {
    let server = TestServer::start(|b| b.workers(1).policy(Strict));
    let mut stuck = NewPeer::join(&server, "a");
    let floats = vec![1.0; 4_000_000];
    stuck.try_raw(&push(0, Vec::new(), &floats));
    server.wait(|told| matches!(told, Told::Event(Event::Closed(_))));
    let mut again = NewPeer::join(&server, "a");
    let departed = server.wait(|told| matches!(told, Told::Disconnected(0, _)));
    assert!(matches!(departed, Told::Disconnected(_, why) if why.contains("connected again")));
    assert_eq!(again.result().1, floats);
}

/// A second gradient before the answer to the first stays where it is.
#[test]
fn a_worker_that_runs_ahead_is_held_back() {
    let server = TestServer::start(|b| b.workers(2).policy(Strict));
    let mut hasty = NewPeer::join(&server, "a");
    let mut other = NewPeer::join(&server, "b");
    let both = [push(0, Vec::new(), &[1.0]), push(1, Vec::new(), &[2.0])];
    hasty.peer.raw(&both.concat());
    other.push(0, &[1.0]);
    assert_eq!(hasty.result().1, [2.0]);
    assert_eq!(other.result().1, [2.0]);
    other.push(1, &[1.0]);
    assert_eq!(hasty.result().1, [3.0]);
}

#[test]
fn a_promise_of_heartbeats_is_held_to() {
    let server = TestServer::start(|b| b.workers(2).policy(Strict));
    let mut peer = NewPeer::connect(&server);
    peer.say(&Message::Hello(Hello {
        worker: "a".into(),
        heartbeat_ms: 1,
        ..Hello::default()
    }));
    peer.hear();
    let (code, text) = peer.farewell();
    assert_eq!(code, ErrorCode::Timeout);
    assert!(text.contains("promised"), "{text}");
}

#[test]
fn old_workers_cannot_know_a_token() {
    let server = server();
    let mut old = server.connect();
    old.raw(&hetsync_core::wire::v0::encode(&[1.0]));
    assert!(old.is_closed());
    let told = server.wait(|told| matches!(told, Told::Disconnected(0, _)));
    let Told::Disconnected(_, why) = told else {
        unreachable!()
    };
    assert!(why.contains("protocol 0"), "{why}");
}

/// After everybody has left, what comes is another job.
#[test]
fn a_job_that_starts_over_says_so() {
    let server = TestServer::start(|b| b.workers(1).policy(Strict));
    let (mut peer, first, _) = NewPeer::rejoin(&server, "a", None, 0);
    peer.push(0, &[1.0]);
    peer.result();
    peer.leave();
    server.wait(|told| matches!(told, Told::Event(Event::Left { .. })));
    // It has applied round 0 of another epoch, and is the first to say what
    // this one begins with.
    let (mut peer, second, catch_up) = NewPeer::rejoin(&server, "a", Some(1), first.epoch);
    assert_ne!(first.epoch, second.epoch);
    assert_eq!(catch_up.recovery(), v1::message::Recovery::None);
    // Whoever begins with something else must take the model from elsewhere.
    let (_, _, catch_up) = NewPeer::rejoin(&server, "b", None, 0);
    assert_eq!(catch_up.recovery(), v1::message::Recovery::Lost);
    let (_, _, catch_up) = NewPeer::rejoin(&server, "c", Some(1), first.epoch);
    assert_eq!(catch_up.recovery(), v1::message::Recovery::None);
    peer.push(catch_up.next, &[1.0, 2.0, 3.0]);
    assert_eq!(peer.result().1, [1.0, 2.0, 3.0]);
}
