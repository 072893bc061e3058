//! What the original server gets wrong, each as a test of this one. All on
//! real sockets; the same rules in virtual time are in `machine`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use hetsync_core::Span;
use hetsync_core::net::listen;
use hetsync_core::policy::{Deadline, Outcome, Strict};
use hetsync_core::server::{ConnId, Event, Refusal};
use hetsync_core::wire::WireError;

use crate::support::{PATIENCE, Peer, TestServer, Told, is_closed_round};

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

/// The original's timer is an idle timer: any traffic starts it anew. Here
/// one peer never falls silent until the round has closed, which would be
/// never if that held the deadline open.
#[test]
fn traffic_does_not_hold_the_deadline_open() {
    let server = deadline(2, 100);
    let mut fast = server.join();
    let mut noisy = server.join();
    fast.send(&[1.0]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A gradient that could go on for longer than any test lasts.
            noisy.raw(&(1_u64 << 30).to_be_bytes());
            while !stop.load(Ordering::Relaxed) {
                if noisy.stream.write_all(&[0]).is_err() {
                    break;
                }
            }
        });
        // Whatever comes of this, the noise has to end.
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fast.receive()));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(answer.expect("an answer"), [1.0]);
    });
    let report = closed_with(&server, &[0]);
    assert_eq!(report.outcome, Outcome::Deadline);
    assert!(report.lasted >= Span::from_millis(100));
}

/// The original answers every connected socket, participants or not.
#[test]
fn only_participants_are_answered() {
    let server = strict(2);
    let mut onlooker = server.join();
    let mut workers = [server.join(), server.join()];
    workers.iter_mut().for_each(|worker| worker.send(&[2.0]));
    for worker in &mut workers {
        assert_eq!(worker.receive(), [4.0]);
    }
    // The replies of that round are out, in roster order or before.
    assert!(onlooker.has_nothing());
}

/// In the original a late gradient opens the next round with a wrong sum,
/// and its sender then reads every reply one round behind.
#[test]
fn a_late_gradient_joins_no_sum_and_its_sender_is_back_in_step() {
    let server = deadline(2, 100);
    let mut fast = server.join();
    let mut slow = server.join();
    // Round 0 closes without the slow one.
    assert_eq!(fast.submit(&[1.0]), [1.0]);
    closed_with(&server, &[0]);
    // Its gradient of round 0 is answered with round 0's result, at once and
    // with no round open, and is in no sum.
    assert_eq!(slow.submit(&[100.0]), [1.0]);
    let late = server.wait(|told| matches!(told, Told::Event(Event::Late { .. })));
    let Told::Event(Event::Late {
        conn,
        missed,
        weight,
        ..
    }) = late
    else {
        panic!("not late: {late:?}");
    };
    assert_eq!((conn, missed, weight), (ConnId(1), 1, None));
    // From here on both are in every round, and see the same results.
    for round in 1..4 {
        fast.send(&[round as f32]);
        slow.send(&[10.0]);
        assert_eq!(slow.receive(), [round as f32 + 10.0]);
        assert_eq!(fast.receive(), [round as f32 + 10.0]);
    }
    assert_eq!(server.stop().late, 1);
}

/// A length of 2^62 or 8 GiB aborts the original.
#[test]
fn a_huge_length_is_refused_and_costs_nobody_anything() {
    let server = strict(1);
    for (conn, length) in [1_u64 << 62, 8 << 30, u64::MAX, (1 << 30) + 4]
        .into_iter()
        .enumerate()
    {
        let mut peer = server.join();
        peer.raw(&length.to_be_bytes());
        assert!(peer.is_closed());
        let limit = 1 << 30;
        let error = WireError::TooLong {
            found: length,
            limit,
        };
        assert_eq!(refused(&server, conn as u64), Refusal::Wire(error));
    }
    assert_eq!(server.join().submit(&[5.0]), [5.0]);
}

/// A length that is no whole number of floats, or none at all.
#[test]
fn a_length_that_is_no_multiple_of_four_is_refused() {
    let server = strict(1);
    for (conn, length) in [0_u64, 1, 2, 3, 5, 41].into_iter().enumerate() {
        let mut peer = server.join();
        peer.raw(&length.to_be_bytes());
        assert!(peer.is_closed());
        let expected = match length {
            0 => WireError::Empty,
            found => WireError::NotFloats { found },
        };
        assert_eq!(refused(&server, conn as u64), Refusal::Wire(expected));
    }
    assert_eq!(server.join().submit(&[5.0]), [5.0]);
}

