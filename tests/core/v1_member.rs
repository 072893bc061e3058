//! The library's own worker of protocol 1, against the library's server.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hetsync_core::member::{Answer, Fate, Identity};
use hetsync_core::net::{ClientError, MemberClient};
use hetsync_core::policy::{Deadline, Strict};
use hetsync_core::server::{Descent, Keep, Token};
use hetsync_core::wire::v1::ErrorCode;
use hetsync_core::worker::Retry;
use hetsync_core::{Payload, Span};

use crate::support::{TestServer, Told, is_closed_round};
use crate::v1_fuzz::Random;

fn identity(name: &str, token: Option<&str>) -> Identity {
    Identity {
        job: "default".parse().expect("a name"),
        worker: name.parse().expect("a name"),
        token: token.map(Token::new),
    }
}

fn client(address: SocketAddr, name: &str) -> MemberClient {
    let retry = Retry {
        first: Span::from_millis(1),
        max: Span::from_millis(5),
        attempts: 100_000,
    };
    MemberClient::with_retry(address, identity(name, None), retry)
}

/// Passes bytes on, and cuts each connection after some thousand of them,
/// in either direction and wherever that is.
fn flaky_proxy(to: SocketAddr, seed: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let cuts = Arc::new(AtomicU64::new(seed));
    std::thread::spawn(move || {
        for inward in listener.incoming().flatten() {
            let Ok(outward) = TcpStream::connect(to) else {
                return;
            };
            let mut random = Random(cuts.fetch_add(1, Ordering::Relaxed));
            for (mut from, mut to) in [
                (
                    inward.try_clone().expect("clone"),
                    outward.try_clone().expect("clone"),
                ),
                (outward, inward),
            ] {
                let mut left = 300 + random.below(1_500);
                std::thread::spawn(move || {
                    let mut bytes = [0; 512];
                    while left > 0 {
                        let most = left.min(bytes.len());
                        let Ok(count @ 1..) = from.read(&mut bytes[..most]) else {
                            break;
                        };
                        left -= count;
                        if to.write_all(&bytes[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                });
            }
        }
    });
    address
}

/// Three workers whose connections break all the time: each has the same
/// results in the same order, from the first on.
#[test]
fn replicas_are_equal_over_connections_that_break() {
    const ROUNDS: u64 = 150;
    let server = TestServer::start(|builder| {
        let builder = builder.workers(3).linger(Span::from_secs(600));
        let builder = builder.keep(Keep {
            rounds: 100_000,
            bytes: 1 << 26,
        });
        builder.policy(Deadline::new(Span::from_millis(10)))
    });
    let address = flaky_proxy(server.address, 7);
    let workers: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .enumerate()
        .map(|(number, name)| {
            std::thread::spawn(move || {
                let mut random = Random(number as u64);
                let mut client = client(address, name);
                let mut applied: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
                let mut fates = [0; 3];
                while applied.len() < ROUNDS as usize {
                    let float = |random: &mut Random| (random.next() as i32) as f32;
                    let floats: Vec<f32> = (0..20).map(|_| float(&mut random)).collect();
                    let gradient = Payload::from_floats(&floats);
                    let answer = smol::block_on(client.submit(gradient)).expect("an answer");
                    assert!(!answer.is_lost);
                    match answer.fate {
                        Fate::Counted => fates[0] += 1,
                        Fate::Dropped => fates[1] += 1,
                        other => panic!("{other:?}"),
                    }
                    for result in answer.results {
                        let round = result.about.round;
                        assert_eq!(round, applied.len() as u64, "no gap, no repetition");
                        let floats = result.payload.to_floats();
                        applied.insert(round, floats.iter().map(|f| f.to_bits()).collect());
                    }
                }
                smol::block_on(client.leave());
                (applied, fates)
            })
        })
        .collect();
    let done: Vec<_> = workers
        .into_iter()
        .map(|w| w.join().expect("a worker"))
        .collect();
    for round in 0..ROUNDS {
        assert_eq!(done[0].0[&round], done[1].0[&round]);
        assert_eq!(done[0].0[&round], done[2].0[&round]);
    }
    assert!(done.iter().all(|(_, fates)| fates[0] > 0));
    for _ in 0..20 {
        server.wait(|told| matches!(told, Told::Disconnected(..)));
    }
}

#[test]
fn who_is_refused_is_told_why_and_does_not_try_for_ever() {
    let server = TestServer::start(|b| b.workers(1).policy(Strict).token(Token::new("secret")));
    let mut wrong = MemberClient::new(server.address, identity("a", Some("guess")));
    let gradient = || Payload::from_floats(&[1.0]);
    let refused = smol::block_on(wrong.submit(gradient()));
    let Err(ClientError::Denied { code, text }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(code, ErrorCode::Unauthorized);
    assert!(text.contains("token"), "{text}");
    let mut right = MemberClient::new(server.address, identity("a", Some("secret")));
    let answer = smol::block_on(right.submit(gradient())).expect("an answer");
    assert_eq!((answer.fate, answer.next), (Fate::Counted, 1));
    // A NaN costs the connection; with the next gradient it is back.
    let refused = smol::block_on(right.submit(Payload::from_floats(&[f32::NAN])));
    assert!(matches!(
        refused,
        Err(ClientError::Denied {
            code: ErrorCode::NotFinite,
            ..
        })
    ));
    let answer = smol::block_on(right.submit(gradient())).expect("an answer");
    assert_eq!((answer.fate, answer.next), (Fate::Counted, 2));
}

#[test]
fn a_newcomer_gets_what_it_missed_before_its_first_gradient() {
    let server = TestServer::start(|b| b.workers(1).policy(Strict));
    let mut a = client(server.address, "a");
    for round in 0..3 {
        let gradient = Payload::from_floats(&[round as f32]);
        smol::block_on(a.submit(gradient)).expect("an answer");
        server.wait(is_closed_round);
    }
    let mut b = client(server.address, "b");
    let missed = smol::block_on(b.connect()).expect("it joins");
    let floats = |at: usize| missed.results[at].payload.to_floats();
    assert_eq!((missed.results.len(), missed.next), (3, 3));
    assert_eq!([floats(0), floats(1), floats(2)], [[0.0], [1.0], [2.0]]);
    // One that pushes without asking is late, and told the same.
    let mut c = client(server.address, "c");
    let answer = smol::block_on(c.submit(Payload::from_floats(&[9.0]))).expect("an answer");
    assert_eq!((answer.fate, answer.results.len()), (Fate::Dropped, 3));
}

/// A server that holds the model sends it to whoever begins or has missed
/// too much, and it has the bits of the workers' replicas.
#[test]
fn a_model_that_the_server_holds_is_sent() {
    let begin = || Descent::new(vec![1.0, 2.0, 3.0], 0.1);
    let server = TestServer::start(|builder| {
        let keep = Keep {
            rounds: 1,
            bytes: 1,
        };
        builder.workers(1).policy(Strict).keep(keep).model(begin())
    });
    let mut a = client(server.address, "a");
    let first = smol::block_on(a.connect()).expect("it joins");
    let model = |answer: &Answer| answer.model.as_ref().map(Payload::to_floats);
    assert_eq!(model(&first), Some(vec![1.0, 2.0, 3.0]));
    assert!(first.results.is_empty() && !first.is_lost);
    let mut replica = begin();
    for round in 0..5 {
        let gradient = Payload::from_floats(&[0.3, -7.7, round as f32]);
        let answer = smol::block_on(a.submit(gradient)).expect("an answer");
        assert_eq!(model(&answer), None, "it is in step");
        for result in answer.results {
            replica.step(&result.payload, result.about.divisor as f32);
        }
    }
    let mut b = client(server.address, "b");
    b.resume(2, a.position().expect("it has one").1);
    let answer = smol::block_on(b.connect()).expect("it joins");
    assert_eq!((answer.next, answer.is_lost), (5, false));
    assert_eq!(model(&answer).as_deref(), Some(replica.parameters()));
    // A gradient that was computed on another model is dropped.
    let mut c = client(server.address, "c");
    let answer = smol::block_on(c.submit(Payload::from_floats(&[1.0; 3]))).expect("an answer");
    assert_eq!(answer.fate, Fate::Dropped);
    assert_eq!(model(&answer).as_deref(), Some(replica.parameters()));
}

/// A connection that breaks between the welcome of another epoch and the
/// catch-up leaves what was applied where it was: of the epoch before.
#[test]
fn a_position_is_of_the_epoch_that_it_was_told_in() {
    use hetsync_core::Time;
    use hetsync_core::member::{Member, Output};
    use hetsync_core::wire::v1::Message;
    use hetsync_core::wire::v1::message::Welcome;
    let retry = Retry {
        first: Span::ZERO,
        ..Retry::default()
    };
    let mut member = Member::new(identity("w", None), retry);
    member.resume(7, 1);
    for _ in 0..3 {
        assert_eq!(member.poll_output(), Some(Output::Connect));
        member.handle_connected();
        member.poll_output().expect("a hello");
        let welcome = Welcome {
            epoch: 2,
            ..Welcome::default()
        };
        member
            .handle_message(Time::ZERO, Message::Welcome(welcome), None)
            .expect("a welcome has its place");
        let Some(Output::Say(Message::Join(join))) = member.poll_output() else {
            panic!("it joins");
        };
        assert_eq!((join.next, join.epoch), (Some(7), 1));
        assert_eq!(member.position(), Some((7, 1)));
        member.handle_disconnected(Time::ZERO);
        member.handle_timeout(Time::ZERO);
    }
}
