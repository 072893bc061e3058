//! Who is in a round, when it closes, and who is answered.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use hetsync_core::Span;
use hetsync_core::policy::Outcome;
use hetsync_core::server::{ConnId, Event};

use super::{closed_with, deadline, strict};
use crate::support::{Peer, Told};

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
