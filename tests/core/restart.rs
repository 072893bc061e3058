//! A server that ends in the middle, and goes on from its checkpoint.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use hetsync_core::checkpoint::{Checkpoint, Folder, Store};
use hetsync_core::member::{Answer, Fate, Identity};
use hetsync_core::net::MemberClient;
use hetsync_core::policy::Strict;
use hetsync_core::server::{
    CatchUp, Config, ConnId, Descent, Join, Machine, Output, Position, Recovery, RestoreError,
    RoundId,
};
use hetsync_core::worker::Retry;
use hetsync_core::{Name, Payload, Span, Time};
use rustix::process::{Pid, Signal, kill_process};

const HETSYNC: &str = env!("CARGO_BIN_EXE_hetsync");

/// A server with a folder for its checkpoints.
struct Saving {
    child: Child,
    lines: BufReader<ChildStderr>,
    address: String,
    /// What it said before it listened.
    before: String,
}

impl Saving {
    fn start(folder: &Path, address: &str, args: &[&str]) -> Self {
        let mut child = Command::new(HETSYNC)
            .args([
                "serve",
                "-v",
                "--policy",
                "strict",
                "--workers",
                "2",
                "--listen",
                address,
            ])
            .arg("--checkpoint")
            .arg(folder)
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .expect("hetsync serves");
        let lines = BufReader::new(child.stderr.take().expect("its log"));
        let before = String::new();
        let mut saving = Self {
            child,
            lines,
            address: address.into(),
            before,
        };
        loop {
            let line = saving.wait("").expect("it listens");
            if line.contains("listening on ") {
                saving.address = line.trim().rsplit(' ').next().expect("an address").into();
                return saving;
            }
            saving.before.push_str(&line);
        }
    }

    /// The next line with this in it; `None` if there is none.
    fn wait(&mut self, what: &str) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("its log") == 0 {
                return None;
            }
            if line.contains(what) {
                return Some(line);
            }
        }
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        self.child.wait().expect("it ends").code()
    }
}

fn gradient(worker: usize, round: u64) -> [f32; 3] {
    let base = (worker as f32 + 1.0) * 100.0;
    [base + round as f32, base - round as f32, round as f32 / 4.0]
}

/// Takes part in so many rounds, over as many servers as it takes, and
/// returns the result of each.
fn take_part(address: &str, worker: usize, rounds: u64) -> Vec<Vec<f32>> {
    let identity = Identity {
        job: Name::default(),
        worker: format!("w{worker}").parse().expect("a name"),
        token: None,
    };
    let patience = Retry {
        attempts: 10_000,
        first: Span::from_millis(1),
        max: Span::from_millis(20),
    };
    let address = address.parse().expect("an address");
    let mut client = MemberClient::with_retry(address, identity, patience);
    let mut results: Vec<Vec<f32>> = Vec::new();
    smol::block_on(async {
        while (results.len() as u64) < rounds {
            let next = gradient(worker, results.len() as u64);
            let Answer {
                fate,
                results: new,
                model,
                is_lost,
                ..
            } = client
                .submit(Payload::from_floats(&next))
                .await
                .expect("an answer");
            assert_eq!((fate, model, is_lost), (Fate::Counted, None, false));
            for result in new {
                assert_eq!(
                    result.about.round,
                    results.len() as u64,
                    "no round twice, none left out"
                );
                assert_eq!(result.about.contributors, 2);
                results.push(result.payload.to_floats());
            }
        }
        client.leave().await;
    });
    results
}

