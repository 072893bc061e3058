//! Checkpoints on a disk that stops between any two system calls, and files
//! that were damaged in every way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use hetsync_core::checkpoint::{Checkpoint, Disk, Folder, Store};
use hetsync_core::server::{Config, ConnId, Descent, Join, Machine, Output, Position, Recovery};
use hetsync_core::wire::v1::message::Tensor;
use hetsync_core::{Name, Payload, Time};

use crate::v1_fuzz::Random;

/// A file, as it is and as it was when it was last made safe.
#[derive(Debug, Clone, Default)]
struct File {
    content: Vec<u8>,
    safe: Option<Vec<u8>>,
}

/// A folder in memory that dies after so many calls.
#[derive(Debug, Clone, Default)]
struct Memory(Rc<RefCell<World>>);

#[derive(Debug, Default)]
struct World {
    /// Calls left; none is answered after that.
    left: usize,
    calls: usize,
    files: BTreeMap<usize, File>,
    made: usize,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    open: Option<usize>,
}

impl Memory {
    fn call(&self) -> io::Result<std::cell::RefMut<'_, World>> {
        let mut world = self.0.borrow_mut();
        if world.left == 0 {
            return Err(io::Error::other("the power is gone"));
        }
        world.left -= 1;
        world.calls += 1;
        Ok(world)
    }

    fn allow(&self, calls: usize) {
        let mut world = self.0.borrow_mut();
        world.left = calls;
        world.calls = 0;
    }

    /// What is there when the power is back: of each change that was not made
    /// safe, chance says whether and how much of it is there.
    fn after_loss_of_power(&self, random: &mut Random) -> Self {
        let world = self.0.borrow();
        let mut names = BTreeMap::new();
        let all = world.names.keys().chain(world.safe_names.keys());
        for name in all.cloned().collect::<std::collections::BTreeSet<_>>() {
            let sides = [world.safe_names.get(&name), world.names.get(&name)];
            if let Some(file) = sides[random.below(2)] {
                names.insert(name, *file);
            }
        }
        let mut files = world.files.clone();
        for file in files.values_mut() {
            let is_safe = file.safe.as_ref() == Some(&file.content);
            if !is_safe {
                let cut = random.below(file.content.len() + 1);
                match random.below(3) {
                    0 => file.content.truncate(cut),
                    1 => file.content[cut..].fill(0),
                    _ => {}
                }
            }
            file.safe = Some(file.content.clone());
        }
        let safe_names = names.clone();
        let made = world.made;
        let world = World {
            left: usize::MAX,
            files,
            made,
            names,
            safe_names,
            ..World::default()
        };
        Self(Rc::new(RefCell::new(world)))
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for Memory {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.call()?.names.keys().cloned().collect())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let world = self.call()?;
        let file = world.names.get(name).ok_or_else(not_found)?;
        Ok(world.files[file].content.clone())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut world = self.call()?;
        world.made += 1;
        let made = world.made;
        world.files.insert(made, File::default());
        world.names.insert(name.into(), made);
        world.open = Some(made);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.call()?;
        let open = world.open.expect("a file was begun");
        let file = world.files.get_mut(&open).expect("it is there");
        file.content.extend(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.call()?;
        let open = world.open.take().expect("a file was begun");
        let file = world.files.get_mut(&open).expect("it is there");
        file.safe = Some(file.content.clone());
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.call()?;
        let file = world.names.remove(from).ok_or_else(not_found)?;
        world.names.insert(to.into(), file);
        Ok(())
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let mut world = self.call()?;
        world.safe_names = world.names.clone();
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut world = self.call()?;
        world.names.remove(name).ok_or_else(not_found)?;
        Ok(())
    }
}

const PARAMETERS: usize = 5;

