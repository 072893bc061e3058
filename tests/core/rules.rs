//! Staleness and the combinations of rules, each situation by hand: the
//! shipped machine in virtual time, the rule as text.

use hetsync_core::policy::{Outcome, Rule};
use hetsync_core::server::{Config, ConnId, Event, Machine, Output};
use hetsync_core::{Payload, Span, Time};

/// When a round closed in milliseconds, how many were in, and by what.
type Closed = (u64, usize, Outcome);

struct Bench {
    machine: Machine,
    now: Time,
}

impl Bench {
    /// `workers` are there, and have all been in one round at 0 ms.
    fn new(workers: u64, rule: &str) -> Self {
        let rule: Rule = rule.parse().expect("a rule");
        let machine = Machine::new(Config {
            workers: workers as usize,
            policy: rule.policy(),
            ..Config::default()
        });
        let now = Time::ZERO;
        let mut bench = Self { machine, now };
        for id in 0..workers {
            bench.machine.handle_connect(now, ConnId(id));
        }
        bench
    }

    /// The gradients of these workers come at these milliseconds; returns
    /// what closed up to `end`.
    fn play(&mut self, arrivals: &[(u64, u64)], end: u64) -> Vec<Closed> {
        let mut closed = Vec::new();
        for (at, id) in arrivals {
            self.pass(*at, &mut closed);
            let gradient = Payload::from_floats(&[1.0]);
            self.machine
                .handle_gradient(self.now, ConnId(*id), None, gradient);
            self.drain(&mut closed);
        }
        self.pass(end, &mut closed);
        closed
    }

    fn pass(&mut self, ms: u64, closed: &mut Vec<Closed>) {
        let end = Time::ZERO + Span::from_millis(ms);
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.machine.handle_timeout(self.now);
            self.drain(closed);
        }
        self.now = end;
    }

    fn drain(&mut self, closed: &mut Vec<Closed>) {
        while let Some(output) = self.machine.poll_output() {
            if let Output::Event(Event::Closed(report)) = output {
                let at = (self.now - Time::ZERO).as_nanos() / 1_000_000;
                closed.push((at, report.arrivals.len(), report.outcome));
            }
        }
    }
}

use Outcome::{Deadline, Full, Quorum};

#[test]
fn staleness_lets_a_worker_fall_so_far_behind_and_no_further() {
    let mut bench = Bench::new(2, "staleness(2)");
    // Alone it waits for nobody, but not for more than two rounds.
    let closed = bench.play(&[(0, 0), (0, 1), (10, 0), (20, 0), (30, 0)], 1_000);
    assert_eq!(closed[closed.len() - 2..], [(10, 1, Quorum), (20, 1, Full)]);
    // When the slow one speaks it is in step again, so the open round closes
    // without it.
    let closed = bench.play(&[(1_500, 1)], 2_000);
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert_eq!((closed[0].0, closed[0].1), (1_500, 1));
}

#[test]
fn staleness_beside_a_deadline_waits_past_it_for_one_that_is_too_far_behind() {
    let mut bench = Bench::new(2, "all_of(staleness(1), deadline(10ms))");
    let closed = bench.play(&[(0, 0), (0, 1), (100, 0), (200, 0)], 1_000);
    assert_eq!(closed, [(0, 2, Full), (110, 1, Deadline)]);
    let closed = bench.play(&[(1_100, 1)], 2_000);
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert_eq!((closed[0].0, closed[0].1), (1_100, 1));
}

#[test]
fn the_first_of_several_rules_closes_a_round_and_all_of_them_the_last() {
    let arrivals = [(0, 0), (0, 1), (0, 2), (100, 0), (105, 1)];
    let first = "first_of(deadline(20ms), quorum(2))";
    let closed = Bench::new(3, first).play(&arrivals, 1_000);
    assert_eq!(closed.last(), Some(&(105, 2, Quorum)));
    let all = "all_of(deadline(20ms), quorum(2))";
    let closed = Bench::new(3, all).play(&arrivals, 1_000);
    assert_eq!(closed.last().map(|c| (c.0, c.1)), Some((120, 2)));
    // The quorum alone is not enough for all_of, nor the deadline.
    let alone = [(0, 0), (0, 1), (0, 2), (100, 0)];
    let closed = Bench::new(3, all).play(&alone, 1_000);
    assert_eq!(closed, [(0, 3, Full)]);
    let closed = Bench::new(3, first).play(&alone, 1_000);
    assert_eq!(closed.last(), Some(&(120, 1, Deadline)));
}

#[test]
fn a_floor_delays_a_close_unless_all_are_in_and_a_ceiling_does_not_wait() {
    let two = [(0, 0), (0, 1), (0, 2), (100, 0), (101, 1)];
    let three = [(0, 0), (0, 1), (0, 2), (100, 0), (101, 1), (103, 2)];
    let floor = "floor(30ms, quorum(2))";
    let closed = Bench::new(3, floor).play(&two, 1_000);
    assert_eq!(closed.last(), Some(&(130, 2, Quorum)));
    let closed = Bench::new(3, floor).play(&three, 1_000);
    assert_eq!(closed.last(), Some(&(103, 3, Full)));
    let ceiling = "ceiling(50ms, strict)";
    let closed = Bench::new(3, ceiling).play(&two, 1_000);
    assert_eq!(closed.last(), Some(&(150, 2, Deadline)));
    let closed = Bench::new(3, ceiling).play(&three, 1_000);
    assert_eq!(closed.last(), Some(&(103, 3, Full)));
}

#[test]
fn a_warm_up_waits_for_everyone_in_its_rounds_alone() {
    let mut bench = Bench::new(2, "warm_up(2, deadline(10ms))");
    let closed = bench.play(&[(0, 0), (50, 1), (100, 0), (190, 1)], 199);
    assert_eq!(closed, [(50, 2, Full), (190, 2, Full)]);
    let closed = bench.play(&[(200, 0)], 1_000);
    assert_eq!(closed, [(210, 1, Deadline)]);
}