/// Killed again and again while two workers train, the server loses no round
/// that anybody was told of.
#[test]
fn killed_at_any_moment_it_loses_no_round_that_was_answered() {
    const ROUNDS: u64 = 120;
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Saving::start(folder.path(), "127.0.0.1:0", &[]);
    let address = server.address.clone();
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let address = address.clone();
            std::thread::spawn(move || take_part(&address, worker, ROUNDS))
        })
        .collect();
    for rounds in [1, 3, 2, 7, 4, 1, 5, 9] {
        for _ in 0..rounds {
            server.wait("saved before round").expect("rounds close");
        }
        assert_eq!(server.end(Signal::KILL), None);
        server = Saving::start(folder.path(), &address, &[]);
    }
    let results: Vec<_> = workers
        .into_iter()
        .map(|w| w.join().expect("it ends"))
        .collect();
    for round in 0..ROUNDS {
        let (a, b) = (gradient(0, round), gradient(1, round));
        let sum: Vec<f32> = a.iter().zip(b).map(|(a, b)| a + b).collect();
        for of_worker in &results {
            assert_eq!(of_worker[round as usize], sum, "round {round}");
        }
    }
    assert_eq!(server.end(Signal::TERM), Some(0));
    let kept = std::fs::read_dir(folder.path().join("default")).expect("the job's folder");
    assert_eq!(kept.count(), 3 + 1, "three checkpoints and the lock");
}

/// SIGTERM saves what was not due yet, and ends with 0.
#[test]
fn a_server_that_is_stopped_saves_its_jobs_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let often = ["--checkpoint-every", "1000", "--job", "side/b"];
    let mut server = Saving::start(folder.path(), "127.0.0.1:0", &often);
    let address = server.address.clone();
    let other = std::thread::spawn({
        let address = address.clone();
        move || take_part(&address, 0, 7)
    });
    take_part(&address, 1, 7);
    other.join().expect("it ends");
    assert_eq!(server.end(Signal::TERM), Some(0));
    assert!(
        server
            .wait("saved before round 7 in checkpoint-000000000000")
            .is_some()
    );
    let mut server = Saving::start(folder.path(), "127.0.0.1:0", &often);
    let restored = "goes on with round 7, from checkpoint-000000000000";
    assert!(server.before.contains(restored), "{}", server.before);
    assert_eq!(server.end(Signal::TERM), Some(0));
    assert!(server.wait("saved").is_none(), "nothing has changed");
    assert!(folder.path().join("default").is_dir());
    assert!(folder.path().join("side%2Fb").is_dir());
}

/// A damaged checkpoint is told of by name, and the one before it used; if
/// there is none, nothing is served.
#[test]
fn a_damaged_checkpoint_is_told_of_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Saving::start(folder.path(), "127.0.0.1:0", &[]);
    let address = server.address.clone();
    let other = std::thread::spawn(move || take_part(&address, 0, 3));
    take_part(&server.address, 1, 3);
    other.join().expect("it ends");
    assert_eq!(server.end(Signal::TERM), Some(0));
    let damage = |number: u64| {
        let path = folder
            .path()
            .join(format!("default/checkpoint-{number:012}"));
        let mut bytes = std::fs::read(&path).expect("it is there");
        *bytes.last_mut().expect("bytes") ^= 1;
        std::fs::write(&path, bytes).expect("it is written");
    };
    damage(2);
    let mut server = Saving::start(folder.path(), "127.0.0.1:0", &[]);
    let told = &server.before;
    assert!(
        told.contains(
            "checkpoint-000000000002 is not used: it is damaged: the checksum of its data"
        ),
        "{told}"
    );
    assert!(
        told.contains("goes on with round 2, from checkpoint-000000000001"),
        "{told}"
    );
    assert_eq!(server.end(Signal::TERM), Some(0));
    damage(1);
    damage(0);
    let output = Command::new(HETSYNC)
        .args(["serve", "--listen", "127.0.0.1:0", "--checkpoint"])
        .arg(folder.path())
        .output()
        .expect("hetsync runs");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("no checkpoint in this folder can be used"),
        "{told}"
    );
}

/// What a worker is told that joins a job driven by hand, and leaves again.
fn ask(machine: &mut Machine, id: u64, position: Position) -> CatchUp {
    let told = join(machine, id, position);
    machine.handle_disconnect(Time::ZERO, ConnId(id));
    told
}

