//! Late gradients: dropped, or weighted into the next round to close, and
//! told of either way.

use hetsync_core::aggregate::{Aggregate, Mean, Sum};
use hetsync_core::policy::Deadline;
use hetsync_core::server::{
    Config, ConnId, Event, Late, LateAccount, Machine, Output, Refusal, RoundId, RoundReport,
};
use hetsync_core::{Payload, Span, Time};

struct Bench {
    machine: Machine,
    now: Time,
}

/// What came out since last asked.
#[derive(Default)]
struct Said {
    sums: Vec<(u64, f32)>,
    reports: Vec<RoundReport>,
    /// Weights of late gradients.
    late: Vec<Option<f32>>,
    refused: Vec<Refusal>,
    duplicates: usize,
}

impl Bench {
    /// Two workers; worker 1 misses the first `missed` rounds, of 1.0 each.
    fn late_by(missed: u64, late: Late, aggregate: impl Aggregate + 'static) -> Self {
        let machine = Machine::new(Config {
            workers: 2,
            policy: Box::new(Deadline::new(Span::from_millis(10))),
            aggregate: Box::new(aggregate),
            late,
            ..Config::default()
        });
        let mut bench = Self {
            machine,
            now: Time::ZERO,
        };
        for id in 0..2 {
            bench.machine.handle_connect(bench.now, ConnId(id));
        }
        for _ in 0..missed {
            bench.send(0, None, 1.0);
            bench.pass(10);
        }
        assert_eq!(bench.said().reports.len() as u64, missed);
        bench
    }

    fn send(&mut self, id: u64, of: Option<u64>, value: f32) {
        let payload = Payload::from_floats(&[value]);
        let of = of.map(RoundId);
        self.machine
            .handle_gradient(self.now, ConnId(id), of, payload);
    }

    fn pass(&mut self, ms: u64) {
        self.now += Span::from_millis(ms);
        self.machine.handle_timeout(self.now);
    }

    fn said(&mut self) -> Said {
        let mut said = Said::default();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Deliver { to, result } => {
                    said.sums.push((to.0, result.payload().to_floats()[0]));
                }
                Output::Event(Event::Closed(report)) => said.reports.push(*report),
                Output::Event(Event::Late { weight, .. }) => said.late.push(weight),
                Output::Event(Event::Refused { refusal, .. }) => said.refused.push(refusal),
                Output::Event(Event::Duplicate { .. }) => said.duplicates += 1,
                _ => {}
            }
        }
        said
    }
}

#[test]
fn a_late_gradient_goes_into_the_next_round_at_its_weight_and_is_told_of() {
    for (late, weight) in [
        (Late::Drop, None),
        (Late::NextRound, Some(1.0)),
        (Late::Inverse, Some(0.25)),
        (Late::Power(0.5), Some(0.125)),
    ] {
        let mut bench = Bench::late_by(3, late, Sum);
        bench.send(1, None, 64.0);
        let said = bench.said();
        // Its sender is answered at once with the newest result, and no
        // round is opened by it.
        assert_eq!(said.sums, [(1, 1.0)], "{late:?}");
        assert_eq!(said.late, [weight]);
        assert!(!bench.machine.has_open_round());
        assert_eq!(bench.machine.poll_timeout(), None);

        bench.send(0, None, 1.0);
        bench.send(1, None, 2.0);
        let said = bench.said();
        let sum = 3.0 + weight.map_or(0.0, |weight| 64.0 * weight);
        assert_eq!(said.sums, [(0, sum), (1, sum)]);
        let report = &said.reports[0];
        assert_eq!(report.arrivals.len(), 2);
        let (conn, of) = (ConnId(1), RoundId(0));
        let accounts = weight.map(|weight| LateAccount { conn, of, weight });
        assert_eq!(report.late, Vec::from_iter(accounts));
        // It is in one round only.
        bench.send(0, None, 1.0);
        bench.send(1, None, 2.0);
        assert_eq!(bench.said().sums, [(0, 3.0), (1, 3.0)]);
        let stats = bench.machine.stats();
        assert_eq!(
            (stats.late, stats.late_used),
            (1, weight.iter().len() as u64)
        );
    }
}

