//! The machine's rules in virtual time: each situation by hand.

use hetsync_core::aggregate::Mean;
use hetsync_core::policy::{Deadline, Outcome, Policy, Strict};
use hetsync_core::server::{Config, ConnId, Event, Machine, Output, Refusal, RoundReport, WaitFor};
use hetsync_core::{Payload, Span, Time};

/// A machine with its clock, and what it said since last asked.
struct Bench {
    machine: Machine,
    now: Time,
}

impl Bench {
    fn new(workers: usize, policy: impl Policy + 'static) -> Self {
        let machine = Machine::new(Config {
            workers,
            policy: Box::new(policy),
            ..Config::default()
        });
        let now = Time::ZERO;
        Self { machine, now }
    }

    fn join(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.machine.handle_connect(self.now, ConnId(id));
        }
        self.outputs();
    }

    fn send(&mut self, id: u64, value: f32) {
        let payload = Payload::from_floats(&[value]);
        self.machine
            .handle_gradient(self.now, ConnId(id), None, payload);
    }

    /// Lets time pass, with every timeout served to the nanosecond.
    fn pass(&mut self, ms: u64) {
        let end = self.now + Span::from_millis(ms);
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    /// Who was sent what, of which round, and the reports of closed rounds.
    fn results(&mut self) -> (Vec<(u64, u64, f32)>, Vec<RoundReport>) {
        let mut delivered = Vec::new();
        let mut reports = Vec::new();
        for output in self.outputs() {
            match output {
                Output::Deliver { to, result } => {
                    let value = result.payload().to_floats()[0];
                    delivered.push((to.0, result.round().0, value));
                }
                Output::Event(Event::Closed(report)) => reports.push(*report),
                _ => {}
            }
        }
        (delivered, reports)
    }
}

fn two_seconds() -> Deadline {
    Deadline::new(Span::from_secs(2))
}

#[test]
fn the_deadline_counts_from_the_first_gradient_only() {
    let mut bench = Bench::new(4, two_seconds());
    bench.join(0..4);
    bench.pass(10_000);
    for id in 0..3 {
        bench.send(id, 1.0);
        bench.pass(600);
        assert!(bench.results().1.is_empty());
    }
    // Comings and goings are no reason to wait longer either.
    bench.join(4..9);
    bench.machine.handle_disconnect(bench.now, ConnId(7));
    bench.pass(200);
    let (delivered, reports) = bench.results();
    assert_eq!(delivered, [(0, 0, 3.0), (1, 0, 3.0), (2, 0, 3.0)]);
    assert_eq!(reports[0].outcome, Outcome::Deadline);
    assert_eq!(reports[0].lasted, Span::from_secs(2));
    assert_eq!(reports[0].missed, [3, 4, 5, 6, 8].map(ConnId));
}

#[test]
fn a_worker_that_missed_a_round_is_not_waited_for_until_it_speaks() {
    let mut bench = Bench::new(2, two_seconds());
    bench.join(0..2);
    for id in 0..2 {
        bench.send(id, 1.0);
    }
    bench.results();
    // It misses round 1, which costs its deadline once.
    bench.send(0, 1.0);
    bench.pass(2_000);
    let (_, reports) = bench.results();
    assert_eq!(reports[0].missed, [ConnId(1)]);
    // Rounds 2 to 4 cost nothing.
    for round in 2..5 {
        bench.send(0, 1.0);
        let (delivered, reports) = bench.results();
        assert_eq!(delivered, [(0, round, 1.0)]);
        assert_eq!(reports[0].outcome, Outcome::Full);
        assert_eq!(reports[0].overdue, [ConnId(1)]);
    }
    // It speaks: three more rounds behind, handed the newest of them.
    bench.send(1, 50.0);
    assert_eq!(bench.results().0, [(1, 4, 1.0)]);
    // From now on it is waited for again.
    bench.send(0, 1.0);
    assert!(bench.results().1.is_empty());
    bench.send(1, 1.0);
    assert_eq!(bench.results().0, [(0, 5, 2.0), (1, 5, 2.0)]);
}