/// The original reads past a short gradient's buffer.
#[test]
fn a_short_gradient_is_refused_and_the_others_go_on() {
    wrong_length_is_refused(1);
}

/// The original cuts a long gradient off without a word.
#[test]
fn a_long_gradient_is_refused_and_the_others_go_on() {
    wrong_length_is_refused(4);
}

fn wrong_length_is_refused(floats: usize) {
    let server = strict(2);
    let mut workers = [server.join(), server.join()];
    let mut wrong = server.join();
    workers.iter_mut().for_each(|worker| worker.send(&[1.0; 3]));
    workers.iter_mut().for_each(|worker| drop(worker.receive()));
    // Once with a gradient under way in the same round, once without.
    workers[0].send(&[1.0; 3]);
    wrong.send(&vec![7.0; floats]);
    let found = 4 * floats as u64;
    let expected = WireError::Mismatch {
        found,
        expected: 12,
    };
    assert_eq!(refused(&server, 2), Refusal::Wire(expected));
    assert!(wrong.is_closed());
    workers[1].send(&[2.0; 3]);
    for worker in &mut workers {
        assert_eq!(worker.receive(), [3.0; 3]);
    }
}

/// One NaN or infinity in one gradient reaches every replica.
#[test]
fn nan_and_infinity_are_refused_and_the_worker_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let server = strict(2);
        let mut workers = [server.join(), server.join()];
        let mut sick = server.join();
        sick.send(&[0.0, 1.0, bad, 3.0]);
        assert_eq!(refused(&server, 2), Refusal::NotFinite { index: 2 });
        assert!(sick.is_closed());
        workers.iter_mut().for_each(|worker| worker.send(&[1.0; 4]));
        for worker in &mut workers {
            assert_eq!(worker.receive(), [2.0; 4]);
        }
    }
}

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

