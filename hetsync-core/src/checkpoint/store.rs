//! A bounded number of checkpoints in a folder, each there whole or not at
//! all.
//!
//! A checkpoint is written under another name, made safe, renamed, and the
//! folder made safe; only then are the oldest removed. Names carry a number
//! that only grows, so the newest is known by its name.

use std::io;

use super::format::{self, DamagedError};
use super::{Checkpoint, Disk};

/// What is being written has this name.
const UNFINISHED: &str = "checkpoint.unfinished";
const PREFIX: &str = "checkpoint-";

/// Bytes of one write, at most.
const WRITE_BYTES: usize = 4 << 20;

/// Checkpoints of one job.
#[derive(Debug)]
pub struct Store<D> {
    disk: D,
    keep: usize,
    /// Numbers of those that are there, ascending.
    numbers: Vec<u64>,
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
    /// Newer files that are not, and why.
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
        Ok(Self {
            disk,
            keep: keep.max(1),
            numbers,
        })
    }

    /// The newest checkpoint that is in order.
    ///
    /// # Errors
    /// [`NoneGoodError`] if there are some and none is: to begin anew would
    /// lose what they may still hold.
    pub fn restore(&mut self) -> Result<Restored, NoneGoodError> {
        let mut refused = Vec::new();
        for number in self.numbers.iter().rev() {
            let name = name(*number);
            let read = self.disk.read(&name).map_err(DamagedError::from);
            match read.and_then(format::decode) {
                Ok(checkpoint) => {
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
        for part in std::iter::once(&head[..]).chain(format::data(checkpoint)) {
            for chunk in part.chunks(WRITE_BYTES) {
                self.disk.write(chunk)?;
                bytes += chunk.len() as u64;
            }
        }
        self.disk.sync()?;
        self.disk.rename(UNFINISHED, &name)?;
        self.disk.sync_folder()?;
        self.numbers.push(number);
        while self.numbers.len() > self.keep {
            match self.disk.remove(&self::name(self.numbers[0])) {
                // Somebody else has made room.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.numbers.remove(0),
            };
        }
        Ok(Saved { name, bytes })
    }

    /// The folder.
    pub fn disk(&self) -> &D {
        &self.disk
    }
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:012}")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let is_ours = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_ours)
}
