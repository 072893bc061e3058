//! The machine against the oracle on random schedules in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use hetsync_core::aggregate::{Aggregate, Mean, Sum};
use hetsync_core::policy::{Deadline, Outcome, Policy, Strict};
use hetsync_core::server::{Config, ConnId, Event, Late, Machine, Output, WaitFor};
use hetsync_core::{Payload, Span, Time};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::oracle::{Expected, Oracle};

#[derive(Debug, Clone)]
enum Step {
    Connect,
    Disconnect(usize),
    HalfClose(usize),
    Gradient(usize, [f32; 3]),
    Wrong(usize, usize),
    NotFinite(usize),
    Pass(u64),
    Unknown,
}

fn step() -> impl Strategy<Value = Step> {
    // Magnitudes far apart, so that another order gives other bits.
    let float = prop_oneof![-1.0_f32..1.0, -1e8_f32..1e8, Just(1e-3_f32), Just(-0.0)];
    prop_oneof![
        3 => Just(Step::Connect),
        1 => (0_usize..8).prop_map(Step::Disconnect),
        1 => (0_usize..8).prop_map(Step::HalfClose),
        14 => (0_usize..8, [float.clone(), float.clone(), float]).prop_map(|(who, floats)| Step::Gradient(who, floats)),
        1 => (0_usize..8, 0_usize..6).prop_map(|(who, length)| Step::Wrong(who, length)),
        1 => (0_usize..8).prop_map(Step::NotFinite),
        4 => (0_u64..3_000_000).prop_map(Step::Pass),
        1 => Just(Step::Unknown),
    ]
}

/// Machine and oracle side by side, and what holds of any server.
struct Pair {
    machine: Machine,
    oracle: Oracle,
    now: Time,
    connected: Vec<u64>,
    next_id: u64,
    /// The newest round of which each connection has had the result.
    has_had: BTreeMap<u64, u64>,
    closed: u64,
    half_closed: BTreeSet<u64>,
    sent: u64,
    told: u64,
    /// Late ones in them.
    told_late: u64,
}

impl Pair {
    fn new(
        workers: usize,
        deadline: Option<Span>,
        is_mean: bool,
        late: Late,
        wait_for: WaitFor,
    ) -> Self {
        let policy: Box<dyn Policy> = match deadline {
            Some(span) => Box::new(Deadline::new(span)),
            None => Box::new(Strict),
        };
        let aggregate: Box<dyn Aggregate> = match is_mean {
            true => Box::new(Mean),
            false => Box::new(Sum),
        };
        Self {
            machine: Machine::new(Config {
                workers,
                floats: None,
                wait_for,
                policy,
                aggregate,
                late,
                ..Config::default()
            }),
            oracle: Oracle::new(
                workers,
                deadline,
                is_mean,
                late,
                wait_for == WaitFor::Connected,
            ),
            now: Time::ZERO,
            connected: Vec::new(),
            next_id: 0,
            has_had: BTreeMap::new(),
            closed: 0,
            half_closed: BTreeSet::new(),
            sent: 0,
            told: 0,
            told_late: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Connect => {
                let id = self.next_id;
                self.next_id += 1;
                self.connected.push(id);
                self.machine.handle_connect(self.now, ConnId(id));
                self.oracle.connect(id);
                self.check(Expected::default());
            }
            Step::Disconnect(who) => {
                if let Some(id) = self.pick(who) {
                    self.connected.retain(|other| *other != id);
                    self.machine.handle_disconnect(self.now, ConnId(id));
                    let expected = self.oracle.disconnect(self.now, id);
                    self.check(expected);
                }
            }
            Step::HalfClose(who) => {
                if let Some(id) = self.pick(who) {
                    self.machine.handle_half_close(self.now, ConnId(id));
                    let expected = self.oracle.half_close(id);
                    self.half_closed.extend(&expected.half_closed);
                    self.check(expected);
                }
            }
            Step::Gradient(who, floats) => self.gradient(who, &floats),
            Step::Wrong(who, length) => self.gradient(who, &vec![1.0; length]),
            Step::NotFinite(who) => self.gradient(who, &[0.0, f32::NAN, 0.0]),
            Step::Pass(micros) => self.pass(Span::from_nanos(micros * 1000)),
            Step::Unknown => {
                let stranger = ConnId(self.next_id + 100);
                let payload = Payload::from_floats(&[1.0]);
                self.machine
                    .handle_gradient(self.now, stranger, None, payload);
                self.machine.handle_disconnect(self.now, stranger);
                self.check(Expected::default());
            }
        }
    }

    fn pick(&self, who: usize) -> Option<u64> {
        let count = self.connected.len();
        (count > 0).then(|| self.connected[who % count])
    }

