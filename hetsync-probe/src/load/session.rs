//! A script in the kernel, from its maps to its detaching.
//!
//! ```text
//! load -> begin -> attach -> { events, run, read_map, clear, zero }* -> detach -> end -> read_map, account
//! ```
//!
//! Invariants: dropping a session detaches everything; nothing of it stays in the kernel.

mod maps;

use super::error::LoadError;
use super::loader::{Loaded, Loader, Mechanism, Prepared};
use super::plan::{LoaderName, Plan, Planned};
use super::sys::{
    Described, Map, Ring, SysLoader, boot_ns, close_elsewhere, load_btf, tracefs, visit_every_cpu,
};
use crate::image::{Image, Part, ProgramKind, resolve};
use crate::kernel::symbols::function_bytes;
use crate::layout::{self, Loss};
use crate::object::{self, ProgramLines};
use crate::sema::hir::PointKind;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use maps::access;

/// A loaded script.
#[derive(Debug)]
pub struct Session {
    // Dropped in this order: programs before the maps they use, though the kernel would not mind either.
    programs: Vec<Running>,
    ring: Option<Ring>,
    losses: Option<usize>,
    /// How many maps are the script's own.
    script_maps: usize,
    /// Most rounds of each loop.
    loops: Vec<u32>,
    maps: Vec<Map>,
    /// As [`Image::gate`].
    gate: Option<usize>,
    /// As [`Image::parts`].
    parts: Vec<Part>,
    /// As [`Image::fronts`].
    fronts: Vec<(usize, usize)>,
    start_ns: u64,
    /// Set by whoever wants no more to be attached.
    stop: Arc<AtomicBool>,
    skipped: Vec<LoadError>,
}

#[derive(Debug)]
struct Running {
    loaded: Box<dyn Loaded>,
    planned: Planned,
    /// Index of its probe in the script.
    probe: usize,
}

impl Session {
    /// Creates the image's maps and loads its programs, each by the loader the plan names. Nothing runs yet.
    ///
    /// # Errors
    /// What the kernel refused, with the map's name and size or the verifier's words and the script's place. Where
    /// [`LoadError::may_load_without_lowering`], a new plan without lowering may help.
    pub fn load(image: &Image, plan: &Plan) -> Result<Session, LoadError> {
        let maps: Vec<Map> = image
            .maps
            .iter()
            .map(|spec| {
                let name = spec.map.and_then(|map| plan.maps.get(map.0 as usize));
                Map::create(spec).map_err(|error| error.of_map(name.map(String::as_str)))
            })
            .collect::<Result<_, _>>()?;
        let fds: Vec<i32> = maps.iter().map(AsRawFd::as_raw_fd).collect();
        let start_ns = boot_ns();
        let debug = Debug::load(image);
        let mut programs = Vec::with_capacity(image.programs.len());
        for (number, program) in image.programs.iter().enumerate() {
            let (probe, point) = program.point;
            let planned = plan.points.get(probe).and_then(|points| points.get(point));
            let Some(planned) = planned.filter(|planned| planned.kind == program.kind) else {
                return Err(LoadError::Image(format!(
                    "program \"{}\" was not compiled for this plan",
                    program.name
                )));
            };
            inside_function(planned)?;
            let insns = resolve(program, &fds, start_ns)
                .map_err(|error| LoadError::Image(error.to_string()))?;
            let loaded = loader(planned.loader)?.load(&Prepared {
                name: &program.name,
                kind: &program.kind,
                insns: &insns,
                spans: &program.spans,
                debug: debug.as_ref().and_then(|debug| debug.of(number)),
                btf_id: planned.btf_id,
                probe: &planned.probe,
                span: Some(planned.span),
            });
            let loaded = loaded.map_err(|error| error.of_probe(planned))?;
            programs.push(Running {
                loaded,
                planned: planned.clone(),
                probe,
            });
        }
        let ring = match image.events {
            Some(events) => Some(open_ring(&maps, events)?),
            None => None,
        };
        Ok(Session {
            programs,
            ring,
            losses: image.losses,
            script_maps: image.maps.iter().filter(|spec| spec.map.is_some()).count(),
            loops: image.loops.clone(),
            maps,
            gate: image.gate,
            parts: image.parts.clone(),
            fronts: image.fronts.clone(),
            start_ns,
            stop: Arc::default(),
            skipped: Vec::new(),
        })
    }

