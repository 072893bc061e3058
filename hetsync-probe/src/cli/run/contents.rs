//! What the script sees in its maps: the kernel's values less what `clear` and `zero` took away.
//!
//! Statistics in the kernel are never written while programs add to them: `clear` remembers what had been counted, and that
//! is subtracted from then on. What was counted is what the `print` just before showed, so that no sample falls between the
//! two. Keys have to leave the kernel some day: where a map is more than half full they are taken out, and what
//! they got after the print is carried to the next one.
//!
//! Values that are assigned, `min()`, `max()` and maps whose keys the script itself deletes are cleared in the kernel.

use std::collections::HashMap;

use super::RunError;
use super::words::Words;
use crate::load::Session;
use crate::load::sys::boot_ns;
use crate::report::baseline;
use crate::report::map::MapReport;
use crate::report::names::Names;
use crate::report::value;
use crate::sema::hir::{ExprKind, Function, MapValue, Program, StmtKind};

/// A key's value on every CPU.
type Parts = Vec<Vec<u8>>;

/// The maps of a script.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    program: &'a Program,
    maps: Vec<Cleared>,
    /// When everything was attached, in nanoseconds since boot.
    started_ns: u64,
    /// When everything was detached.
    ended_ns: Option<u64>,
}

/// What was taken from one map.
#[derive(Debug, Default)]
struct Cleared {
    /// Whether it is cleared by subtraction.
    subtracts: bool,
    /// Whether the script deletes from it.
    deleted: bool,
    /// Of each key what does not count any more.
    base: HashMap<Vec<u8>, Base>,
    /// What keys had when they left the kernel, and nobody has seen yet.
    carry: HashMap<Vec<u8>, Parts>,
    /// The kernel's values as last printed, and when, while the events at hand are handled.
    shown: Option<(HashMap<Vec<u8>, Parts>, u64)>,
    /// When it was cleared last.
    since_ns: Option<u64>,
}

#[derive(Debug)]
struct Base {
    value: Parts,
    /// Whether the key is there (`zero`) or not (`clear`) before it gets a sample.
    stays: bool,
}

impl<'a> Contents<'a> {
    pub(super) fn new(program: &'a Program) -> Self {
        let mut maps: Vec<Cleared> = program
            .maps
            .iter()
            .map(|map| Cleared {
                subtracts: baseline::is_additive(&map.value).is_some(),
                ..Cleared::default()
            })
            .collect();
        // A key that a program deletes starts anew without anybody being told, so nothing can be subtracted from it.
        for probe in &program.probes {
            probe.each_stmt(&mut |stmt| {
                let (StmtKind::Delete { map, .. } | StmtKind::Each { map, .. }) = stmt.kind else {
                    return;
                };
                if let Some(map) = maps.get_mut(map.0 as usize) {
                    map.subtracts = false;
                    map.deleted |= matches!(stmt.kind, StmtKind::Delete { .. });
                }
            });
            // A program that reads a statistic reads what is in the kernel, so that is what has to go.
            probe.each_expr(&mut |expr| {
                let read = match &expr.kind {
                    ExprKind::Statistic { map, .. }
                    | ExprKind::Call {
                        function: Function::Entries(map),
                        ..
                    } => Some(*map),
                    _ => None,
                };
                if let Some(map) = read
                    && let Some(map) = maps.get_mut(map.0 as usize)
                {
                    map.subtracts = false;
                }
            });
        }
        Contents {
            program,
            maps,
            started_ns: boot_ns(),
            ended_ns: None,
        }
    }

    /// Everything is attached: rates are over the time from here on.
    pub(super) fn started(&mut self) {
        self.started_ns = boot_ns();
    }

    /// Nothing is attached any more: rates are over the time up to here.
    pub(super) fn ended(&mut self) {
        self.ended_ns = Some(boot_ns());
    }

