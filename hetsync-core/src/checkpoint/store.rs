//! A bounded number of checkpoints in a folder, each there whole or not at
//! all.
//!
//! A checkpoint is written under another name, made safe, renamed, and the
//! folder made safe; only then are the oldest removed. Names carry a number
//! that only grows, so the newest is known by its name.

use std::collections::BTreeSet;
use std::io;

use super::format::{self, DamagedError};
use super::{Checkpoint, Disk, epochs};

/// What is being written has this name.
const UNFINISHED: &str = "checkpoint.unfinished";
const PREFIX: &str = "checkpoint-";
/// Behind a checkpoint's name: the epochs that went on from it.
const EPOCHS: &str = ".epochs";

/// Bytes of one write, at most.
const WRITE_BYTES: usize = 4 << 20;

/// Checkpoints of one job.
#[derive(Debug)]
pub struct Store<D> {
    disk: D,
    keep: usize,
    /// Numbers of those that are there, ascending.
    numbers: Vec<u64>,
    /// Of those that have a list of epochs beside them.
    listed: BTreeSet<u64>,
    /// What was restored, and the epochs that went on from it.
    restored: Option<(u64, Vec<u64>)>,
}

/// A checkpoint that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its file.
    pub name: String,
    /// How long it is.
    pub bytes: u64,
}

/// What was found at the start.
#[derive(Debug)]
pub struct Restored {
    /// The newest checkpoint that is in order, and its file; `None` if there
    /// never was one.
    pub newest: Option<(String, Checkpoint)>,
    /// Newer files that are not, or its list of epochs, and why.
    pub refused: Vec<(String, DamagedError)>,
}

/// There are checkpoints, and none is in order.
#[derive(Debug, thiserror::Error)]
#[error("no checkpoint in this folder can be used: {}. Move the files away to start without them", told(.refused))]
pub struct NoneGoodError {
    /// The files, and why.
    pub refused: Vec<(String, DamagedError)>,
}

fn told(refused: &[(String, DamagedError)]) -> String {
    let told = refused.iter().map(|(name, why)| format!("{name}: {why}"));
    told.collect::<Vec<_>>().join("; ")
}

impl<D: Disk> Store<D> {
    /// Looks what is there, and removes what was never finished. No more than
    /// `keep` checkpoints, and at least one, are kept.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(mut disk: D, keep: usize) -> io::Result<Self> {
        let names = disk.list()?;
        if names.iter().any(|name| name == UNFINISHED) {
            disk.remove(UNFINISHED)?;
        }
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| number(name)).collect();
        numbers.sort_unstable();
        let listed = names.iter().filter_map(|name| name.strip_suffix(EPOCHS));
        let mut listed: BTreeSet<u64> = listed.filter_map(number).collect();
        // A list outlives its checkpoint if the server ends between the two.
        for orphan in listed.extract_if(.., |of| numbers.binary_search(of).is_err()) {
            disk.remove(&list_name(orphan))?;
        }
        Ok(Self {
            disk,
            keep: keep.max(1),
            numbers,
            listed,
            restored: None,
        })
    }

    /// The newest checkpoint that is in order.
    ///
    /// # Errors
    /// [`NoneGoodError`] if there are some and none is: to begin anew would
    /// lose what they may still hold.
    pub fn restore(&mut self) -> Result<Restored, NoneGoodError> {
        let mut refused = Vec::new();
        for number in self.numbers.iter().copied().rev() {
            let name = name(number);
            let read = self.disk.read(&name).map_err(DamagedError::from);
            match read.and_then(format::decode) {
                Ok(mut checkpoint) => {
                    let list = list_name(number);
                    let read = match self.listed.contains(&number) {
                        true => self.disk.read(&list).map_err(DamagedError::from),
                        false => Ok(epochs::encode(&[])),
                    };
                    // Without it, whoever stands in one of these epochs is
                    // taken for a stranger, and nobody for what he is not.
                    match read.and_then(|list| epochs::decode(&list)) {
                        Ok(epochs) => checkpoint.resumed = epochs,
                        Err(why) => refused.push((list, why)),
                    }
                    self.restored = Some((number, checkpoint.resumed.clone()));
                    let newest = Some((name, checkpoint));
                    return Ok(Restored { newest, refused });
                }
                Err(why) => refused.push((name, why)),
            }
        }
        match refused.is_empty() {
            true => Ok(Restored {
                newest: None,
                refused,
            }),
            false => Err(NoneGoodError { refused }),
        }
    }

    /// Notes the epoch of whoever goes on from the checkpoint that was
    /// restored. When this returns it would survive a loss of power, and the
    /// next to restore it will know the epoch for its own past.
    ///
    /// # Errors
    /// The disk's. What was noted before is there as it was.
    pub fn resume(&mut self, epoch: u64) -> io::Result<()> {
        let Some((number, mut epochs)) = self.restored.clone() else {
            return Ok(());
        };
        epochs.push(epoch);
        self.disk.create(UNFINISHED)?;
        self.disk.write(&epochs::encode(&epochs))?;
        self.disk.sync()?;
        self.disk.rename(UNFINISHED, &list_name(number))?;
        self.disk.sync_folder()?;
        self.listed.insert(number);
        self.restored = Some((number, epochs));
        Ok(())
    }

    /// Writes a checkpoint. When this returns it would survive a loss of
    /// power.
    ///
    /// # Errors
    /// The disk's. Those before are there as they were.
    pub fn save(&mut self, checkpoint: &Checkpoint) -> io::Result<Saved> {
        let number = self.numbers.last().map_or(0, |last| last.saturating_add(1));
        let name = name(number);
        let head = format::encode_head(checkpoint);
        self.disk.create(UNFINISHED)?;
        let mut bytes = 0;
        let mut write = |piece: &[u8]| {
            bytes += piece.len() as u64;
            let mut chunks = piece.chunks(WRITE_BYTES);
            chunks.try_for_each(|chunk| self.disk.write(chunk))
        };
        write(&head)?;
        format::for_each_piece(checkpoint, write)?;
        self.disk.sync()?;
        self.disk.rename(UNFINISHED, &name)?;
        self.disk.sync_folder()?;
        self.numbers.push(number);
        while self.numbers.len() > self.keep {
            let oldest = self.numbers[0];
            self.remove(&self::name(oldest))?;
            self.numbers.remove(0);
            if self.listed.contains(&oldest) {
                self.remove(&list_name(oldest))?;
                self.listed.remove(&oldest);
            }
        }
        Ok(Saved { name, bytes })
    }

    /// If somebody else has made room, all the better.
    fn remove(&mut self, name: &str) -> io::Result<()> {
        match self.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The folder.
    pub fn disk(&self) -> &D {
        &self.disk
    }
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:012}")
}

fn list_name(number: u64) -> String {
    format!("{}{EPOCHS}", name(number))
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let is_ours = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_ours)
}