    /// Boot-clock time of loading, where `elapsed` starts.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// Runs the `begin` programs, in script order. Look at the events before attaching: one may be `exit`.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn begin(&self) -> Result<(), LoadError> {
        self.run_all(&PointKind::Begin)
    }

    /// Runs the `end` programs, in script order.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn end(&self) -> Result<(), LoadError> {
        self.run_all(&PointKind::End)
    }

    fn run_all(&self, point: &PointKind) -> Result<(), LoadError> {
        let programs = self
            .programs
            .iter()
            .filter(|program| program.planned.point == *point);
        for program in programs {
            program.loaded.run()?;
        }
        Ok(())
    }

    /// Attaches everything that is attached, in script order. Of a probe that stands for several places those that
    /// cannot be attached are left out ([`Session::skipped`]) as long as one can; else what was attached is detached
    /// again.
    ///
    /// # Errors
    /// The kernel's reason, with the attach point.
    pub fn attach(&mut self) -> Result<(), LoadError> {
        self.attach_each(false)
    }

    /// From now on attaching ends early once `stop` is set: hundreds of probes may take a minute, and somebody may not want to
    /// wait. What is attached by then stays so.
    pub fn stop_on(&mut self, stop: Arc<AtomicBool>) {
        self.stop = stop;
    }

    /// As [`Session::attach`], but a probe of which nothing can be attached is left out too, as long as another one is.
    ///
    /// # Errors
    /// The kernel's reason, with the attach point.
    pub fn attach_what_is_there(&mut self) -> Result<(), LoadError> {
        self.attach_each(true)
    }

    fn attach_each(&mut self, leave_out_probes: bool) -> Result<(), LoadError> {
        self.set_gate(false);
        if self
            .programs
            .iter()
            .any(|program| program.planned.kind != ProgramKind::Run)
        {
            tracefs::remove_stale();
        }
        let mut failed: BTreeMap<usize, Vec<LoadError>> = BTreeMap::new();
        let mut attached = BTreeSet::new();
        for program in &mut self.programs {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            match program.loaded.attach() {
                Ok(()) => {
                    attached.insert(program.probe);
                    self.skipped.append(&mut program.loaded.take_left_out());
                }
                Err(error) => failed.entry(program.probe).or_default().push(error),
            }
        }
        let some = !attached.is_empty() && leave_out_probes;
        for (probe, mut errors) in failed {
            if !some && !attached.contains(&probe) && !errors.is_empty() {
                self.detach();
                return Err(errors.swap_remove(0));
            }
            self.skipped.append(&mut errors);
        }
        Ok(())
    }

    /// Places that could not be attached, each with the reason, though others of the same probe could.
    pub fn skipped(&self) -> &[LoadError] {
        &self.skipped
    }

    /// Whether nothing was left out; else everything is detached again.
    ///
    /// # Errors
    /// The kernel's reason for the first place it refused.
    pub fn all_attached(&mut self) -> Result<(), LoadError> {
        if self.skipped.is_empty() {
            return Ok(());
        }
        self.detach();
        Err(self.skipped.swap_remove(0))
    }

    /// Detaches everything. Maps stay readable, and `end` programs can still run.
    ///
    /// Where probes look at a gate they stop at once, all at one time, and what takes the kernel long (tens of milliseconds
    /// for each perf event) is left to another process.
    pub fn detach(&mut self) {
        let shut = self.set_gate(true);
        let programs = self.programs.iter_mut().rev();
        if !shut {
            programs.for_each(|program| program.loaded.detach());
            return;
        }
        visit_every_cpu();
        close_elsewhere(
            programs
                .map(|program| program.loaded.let_go())
                .filter(|fds| !fds.is_empty())
                .collect(),
        );
    }

    /// Shuts or opens the gate; whether there is one.
    fn set_gate(&self, shut: bool) -> bool {
        let gate = self.gate.and_then(|gate| self.maps.get(gate));
        gate.is_some_and(|gate| gate.update(&[0; 4], &u64::from(shut).to_le_bytes()).is_ok())
    }

    /// The `interval` programs, for [`Session::run`], with their periods in nanoseconds.
    pub fn intervals(&self) -> Vec<(usize, u64)> {
        let period = |program: &Running| match program.planned.point {
            PointKind::Interval { period_ns } => Some(period_ns),
            _ => None,
        };
        let programs = self.programs.iter().enumerate();
        programs
            .filter_map(|(at, program)| Some((at, period(program)?)))
            .collect()
    }

    /// The attach point of program number `program`, as the script says it.
    pub fn probe(&self, program: usize) -> Option<&str> {
        Some(&self.programs.get(program)?.planned.probe)
    }

    /// Runs program number `program` (as in [`Image::programs`]) once: `begin`, `end` or `interval`.
    ///
    /// # Errors
    /// There is no such program, it is of another kind, or the kernel's reason.
    pub fn run(&self, program: usize) -> Result<(), LoadError> {
        match self.programs.get(program) {
            Some(program) => program.loaded.run().map(drop),
            None => Err(LoadError::Image(format!(
                "there is no program {program} to run"
            ))),
        }
    }

    /// The events the programs send, if any of them can.
    pub fn events(&mut self) -> Option<&mut Ring> {
        self.ring.as_mut()
    }

    /// Gives the events away, so that they can be waited for while the session is used for something else. The kernel
    /// keeps the buffer as long as either lives.
    pub fn take_events(&mut self) -> Option<Ring> {
        self.ring.take()
    }

    /// What was lost so far, and how each attach point is attached.
    ///
    /// # Errors
    /// The loss counters cannot be read.
    pub fn account(&self) -> Result<Account, LoadError> {
        let attached = |program: &&Running| program.planned.kind != ProgramKind::Run;
        let probes = self
            .programs
            .iter()
            .filter(attached)
            // What was left out has been told.
            .filter(|program| {
                program.loaded.mechanism() != Mechanism::NotAttached || self.skipped.is_empty()
            })
            .map(|program| ProbeAccount {
                probe: program.planned.probe.clone(),
                mechanism: program.loaded.mechanism(),
                not_lowered: program.planned.not_lowered,
                missed: program.loaded.missed(),
            });
        let mut account = Account {
            probes: probes.collect(),
            ..Account::default()
        };
        let Some(losses) = self.losses else {
            return Ok(account);
        };
        let map = self.map(losses)?;
        for (key, value) in self.read_map(losses)? {
            let Ok(counter) = key.try_into().map(u32::from_le_bytes) else {
                continue;
            };
            let lost = value
                .chunks_exact(map.stride())
                .map(|cpu| layout::word(cpu, 0))
                .sum();
            if lost == 0 {
                continue;
            }
            match Loss::of(counter, self.script_maps, self.loops.len()) {
                Loss::Stacks => account.stacks = lost,
                Loss::Map(map) => account.full_maps.push((map as usize, lost)),
                Loss::Loop(id) => account.cut_loops.push((id as usize, lost)),
                Loss::Events(probe) => account.dropped_events.push((probe as usize, lost)),
            }
        }
        account.dropped_events.sort_unstable();
        account.cut_loops.sort_unstable();
        account.full_maps.sort_unstable();
        Ok(account)
    }

    /// What probe number `probe` is attached to, as the script says it, if it is anything.
    pub fn probe_name(&self, probe: usize) -> Option<String> {
        let mut places = self.programs.iter().filter(|one| one.probe == probe);
        let first = &places.next()?.planned.probe;
        Some(match places.count() {
            0 => first.clone(),
            more => format!("{first} and {more} more"),
        })
    }

    /// Rounds after which loop number `id` is cut.
    pub fn loop_rounds(&self, id: usize) -> Option<u32> {
        self.loops.get(id).copied()
    }

    /// What the kernel knows of each program: sizes and, where it keeps statistics, run times.
    pub fn program_infos(&self) -> Vec<(String, std::io::Result<super::sys::ProgramInfo>)> {
        let info = |program: &Running| (program.planned.probe.clone(), program.loaded.info());
        self.programs.iter().map(info).collect()
    }
}