    fn gradient(&mut self, who: usize, floats: &[f32]) {
        let Some(id) = self.pick(who) else {
            return;
        };
        // Whoever has ended its side cannot send; if told so, nobody counts it.
        self.sent += u64::from(!self.half_closed.contains(&id));
        let payload = Payload::from_floats(floats);
        self.machine
            .handle_gradient(self.now, ConnId(id), None, payload);
        let expected = self.oracle.gradient(self.now, id, floats);
        let gone = |id: &u64| expected.refused.contains(id) || expected.displaced.contains(id);
        self.connected.retain(|id| !gone(id));
        self.check(expected);
    }

    fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(due) = self.machine.poll_timeout().filter(|due| *due <= end) {
            self.now = due;
            self.machine.handle_timeout(due);
            let expected = self.oracle.time(due);
            assert_eq!(expected.closed.len(), 1, "a timeout for nothing");
            self.check(expected);
        }
        self.now = end;
        // Serving a timeout that nobody asked for changes nothing.
        self.machine.handle_timeout(end);
        let expected = self.oracle.time(end);
        self.check(expected);
    }

    /// Drains the machine and compares.
    fn check(&mut self, expected: Expected) {
        let mut got = Expected::default();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Deliver { to, result } => {
                    let floats = result.payload().to_floats();
                    let bits = floats.iter().map(|float| float.to_bits()).collect();
                    let round = result.round().0;
                    got.deliveries.push((to.0, round, bits));
                    let before = self.has_had.insert(to.0, round);
                    assert!(before.is_none_or(|before| before < round), "told twice");
                }
                Output::CatchUp { .. } => unreachable!("nobody has an identity"),
                Output::Disconnect { conn } if got.refused.contains(&conn.0) => {}
                Output::Disconnect { conn } => got.displaced.push(conn.0),
                Output::Event(event) => self.note(event, &mut got),
            }
        }
        assert_eq!(got, expected);
        assert_eq!(self.machine.poll_timeout(), self.oracle.due());
    }

    fn note(&mut self, event: Event, got: &mut Expected) {
        match event {
            Event::Closed(report) => {
                assert_eq!(report.round.0, self.closed, "rounds close in order, once");
                self.closed += 1;
                self.told += report.arrivals.len() as u64;
                self.told_late += report.late.len() as u64;
                let who = report.arrivals.iter().map(|(conn, _)| conn.0).collect();
                let by_deadline = report.outcome == Outcome::Deadline;
                got.closed.push((report.round.0, who, by_deadline));
            }
            Event::Late { conn, .. } => got.late.push(conn.0),
            Event::Duplicate { conn } => got.duplicate.push(conn.0),
            Event::Refused { conn, .. } => got.refused.push(conn.0),
            Event::Abandoned { gradients, .. } => got.abandoned += gradients,
            Event::Withdrawn { .. } => got.abandoned += 1,
            Event::HalfClosed { conn } => got.half_closed.push(conn.0),
            Event::Joined { .. } | Event::Left { .. } | Event::ModelLength { .. } => {}
            Event::Straggler { .. } | Event::KeepsUp { .. } => {}
            Event::Named { .. } | Event::Detached { .. } => unreachable!("nobody has an identity"),
        }
    }

    /// Every gradient is in exactly one account.
    fn settle(&mut self) {
        for id in std::mem::take(&mut self.connected) {
            self.machine.handle_disconnect(self.now, ConnId(id));
            let expected = self.oracle.disconnect(self.now, id);
            self.check(expected);
        }
        let stats = self.machine.stats();
        assert_eq!(self.told + stats.abandoned, stats.accepted);
        assert_eq!(self.told_late + stats.late_abandoned, stats.late_used);
        let accounts = stats.accepted + stats.late + stats.duplicates + stats.refused;
        assert_eq!(accounts, self.sent);
        assert_eq!(stats.rounds(), self.closed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_schedule_does_what_the_oracle_says(
        workers in 1_usize..5,
        deadline_us in proptest::option::of(0_u64..2_000_000),
        is_mean in any::<bool>(),
        late in proptest::sample::select(&[Late::Drop, Late::NextRound, Late::Inverse, Late::Power(0.5)]),
        wait_for in proptest::sample::select(&[WaitFor::InStep, WaitFor::Connected]),
        steps in vec(step(), 1..150),
    ) {
        let deadline = deadline_us.map(|us| Span::from_nanos(us * 1000));
        let mut pair = Pair::new(workers, deadline, is_mean, late, wait_for);
        steps.iter().for_each(|step| pair.run(step));
        pair.settle();
    }
}