/// The state of a job with a model after so many rounds.
fn after(rounds: u64) -> Checkpoint {
    let mut machine = Machine::new(Config {
        workers: 1,
        model: Some(Box::new(Descent::new(vec![1.0; PARAMETERS], 0.1))),
        seed: 7,
        ..Config::default()
    });
    let name: Name = "w0".parse().expect("a name");
    let join = Join {
        name: name.clone(),
        position: Position::Fresh,
        seen: None,
    };
    machine.handle_join(Time::ZERO, ConnId(0), join);
    for round in 0..rounds {
        let of = Some(machine.round());
        let gradient = Payload::from_floats(&[round as f32; PARAMETERS]);
        machine.handle_gradient(Time::ZERO, ConnId(0), of, gradient);
    }
    while machine.poll_output().is_some() {}
    assert_eq!(machine.round().0, rounds);
    let tensors = vec![Tensor {
        name: "w".into(),
        elements: PARAMETERS as u64,
    }];
    let seen = machine.seen(ConnId(0)).into_iter();
    machine.checkpoint(
        Name::default(),
        tensors,
        seen.map(|seen| (name.clone(), seen)).collect(),
    )
}

/// The round that comes next by what can be read.
fn next(disk: Memory, keep: usize) -> Option<u64> {
    let mut store = Store::open(disk, keep).expect("the folder is there");
    let restored = store.restore().expect("one is in order");
    restored.newest.map(|(_, checkpoint)| {
        let next = checkpoint.next().0;
        assert_eq!(checkpoint, after(next), "it is whole");
        next
    })
}

/// The world stops after the k-th call of a checkpoint, for every k, and what
/// was not made safe is there, or not, or in part.
#[test]
fn killed_at_any_call_the_newest_finished_checkpoint_can_be_read() {
    for keep in 1..=3 {
        for before in 0..5_u64 {
            let mut k = 0;
            loop {
                let disk = Memory::default();
                disk.allow(usize::MAX);
                let mut store = Store::open(disk.clone(), keep).expect("a folder");
                for round in 1..=before {
                    store.save(&after(round)).expect("it is saved");
                }
                disk.allow(k);
                let saved = store.save(&after(before + 1));
                let wanted = |is_there: bool| before + u64::from(is_there);
                for seed in 0..24 {
                    let mut random = Random(seed + 1);
                    let left = disk.after_loss_of_power(&mut random);
                    let found = next(left.clone(), keep).unwrap_or(0);
                    match saved.is_ok() {
                        true => assert_eq!(found, before + 1, "keep {keep}, call {k}"),
                        false => assert!(
                            found == wanted(false) || found == wanted(true),
                            "keep {keep}, call {k}: {found} after {before}"
                        ),
                    }
                    // And it goes on from there.
                    let mut store = Store::open(left.clone(), keep).expect("a folder");
                    store.save(&after(found + 1)).expect("it is saved");
                    assert_eq!(next(left.clone(), keep), Some(found + 1));
                    let names = left.clone().list().expect("names");
                    assert!(names.len() <= keep.max(1) + 1, "{names:?}");
                }
                if saved.is_ok() {
                    assert!(k >= 6, "create, write, sync, rename, sync, ..: {k}");
                    break;
                }
                k += 1;
                assert!(k < 100, "a checkpoint is a few calls");
            }
        }
    }
}

/// The world stops after the k-th call of a resumption, for every k: the
/// checkpoint is there, and the epochs noted before it.
#[test]
fn killed_at_any_call_the_epochs_that_were_noted_are_known() {
    for noted in 0..3_u64 {
        let mut k = 0;
        loop {
            let disk = Memory::default();
            disk.allow(usize::MAX);
            let mut store = Store::open(disk.clone(), 2).expect("a folder");
            store.save(&after(1)).expect("it is saved");
            store.restore().expect("it is in order");
            for epoch in 0..noted {
                store.resume(100 + epoch).expect("it is noted");
            }
            disk.allow(k);
            let is_noted = store.resume(100 + noted).is_ok();
            for seed in 0..24 {
                let left = disk.after_loss_of_power(&mut Random(seed + 1));
                let mut store = Store::open(left.clone(), 2).expect("a folder");
                let restored = store.restore().expect("it is in order");
                assert!(restored.refused.is_empty(), "{:?}", restored.refused);
                let found = epochs(&restored.newest.expect("it is there").1, 300);
                let wanted = |all: u64| found == (100..100 + all).collect::<Vec<_>>();
                assert!(
                    wanted(noted + 1) || !is_noted && wanted(noted),
                    "call {k}: {found:?}"
                );
                // It goes when its checkpoint goes.
                for round in 2..5 {
                    store.save(&after(round)).expect("it is saved");
                }
                let names = left.clone().list().expect("names");
                assert_eq!(
                    names,
                    ["checkpoint-000000000002", "checkpoint-000000000003"]
                );
            }
            if is_noted {
                break;
            }
            k += 1;
            assert!(k < 100, "a note is a few calls");
        }
    }
}