/// What was lost, and how each attach point is attached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Probes (by number) with the events of theirs that found the ring buffer full; only those that lost some.
    pub dropped_events: Vec<(usize, u64)>,
    /// Stacks of calls whose number was taken by another one.
    pub stacks: u64,
    /// Maps (by number) that were full, with the samples or assignments that found them so; only those that lost some.
    pub full_maps: Vec<(usize, u64)>,
    /// Loops (by number) that were cut, with how often; only those that were.
    pub cut_loops: Vec<(usize, u64)>,
    /// One an attach point that is attached, in script order.
    pub probes: Vec<ProbeAccount>,
}

/// How one attach point is attached and what it missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeAccount {
    /// The attach point as the script says it.
    pub probe: String,
    /// How it is attached.
    pub mechanism: Mechanism,
    /// Why it was not lowered to fentry or fexit, if it was not.
    pub not_lowered: Option<&'static str>,
    /// Hits it did not see; `None` is "not reported by this kernel".
    pub missed: Option<u64>,
}

impl Account {
    /// Whether anything is known to be lost.
    pub fn lost_something(&self) -> bool {
        !self.dropped_events.is_empty()
            || !self.full_maps.is_empty()
            || !self.cut_loops.is_empty()
            || self
                .probes
                .iter()
                .any(|probe| probe.missed.is_some_and(|missed| missed > 0))
    }
}

