//! Who keeps the others waiting: the shipped machine in virtual time, with
//! workers whose steps take what a test says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hetsync_core::policy::Rule;
use hetsync_core::server::{
    Cause, Config, ConnId, Event, Machine, Output, RoundReport, Signs, WaitFor,
};
use hetsync_core::{Payload, Span, Time};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of mean 0 and deviation 1, near enough to normal.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// How long a step takes, in milliseconds: by the worker and the luck.
type Steps = Box<dyn FnMut(u64, &mut Random) -> f64>;

struct World {
    machine: Machine,
    steps: Steps,
    random: Random,
    due: BinaryHeap<Reverse<(Time, u64)>>,
    now: Time,
    reports: Vec<RoundReport>,
    /// Who was called a straggler, and in which round.
    named: Vec<(u64, u64)>,
    keeps_up: Vec<(u64, u64)>,
}

impl World {
    fn new(workers: u64, rule: &str, seed: u64, steps: Steps) -> Self {
        Self::with(workers, rule, seed, WaitFor::InStep, steps)
    }

    fn with(workers: u64, rule: &str, seed: u64, wait_for: WaitFor, steps: Steps) -> Self {
        let rule: Rule = rule.parse().expect("a rule");
        let mut world = Self {
            machine: Machine::new(Config {
                workers: workers as usize,
                policy: rule.policy(),
                wait_for,
                ..Config::default()
            }),
            steps,
            random: Random(seed),
            due: BinaryHeap::new(),
            now: Time::ZERO,
            reports: Vec::new(),
            named: Vec::new(),
            keeps_up: Vec::new(),
        };
        for worker in 0..workers {
            world.machine.handle_connect(Time::ZERO, ConnId(worker));
            world.set_out(worker);
        }
        world.drain();
        world
    }

    fn set_out(&mut self, worker: u64) {
        let ms = (self.steps)(worker, &mut self.random).max(0.01);
        let at = self.now + Span::from_nanos((ms * 1e6) as u64);
        self.due.push(Reverse((at, worker)));
    }

