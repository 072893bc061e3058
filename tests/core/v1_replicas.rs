//! Replicas stay equal: workers with an identity over connections that are
//! lost with what is on them, gradients that are late or sent again, and
//! workers that leave and come, on random schedules in virtual time.
//!
//! A run does a few hundred schedules; `SCHEDULES=n` in the environment asks
//! for more, `SCHEDULES_SEED=n` for others.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use hetsync_core::aggregate::{Aggregate, Sum};
use hetsync_core::checkpoint::Checkpoint;
use hetsync_core::policy::Deadline;
use hetsync_core::server::{
    Action, Config, ConnId, Event, Frame, Jobs, JobsConfig, Keep, Late, Machine, RoundReport,
};
use hetsync_core::wire::v1::message::{Fate, Heartbeat, Hello, Join, Leave, Push, Recovery};
use hetsync_core::wire::v1::{Decoder, Item, Message};
use hetsync_core::{Name, Payload, Span, Time};

use crate::v1_fuzz::{Random, number};
use crate::v1_wire::LIMITS;

const FLOATS: usize = 3;

/// A worker's side, written without the library's own.
struct Worker {
    name: String,
    conn: Option<ConnId>,
    /// Frames on their way to it; lost with the connection.
    inbox: VecDeque<Frame>,
    decoder: Decoder,
    has_joined: bool,
    /// Of what it has applied, and of the server that it has spoken to last.
    epoch: u64,
    welcomed: u64,
    /// Its model, and the first round that is not in it; `None` before it
    /// has been told where to begin.
    next: Option<u64>,
    model: Vec<u32>,
    /// What it has computed for its round, kept until that is answered.
    gradient: Option<(u64, Vec<f32>)>,
    is_waiting: bool,
}

struct World {
    random: Random,
    jobs: Jobs,
    now: Time,
    connections: u64,
    workers: Vec<Worker>,
    added: u64,
    named: HashMap<ConnId, String>,
    /// By worker and round: what was pushed.
    pushed: HashMap<(String, u64), Vec<f32>>,
    counted: BTreeSet<(String, u64)>,
    /// By round: the bits of its result, as first sent.
    results: BTreeMap<u64, Vec<u32>>,
    reports: BTreeMap<u64, RoundReport>,
    late: Late,
    caught_up: u64,
    lost: u64,
    /// Whether the server is killed now and then.
    is_mortal: bool,
    /// As it was when the newest round closed.
    saved: Option<Checkpoint>,
    restarts: u64,
    settings: (usize, u64, Keep),
}

