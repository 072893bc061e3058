//! Protocol 1 over sockets: rounds, identities, jobs, tokens.

use std::process::Command;

use hetsync_core::Span;
use hetsync_core::policy::{Deadline, Strict};
use hetsync_core::server::{Config, Event, Keep, Late, Token};
use hetsync_core::wire::v1::message::{Fate, Outcome, Recovery, Tensor};
use hetsync_core::wire::v1::{ErrorCode, Message};

use crate::support::{TestServer, Told, is_closed_round};
use crate::v1_peer::{NewPeer, hello, push};

fn is_detached(told: &Told) -> bool {
    matches!(told, Told::Event(Event::Detached { .. }))
}

fn strict(workers: usize) -> TestServer {
    TestServer::start(|builder| builder.workers(workers).policy(Strict))
}

#[test]
fn a_result_says_what_it_is_made_of() {
    let server = TestServer::start(|b| b.workers(2).policy(Deadline::new(Span::from_millis(50))));
    let mut a = NewPeer::join(&server, "a");
    let mut b = NewPeer::join(&server, "b");
    let tensors = || {
        let tensor = |name: &str, elements| Tensor {
            name: name.into(),
            elements,
        };
        vec![tensor("w", 2), tensor("b", 1)]
    };
    a.peer.raw(&push(0, tensors(), &[1.0, 2.0, 3.0]));
    b.peer.raw(&push(0, tensors(), &[0.5, 0.5, 0.5]));
    for peer in [&mut a, &mut b] {
        let (result, floats) = peer.result();
        assert_eq!(floats, [1.5, 2.5, 3.5]);
        assert_eq!(
            (result.round, result.contributors, result.divisor),
            (0, 2, 2.0)
        );
        assert_eq!(result.outcome(), Outcome::Full);
        assert_eq!(result.tensors, tensors());
        assert!(result.missing.is_empty() && result.missing_count == 0);
    }
    // The next one closes without b, and says so.
    a.peer.raw(&push(1, tensors(), &[1.0, 1.0, 1.0]));
    let (result, _) = a.result();
    assert_eq!((result.contributors, result.divisor), (1, 1.0));
    assert_eq!(result.outcome(), Outcome::Deadline);
    assert_eq!(
        (result.missing_count, &result.missing[..]),
        (1, &["b".to_owned()][..])
    );
}

#[test]
fn a_late_worker_is_told_what_it_missed() {
    let server = TestServer::start(|builder| {
        let builder = builder.workers(2).late(Late::Inverse);
        builder.policy(Deadline::new(Span::from_millis(20)))
    });
    let mut a = NewPeer::join(&server, "a");
    let mut b = NewPeer::join(&server, "b");
    a.push(0, &[1.0]);
    b.push(0, &[2.0]);
    assert_eq!(a.result().1, [3.0]);
    assert_eq!(b.result().1, [3.0]);
    for round in 1..4 {
        a.push(round, &[round as f32]);
        assert_eq!(a.result().1, [round as f32]);
    }
    b.push(1, &[8.0]);
    let catch_up = b.caught_up();
    assert_eq!((catch_up.first, catch_up.count, catch_up.next), (1, 3, 4));
    assert_eq!(catch_up.recovery(), Recovery::Results);
    assert_eq!((catch_up.fate(), catch_up.weight), (Fate::Carried, 0.25));
    for round in 1..4 {
        let (result, floats) = b.result();
        assert_eq!((result.round, floats), (round, vec![round as f32]));
    }
    // It is in step again, and its late gradient is in with a quarter.
    a.push(4, &[1.0]);
    b.push(4, &[10.0]);
    let (result, floats) = a.result();
    assert_eq!(floats, [13.0]);
    assert_eq!((result.contributors, result.divisor), (2, 2.25));
    assert_eq!(b.result().1, [13.0]);
}

#[test]
fn what_is_no_longer_kept_is_said_to_be_lost() {
    let server = TestServer::start(|builder| {
        let builder = builder.workers(1).policy(Strict);
        builder.keep(Keep {
            rounds: 2,
            bytes: 1 << 20,
        })
    });
    let mut a = NewPeer::join(&server, "a");
    for round in 0..5 {
        a.push(round, &[round as f32]);
        a.result();
    }
    let (_, welcome, catch_up) = NewPeer::rejoin(&server, "b", None, 0);
    assert_eq!((welcome.round, welcome.kept_rounds), (5, 2));
    assert_eq!(catch_up.recovery(), Recovery::Lost);
    assert_eq!((catch_up.first, catch_up.next), (0, 5));
    // One that has a checkpoint of round 3 can be helped.
    let epoch = welcome.epoch;
    let (mut c, _, catch_up) = NewPeer::rejoin(&server, "c", Some(3), epoch);
    assert_eq!(catch_up.recovery(), Recovery::Results);
    assert_eq!([c.result().0.round, c.result().0.round], [3, 4]);
    // And one that says it is ahead is no worker of this job.
    let mut d = NewPeer::connect(&server);
    d.say(&hello("", "d", b""));
    d.hear();
    d.say(&Message::Join(hetsync_core::wire::v1::message::Join {
        next: Some(9),
        epoch,
    }));
    assert_eq!(d.farewell().0, ErrorCode::Round);
}

