//! Kernel maps of run-time sizes.
//!
//! A value as user space sees it is [`Map::stride`] bytes a possible CPU for per-CPU kinds, one value otherwise.
//! Every buffer handed to the kernel has exactly the length the kernel will read or write; that is the invariant all
//! the `unsafe` here rests on.

use super::call::{self, Batch, Elem, MapCreate, command};
use super::cpus::possible_cpus;
use crate::image::{MapKind, MapSpec};
use crate::load::error::LoadError;
use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `BPF_EXIST`: overwrite, never create.
const EXIST: u64 = 2;
/// Bytes of values asked for in one batch, so that a large map is not held in memory twice.
const BATCH_BYTES: usize = 1 << 20;
/// Keys asked for in one batch at least: the kernel hands out whole hash buckets.
const BATCH_KEYS: usize = 64;

/// A map that lives as long as this value (or a program that uses it).
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    spec: MapSpec,
    /// Slots in a value: possible CPUs for per-CPU kinds, else 1.
    cpus: usize,
}

/// A key and its value: [`Map::stride`] bytes for each slot of [`Map::cpus`].
pub type Entry = (Vec<u8>, Vec<u8>);

impl Map {
    /// Creates the map in the kernel, all values 0.
    ///
    /// # Errors
    /// [`LoadError::Map`] with the map's name, its size and the kernel's reason.
    pub fn create(spec: &MapSpec) -> Result<Map, LoadError> {
        let fail = |source| LoadError::map(spec, source);
        let cpus = if spec.kind.is_percpu() {
            possible_cpus().map_err(fail)?
        } else {
            1
        };
        let fd = call::with_memlock(|| {
            let mut attr = MapCreate {
                map_type: spec.kind.number(),
                key_size: spec.key_size,
                value_size: spec.value_size,
                max_entries: spec.max_entries,
                map_name: call::object_name(&spec.name),
                ..MapCreate::default()
            };
            // SAFETY: the structure of this command; it holds no addresses.
            unsafe { call::bpf_fd(command::MAP_CREATE, &mut attr) }
        })
        .map_err(fail)?;
        Ok(Map {
            fd,
            spec: spec.clone(),
            cpus,
        })
    }

    /// What the map was created from.
    pub fn spec(&self) -> &MapSpec {
        &self.spec
    }

    /// Slots in a value: possible CPUs for per-CPU kinds, else 1.
    pub fn cpus(&self) -> usize {
        self.cpus
    }

    /// Bytes from one CPU's value to the next: the value's size rounded up to 8 for per-CPU kinds.
    pub fn stride(&self) -> usize {
        let size = self.spec.value_size as usize;
        if self.spec.kind.is_percpu() {
            size.next_multiple_of(8)
        } else {
            size
        }
    }

    /// Bytes of a whole value.
    pub fn value_bytes(&self) -> usize {
        self.stride() * self.cpus
    }

    /// The value of `key`, or `None` if the map does not hold it.
    ///
    /// # Errors
    /// `key` has the wrong length, or the kernel's reason.
    pub fn lookup(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.check_key(key)?;
        let mut value = vec![0; self.value_bytes()];
        let mut attr = Elem {
            map_fd: self.raw(),
            key: key.as_ptr() as u64,
            value: value.as_mut_ptr() as u64,
            ..Elem::default()
        };
        // SAFETY: `key` is `key_size` bytes (checked), `value` is `value_bytes()` writable bytes.
        found(unsafe { call::bpf(command::MAP_LOOKUP_ELEM, &mut attr) })
            .map(|has| has.then_some(value))
    }