/// What a worker is told that joins.
fn join(machine: &mut Machine, id: u64, position: Position) -> CatchUp {
    let name: Name = format!("w{id}").parse().expect("a name");
    machine.handle_join(
        Time::ZERO,
        ConnId(id),
        Join {
            name,
            position,
            seen: None,
        },
    );
    let outputs = std::iter::from_fn(|| machine.poll_output());
    let told = outputs.filter_map(|output| match output {
        Output::CatchUp { catch_up, .. } => Some(catch_up),
        _ => None,
    });
    told.last().expect("a join is answered")
}

fn config(model: Option<Descent>, seed: u64) -> Config {
    let model = model.map(|model| Box::new(model) as Box<dyn hetsync_core::server::Model>);
    Config {
        workers: 1,
        policy: Box::new(Strict),
        model,
        seed,
        ..Config::default()
    }
}

fn run_rounds(machine: &mut Machine, rounds: u64) {
    let wanted = machine.round().0 + rounds;
    for _ in 0..rounds {
        let of = Some(machine.round());
        let floats = Payload::from_floats(&gradient(0, machine.round().0));
        machine.handle_gradient(Time::ZERO, ConnId(0), of, floats);
    }
    while machine.poll_output().is_some() {}
    assert_eq!(machine.round().0, wanted);
}

fn save(machine: &Machine) -> Checkpoint {
    machine.checkpoint(Name::default(), Vec::new(), Vec::new())
}

fn before(next: u64, machine: &Machine) -> Position {
    Position::Before {
        next: RoundId(next),
        epoch: machine.epoch(),
    }
}

/// Results that were sent after the last checkpoint are lost, and whoever
/// has applied them is not taken for one who has not.
#[test]
fn a_restored_job_tells_its_past_from_what_it_has_lost() {
    let mut old = Machine::new(config(None, 1));
    join(&mut old, 0, Position::Fresh);
    run_rounds(&mut old, 5);
    let saved = save(&old);
    run_rounds(&mut old, 3);
    let restored = || {
        let mut machine = Machine::new(config(None, 2));
        machine.restore(saved.clone()).expect("it goes on");
        assert_eq!(machine.round(), RoundId(5));
        assert_ne!(machine.epoch(), old.epoch());
        machine
    };
    // Who was there when it was saved has missed nothing, and who was not
    // sent the newest result is sent that.
    let mut machine = restored();
    assert_eq!(
        join(&mut machine, 0, before(5, &old)).recovery,
        Recovery::Results(vec![])
    );
    let Recovery::Results(results) = ask(&mut machine, 1, before(4, &old)).recovery else {
        panic!("the newest result is kept");
    };
    assert_eq!(results[0].round(), RoundId(4));
    assert_eq!(
        ask(&mut machine, 2, before(3, &old)).recovery,
        Recovery::Lost
    );
    // Its model is not that of the others.
    assert_eq!(
        ask(&mut machine, 3, before(8, &old)).recovery,
        Recovery::Lost
    );
    assert_eq!(
        ask(&mut machine, 4, Position::Fresh).recovery,
        Recovery::Lost
    );
    // Rounds 5 to 7 are other rounds now.
    run_rounds(&mut machine, 3);
    assert_eq!(
        ask(&mut machine, 5, before(8, &old)).recovery,
        Recovery::Lost
    );
    let Recovery::Results(results) = ask(&mut machine, 6, before(5, &old)).recovery else {
        panic!("the results since are kept");
    };
    assert_eq!(results.len(), 3);

    // If all have applied what was lost, that is where they go on from.
    let mut machine = restored();
    for id in 0..2 {
        assert_eq!(
            join(&mut machine, id, before(8, &old)).recovery,
            Recovery::Results(vec![])
        );
    }
    assert_eq!(
        ask(&mut machine, 2, before(5, &old)).recovery,
        Recovery::Lost
    );

    // Who stands in an epoch that went on from this checkpoint before, and
    // saved nothing, stands where it stood.
    let mut between = restored();
    join(&mut between, 0, before(5, &old));
    run_rounds(&mut between, 1);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("job");
    let store = || Store::open(Folder::open(&path).expect("a folder"), 1).expect("a store");
    store().save(&saved).expect("it is saved");
    for machine in [&between, &machine] {
        let mut store = store();
        store.restore().expect("it is in order");
        store.resume(machine.epoch()).expect("it is noted");
    }
    let found = store().restore().expect("it is in order").newest;
    let mut again = Machine::new(config(None, 9));
    again
        .restore(found.expect("it is there").1)
        .expect("it goes on");
    for (id, position) in [before(5, &old), before(5, &between), before(5, &machine)]
        .into_iter()
        .enumerate()
    {
        assert_eq!(
            join(&mut again, id as u64, position).recovery,
            Recovery::Results(vec![])
        );
    }
    assert_eq!(
        ask(&mut again, 3, before(6, &between)).recovery,
        Recovery::Lost,
        "what went on from it and was not saved is lost"
    );

    // Restored from what was restored, it knows both pasts.
    let mut machine = restored();
    join(&mut machine, 0, before(5, &old));
    run_rounds(&mut machine, 1);
    let mut again = Machine::new(config(None, 3));
    again.restore(save(&machine)).expect("it goes on");
    assert_eq!(
        join(&mut again, 0, before(6, &machine)).recovery,
        Recovery::Results(vec![])
    );
    let Recovery::Results(results) = ask(&mut again, 1, before(5, &old)).recovery else {
        panic!("the newest result is kept");
    };
    assert_eq!(results.len(), 1);
    assert_eq!(ask(&mut again, 2, before(6, &old)).recovery, Recovery::Lost);
}