    /// A map's contents now, unarranged; a `clear` before [`Contents::forget_shown`] takes away just these.
    ///
    /// # Errors
    /// The kernel's reason.
    pub(super) fn show(
        &mut self,
        session: &Session,
        words: &Words,
        map: usize,
    ) -> Result<MapReport<'a>, RunError> {
        let declared = &self.program.maps[map];
        let read_ns = self.ended_ns.unwrap_or_else(boot_ns);
        let now = values(session, map)?;
        let cleared = &mut self.maps[map];
        let mut visible = Vec::with_capacity(now.len());
        for (key, value) in &now {
            let mut parts = match cleared.base.get(key) {
                Some(base) => {
                    let rest = rest(declared, value, &base.value);
                    if !base.stays && is_zero(&rest) && !cleared.carry.contains_key(key) {
                        continue;
                    }
                    rest
                }
                None => value.clone(),
            };
            // Merging is adding up, so what is carried is one more CPU's.
            parts.extend(cleared.carry.get(key).into_iter().flatten().cloned());
            visible.push((key.clone(), parts));
        }
        let gone = cleared
            .carry
            .iter()
            .filter(|(key, _)| !now.contains_key(*key));
        visible.extend(gone.map(|(key, parts)| (key.clone(), parts.clone())));
        let zeroed = declared.key.is_empty() && cleared.base.values().any(|base| base.stays);
        if cleared.subtracts {
            cleared.shown = Some((now, read_ns));
        }
        let over_ns = read_ns.saturating_sub(cleared.since_ns.unwrap_or(self.started_ns));
        let lookups = words.of(session);
        let names = Names {
            strings: &self.program.names,
            lookup: Some(&lookups),
        };
        let decode = match zeroed {
            true => value::decode_zeroed,
            false => value::decode,
        };
        Ok(MapReport::decode_with(declared, names, visible, decode).over(over_ns))
    }

    /// From now on a `clear` takes away what is counted by then.
    pub(super) fn forget_shown(&mut self) {
        for map in &mut self.maps {
            map.shown = None;
        }
    }

    /// `clear(@map)`.
    ///
    /// # Errors
    /// The kernel's reason, or a map the script does not have.
    pub(super) fn clear(&mut self, session: &Session, map: usize) -> Result<(), RunError> {
        let Some(cleared) = self.maps.get_mut(map) else {
            return Ok(session.clear(map)?);
        };
        if !cleared.subtracts {
            cleared.since_ns = Some(boot_ns());
            cleared.base.clear();
            return Ok(session.clear(map)?);
        }
        let (seen, seen_ns) = match cleared.shown.take() {
            Some(shown) => shown,
            None => (values(session, map)?, boot_ns()),
        };
        cleared.since_ns = Some(seen_ns);
        cleared.carry.clear();
        cleared.base.clear();
        let declared = &self.program.maps[map];
        let capacity = session.capacity(map).unwrap_or(0) as usize;
        if declared.key.is_empty() || seen.len() <= capacity / 2 {
            cleared.base = baselines(seen, |_| false);
            return Ok(());
        }
        for (key, value) in parts(session, map, session.take_map(map)?)? {
            let rest = match seen.get(&key) {
                Some(before) => rest(declared, &value, before),
                None => value,
            };
            if !is_zero(&rest) {
                cleared.carry.insert(key, rest);
            }
        }
        Ok(())
    }

    /// `zero(@map)`.
    ///
    /// # Errors
    /// As [`Contents::clear`].
    pub(super) fn zero(&mut self, session: &Session, map: usize) -> Result<(), RunError> {
        let Some(cleared) = self.maps.get_mut(map) else {
            return Ok(session.zero(map)?);
        };
        let declared = &self.program.maps[map];
        let unkeyed = declared.key.is_empty();
        if !cleared.subtracts {
            cleared.since_ns = Some(boot_ns());
            return match (&declared.value, unkeyed) {
                (_, false) => Ok(session.zero(map)?),
                (MapValue::Scalar(ty), true) => zero_assigned(session, map, ty.size()),
                (MapValue::Aggregate(_), true) => {
                    let before = values(session, map)?;
                    session.zero(map)?;
                    let there = before
                        .into_iter()
                        .filter(|(_, value)| !is_zero(value) && !cleared.deleted);
                    cleared.base.extend(baselines(there.collect(), |_| true));
                    Ok(())
                }
            };
        }
        let (seen, seen_ns) = match cleared.shown.take() {
            Some(shown) => shown,
            None => (values(session, map)?, boot_ns()),
        };
        cleared.since_ns = Some(seen_ns);
        let old = std::mem::take(&mut cleared.base);
        cleared.base = baselines(seen, |(key, value)| match old.get(key) {
            // A key that `clear` took and nothing came back to is still gone.
            Some(base) => base.stays || !is_zero(&rest(declared, value, &base.value)),
            // A map without keys has its value from the start.
            None => !unkeyed || !is_zero(value),
        });
        for part in cleared.carry.values_mut().flatten() {
            part.fill(0);
        }
        Ok(())
    }
}

/// Sets the value of a map without keys to 0 if it has been assigned; the word behind it says so, and stays.
fn zero_assigned(session: &Session, map: usize, size: usize) -> Result<(), RunError> {
    for (key, mut value) in session.read_map(map)? {
        if value
            .get(size..)
            .is_some_and(|said| said.iter().any(|&byte| byte != 0))
        {
            value[..size].fill(0);
            session.set(map, &key, &value)?;
        }
    }
    Ok(())
}

fn baselines(
    seen: HashMap<Vec<u8>, Parts>,
    stays: impl Fn((&Vec<u8>, &Parts)) -> bool,
) -> HashMap<Vec<u8>, Base> {
    seen.into_iter()
        .map(|(key, value)| {
            let stays = stays((&key, &value));
            (key, Base { value, stays })
        })
        .collect()
}

/// Each CPU's samples since `before`.
fn rest(declared: &crate::sema::hir::Map, now: &Parts, before: &Parts) -> Parts {
    match baseline::is_additive(&declared.value) {
        Some(aggregation) => now
            .iter()
            .zip(before)
            .map(|(now, before)| baseline::since(aggregation, now, before))
            .collect(),
        None => now.clone(),
    }
}

fn is_zero(parts: &Parts) -> bool {
    parts.iter().flatten().all(|&byte| byte == 0)
}

fn values(session: &Session, map: usize) -> Result<HashMap<Vec<u8>, Parts>, RunError> {
    parts(session, map, session.read_map(map)?)
}

/// Values taken apart into those of the CPUs.
fn parts(
    session: &Session,
    map: usize,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
) -> Result<HashMap<Vec<u8>, Parts>, RunError> {
    let stride = session.map(map)?.stride().max(1);
    let apart = |value: Vec<u8>| value.chunks_exact(stride).map(<[u8]>::to_vec).collect();
    Ok(entries
        .into_iter()
        .map(|(key, value)| (key, apart(value)))
        .collect())
}