    /// Stores `value` (all slots of it) under `key`.
    ///
    /// # Errors
    /// A wrong length, or the kernel's reason (`E2BIG`: the map is full).
    pub fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.update_with(key, value, 0).map(drop)
    }

    /// Whether the value was stored; with [`EXIST`] a key that is gone stays gone.
    fn update_with(&self, key: &[u8], value: &[u8], flags: u64) -> io::Result<bool> {
        self.check_key(key)?;
        if value.len() != self.value_bytes() {
            return Err(wrong_length("value", value.len(), self.value_bytes()));
        }
        let mut attr = Elem {
            map_fd: self.raw(),
            key: key.as_ptr() as u64,
            value: value.as_ptr() as u64,
            flags,
            ..Elem::default()
        };
        // SAFETY: both lengths checked above; the kernel only reads.
        found(unsafe { call::bpf(command::MAP_UPDATE_ELEM, &mut attr) })
    }

    /// Removes `key`; whether it was there.
    ///
    /// # Errors
    /// `key` has the wrong length, or the kernel's reason (`EINVAL`: an array's keys cannot be removed).
    pub fn delete(&self, key: &[u8]) -> io::Result<bool> {
        self.check_key(key)?;
        let mut attr = Elem {
            map_fd: self.raw(),
            key: key.as_ptr() as u64,
            ..Elem::default()
        };
        // SAFETY: `key` is `key_size` bytes (checked).
        found(unsafe { call::bpf(command::MAP_DELETE_ELEM, &mut attr) })
    }

    /// The key after `key` in the kernel's order (the first for `None`), or `None` at the end.
    /// If `key` is no longer in the map this is the first key.
    ///
    /// # Errors
    /// `key` has the wrong length, or the kernel's reason.
    pub fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        if let Some(key) = key {
            self.check_key(key)?;
        }
        let mut next = vec![0; self.spec.key_size as usize];
        let mut attr = Elem {
            map_fd: self.raw(),
            key: key.map_or(0, |key| key.as_ptr() as u64),
            value: next.as_mut_ptr() as u64,
            ..Elem::default()
        };
        // SAFETY: `key` is null or `key_size` bytes, `next` is `key_size` writable bytes.
        found(unsafe { call::bpf(command::MAP_GET_NEXT_KEY, &mut attr) })
            .map(|has| has.then_some(next))
    }

    /// All keys with their values, in batches where the kernel has them for this kind, else one by one.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        match self.entries_in_batches() {
            Ok(entries) => Ok(entries),
            // 5.10 has no batches for per-CPU arrays; a batch can also fail under concurrent change.
            // One by one works for every kind, and says so if it does not.
            Err(_) => self.entries_one_by_one(),
        }
    }

    /// All keys with their values by `BPF_MAP_LOOKUP_BATCH`.
    ///
    /// # Errors
    /// The kernel's reason; `EINVAL` or `ENOTSUPP` where it has no batches for this kind.
    pub fn entries_in_batches(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.batches(command::MAP_LOOKUP_BATCH, &mut entries)?;
        Ok(entries)
    }

    /// Removes all keys of a hash and gives them with their values, in batches where the kernel has them, else one by
    /// one. A sample that is being added to a key at that instant may be missed.
    ///
    /// # Errors
    /// The kernel's reason; an array's keys cannot be removed.
    pub fn take(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if self
            .batches(command::MAP_LOOKUP_AND_DELETE_BATCH, &mut entries)
            .is_err()
        {
            // What the batches before took is in `entries` and no longer in the map.
            for key in self.keys()? {
                if let Some(value) = self.lookup(&key)? {
                    self.delete(&key)?;
                    entries.push((key, value));
                }
            }
        }
        Ok(entries)
    }

    /// Appends all entries by a batch command that reads.
    fn batches(&self, command: u32, entries: &mut Vec<Entry>) -> io::Result<()> {
        let (key_size, value_bytes) = (self.spec.key_size as usize, self.value_bytes());
        let most = (self.spec.max_entries as usize).max(1);
        let mut keys_asked =
            (BATCH_BYTES / value_bytes.max(1)).clamp(BATCH_KEYS, most.max(BATCH_KEYS));
        // The kernel's place in the map: a key for arrays, a bucket number for hashes.
        let mut place = vec![0; key_size.max(4)];
        let mut next_place = place.clone();
        let mut started = false;
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        loop {
            keys.resize(keys_asked * key_size, 0u8);
            values.resize(keys_asked * value_bytes, 0u8);
            let mut attr = Batch {
                in_batch: if started { place.as_ptr() as u64 } else { 0 },
                out_batch: next_place.as_mut_ptr() as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: keys_asked as u32,
                map_fd: self.raw(),
                ..Batch::default()
            };
            // SAFETY: `keys` and `values` hold `count` of each; both places are at least as long as the kernel's token.
            let result = unsafe { call::bpf(command, &mut attr) };
            let last = match result {
                Ok(_) => false,
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOENT) => true,
                    // One bucket holds more keys than were asked for.
                    Some(libc::ENOSPC) if keys_asked < most => {
                        keys_asked = (keys_asked * 2).min(most);
                        continue;
                    }
                    _ => return Err(error),
                },
            };
            let got = (attr.count as usize).min(keys_asked);
            for at in 0..got {
                entries.push((
                    keys[at * key_size..][..key_size].to_vec(),
                    values[at * value_bytes..][..value_bytes].to_vec(),
                ));
            }
            if last || (got == 0 && started) {
                return Ok(());
            }
            started = true;
            std::mem::swap(&mut place, &mut next_place);
        }
    }

    /// All keys with their values by walking from key to key.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn entries_one_by_one(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for key in self.keys()? {
            // A key may go between being named and being read.
            if let Some(value) = self.lookup(&key)? {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    /// The keys, each once. A key removed meanwhile makes the kernel start over, hence the set and the bound.
    fn keys(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut seen = HashSet::new();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut at: Option<Vec<u8>> = None;
        for _ in 0..4 * u64::from(self.spec.max_entries) + 16 {
            let Some(key) = self.next_key(at.as_deref())? else {
                break;
            };
            if seen.insert(key.clone()) {
                keys.push(key.clone());
            }
            at = Some(key);
        }
        Ok(keys)
    }

    /// Removes every key; an array's values become 0.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn clear(&self) -> io::Result<()> {
        if matches!(self.spec.kind, MapKind::Array | MapKind::PercpuArray) {
            return self.zero();
        }
        for key in self.keys()? {
            self.delete(&key)?;
        }
        Ok(())
    }

    /// Sets every value to 0 and keeps the keys.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn zero(&self) -> io::Result<()> {
        let zeroes = vec![0; self.value_bytes()];
        for key in self.keys()? {
            self.update_with(&key, &zeroes, EXIST)?;
        }
        Ok(())
    }

    fn raw(&self) -> u32 {
        self.fd.as_raw_fd() as u32
    }

    fn check_key(&self, key: &[u8]) -> io::Result<()> {
        if key.len() == self.spec.key_size as usize {
            Ok(())
        } else {
            Err(wrong_length("key", key.len(), self.spec.key_size as usize))
        }
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Map {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// `ENOENT` is an answer, not a failure.
fn found(result: io::Result<i32>) -> io::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn wrong_length(what: &str, got: usize, expected: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("a {what} of {got} bytes for a map with {what}s of {expected}"),
    )
}