    fn rounds(&mut self, rounds: u64) {
        while self.machine.stats().rounds() < rounds {
            let Reverse((comes, worker)) = *self.due.peek().expect("somebody works");
            match self.machine.poll_timeout() {
                Some(at) if at < comes => {
                    self.now = self.now.max(at);
                    self.machine.handle_timeout(self.now);
                }
                _ => {
                    self.now = self.now.max(comes);
                    self.due.pop();
                    let gradient = Payload::from_floats(&[1.0]);
                    self.machine
                        .handle_gradient(self.now, ConnId(worker), None, gradient);
                }
            }
            self.drain();
            if self.machine.has_work() {
                self.machine.handle_idle(self.now);
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            let round = self.machine.stats().rounds();
            match output {
                Output::Deliver { to, .. } => self.set_out(to.0),
                Output::Event(Event::Closed(report)) => {
                    check(&report);
                    self.reports.push(*report);
                }
                Output::Event(Event::Straggler { conn, .. }) => self.named.push((conn.0, round)),
                Output::Event(Event::KeepsUp { conn }) => self.keeps_up.push((conn.0, round)),
                _ => {}
            }
        }
    }
}

/// What is charged, and what is charged to nobody, is what was waited.
fn check(report: &RoundReport) {
    let lasted = report.lasted.as_nanos();
    let waits = report.arrivals.iter().map(|(_, at)| lasted - at.as_nanos());
    let waited: u64 = waits.sum();
    let bill = &report.bill;
    assert_eq!(bill.wait.as_nanos(), waited, "{report:?}");
    let charged: u64 = bill.charges.iter().map(|c| c.cost.as_nanos()).sum();
    assert_eq!(charged + bill.nobody.as_nanos(), waited, "{report:?}");
    assert!(bill.charges.is_sorted_by(|a, b| a.cost >= b.cost));
}

fn even(mean_ms: f64, deviation: f64) -> Steps {
    Box::new(move |_, random| mean_ms * (1.0 + deviation * random.normal()).max(0.1))
}

fn heavy(_: u64, random: &mut Random) -> f64 {
    50.0 / (1.0 - random.unit()).powf(0.6)
}

fn stumbling(_: u64, random: &mut Random) -> f64 {
    match random.unit() < 0.05 {
        true => 1000.0,
        false => 100.0 + random.normal(),
    }
}

#[test]
fn jitter_alone_names_nobody_in_ten_thousand_rounds() {
    let cases: Vec<(u64, &str, Steps)> = vec![
        (2, "strict", even(100.0, 0.05)),
        (2, "strict", even(100.0, 0.5)),
        (4, "strict", even(100.0, 0.05)),
        (4, "strict", even(100.0, 0.2)),
        (4, "strict", even(1.0, 0.5)),
        (4, "strict", Box::new(heavy)),
        (4, "strict", Box::new(stumbling)),
        (16, "strict", even(100.0, 0.5)),
        (4, "deadline(110ms)", even(100.0, 0.3)),
        (4, "quorum(3/4)", even(100.0, 0.3)),
    ];
    for (seed, (workers, rule, steps)) in cases.into_iter().enumerate() {
        let mut world = World::new(workers, rule, seed as u64, steps);
        world.rounds(10_000);
        assert_eq!(world.named, [], "case {seed}: {rule}, {workers} workers");
    }
}

#[test]
fn under_the_learning_rule_jitter_names_nobody_either() {
    // Not `heavy`: there somebody is silent for dozens of rounds now and then,
    // and is named for that.
    let cases: [Steps; 3] = [even(100.0, 0.05), even(100.0, 0.5), Box::new(stumbling)];
    for (seed, steps) in cases.into_iter().enumerate() {
        let mut world = World::new(4, "replay", 1 + seed as u64, steps);
        // Thinking takes its time in a build without optimisation.
        world.rounds(2_000);
        assert_eq!(world.named, [], "case {seed}");
    }
}

#[test]
fn a_slow_worker_is_named_first_within_twenty_rounds() {
    for seed in 0..20 {
        for (workers, rule, factor) in [
            (2, "strict", 2.0),
            (4, "strict", 1.5),
            (4, "strict", 2.0),
            (4, "deadline(2s)", 5.0),
            (4, "replay", 1.5),
            (4, "replay", 2.0),
            (4, "replay", 2.5),
            (4, "replay", 50.0),
            (16, "replay", 2.5),
            (16, "strict", 1.5),
            (64, "deadline(300ms)", 2.0),
        ] {
            let slow = seed % workers;
            let steps = move |worker: u64, random: &mut Random| {
                let pace = if worker == slow { factor } else { 1.0 };
                100.0 * pace * (1.0 + 0.05 * random.normal())
            };
            let mut world = World::new(workers, rule, seed, Box::new(steps));
            world.rounds(20);
            let accounts = &world.machine.stats().accounts;
            let about = format!("seed {seed}: {rule}, {workers} workers, {factor} times");
            assert_eq!(accounts.ranking()[0].0, ConnId(slow), "{about}");
            assert_eq!(world.named.len(), 1, "{about}: {:?}", world.named);
            assert_eq!(world.named[0].0, slow, "{about}");
        }
    }
}

#[test]
fn one_that_is_cured_is_called_a_straggler_no_more() {
    let mut steps_of_3 = 0;
    let steps = move |worker: u64, random: &mut Random| {
        steps_of_3 += u64::from(worker == 3);
        let slow = worker == 3 && steps_of_3 <= 100;
        100.0 * if slow { 3.0 } else { 1.0 } * (1.0 + 0.05 * random.normal())
    };
    let mut world = World::new(4, "strict", 1, Box::new(steps));
    world.rounds(200);
    assert_eq!(world.named.len(), 1);
    let (who, when) = world.keeps_up[0];
    assert_eq!(who, 3);
    assert!((110..160).contains(&when), "{when}");
    assert_eq!(world.keeps_up.len(), 1);
}

#[test]
fn bills_add_up_whatever_the_rule() {
    for seed in 0..30 {
        for (rule, wait_for) in [
            ("strict", WaitFor::InStep),
            ("deadline(120ms)", WaitFor::InStep),
            ("deadline(120ms)", WaitFor::Connected),
            ("quorum(3/4, grace=20ms)", WaitFor::InStep),
            ("staleness(2)", WaitFor::InStep),
            ("floor(150ms, quorum(2))", WaitFor::InStep),
            ("replay", WaitFor::InStep),
        ] {
            let steps = |worker: u64, random: &mut Random| {
                let pace = [1.0, 1.1, 1.5, 4.0, 1.0][worker as usize];
                100.0 * pace * (1.0 + 0.3 * random.normal()).max(0.1)
            };
            let mut world = World::with(5, rule, seed, wait_for, Box::new(steps));
            // Each report is checked as it comes.
            world.rounds(100);
            let accounts = &world.machine.stats().accounts;
            let kept: u64 = accounts
                .iter()
                .map(|(_, a)| a.total_cost().as_nanos())
                .sum();
            let all: u64 = world.reports.iter().map(|r| r.bill.wait.as_nanos()).sum();
            assert_eq!(kept + accounts.elsewhere.as_nanos(), all, "{rule}");
            assert_eq!(accounts.wait.as_nanos(), all);
        }
    }
}

/// Three workers; the last comes 80 ms after the others, and these are its
/// signs.
fn cause_of(queue_ms: u64, network_ms: u64) -> Option<Cause> {
    let ms = Span::from_millis;
    let mut machine = Machine::new(Config {
        workers: 3,
        policy: "strict".parse::<Rule>().unwrap().policy(),
        ..Config::default()
    });
    for worker in 0..3 {
        machine.handle_connect(Time::ZERO, ConnId(worker));
    }
    let mut cause = None;
    for (worker, at) in [(0, 100), (1, 100), (2, 180)] {
        let late = worker == 2;
        machine.handle_signs(
            ConnId(worker),
            Signs {
                took: ms(at),
                queue: ms(if late { queue_ms } else { 0 }),
                network: ms(if late { network_ms } else { 1 }),
                ..Signs::default()
            },
        );
        let gradient = Payload::from_floats(&[1.0]);
        machine.handle_gradient(Time::ZERO + ms(at), ConnId(worker), None, gradient);
    }
    while let Some(output) = machine.poll_output() {
        if let Output::Event(Event::Closed(report)) = output {
            assert_eq!(report.bill.charges.len(), 1);
            assert_eq!(report.bill.charges[0].cost, ms(160));
            cause = report.bill.charges[0].cause;
        }
    }
    let account = machine.stats().accounts.get(ConnId(2)).unwrap();
    assert_eq!(account.last_cause, cause);
    assert_eq!(account.cost[cause.unwrap() as usize], ms(160));
    cause
}

#[test]
fn the_cause_is_where_it_exceeds_the_others_and_not_where_it_spent_most() {
    assert_eq!(cause_of(0, 1), Some(Cause::Compute));
    assert_eq!(cause_of(0, 80), Some(Cause::Network));
    assert_eq!(cause_of(75, 5), Some(Cause::Queue));
}

#[test]
fn one_that_leaves_while_it_is_waited_for_pays_until_then() {
    let ms = |ms| Time::ZERO + Span::from_millis(ms);
    let mut machine = Machine::new(Config {
        workers: 3,
        policy: "strict".parse::<Rule>().unwrap().policy(),
        ..Config::default()
    });
    for worker in 0..3 {
        machine.handle_connect(Time::ZERO, ConnId(worker));
    }
    let gradient = || Payload::from_floats(&[1.0]);
    for (worker, at) in [(0, 0), (1, 0), (2, 0), (0, 100), (1, 100)] {
        machine.handle_gradient(ms(at), ConnId(worker), None, gradient());
    }
    machine.handle_disconnect(ms(150), ConnId(2));
    let mut reports = Vec::new();
    while let Some(output) = machine.poll_output() {
        if let Output::Event(Event::Closed(report)) = output {
            reports.push(report);
        }
    }
    let bill = &reports[1].bill;
    assert_eq!(bill.wait, Span::from_millis(100));
    assert_eq!(bill.charges[0].conn, ConnId(2));
    assert_eq!(bill.charges[0].cost, bill.wait);
    assert_eq!(machine.stats().accounts.iter().count(), 2);
}