#[test]
fn a_worker_that_reconnects_goes_on_with_its_round() {
    let server = strict(2);
    let mut a = NewPeer::join(&server, "a");
    let (mut b, welcome, _) = NewPeer::rejoin(&server, "b", None, 0);
    a.push(0, &[1.0]);
    b.push(0, &[1.0]);
    assert_eq!([a.result().1, b.result().1], [[2.0], [2.0]]);
    a.push(1, &[1.0]);
    // Half a gradient is no gradient.
    let whole = push(1, Vec::new(), &[2.0]);
    b.peer.raw(&whole[..whole.len() - 2]);
    b.reset();
    server.wait(is_detached);
    // Nobody waits for it while it is away, so the round is closed.
    assert_eq!(a.result().1, [1.0]);
    let (mut b, again, catch_up) = NewPeer::rejoin(&server, "b", Some(1), welcome.epoch);
    assert_eq!(again.epoch, welcome.epoch);
    assert_eq!((again.seen, catch_up.count), (Some(0), 1));
    assert_eq!(b.result().1, [1.0]);
    b.push(2, &[4.0]);
    // Its gradient is in; it is lost, comes back, and sends it again.
    b.reset();
    server.wait(is_detached);
    a.push(2, &[1.0]);
    assert_eq!(a.result().1, [5.0]);
    let (mut b, again, catch_up) = NewPeer::rejoin(&server, "b", Some(2), welcome.epoch);
    assert_eq!((again.seen, catch_up.count), (Some(2), 1));
    assert_eq!(b.result().1, [5.0]);
    b.push(2, &[4.0]);
    let repeated = b.caught_up();
    assert_eq!(
        (repeated.fate(), repeated.recovery()),
        (Fate::Repeated, Recovery::None)
    );
    assert_eq!(repeated.next, 3);
    let stats = server.stop();
    assert_eq!(
        (stats.accepted, stats.duplicates, stats.abandoned),
        (5, 1, 0)
    );
}

#[test]
fn a_push_that_is_repeated_within_its_round_counts_once() {
    let server = strict(2);
    let mut a = NewPeer::join(&server, "a");
    let (mut b, welcome, _) = NewPeer::rejoin(&server, "b", None, 0);
    b.push(0, &[2.0]);
    b.reset();
    server.wait(is_detached);
    let (mut b, again, _) = NewPeer::rejoin(&server, "b", Some(0), welcome.epoch);
    assert_eq!(again.seen, Some(0));
    b.push(0, &[2.0]);
    server.wait(|told| matches!(told, Told::Event(Event::Duplicate { .. })));
    a.push(0, &[1.0]);
    assert_eq!(a.result().1, [3.0]);
    let (result, floats) = b.result();
    assert_eq!((result.contributors, floats), (2, vec![3.0]));
}

#[test]
fn a_second_connection_of_one_worker_replaces_the_first() {
    let server = strict(2);
    let mut first = NewPeer::join(&server, "a");
    let mut second = NewPeer::join(&server, "a");
    let (code, text) = first.farewell();
    assert_eq!(code, ErrorCode::Replaced);
    assert!(text.contains("a has connected again"), "{text}");
    let mut b = NewPeer::join(&server, "b");
    second.push(0, &[1.0]);
    b.push(0, &[1.0]);
    assert_eq!(second.result().1, [2.0]);
}

#[test]
fn workers_join_and_leave_while_the_job_runs() {
    let server = strict(1);
    let mut a = NewPeer::join(&server, "a");
    a.push(0, &[1.0]);
    assert_eq!(a.result().1, [1.0]);
    let (mut b, _, catch_up) = NewPeer::rejoin(&server, "b", None, 0);
    assert_eq!(
        (catch_up.recovery(), catch_up.count),
        (Recovery::Results, 1)
    );
    assert_eq!(b.result().1, [1.0]);
    // From its join on it is waited for, before it has ever pushed.
    a.push(1, &[1.0]);
    assert_eq!(a.beat(1), 1);
    b.push(1, &[2.0]);
    assert_eq!(a.result().1, [3.0]);
    assert_eq!(b.result().1, [3.0]);
    // And from its leave on no more.
    a.push(2, &[1.0]);
    assert_eq!(a.beat(2), 2);
    b.leave();
    assert_eq!(a.result().1, [1.0]);
}

