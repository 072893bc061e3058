//! An eBPF machine: runs instructions of set v3 and the atomic add on emulated maps and helpers.
//!
//! It is an oracle, so it checks while it runs what the kernel's verifier proves before: no register and no
//! stack byte is read before it is written, every access is aligned and inside the region its
//! pointer came from, a pointer that may be null is compared with 0 first, reserved records are released.
//! It sees only the paths that are taken; the verifier sees all of them.
//!
//! It is not a sandbox to run foreign programs fast in, but any instructions at all are safe to give it:
//! they end in a result or in a [`Fault`] that names the instruction.

mod access;
mod alu;
mod context;
mod fault;
mod helpers;
mod maps;
mod memory;
mod run;

pub use fault::{Fault, FaultKind};

use super::{Contents, Firing, Table, World};
use crate::codegen::insn::{Insn, reg};
use crate::image::{Image, MapSpec, ProgramKind};
use crate::layout;
use crate::limits::STACK_BYTES;
use maps::EmulatedMap;
use memory::{Region, Stack, Word};
use run::{RecordState, Run};

/// Instructions a run may execute unless [`Machine::budget`] says otherwise: the verifier's own limit.
pub const BUDGET: u64 = 1_000_000;

/// The file descriptor of a machine's first map; the others follow.
pub const FIRST_FD: i32 = 3;

/// Maps and events, living through many runs.
#[derive(Debug, Clone)]
pub struct Machine {
    maps: Vec<EmulatedMap>,
    events: Vec<Vec<u8>>,
    executed: u64,
    /// Most instructions one run may execute.
    pub budget: u64,
}

impl Machine {
    /// Creates the maps, empty, for a machine with this many CPUs (at least 1).
    pub fn new(specs: &[MapSpec], cpus: usize) -> Result<Self, FaultKind> {
        let maps = specs
            .iter()
            .map(|spec| EmulatedMap::new(spec, cpus.max(1)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            maps,
            events: Vec::new(),
            executed: 0,
            budget: BUDGET,
        })
    }

    /// The file descriptors of the maps, in order, for the immediates of programs.
    pub fn fds(&self) -> Vec<i32> {
        (FIRST_FD..).take(self.maps.len()).collect()
    }

    /// Sets a key of map number `map` from outside: one value a CPU for per-CPU maps, else one.
    pub fn insert(&mut self, map: usize, key: &[u8], values: &[Vec<u8>]) {
        self.maps[map].insert(key, values);
    }

    /// The entries of map number `map`.
    pub fn table(&self, map: usize) -> Table {
        self.maps[map].table()
    }

    /// Records submitted so far, to any ring buffer.
    pub fn events(&self) -> &[Vec<u8>] {
        &self.events
    }

    /// Instructions executed so far.
    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// What running `image`'s programs left behind; the machine was made of its maps.
    pub fn contents(&self, image: &Image) -> Contents {
        let script_maps = image.maps.iter().filter(|spec| spec.map.is_some()).count();
        let mut losses = vec![0; image.loss_counters];
        if let Some(map) = image.losses {
            for (total, values) in losses.iter_mut().zip(self.table(map).into_values()) {
                *total = values.iter().map(|value| layout::word(value, 0)).sum();
            }
        }
        let table = |map: usize| {
            if let Some(part) = image.part_of(map) {
                let entries = self.table(part.of).into_iter();
                let own = |values: Vec<Vec<u8>>| {
                    let values = values.iter().map(|value| part.cut(value, value.len()));
                    values.collect()
                };
                return entries.map(|(key, values)| (key, own(values))).collect();
            }
            let mut table = self.table(map);
            let slots = image.front_of(map).map(|front| self.table(front));
            for slots in slots.iter().flat_map(|table| table.values()).flatten() {
                let entries = layout::front::entries(slots);
                table.extend(entries.map(|(key, value)| (key.to_vec(), vec![value.to_vec()])));
            }
            table
        };
        Contents {
            maps: (0..script_maps).map(table).collect(),
            events: self.events.clone(),
            losses,
        }
    }

    /// Runs a program once, its map immediates filled with [`Machine::fds`], and returns register 0.
    ///
    /// # Errors
    ///
    /// A [`Fault`] where the program breaks a rule. What it did to maps before stays done.
    pub fn run(
        &mut self,
        insns: &[Insn],
        kind: &ProgramKind,
        world: &mut World,
        firing: &Firing,
    ) -> Result<u64, Fault> {
        let mut run = Run {
            maps: &mut self.maps,
            world,
            firing,
            kind,
            insns,
            registers: [Word::UNSET; 11],
            frames: vec![Stack::new()],
            keys: Vec::new(),
            budget: self.budget,
            executed: 0,
            context: context::context(kind, firing),
            regions: vec![Region::Stack(0), Region::Context],
            nullable: Vec::new(),
            records: Vec::new(),
            pc: 0,
        };
        run.registers[reg::R1 as usize] = Word::pointer(1, 0);
        run.registers[reg::FP as usize] = Word::pointer(0, STACK_BYTES as i64);
        let result = run.execute();
        let (insn, executed) = (run.pc, run.executed);
        let records = std::mem::take(&mut run.records);
        self.executed += executed;
        let submitted = records
            .into_iter()
            .filter(|record| record.state == RecordState::Submitted);
        self.events.extend(submitted.map(|record| record.bytes));
        result.map_err(|kind| Fault { insn, kind })
    }
}