fn model_after(model: &mut [u32], result: &[u32]) {
    // Not commutative, so that order and number of applications both tell.
    for (value, change) in model.iter_mut().zip(result) {
        *value = value.rotate_left(7).wrapping_mul(31) ^ change;
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let late = [Late::Drop, Late::NextRound, Late::Inverse][random.below(3)];
        let keep = Keep {
            rounds: [1, 2, 5, 1000][random.below(4)],
            bytes: 1 << 20,
        };
        let settings = (1 + random.below(4), random.next() % 50, keep);
        let mut world = Self {
            random,
            jobs: jobs(settings, late, seed),
            now: Time::ZERO,
            connections: 0,
            workers: Vec::new(),
            added: 0,
            named: HashMap::new(),
            pushed: HashMap::new(),
            counted: BTreeSet::new(),
            results: BTreeMap::new(),
            reports: BTreeMap::new(),
            late,
            caught_up: 0,
            lost: 0,
            is_mortal: false,
            saved: None,
            restarts: 0,
            settings,
        };
        for _ in 0..1 + world.random.below(4) {
            world.add();
        }
        world
    }

    fn add(&mut self) {
        self.added += 1;
        self.workers.push(Worker {
            // In another order than that of their coming.
            name: format!("w{:02}.{}", self.random.below(100), self.added),
            conn: None,
            inbox: VecDeque::new(),
            decoder: Decoder::new(LIMITS),
            has_joined: false,
            epoch: 0,
            welcomed: 0,
            next: None,
            model: vec![1; FLOATS],
            gradient: None,
            is_waiting: false,
        });
    }

    fn step(&mut self) {
        let who = self.random.below(self.workers.len());
        match self.random.below(40) {
            0..2 if self.workers.len() < 6 => self.add(),
            2 => self.cut(who),
            3 if self.random.below(4) == 0 => self.leave(who),
            4 if self.is_mortal && self.random.below(3) == 0 => self.restart(),
            4 => self.say(who, &Message::Heartbeat(Heartbeat::default())),
            5..8 => self.pass(),
            8..22 => self.read(who),
            _ => self.act(who),
        }
        self.drain();
    }

    /// Connects, or computes, or sends what it has computed, maybe again.
    fn act(&mut self, who: usize) {
        let worker = &self.workers[who];
        if worker.conn.is_none() {
            self.connect(who);
        } else if let Some(next) = worker.next.filter(|_| worker.has_joined) {
            if worker.gradient.as_ref().is_none_or(|(of, _)| *of < next) {
                let float = |random: &mut Random| (random.next() as i32) as f32 * 1e-3;
                let floats: Vec<f32> = (0..FLOATS).map(|_| float(&mut self.random)).collect();
                self.pushed
                    .insert((worker.name.clone(), next), floats.clone());
                self.workers[who].gradient = Some((next, floats));
            } else if worker.is_waiting && self.random.below(3) > 0 {
                return;
            }
            self.push(who);
        }
    }

    fn connect(&mut self, who: usize) {
        let conn = ConnId(self.connections);
        self.connections += 1;
        let worker = &mut self.workers[who];
        worker.conn = Some(conn);
        worker.decoder.reset();
        let hello = Hello {
            worker: worker.name.clone(),
            ..Hello::default()
        };
        let (next, epoch) = (worker.next, worker.epoch);
        self.jobs.handle_connect(self.now, conn);
        self.jobs.handle_new(self.now, conn);
        self.say(who, &Message::Hello(hello));
        self.drain();
        self.say(who, &Message::Join(Join { next, epoch }));
    }

    fn say(&mut self, who: usize, message: &Message) {
        if let Some(conn) = self.workers[who].conn {
            self.jobs.handle_message(self.now, conn, message.clone());
        }
    }

    fn push(&mut self, who: usize) {
        let worker = &mut self.workers[who];
        let (Some(conn), Some((round, floats))) = (worker.conn, worker.gradient.clone()) else {
            return;
        };
        worker.is_waiting = true;
        let push = Push {
            weight: 0.0,
            round,
            tensors: Vec::new(),
        };
        let bytes = 4 * FLOATS as u64;
        assert!(self.jobs.check_push(self.now, conn, &push, bytes));
        let payload = Payload::from_floats(&floats);
        self.jobs.handle_push(self.now, conn, push, payload);
    }

    /// The connection breaks, with all that is on it.
    fn cut(&mut self, who: usize) {
        let worker = &mut self.workers[who];
        worker.inbox.clear();
        worker.has_joined = false;
        worker.is_waiting = false;
        if let Some(conn) = worker.conn.take() {
            // Now and then the worker is back before the server knows.
            if self.random.below(3) == 0 {
                self.connect(who);
                self.drain();
            }
            self.jobs.handle_disconnect(self.now, conn);
        }
    }

    fn leave(&mut self, who: usize) {
        // While the others stay, so that the job does not start over.
        let others = self.workers.iter().enumerate();
        let has_other = others
            .filter(|(at, _)| *at != who)
            .any(|(_, worker)| worker.has_joined);
        if has_other && self.workers[who].has_joined {
            self.say(who, &Message::Leave(Leave {}));
            self.drain();
            let worker = self.workers.swap_remove(who);
            assert_eq!(worker.conn, None, "a leave is answered by a close");
        }
    }

    /// The server is killed, or stops with a round open, and goes on from what
    /// was saved; what was on its way to workers is lost.
    fn restart(&mut self) {
        let Some(killed) = self.saved.clone() else {
            return;
        };
        let stopped = self.jobs.checkpoint(&Name::default());
        let saved = match self.random.below(2) {
            0 => killed,
            _ => stopped.expect("the job is there"),
        };
        self.restarts += 1;
        self.jobs = jobs(self.settings, self.late, self.random.next());
        assert_eq!(self.jobs.restore(saved), Ok(true));
        self.saved = self.jobs.checkpoint(&Name::default());
        for worker in &mut self.workers {
            worker.conn = None;
            worker.inbox.clear();
            worker.has_joined = false;
            worker.is_waiting = false;
        }
    }

    fn pass(&mut self) {
        self.now += Span::from_millis(self.random.next() % 40);
        self.jobs.handle_timeout(self.now);
    }

    /// One frame arrives.
    fn read(&mut self, who: usize) {
        let Some(frame) = self.workers[who].inbox.pop_front() else {
            return;
        };
        let bytes = [frame.head(), frame.body()].concat();
        let items = self.workers[who]
            .decoder
            .push(&bytes)
            .expect("a good frame");
        let mut items = items.into_iter();
        let Some(Item::Head(head)) = items.next() else {
            panic!("a frame begins with its head");
        };
        let worker = &mut self.workers[who];
        match head.message {
            Message::Welcome(welcome) => worker.welcomed = welcome.epoch,
            Message::Heartbeat(_) => {}
            Message::CatchUp(catch_up) => {
                assert_eq!(catch_up.next, catch_up.first + catch_up.count);
                worker.has_joined = true;
                worker.epoch = worker.welcomed;
                if catch_up.fate() != Fate::None {
                    worker.is_waiting = false;
                }
                match catch_up.recovery() {
                    Recovery::Lost => {
                        // From a peer: what a model is that missed nothing.
                        self.lost += 1;
                        let model = self.canonical(catch_up.next);
                        let worker = &mut self.workers[who];
                        worker.model = model;
                        worker.next = Some(catch_up.next);
                    }
                    recovery => {
                        let first = *worker.next.get_or_insert(catch_up.first);
                        assert_eq!(first, catch_up.first, "no more and no less than it lacks");
                        assert_eq!(recovery == Recovery::None, catch_up.count == 0);
                        self.caught_up += u64::from(catch_up.count > 0);
                    }
                }
            }
            Message::Result(result) => {
                let Some(Item::Tensors(payload)) = items.next() else {
                    panic!("a result has tensors");
                };
                assert_eq!(worker.next, Some(result.round), "in order, each once");
                worker.next = Some(result.round + 1);
                worker.is_waiting = false;
                let bits: Vec<u32> = payload.to_floats().iter().map(|f| f.to_bits()).collect();
                model_after(&mut worker.model, &bits);
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.jobs.poll_action() {
            match action {
                Action::Send { to, frames, .. } => {
                    for frame in &frames {
                        self.note(frame);
                    }
                    if let Some(worker) = self.workers.iter_mut().find(|w| w.conn == Some(to)) {
                        worker.inbox.extend(frames);
                    }
                }
                Action::Close { conn, .. } => {
                    // Replaced or left; anything else would be a refusal.
                    if let Some(worker) = self.workers.iter_mut().find(|w| w.conn == Some(conn)) {
                        worker.conn = None;
                    }
                }
                Action::Event { event, .. } => {
                    let is_closed = matches!(event, Event::Closed(_));
                    self.event(event);
                    // Before anybody is sent the result.
                    if is_closed && self.is_mortal {
                        self.saved = self.jobs.checkpoint(&Name::default());
                    }
                }
            }
        }
    }

    /// Keeps each result as it was first sent; it must never change.
    fn note(&mut self, frame: &Frame) {
        let bytes = [frame.head(), frame.body()].concat();
        let items = Decoder::new(LIMITS).push(&bytes).expect("a good frame");
        if let [Item::Head(head), Item::Tensors(payload)] = &items[..]
            && let Message::Result(result) = &head.message
        {
            let bits: Vec<u32> = payload.to_floats().iter().map(|f| f.to_bits()).collect();
            let before = self.results.entry(result.round).or_insert(bits.clone());
            assert_eq!(before, &bits, "round {} was told in two ways", result.round);
            let report = &self.reports[&result.round];
            assert_eq!(result.contributors as usize, report.arrivals.len());
            assert_eq!(result.missing_count as usize, report.missed.len());
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Named { conn, name } => {
                self.named.insert(conn, name.to_string());
            }
            Event::Closed(report) => {
                let round = report.round.0;
                for (conn, _) in &report.arrivals {
                    let key = (self.named[conn].clone(), round);
                    assert!(self.counted.insert(key), "counted twice");
                }
                for late in &report.late {
                    let key = (self.named[&late.conn].clone(), late.of.0);
                    assert!(self.counted.insert(key), "counted twice");
                }
                assert_eq!(round, self.reports.len() as u64, "in order, each once");
                self.reports.insert(round, *report);
            }
            Event::Refused { refusal, .. } => panic!("{refusal}"),
            Event::Abandoned { .. } => panic!("the job started over"),
            _ => {}
        }
    }

    /// What the rule gives for a round, in the order of names.
    fn expected(&self, round: u64) -> Vec<u32> {
        let report = &self.reports[&round];
        let mut names: Vec<&String> = report
            .arrivals
            .iter()
            .map(|(c, _)| &self.named[c])
            .collect();
        names.sort();
        let gradient = |name: &String, of| Payload::from_floats(&self.pushed[&(name.clone(), of)]);
        let mut inputs: Vec<Payload> = names.iter().map(|name| gradient(name, round)).collect();
        for late in &report.late {
            let floats = gradient(&self.named[&late.conn], late.of.0).to_floats();
            let scaled: Vec<f32> = floats.iter().map(|float| float * late.weight).collect();
            inputs.push(Payload::from_floats(&scaled));
        }
        let inputs: Vec<&[u8]> = inputs.iter().map(Payload::as_bytes).collect();
        let mut out = vec![0; 4 * FLOATS];
        Sum.reduce(&inputs, &mut out);
        let words = out.chunks_exact(4);
        words
            .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect()
    }

    /// A model that has missed nothing before `next`.
    fn canonical(&self, next: u64) -> Vec<u32> {
        let mut model = vec![1; FLOATS];
        for round in 0..next {
            model_after(&mut model, &self.expected(round));
        }
        model
    }

    /// The network heals, everyone reads what it is sent, and all are equal.
    fn settle(&mut self) {
        for who in 0..self.workers.len() {
            self.cut(who);
            self.drain();
            if self.workers[who].conn.is_none() {
                self.connect(who);
            }
            self.drain();
        }
        while let Some(who) = (0..self.workers.len()).find(|w| !self.workers[*w].inbox.is_empty()) {
            self.read(who);
        }
        let rounds = self.reports.len() as u64;
        let model = self.canonical(rounds);
        for worker in &self.workers {
            assert_eq!(worker.next, Some(rounds), "{}", worker.name);
            assert_eq!(worker.model, model, "{} has drifted", worker.name);
        }
        for (round, bits) in &self.results {
            assert_eq!(bits, &self.expected(*round), "round {round}");
        }
    }
}

fn jobs((workers, deadline_ms, keep): (usize, u64, Keep), late: Late, seed: u64) -> Jobs {
    let machine = Machine::new(Config {
        workers,
        policy: Box::new(Deadline::new(Span::from_millis(deadline_ms))),
        late,
        keep,
        seed,
        ..Config::default()
    });
    let config = JobsConfig {
        // Long enough that the job never starts over.
        linger: Span::from_secs(1_000_000),
        ..JobsConfig::default()
    };
    Jobs::new(config, Name::default(), machine)
}

/// The same where the server is killed again and again, each round having
/// been saved before its result was sent.
#[test]
fn replicas_never_drift_over_restarts() {
    let (mut rounds, mut restarts, mut caught_up) = (0, 0, 0);
    let first = number("SCHEDULES_SEED", 1);
    let schedules = number("SCHEDULES", 300);
    for seed in first..first + schedules {
        let mut world = World::new(seed);
        world.is_mortal = true;
        let run = std::panic::AssertUnwindSafe(|| {
            for _ in 0..400 {
                world.step();
            }
            world.settle();
        });
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("with SCHEDULES_SEED={seed} SCHEDULES=1");
            std::panic::resume_unwind(panic);
        }
        rounds += world.reports.len() as u64;
        restarts += world.restarts;
        caught_up += world.caught_up;
    }
    let all = [rounds, restarts, caught_up];
    let is_enough = all.iter().all(|count| *count > schedules);
    assert!(schedules < 100 || is_enough, "{all:?}");
}

#[test]
fn replicas_never_drift() {
    let (mut rounds, mut caught_up, mut lost, mut late) = (0, 0, 0, 0);
    let first = number("SCHEDULES_SEED", 1);
    let schedules = number("SCHEDULES", 300);
    for seed in first..first + schedules {
        let mut world = World::new(seed);
        let run = std::panic::AssertUnwindSafe(|| {
            for _ in 0..400 {
                world.step();
            }
            world.settle();
        });
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("with SCHEDULES_SEED={seed} SCHEDULES=1");
            std::panic::resume_unwind(panic);
        }
        rounds += world.reports.len();
        caught_up += world.caught_up;
        lost += world.lost;
        late += world.reports.values().map(|r| r.late.len()).sum::<usize>();
        assert!(world.late != Late::Drop || world.reports.values().all(|r| r.late.is_empty()));
    }
    // The schedules do what they are meant to; a few alone may not.
    let all = [rounds as u64, caught_up, lost, late as u64];
    assert!(
        schedules < 100 || all.iter().all(|count| *count > schedules),
        "{all:?}"
    );
}