#[test]
fn jobs_have_barriers_of_their_own() {
    let server = TestServer::start(|builder| {
        let other = Config {
            workers: 1,
            policy: Box::new(Strict),
            ..Config::default()
        };
        let builder = builder.workers(2).policy(Strict);
        builder.job("other".parse().expect("a name"), other)
    });
    let mut a = NewPeer::join(&server, "a");
    a.push(0, &[1.0]);
    // Its round is open; the same name in another job is another worker.
    let (mut other, _, _) = NewPeer::join_job(&server, "other", "a", None, 0);
    for round in 0..3 {
        other.push(round, &[7.0, 8.0]);
        assert_eq!(other.result().1, [7.0, 8.0]);
    }
    assert_eq!(a.beat(1), 0);
    let mut b = NewPeer::join(&server, "b");
    b.push(0, &[1.0]);
    assert_eq!(a.result().1, [2.0]);
    assert_eq!(server.stop().rounds(), 4);
}

/// A worker of protocol 0 in the default job is a worker like the others;
/// it only is not told as much.
#[test]
fn both_protocols_share_a_port_and_a_job() {
    let server = TestServer::start(|b| b.workers(2).policy(Deadline::new(Span::from_millis(50))));
    let mut old = server.join();
    let mut new = NewPeer::join(&server, "new");
    old.send(&[1.0, 2.0]);
    new.push(0, &[0.5, 0.5]);
    assert_eq!(old.receive(), [1.5, 2.5]);
    let (result, floats) = new.result();
    assert_eq!((result.contributors, floats), (2, vec![1.5, 2.5]));
    new.push(1, &[1.0, 1.0]);
    let (result, _) = new.result();
    assert_eq!(result.missing, ["#0"]);
    // Late: it gets the newest result, as ever.
    old.send(&[9.0, 9.0]);
    assert_eq!(old.receive(), [1.0, 1.0]);
    server.wait(is_closed_round);
}

/// The order of addition is that of names, whoever comes first.
#[test]
fn sums_do_not_depend_on_who_connects_first() {
    let values = [("a", 1e8_f32), ("b", -1e8), ("c", 1.0)];
    let mut sums = Vec::new();
    for order in [[0, 1, 2], [2, 1, 0], [2, 0, 1]] {
        let server = strict(3);
        let mut peers = order.map(|at| (NewPeer::join(&server, values[at].0), values[at].1));
        peers
            .iter_mut()
            .for_each(|(peer, value)| peer.push(0, &[*value]));
        sums.push(peers[0].0.result().1);
    }
    assert_eq!(sums, [[1.0], [1.0], [1.0]]);
}

/// The book's page alone is enough for a client.
#[test]
fn a_client_in_python_reads_the_vectors_and_speaks_to_the_server() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/core/v1_client.py");
    let book = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../book/src/wire-protocol-1.md"
    );
    let python = |arguments: &[&str]| {
        let output = Command::new("python3").arg(script).args(arguments).output();
        let output = output.expect("python3");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = String::from_utf8(output.stdout).expect("text");
        let parse = |line: &str| serde_json::from_str(line).expect("JSON");
        lines.lines().map(parse).collect::<Vec<serde_json::Value>>()
    };
    let vectors = python(&["vectors", book]);
    assert_eq!(vectors.len(), 9);
    assert_eq!(vectors[3]["floats"], serde_json::json!([1.0, -2.0, 0.5]));
    assert_eq!(vectors[4]["message"]["missing"], serde_json::json!(["w2"]));
    assert_eq!(vectors[5]["message"]["weight"], 0.5);
    assert_eq!(vectors[8]["message"]["text"], "wrong token");

    let server = TestServer::start(|b| b.workers(1).policy(Strict).token(Token::new("secret")));
    let address = server.address.to_string();
    let work = |token| python(&["work", &address, "default", "snake", token, "3"]);
    let told = work("secret");
    let floats: Vec<_> = told[1..]
        .iter()
        .map(|frame| frame["floats"].clone())
        .collect();
    let expected = serde_json::json!([[1.0, -2.0, 0.5], [1.0, -2.0, 1.5], [1.0, -2.0, 2.5]]);
    assert_eq!(serde_json::Value::from(floats), expected);
    assert_eq!(told[1]["message"]["tensors"][0]["name"], "w");
    let refused = work("guess");
    assert_eq!(
        refused[0]["message"]["code"],
        ErrorCode::Unauthorized as i32
    );
    server.stop();
}