/// Which of the epochs 100 to `end` a restored job knows for its past.
fn epochs(checkpoint: &Checkpoint, end: u64) -> Vec<u64> {
    let mut machine = Machine::new(Config {
        model: Some(Box::new(Descent::new(vec![1.0; PARAMETERS], 0.1))),
        ..Config::default()
    });
    machine.restore(checkpoint.clone()).expect("it goes on");
    // Somebody holds its place, so that nobody else's position is taken over.
    let join = |machine: &mut Machine, id: u64, position| {
        let name = format!("w{id}").parse().expect("a name");
        let join = Join {
            name,
            position,
            seen: None,
        };
        machine.handle_join(Time::ZERO, ConnId(id), join);
        let told = std::iter::from_fn(|| machine.poll_output());
        told.filter_map(|output| match output {
            Output::CatchUp { catch_up, .. } => Some(catch_up.recovery),
            _ => None,
        })
        .last()
        .expect("a join is answered")
    };
    join(&mut machine, 0, Position::Fresh);
    let next = checkpoint.next();
    let is_known = |epoch: &u64| {
        let position = Position::Before {
            next,
            epoch: *epoch,
        };
        matches!(join(&mut machine, 1 + epoch, position), Recovery::Results(results) if results.is_empty())
    };
    (100..end).filter(is_known).collect()
}

/// A list of epochs that is damaged is told of, and the checkpoint is used.
#[test]
fn a_damaged_list_of_epochs_costs_no_checkpoint() {
    let (_folder, path) = folder();
    let store = || Store::open(Folder::open(&path).expect("a folder"), 2).expect("a store");
    {
        let mut store = store();
        store.save(&after(1)).expect("it is saved");
        store.restore().expect("it is in order");
        store.resume(7).expect("it is noted");
    }
    let list = path.join("checkpoint-000000000000.epochs");
    let whole = std::fs::read(&list).expect("it is there");
    std::fs::write(&list, &whole[1..]).expect("it is written");
    // One without a checkpoint is nobody's.
    let orphan = path.join("checkpoint-000000000009.epochs");
    std::fs::write(&orphan, &whole).expect("it is written");
    let restored = store().restore().expect("the checkpoint is in order");
    assert_eq!(restored.newest.expect("it is there").1, after(1));
    assert_eq!(restored.refused[0].0, "checkpoint-000000000000.epochs");
    assert!(!orphan.exists());
}

/// A folder that fails for a while costs nothing that was there.
#[test]
fn a_disk_that_is_full_for_a_while_is_written_to_again() {
    for k in 0..6 {
        let disk = Memory::default();
        disk.allow(usize::MAX);
        let mut store = Store::open(disk.clone(), 2).expect("a folder");
        store.save(&after(1)).expect("it is saved");
        disk.allow(k);
        let is_saved = store.save(&after(2)).is_ok();
        disk.allow(usize::MAX);
        assert!(next(disk.clone(), 2) >= Some(1 + u64::from(is_saved)));
        store.save(&after(3)).expect("it is saved");
        assert_eq!(next(disk.clone(), 2), Some(3));
    }
}

fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("checkpoints");
    (folder, path)
}