/// A server that holds the model goes on with it, and whoever stands anywhere
/// else is sent it.
#[test]
fn a_restored_model_is_the_one_that_counts() {
    let model = || Descent::new(vec![1.0, 2.0, 3.0], 0.125);
    let mut old = Machine::new(config(Some(model()), 1));
    join(&mut old, 0, Position::Fresh);
    run_rounds(&mut old, 5);
    let saved = save(&old);
    let parameters = |told: CatchUp| match told.recovery {
        Recovery::Model(model) => model.payload().to_floats(),
        other => panic!("expected the model, not {other:?}"),
    };
    let at_5 = parameters(ask(&mut old, 1, Position::Fresh));
    run_rounds(&mut old, 3);
    let mut machine = Machine::new(config(Some(model()), 2));
    machine.restore(saved.clone()).expect("it goes on");
    for position in [before(8, &old), before(4, &old), Position::Fresh] {
        assert_eq!(parameters(ask(&mut machine, 2, position)), at_5);
    }
    assert_eq!(
        join(&mut machine, 0, before(5, &old)).recovery,
        Recovery::Results(vec![])
    );
    run_rounds(&mut machine, 3);
    let at_8 = parameters(ask(&mut old, 1, Position::Fresh));
    assert_eq!(
        parameters(ask(&mut machine, 3, Position::Fresh)),
        at_8,
        "the same rounds again"
    );

    // Without a checkpoint, a worker's model is not taken for the server's.
    let mut fresh = Machine::new(config(Some(model()), 3));
    assert_eq!(
        parameters(join(&mut fresh, 0, before(8, &old))),
        [1.0, 2.0, 3.0]
    );

    // Nor is one kind of state for another.
    let refuse = |config: Config| Machine::new(config).restore(saved.clone());
    assert!(matches!(
        refuse(config(None, 4)),
        Err(RestoreError::Model { .. })
    ));
    let short = Descent::new(vec![1.0; 2], 0.125);
    assert!(matches!(
        refuse(config(Some(short), 4)),
        Err(RestoreError::Length { .. })
    ));
}
