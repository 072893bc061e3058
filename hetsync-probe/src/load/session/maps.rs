//! The maps of a session as the script sees them, whatever they are kept in: a front before a map, several in one.

use std::collections::BTreeMap;

use super::Session;
use crate::image::{MapSpec, Part};
use crate::layout;
use crate::load::error::LoadError;
use crate::load::sys::{Entry, Map};

impl Session {
    /// The maps (by number) that have a front ([`layout::front`]).
    pub fn fronts(&self) -> impl Iterator<Item = usize> {
        self.fronts.iter().map(|&(map, _)| map)
    }

    /// Keys that map number `map` can hold.
    pub fn capacity(&self, map: usize) -> Option<u32> {
        let at = self.part(map).map_or(map, |part| part.of);
        Some(self.maps.get(at)?.spec().max_entries)
    }

    fn part(&self, map: usize) -> Option<&Part> {
        self.parts.iter().find(|part| part.map == map)
    }

    /// All keys and values of map number `map` (as in [`Image::maps`](crate::image::Image::maps)), those in its front too. A value is [`Map::stride`]
    /// bytes for each of [`Map::cpus`].
    ///
    /// # Errors
    /// There is no such map, or the kernel's reason.
    pub fn read_map(&self, map: usize) -> Result<Vec<Entry>, LoadError> {
        if let Some(part) = self.part(map) {
            let group = self.map(part.of)?;
            let entries = group
                .entries()
                .map_err(|source| access("read", group, source))?;
            let own = |(key, value): Entry| (key, part.cut(&value, group.stride()));
            return Ok(entries.into_iter().map(own).collect());
        }
        let behind = self.map(map)?;
        let read = |map: &Map| map.entries().map_err(|source| access("read", map, source));
        let Some(&(_, front)) = self.fronts.iter().find(|(of, _)| *of == map) else {
            return read(behind);
        };
        let mut entries: BTreeMap<_, _> = read(behind)?.into_iter().collect();
        for (_, slots) in read(self.map(front)?)? {
            let slots = layout::front::entries(&slots);
            entries.extend(slots.map(|(key, value)| (key.to_vec(), value.to_vec())));
        }
        Ok(entries.into_iter().collect())
    }

    /// Takes all keys out of map number `map`, with their values as [`Session::read_map`] has them.
    ///
    /// # Errors
    /// There is no such map, it is an array, or the kernel's reason.
    pub fn take_map(&self, map: usize) -> Result<Vec<Entry>, LoadError> {
        let map = self.map(map)?;
        map.take().map_err(|source| access("clear", map, source))
    }

    /// A map of the session, for its sizes.
    ///
    /// # Errors
    /// There is no such map.
    pub fn map(&self, map: usize) -> Result<&Map, LoadError> {
        self.maps
            .get(map)
            .ok_or_else(|| LoadError::Image(format!("there is no map {map}")))
    }

    /// Removes every key of a map (an array's values become 0).
    ///
    /// # Errors
    /// There is no such map, or the kernel's reason.
    pub fn clear(&self, map: usize) -> Result<(), LoadError> {
        let map = self.map(map)?;
        map.clear().map_err(|source| access("clear", map, source))
    }

    /// Sets the value of one key; `value` is as long as [`Session::read_map`] has it.
    ///
    /// # Errors
    /// There is no such map, or the kernel's reason.
    pub fn set(&self, map: usize, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let map = self.map(map)?;
        map.update(key, value)
            .map_err(|source| access("set", map, source))
    }

    /// Sets every value of a map to 0 and keeps its keys.
    ///
    /// # Errors
    /// There is no such map, or the kernel's reason.
    pub fn zero(&self, map: usize) -> Result<(), LoadError> {
        let map = self.map(map)?;
        map.zero().map_err(|source| access("zero", map, source))
    }
}

pub(super) fn access(action: &'static str, map: &Map, source: std::io::Error) -> LoadError {
    let spec: &MapSpec = map.spec();
    LoadError::Access {
        action,
        map: spec.name.clone(),
        source,
    }
}