impl fmt::Display for ProbeAccount {
    /// `kretprobe:tcp_sendmsg: fexit, 0 missed`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, ", self.probe, self.mechanism)?;
        match self.missed {
            Some(missed) => write!(f, "{missed} missed"),
            None => f.write_str("misses not reported by this kernel"),
        }
    }
}

/// The script's lines, as its programs refer to them while they are loaded.
struct Debug {
    btf: OwnedFd,
    programs: Vec<ProgramLines>,
}

impl Debug {
    /// `None` if the image does not know its script, or the kernel takes no BTF: programs run as well without.
    fn load(image: &Image) -> Option<Debug> {
        let object::Debug { btf, programs } = object::debug(image)?;
        let btf = load_btf(&btf).ok()?;
        Some(Debug { btf, programs })
    }

    fn of(&self, program: usize) -> Option<Described<'_>> {
        Some(Described {
            btf: self.btf.as_fd(),
            lines: self.programs.get(program)?,
        })
    }
}

fn loader(name: LoaderName) -> Result<Box<dyn Loader>, LoadError> {
    match name {
        LoaderName::Sys => Ok(Box::new(SysLoader::default())),
        #[cfg(feature = "redbpf")]
        LoaderName::Redbpf => Ok(Box::new(super::redbpf::RedbpfLoader)),
        #[cfg(not(feature = "redbpf"))]
        LoaderName::Redbpf => Err(LoadError::Unsupported {
            loader: "redbpf",
            what: "anything: this build is without it".to_owned(),
        }),
    }
}

/// Whether a kprobe with an offset lies in its function, as far as the symbol table tells.
fn inside_function(planned: &Planned) -> Result<(), LoadError> {
    let ProgramKind::Kprobe { function, offset } = &planned.kind else {
        return Ok(());
    };
    // Reading the table takes tens of milliseconds; without an offset there is nothing to find out.
    if *offset == 0 {
        return Ok(());
    }
    match function_bytes(function) {
        Some(function_bytes) if *offset >= function_bytes => Err(LoadError::PastEnd {
            probe: planned.probe.clone(),
            function_bytes,
            span: Some(planned.span),
        }),
        _ => Ok(()),
    }
}

fn open_ring(maps: &[Map], events: usize) -> Result<Ring, LoadError> {
    let map = maps
        .get(events)
        .ok_or_else(|| LoadError::Image(format!("there is no map {events} for events")))?;
    Ring::new(map).map_err(|source| access("watch", map, source))
}