/// Each byte of a file is changed, and the file cut at each length.
#[test]
fn a_damaged_file_is_refused_by_name_and_the_one_before_it_used() {
    let (_folder, path) = folder();
    let mut store = Store::open(Folder::open(&path).expect("a folder"), 2).expect("a store");
    store.save(&after(1)).expect("it is saved");
    let newest = store.save(&after(2)).expect("it is saved");
    let file = path.join(&newest.name);
    let whole = std::fs::read(&file).expect("it is there");
    assert_eq!(whole.len() as u64, newest.bytes);
    let mut check = |content: &[u8], what: String| {
        std::fs::write(&file, content).expect("it is written");
        let restored = store.restore().expect("the first is in order");
        let (name, checkpoint) = restored.newest.expect("it is there");
        assert_eq!(
            (name.as_str(), checkpoint.next().0),
            ("checkpoint-000000000000", 1),
            "{what}"
        );
        assert_eq!(restored.refused[0].0, newest.name, "{what}");
        restored.refused[0].1.to_string()
    };
    for at in 0..whole.len() {
        let mut content = whole.clone();
        content[at] ^= 1 << (at % 8);
        check(&content, format!("byte {at}"));
        check(&whole[..at], format!("cut at {at}"));
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(check(&longer, "longer".into()).contains("bytes long; expected"));
    assert!(check(b"", "empty".into()).contains("is 0 bytes long"));
    assert!(check(&[b'x'; 1000], "other".into()).contains("does not begin with HSYNCKPT"));
    // A header that is in order and speaks of more than any disk holds.
    let mut huge = whole.clone();
    huge[24..32].fill(0xff);
    let crc = hetsync_core::wire::v1::crc(&huge[..32]);
    huge[32..36].copy_from_slice(&crc.to_le_bytes());
    assert!(check(&huge, "huge".into()).contains("bytes long; expected"));
    let mut later = whole.clone();
    later[8] = 2;
    let crc = hetsync_core::wire::v1::crc(&later[..32]);
    later[32..36].copy_from_slice(&crc.to_le_bytes());
    assert!(check(&later, "later".into()).contains("version 2; this program reads version 1"));
}

#[test]
fn if_all_are_damaged_nothing_is_begun_anew() {
    let (_folder, path) = folder();
    let mut store = Store::open(Folder::open(&path).expect("a folder"), 2).expect("a store");
    for round in 1..3 {
        let saved = store.save(&after(round)).expect("it is saved");
        std::fs::write(path.join(saved.name), "rust").expect("it is written");
    }
    let error = store.restore().expect_err("none is good");
    let told = error.to_string();
    assert_eq!(error.refused.len(), 2);
    for name in ["checkpoint-000000000001: ", "checkpoint-000000000000: "] {
        assert!(told.contains(name), "{told}");
    }
}

#[test]
fn two_servers_do_not_share_a_folder() {
    let (_folder, path) = folder();
    let first = Folder::open(&path).expect("a folder");
    let second = Folder::open(&path).expect_err("it is held");
    assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
    drop(first);
    Folder::open(&path).expect("it is free");
}

/// What others put into the folder is left alone, and what was never finished
/// goes.
#[test]
fn other_files_are_left_alone() {
    let (_folder, path) = folder();
    let folder = Folder::open(&path).expect("a folder");
    for name in [
        "notes.txt",
        "checkpoint-7",
        "checkpoint-00000000000x",
        "checkpoint.unfinished",
    ] {
        std::fs::write(path.join(name), "mine").expect("it is written");
    }
    let mut store = Store::open(folder, 1).expect("a store");
    for round in 1..5 {
        store.save(&after(round)).expect("it is saved");
    }
    let names = std::fs::read_dir(&path).expect("the folder");
    let mut names: Vec<String> = names
        .map(|entry| {
            entry
                .expect("a file")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    let expected = [
        "checkpoint-000000000003",
        "checkpoint-00000000000x",
        "checkpoint-7",
        "lock",
        "notes.txt",
    ];
    assert_eq!(names, expected);
}