/// The other rule, to the letter: whoever has taken part and is connected is
/// waited for, in each round anew.
#[test]
fn waiting_for_all_connected_workers_gives_each_round_its_whole_deadline() {
    let mut bench = Bench::new(2, two_seconds());
    bench.machine = Machine::new(Config {
        workers: 2,
        policy: Box::new(two_seconds()),
        wait_for: WaitFor::Connected,
        ..Config::default()
    });
    bench.join(0..3);
    for id in 0..2 {
        bench.send(id, 1.0);
    }
    assert_eq!(bench.results().0.len(), 2);
    for round in 1..4 {
        bench.send(0, 1.0);
        bench.pass(1_999);
        assert!(bench.results().1.is_empty(), "round {round} closed early");
        bench.pass(1);
        let (delivered, reports) = bench.results();
        assert_eq!(delivered, [(0, round, 1.0)]);
        assert_eq!(reports[0].outcome, Outcome::Deadline);
        // Worker 2 has never taken part.
        assert_eq!(reports[0].missed, [ConnId(1)]);
        assert!(reports[0].overdue.is_empty());
    }
    // It speaks in the middle of round 4, is handed round 3, which is all
    // that it missed since, and makes round 4.
    bench.send(0, 1.0);
    bench.pass(1_000);
    bench.send(1, 50.0);
    assert_eq!(bench.results().0, [(1, 3, 1.0)]);
    bench.send(1, 2.0);
    assert_eq!(bench.results().0, [(0, 4, 3.0), (1, 4, 3.0)]);
    // Once it has left it is not waited for.
    bench.send(0, 1.0);
    bench.pass(2_000);
    bench.results();
    bench.send(0, 1.0);
    bench.machine.handle_disconnect(bench.now, ConnId(1));
    let (delivered, reports) = bench.results();
    assert_eq!(delivered, [(0, 6, 1.0)]);
    assert_eq!(reports[0].outcome, Outcome::Full);
}

/// The round it comes late into is open, and now waits for it.
#[test]
fn a_late_worker_can_still_take_part_in_the_round_it_comes_into() {
    let mut bench = Bench::new(3, two_seconds());
    bench.join(0..3);
    for id in 0..3 {
        bench.send(id, 1.0);
    }
    bench.send(0, 2.0);
    bench.send(1, 2.0);
    bench.pass(2_000);
    bench.results();
    // Round 2 is open with one; the late one gets round 1 and then makes it.
    bench.send(0, 3.0);
    bench.send(2, 99.0);
    assert_eq!(bench.results().0, [(2, 1, 4.0)]);
    bench.send(2, 3.0);
    bench.send(1, 3.0);
    let expected = [(0, 2, 9.0), (1, 2, 9.0), (2, 2, 9.0)];
    assert_eq!(bench.results().0, expected);
}

#[test]
fn a_second_gradient_for_one_round_is_dropped() {
    let mut bench = Bench::new(2, Strict);
    bench.join(0..2);
    bench.send(0, 1.0);
    bench.send(0, 100.0);
    assert!(bench.results().0.is_empty());
    assert_eq!(bench.machine.stats().duplicates, 1);
    bench.send(1, 1.0);
    assert_eq!(bench.results().0, [(0, 0, 2.0), (1, 0, 2.0)]);
}

#[test]
fn the_mean_is_over_those_who_are_in() {
    let mut bench = Bench::new(4, two_seconds());
    bench.machine = Machine::new(Config {
        aggregate: Box::new(Mean),
        policy: Box::new(two_seconds()),
        ..Config::default()
    });
    bench.join(0..4);
    bench.send(0, 1.0);
    bench.send(1, 2.0);
    bench.send(2, 6.0);
    bench.pass(2_000);
    assert_eq!(bench.results().0[0], (0, 0, 3.0));
}