#[test]
fn a_mean_divides_by_the_weights() {
    let mut bench = Bench::late_by(1, Late::Inverse, Mean);
    bench.send(1, None, 8.0);
    bench.send(0, None, 1.0);
    bench.send(1, None, 2.5);
    // 1.0 + 2.5 + 8.0 / 2 over 1 + 1 + 1/2.
    assert_eq!(bench.said().sums[1..], [(0, 3.0), (1, 3.0)]);
}

#[test]
fn a_gradient_that_names_its_round_is_judged_by_that_name() {
    let mut bench = Bench::late_by(2, Late::Inverse, Sum);
    // Worker 0 is in step, and yet sends what it computed for round 1, of
    // which it has sent a gradient already; without a name it cannot be told
    // from the next.
    bench.send(1, Some(1), 8.0);
    let said = bench.said();
    assert_eq!(said.late, [Some(0.5)]);
    bench.send(1, Some(1), 8.0);
    assert_eq!(bench.said().duplicates, 1);
    // An older one comes after the newer one: it is not taken.
    bench.send(1, Some(0), 8.0);
    assert_eq!(bench.said().duplicates, 1);
    bench.send(1, Some(2), 1.0);
    bench.send(0, None, 1.0);
    assert_eq!(bench.said().sums, [(0, 6.0), (1, 6.0)]);
}

#[test]
fn a_round_from_the_future_or_from_before_the_job_is_refused() {
    let mut bench = Bench::late_by(2, Late::Inverse, Sum);
    bench.send(1, Some(3), 8.0);
    let (named, open) = (RoundId(3), RoundId(2));
    assert_eq!(bench.said().refused, [Refusal::NoSuchRound { named, open }]);
    // Everyone leaves; a worker of the old job comes back.
    bench.machine.handle_disconnect(bench.now, ConnId(0));
    bench.machine.handle_connect(bench.now, ConnId(2));
    bench.send(2, Some(1), 8.0);
    let named = RoundId(1);
    assert_eq!(bench.said().refused, [Refusal::NoSuchRound { named, open }]);
}

#[test]
fn the_report_of_a_late_gradient_says_by_how_much() {
    let mut bench = Bench::late_by(1, Late::Drop, Sum);
    // Worker 1 had not spoken, so round 0 did not wait for it by name.
    bench.send(1, None, 1.0);
    bench.send(1, None, 1.0);
    bench.send(0, None, 1.0);
    bench.said();
    bench.send(0, None, 1.0);
    bench.pass(10);
    bench.pass(7);
    bench.send(1, None, 1.0);
    let told = std::iter::from_fn(|| bench.machine.poll_output()).find_map(|output| match output {
        Output::Event(Event::Late { too_late_by, .. }) => Some(too_late_by),
        _ => None,
    });
    assert_eq!(told, Some(Some(Span::from_millis(7))));
}

/// A late gradient that waits for a round which never comes is told of as
/// abandoned, once, and is in no sum of the next job.
#[test]
fn late_gradients_that_everyone_leaves_behind_are_told_of() {
    for is_round_open in [false, true] {
        let mut bench = Bench::late_by(1, Late::NextRound, Sum);
        bench.send(1, None, 64.0);
        if is_round_open {
            bench.send(0, None, 1.0);
        }
        assert_eq!(bench.said().late, [Some(1.0)]);
        for id in [0, 1] {
            bench.machine.handle_disconnect(bench.now, ConnId(id));
        }
        let mut told = Vec::new();
        while let Some(output) = bench.machine.poll_output() {
            match output {
                Output::Event(Event::Abandoned {
                    gradients, late, ..
                }) => told.push((gradients, late)),
                Output::Event(Event::Withdrawn { .. }) => told.push((1, 0)),
                _ => {}
            }
        }
        let gradients: usize = told.iter().map(|(gradients, _)| gradients).sum();
        let late: usize = told.iter().map(|(_, late)| late).sum();
        assert_eq!((gradients, late), (usize::from(is_round_open), 1));
        let stats = bench.machine.stats();
        assert_eq!(stats.abandoned, u64::from(is_round_open));
        assert_eq!(stats.late_abandoned, 1);

        for id in [2, 3] {
            bench.machine.handle_connect(bench.now, ConnId(id));
            bench.send(id, None, 1.0);
        }
        assert_eq!(bench.said().sums, [(2, 2.0), (3, 2.0)]);
    }
}