/// The original serves exactly as many workers as its constant says.
#[test]
fn more_workers_than_configured_take_part() {
    let server = strict(2);
    let mut workers: Vec<Peer> = (0..5).map(|_| server.join()).collect();
    // Round 0 is made up by two; the others' gradients are late for it, so
    // they get its result and are in step.
    workers[0].send(&[1.0]);
    workers[1].send(&[1.0]);
    closed_with(&server, &[0, 1]);
    for worker in &mut workers[2..] {
        assert_eq!(worker.submit(&[1.0]), [2.0]);
    }
    for worker in &mut workers[..2] {
        assert_eq!(worker.receive(), [2.0]);
    }
    for _ in 0..3 {
        workers.iter_mut().for_each(|worker| worker.send(&[1.0]));
        closed_with(&server, &[0, 1, 2, 3, 4]);
        for worker in &mut workers {
            assert_eq!(worker.receive(), [5.0]);
        }
    }
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

/// The original counts gradients, not workers: two of one worker fill a
/// round of two.
#[test]
fn a_worker_that_sends_twice_pushes_nobody_out() {
    let server = strict(2);
    let mut eager = server.join();
    let mut other = server.join();
    eager.send(&[1.0]);
    eager.send(&[10.0]);
    assert_eq!(other.submit(&[5.0]), [6.0]);
    assert_eq!(eager.receive(), [6.0]);
    // The second frame was not read before the first was answered, so it
    // belongs to the next round, in which the other one is waited for.
    assert_eq!(other.submit(&[5.0]), [15.0]);
    assert_eq!(eager.receive(), [15.0]);
    assert_eq!(server.stop().rounds(), 2);
}

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

/// The original loses what a socket does not take at once. This result is
/// far larger than any socket buffer, and its reader is slow to start.
#[test]
fn a_partly_written_reply_is_completed() {
    const FLOATS: usize = 4 << 20;
    let server = strict(2);
    let mut prompt = server.join();
    let mut slow = server.join();
    let gradient: Vec<f32> = (0..FLOATS).map(|at| at as f32).collect();
    for round in 1..3 {
        std::thread::scope(|scope| {
            scope.spawn(|| slow.send(&gradient));
            // The prompt one has its whole reply before the slow one reads
            // a byte: no reader holds up another.
            let sums = prompt.submit(&gradient);
            assert!(sums.iter().zip(&gradient).all(|(sum, g)| *sum == g * 2.0));
        });
        let sums = slow.receive();
        assert!(
            sums.iter().zip(&gradient).all(|(sum, g)| *sum == g * 2.0),
            "round {round} came through damaged"
        );
    }
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

/// Bytes of no protocol at all, from many peers, disturb no round.
#[test]
fn random_bytes_disturb_nobody() {
    let server = TestServer::start(|builder| {
        builder
            .workers(1)
            .policy(Strict)
            .floats(4)
            .max_payload_bytes(1 << 20)
    });
    let mut worker = server.join();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..50 {
        let mut noise = server.connect();
        let bytes: Vec<u8> = (0..200)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        let _ = noise.stream.write_all(&bytes);
        assert_eq!(worker.submit(&[1.0; 4]), [1.0; 4]);
        noise
            .stream
            .set_read_timeout(Some(PATIENCE))
            .expect("timeout");
        assert!(noise.is_closed());
    }
    assert_eq!(server.stop().rounds(), 50);
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

#[test]
fn a_model_beyond_all_memory_is_no_overflow() {
    let server = TestServer::start(|builder| builder.floats(usize::MAX));
    let mut worker = server.join();
    worker.send(&[1.0]);
    assert!(worker.is_closed());
}

/// Memory is counted over all connections, and comes back when they go.
#[test]
fn all_connections_together_stay_within_the_memory_limit() {
    let limit = 250_000;
    let server = TestServer::start(|builder| builder.workers(1).max_memory_bytes(limit));
    let mut first = server.join();
    assert_eq!(first.submit(&[1.0; 20_000]), [1.0; 20_000]);
    // Its gradient and the result take 160,000; there is room for one more.
    let mut second = server.join();
    assert_eq!(second.submit(&[1.0; 20_000]), [1.0; 20_000]);
    let mut third = server.join();
    third.raw(&80_000_u64.to_be_bytes());
    assert!(third.is_closed());
    assert_eq!(refused(&server, 2), Refusal::NoMemory { limit });
    drop(first);
    server.wait(|told| matches!(told, Told::Disconnected(0, _)));
    drop(second);
    server.wait(|told| matches!(told, Told::Disconnected(1, _)));
    assert_eq!(server.join().submit(&[1.0; 20_000]), [1.0; 20_000]);
}

/// Before the model's length is known, one gradient may not take the room of
/// the others; that is told when its length is.
#[test]
fn no_first_gradient_takes_more_than_its_share_of_the_memory() {
    let server = TestServer::start(|builder| builder.workers(2).max_memory_bytes(400_000));
    let mut greedy = server.join();
    greedy.raw(&100_004_u64.to_be_bytes());
    assert!(greedy.is_closed());
    let (found, share) = (100_004, 100_000);
    assert_eq!(refused(&server, 0), Refusal::NoShare { found, share });
    let mut workers = [server.join(), server.join()];
    let gradient = vec![1.0; 25_000];
    workers.iter_mut().for_each(|worker| worker.send(&gradient));
    for worker in &mut workers {
        assert_eq!(worker.receive(), vec![2.0; 25_000]);
    }
}

/// Results that slow readers have not taken count, and their readers are
/// let go before anyone else has to suffer.
#[test]
fn a_slow_readers_results_count_and_cost_it_its_connection() {
    // Far more than a socket takes while nobody reads.
    const FLOATS: usize = 4 << 20;
    const BYTES: usize = 4 * FLOATS;
    let server = TestServer::start(|builder| {
        let policy = Deadline::new(Span::from_millis(50));
        let builder = builder.workers(2).policy(policy).floats(FLOATS);
        builder.max_memory_bytes(4 * BYTES + BYTES / 2)
    });
    let gradient = vec![1.0; FLOATS];
    let mut prompt = server.join();
    let mut slow = server.join();
    std::thread::scope(|scope| {
        scope.spawn(|| slow.send(&gradient));
        prompt.submit(&gradient);
    });
    // Its result is one, the newest the second, and the next the third.
    for _ in 0..3 {
        assert_eq!(prompt.submit(&gradient)[0], 1.0);
    }
    let told = server.wait(|told| matches!(told, Told::Disconnected(..)));
    assert!(matches!(told, Told::Disconnected(1, why) if why.contains("--max-memory")));
}