#[test]
fn a_lost_connection_takes_its_gradient_out_of_the_open_round() {
    let mut bench = Bench::new(3, Strict);
    bench.join(0..3);
    bench.send(0, 10.0);
    bench.send(1, 1.0);
    bench.machine.handle_disconnect(bench.now, ConnId(0));
    bench.send(2, 100.0);
    assert!(bench.results().0.is_empty(), "a third one is missing");
    // It comes back as another worker and is counted once.
    bench.join(3..4);
    bench.send(3, 10.0);
    assert_eq!(bench.results().0[0], (1, 0, 111.0));
    assert_eq!(bench.machine.stats().abandoned, 1);
    // A round left without any gradient is not open.
    bench.send(3, 1.0);
    assert!(bench.machine.has_open_round());
    bench.machine.handle_disconnect(bench.now, ConnId(3));
    assert!(!bench.machine.has_open_round());
    bench.send(1, 1.0);
    bench.send(2, 1.0);
    assert_eq!(bench.results().0, [(1, 1, 2.0), (2, 1, 2.0)]);
}

#[test]
fn a_half_closed_worker_is_counted_and_answered_and_not_waited_for() {
    let mut bench = Bench::new(2, Strict);
    bench.join(0..3);
    bench.send(0, 1.0);
    bench.machine.handle_half_close(bench.now, ConnId(0));
    bench.send(1, 2.0);
    assert_eq!(bench.results().0, [(0, 0, 3.0), (1, 0, 3.0)]);
    bench.send(1, 5.0);
    assert_eq!(bench.results().0, [(1, 1, 5.0)]);
}

#[test]
fn whoever_is_leaving_does_not_hold_the_models_length() {
    let mut bench = Bench::new(2, Strict);
    bench.join(0..3);
    bench.send(0, 9.0);
    bench.machine.handle_half_close(bench.now, ConnId(0));
    bench.outputs();
    for id in 1..3 {
        let payload = Payload::from_floats(&[1.0, 2.0]);
        let conn = ConnId(id);
        bench
            .machine
            .handle_gradient(bench.now, conn, None, payload);
    }
    let outputs = bench.outputs();
    let gone = |output: &Output| matches!(output, Output::Disconnect { conn: ConnId(0) });
    assert!(outputs.iter().any(gone), "{outputs:?}");
    let sum = [2.0, 4.0];
    let told = |output: &&Output| {
        matches!(output,
        Output::Deliver { result, .. } if result.payload().to_floats() == sum)
    };
    assert_eq!(outputs.iter().filter(told).count(), 2);
}

#[test]
fn a_refused_worker_may_have_been_the_last_one_waited_for() {
    let mut bench = Bench::new(2, Strict);
    bench.join(0..2);
    bench.send(0, 1.0);
    bench.send(1, 1.0);
    bench.results();
    bench.send(0, 3.0);
    bench.send(1, f32::NAN);
    let outputs = bench.outputs();
    let conn = ConnId(1);
    let refusal = Refusal::NotFinite { index: 0 };
    assert!(outputs.iter().any(|output| matches!(output,
        Output::Event(event) if *event == Event::Refused { conn, refusal })));
    assert!(outputs.iter().any(|output| matches!(output,
        Output::Disconnect { conn } if *conn == ConnId(1))));
    assert!(outputs.iter().any(|output| matches!(output,
        Output::Deliver { to, result } if *to == ConnId(0) && result.contributors() == 1)));
    // What it sends after that is nobody's.
    bench.send(1, 5.0);
    assert!(bench.outputs().is_empty());
}

/// Two of four have sent when everybody leaves: their gradients must not
/// wait for another job's.
#[test]
fn a_round_that_everybody_left_is_abandoned() {
    let mut bench = Bench::new(4, Strict);
    bench.join(0..3);
    bench.send(0, 100.0);
    bench.send(1, 100.0);
    for id in 0..3 {
        bench.machine.handle_disconnect(bench.now, ConnId(id));
    }
    // The first took its own along, the second left the round empty.
    let abandoned = bench
        .outputs()
        .into_iter()
        .any(|output| matches!(output, Output::Event(Event::Abandoned { gradients: 1, .. })));
    assert!(abandoned);
    assert_eq!(bench.machine.stats().abandoned, 2);
    assert_eq!(bench.machine.poll_timeout(), None);
    bench.join(3..7);
    for id in 3..7 {
        bench.send(id, 1.0);
    }
    assert_eq!(bench.results().0.first(), Some(&(3, 0, 4.0)));
}

#[test]
fn a_bystander_of_an_earlier_job_can_start_the_next_one() {
    let mut bench = Bench::new(1, Strict);
    bench.join(0..2);
    for _ in 0..3 {
        bench.send(0, 1.0);
    }
    bench.machine.handle_disconnect(bench.now, ConnId(0));
    bench.results();
    // It saw rounds close, but their model is gone with those who made it.
    bench.send(1, 7.0);
    assert_eq!(bench.results().0, [(1, 3, 7.0)]);
}

#[test]
fn a_full_first_round_needs_as_many_as_configured_and_later_ones_do_not() {
    let mut bench = Bench::new(3, Strict);
    bench.join(0..2);
    bench.send(0, 1.0);
    bench.send(1, 1.0);
    bench.pass(1_000_000);
    assert!(bench.results().1.is_empty());
    bench.join([2]);
    bench.send(2, 1.0);
    assert_eq!(bench.results().1.len(), 1);
    bench.machine.handle_disconnect(bench.now, ConnId(0));
    bench.send(1, 1.0);
    bench.send(2, 1.0);
    assert_eq!(bench.results().1.len(), 1);
}

#[test]
fn absent_workers_are_told_apart_from_silent_ones() {
    let mut bench = Bench::new(4, two_seconds());
    bench.join(0..2);
    bench.send(0, 1.0);
    bench.pass(2_000);
    let (_, reports) = bench.results();
    assert_eq!(reports[0].missed, [ConnId(1)]);
    assert_eq!(reports[0].absent, 2);
}

/// Buffers go round: a long run needs as many as there are workers, and two
/// results.
#[test]
fn buffers_and_results_are_used_again() {
    let mut bench = Bench::new(2, Strict);
    bench.join(0..2);
    let mut places = std::collections::BTreeSet::new();
    let mut buffers: Vec<Vec<u8>> = Vec::new();
    for _ in 0..50 {
        for id in 0..2 {
            let mut bytes = buffers.pop().unwrap_or_else(|| vec![0; 400]);
            bytes.fill(0);
            let payload = Payload::from_bytes(bytes).expect("whole floats");
            bench
                .machine
                .handle_gradient(bench.now, ConnId(id), None, payload);
        }
        for output in bench.outputs() {
            if let Output::Deliver { result, .. } = output {
                places.insert(result.as_bytes().as_ptr() as usize);
            }
        }
        while let Some(buffer) = bench.machine.spare_buffer() {
            buffers.push(buffer);
        }
        assert_eq!(buffers.len(), 2);
    }
    assert!(places.len() <= 3, "{} result buffers", places.len());
}

/// Connections that have not spoken are not left out of a first round that
/// has all the gradients that it waited for, and cost nobody anything.
#[test]
fn a_full_first_round_has_left_nobody_out() {
    let mut bench = Bench::new(2, Strict);
    bench.join(0..4);
    bench.send(0, 1.0);
    bench.pass(5);
    bench.send(1, 2.0);
    let (delivered, reports) = bench.results();
    assert_eq!(delivered, [(0, 0, 3.0), (1, 0, 3.0)]);
    assert_eq!(reports[0].outcome, Outcome::Full);
    assert_eq!(reports[0].missed, []);
    let charged: Vec<u64> = reports[0].bill.charges.iter().map(|c| c.conn.0).collect();
    assert_eq!(charged, [1]);
}
