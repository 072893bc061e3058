//! How each attach point will be attached, decided before code is generated: the kind of program decides how its context
//! is read.
//!
//! A kprobe becomes fentry and a kretprobe fexit wherever the kernel can, for a trampoline costs less than half a
//! breakpoint and fexit loses no returns. Else a kprobe goes through redbpf where it is built in, and a kretprobe
//! through tracefs by the sys loader, the only one that can ask for room for many calls.

mod facts;
pub mod fronts;
pub mod groups;
mod usage;

use crate::codegen;
use crate::image::{Cookie, Place, ProgramKind};
use crate::kernel::{FunctionId, Kernel, Prototype};
use crate::sema::hir;
use crate::span::Span;
#[cfg(feature = "kernel")]
pub use facts::Tried;
pub use facts::{Facts, Plain};
use std::collections::BTreeMap;
use usage::{Usage, usage};

/// Bytes that a statistics map may take unless the user says how many keys it is to hold: this much, and on machines of
/// many CPUs this much more for each.
const PERCPU_BYTES: u64 = 4 << 20;
const PERCPU_BYTES_A_CPU: u64 = 2 << 20;

/// Functions of one probe from which on they are attached all at once, where the kernel can. A trampoline is cheaper for
/// each hit, but takes the kernel tens of milliseconds to put in place, each.
const TOGETHER: usize = 8;

/// Arguments a trampoline of every supported kernel can save (more since 6.6).
const TRAMPOLINE_ARGS: u8 = 6;

/// Which loader is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoaderName {
    /// redbpf.
    Redbpf,
    /// bpf(2) by ourselves.
    Sys,
}

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether kprobes may become fentry and kretprobes fexit.
    pub lower: bool,
    /// A loader asked for; `None` lets it be chosen. redbpf cannot do fentry, so asking for it turns lowering off.
    pub loader: Option<LoaderName>,
    /// Bytes that one statistics map may take on all CPUs together; `None` for a default by their number.
    pub percpu_bytes: Option<u64>,
    /// [`codegen::Options::shorter_loops`](crate::codegen::Options::shorter_loops).
    pub shorter_loops: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            lower: true,
            loader: None,
            percpu_bytes: None,
            shorter_loops: 0,
        }
    }
}

/// The decisions for a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One an attach point: `points[probe][point]`, as in [`hir::Program::probes`] and [`hir::Probe::points`].
    pub points: Vec<Vec<Planned>>,
    /// Names of the script's maps, `@` included, for messages.
    pub maps: Vec<String>,
    /// By map: whether it has a front.
    pub fronts: Vec<bool>,
    /// Maps that share a value.
    pub groups: Vec<Vec<hir::MapId>>,
    /// Whether code may use atomic fetch-and-add.
    pub atomic_fetch: bool,
    /// Whether code may look at what other CPUs keep in a map.
    pub percpu_lookup: bool,
    /// Whether code may ask for International Atomic Time.
    pub tai_clock: bool,
    /// Whether code of fentry and fexit may ask for a socket's number.
    pub socket_cookie: bool,
    /// Whether code may have the kernel call a function for each entry of a map.
    pub for_each: bool,
    /// Whether probes are stopped by a word.
    pub gate: bool,
    /// Possible CPUs.
    pub cpus: u32,
    /// Bytes that one statistics map may take on all CPUs together; see [`Options::percpu_bytes`].
    pub percpu_bytes: u64,
    /// See [`Options::shorter_loops`].
    pub shorter_loops: u32,
}

impl Plan {
    /// The decisions as the code generator asks for them.
    pub fn with_codegen_options<T>(&self, act: impl FnOnce(&codegen::Options<'_>) -> T) -> T {
        let lowered = |probe: usize, point: usize| {
            let planned = self.points.get(probe)?.get(point)?;
            Some(planned.kind.clone())
        };
        let arg_bytes = |function: &str, arg: u8| {
            let planned = self.points.iter().flatten();
            planned
                .filter(|planned| planned.function() == Some(function))
                .find_map(|planned| planned.arg_bytes.get(usize::from(arg)).copied())
                .unwrap_or(8)
        };
        act(&codegen::Options {
            lower: &lowered,
            arg_bytes: &arg_bytes,
            atomic_fetch: self.atomic_fetch,
            percpu_lookup: self.percpu_lookup,
            tai_clock: self.tai_clock,
            socket_cookie: self.socket_cookie,
            for_each: self.for_each,
            gate: self.gate,
            cpus: self.cpus,
            percpu_bytes: self.percpu_bytes,
            fronts: &self.fronts,
            groups: &self.groups,
            shorter_loops: self.shorter_loops,
            ..codegen::Options::plain()
        })
    }
}

/// Whether there is such an expression in a script: only then the kernel is asked whether it can do it.
fn asks(program: &hir::Program, what: impl Fn(&hir::ExprKind) -> bool) -> bool {
    let mut asks = false;
    for probe in &program.probes {
        probe.each_expr(&mut |expr| asks |= what(&expr.kind));
    }
    asks
}

fn is_socket_cookie(kind: &hir::ExprKind) -> bool {
    let function = hir::Function::SocketCookie;
    matches!(kind, hir::ExprKind::Call { function: known, .. } if *known == function)
}

/// A function of every kernel with TCP whose first argument is a socket.
const OF_A_SOCKET: &str = "tcp_sendmsg";

/// Whether a script goes over a map of statistics, which it reads by that.
fn goes_over_statistics(program: &hir::Program) -> bool {
    let mut found = false;
    for probe in &program.probes {
        probe.each_stmt(&mut |stmt| {
            if let hir::StmtKind::Each { map, .. } = stmt.kind {
                let value = &program.maps[map.0 as usize].value;
                found |= matches!(value, hir::MapValue::Aggregate(_));
            }
        });
    }
    found
}

/// Whether a script goes over the entries of a map, or counts them; only then the kernel has to be asked whether it can.
fn goes_over_maps(program: &hir::Program) -> bool {
    program.probes.iter().any(usage::goes_over_maps)
}

impl Planned {
    /// A point that our own loader attaches, of a kind still to be said.
    fn by_us(point: &hir::AttachPoint, probe: String) -> Planned {
        Planned {
            point: point.kind.clone(),
            kind: ProgramKind::Run,
            btf_id: None,
            arg_bytes: Vec::new(),
            loader: LoaderName::Sys,
            not_lowered: None,
            probe,
            span: point.span,
        }
    }

    /// The function a lowered probe is on.
    fn function(&self) -> Option<&str> {
        match &self.kind {
            ProgramKind::Fentry { function, .. } | ProgramKind::Fexit { function, .. } => {
                Some(function)
            }
            _ => None,
        }
    }
}

/// The decision for one attach point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What fires it in the script.
    pub point: hir::PointKind,
    /// The program's kind.
    pub kind: ProgramKind,
    /// The function in BTF, for fentry and fexit.
    pub btf_id: Option<FunctionId>,
    /// Bytes of each argument (1, 2, 4 or 8), for fentry and fexit.
    pub arg_bytes: Vec<u8>,
    /// Which loader loads it.
    pub loader: LoaderName,
    /// Why a kprobe or kretprobe was not lowered.
    pub not_lowered: Option<&'static str>,
    /// The attach point as the script says it.
    pub probe: String,
    /// Its place in the script.
    pub span: Span,
}

/// Decides how each attach point of a script is attached.
pub fn plan(
    program: &hir::Program,
    kernel: &dyn Kernel,
    facts: &dyn Facts,
    options: &Options,
) -> Plan {
    let points = program.probes.iter().map(|probe| {
        let planner = Planner {
            kernel,
            facts,
            options,
            usage: usage(probe),
        };
        let mut joined = planner.joined(program, probe);
        let point = |(at, point): (usize, &hir::AttachPoint)| {
            let name = program.names.get(point.probe_name.0 as usize);
            let planned = joined.remove(&at);
            planned.unwrap_or_else(|| planner.point(point, name.cloned().unwrap_or_default()))
        };
        probe.points.iter().enumerate().map(point).collect()
    });
    let cpus = facts.cpus();
    Plan {
        points: points.collect(),
        maps: (program.maps.iter())
            .map(|map| format!("@{}", map.name))
            .collect(),
        fronts: match facts.fronts() {
            true => fronts::fronts(program),
            false => Vec::new(),
        },
        atomic_fetch: facts.atomic_fetch(),
        percpu_lookup: (goes_over_statistics(program)
            || asks(program, |kind| {
                matches!(kind, hir::ExprKind::Statistic { .. })
            }))
            && facts.percpu_lookup(),
        tai_clock: asks(program, |kind| {
            matches!(kind, hir::ExprKind::Builtin(hir::Builtin::Tai))
        }) && facts.tai_clock(),
        socket_cookie: asks(program, is_socket_cookie)
            && (kernel.prototype(OF_A_SOCKET))
                .is_some_and(|prototype| facts.socket_cookie(prototype.btf_id)),
        for_each: !goes_over_maps(program) || facts.for_each(),
        gate: facts.session(),
        groups: match facts.session() {
            true => groups::groups(program),
            false => Vec::new(),
        },
        cpus,
        shorter_loops: options.shorter_loops,
        percpu_bytes: (options.percpu_bytes)
            .unwrap_or(PERCPU_BYTES + u64::from(cpus) * PERCPU_BYTES_A_CPU),
    }
}

struct Planner<'a> {
    kernel: &'a dyn Kernel,
    facts: &'a dyn Facts,
    options: &'a Options,
    usage: Usage,
}

impl Planner<'_> {
    /// The points of a probe that are attached together, by their index: the first of them has the program.
    fn joined(&self, program: &hir::Program, probe: &hir::Probe) -> BTreeMap<usize, Planned> {
        let mut joined = BTreeMap::new();
        if self.options.loader == Some(LoaderName::Redbpf) {
            return joined;
        }
        for on_return in [false, true] {
            let function = |point: &hir::AttachPoint| match &point.kind {
                hir::PointKind::Kprobe {
                    function,
                    offset: 0,
                } if !on_return => Some(function.clone()),
                hir::PointKind::Kretprobe { function } if on_return => Some(function.clone()),
                _ => None,
            };
            let place = |(at, point): (usize, &hir::AttachPoint)| {
                Some(Place {
                    function: function(point)?,
                    point: at,
                    cookie: Cookie::of(point),
                })
            };
            let places: Vec<Place> = (probe.points.iter().enumerate())
                .filter_map(place)
                .collect();
            if places.len() < TOGETHER || !self.facts.kprobe_multi() {
                continue;
            }
            for place in &places {
                let point = &probe.points[place.point];
                let name = program.names.get(point.probe_name.0 as usize);
                let planned = Planned::by_us(point, name.cloned().unwrap_or_default());
                let kind = ProgramKind::Joined;
                joined.insert(place.point, Planned { kind, ..planned });
            }
            if let Some(first) = joined.get_mut(&places[0].point) {
                first.probe = format!("{} and {} more", first.probe, places.len() - 1);
                first.kind = ProgramKind::KprobeMulti { places, on_return };
            }
        }
        joined
    }

    fn point(&self, point: &hir::AttachPoint, probe: String) -> Planned {
        let mut planned = Planned::by_us(point, probe);
        let lowered = match &point.kind {
            hir::PointKind::Fentry { function, .. } | hir::PointKind::Fexit { function, .. } => {
                let prototype = self.kernel.prototype(function);
                planned.kind = codegen::plain_kind(&point.kind);
                planned.loader = self.options.loader.unwrap_or(LoaderName::Sys);
                planned.btf_id = prototype.as_ref().map(|prototype| prototype.btf_id);
                planned.arg_bytes = prototype.map(|p| p.arg_bytes).unwrap_or_default();
                return planned;
            }
            hir::PointKind::Begin | hir::PointKind::End | hir::PointKind::Interval { .. } => {
                return planned;
            }
            hir::PointKind::Tracepoint { .. }
            | hir::PointKind::RawTracepoint { .. }
            | hir::PointKind::Sampled(_)
            | hir::PointKind::Uprobe { .. }
            | hir::PointKind::Usdt { .. }
            | hir::PointKind::Uretprobe { .. } => {
                planned.kind = codegen::plain_kind(&point.kind);
                planned.loader = self.options.loader.unwrap_or(LoaderName::Sys);
                return planned;
            }
            hir::PointKind::Kprobe { function, offset } => {
                self.trampoline(function, *offset, false).map(|prototype| {
                    let (function, args) = (function.clone(), prototype.args);
                    (ProgramKind::Fentry { function, args }, prototype)
                })
            }
            hir::PointKind::Kretprobe { function } => {
                self.trampoline(function, 0, true).map(|prototype| {
                    let (function, args) = (function.clone(), prototype.args);
                    (ProgramKind::Fexit { function, args }, prototype)
                })
            }
        };
        match lowered {
            Ok((kind, prototype)) => {
                planned.kind = kind;
                planned.btf_id = Some(prototype.btf_id);
                planned.arg_bytes = prototype.arg_bytes;
            }
            Err(reason) => {
                planned.not_lowered = Some(reason);
                (planned.kind, planned.loader) = self.plain(&point.kind);
                if self.usage.each {
                    // redbpf cannot tell the kernel of a program's functions.
                    planned.loader = LoaderName::Sys;
                }
            }
        }
        planned
    }

    /// The function's prototype if a trampoline can stand for the probe, else why not.
    fn trampoline(
        &self,
        function: &str,
        offset: u64,
        on_return: bool,
    ) -> Result<Prototype, &'static str> {
        if !self.options.lower {
            return Err("lowering is turned off");
        }
        if self.options.loader == Some(LoaderName::Redbpf) {
            return Err("the redbpf loader has no fentry");
        }
        if self.usage.stack {
            return Err("the body asks for the stack of calls");
        }
        if self.usage.context {
            return Err("the body asks for `ctx`");
        }
        if offset != 0 {
            return Err("it is not at the function's start");
        }
        let Some(prototype) = self.kernel.prototype(function) else {
            return Err("the kernel's BTF does not describe the function");
        };
        if prototype.args > TRAMPOLINE_ARGS {
            return Err("the function has more than 6 arguments");
        }
        if self.usage.args > prototype.args {
            return Err("the body reads an argument the function does not have");
        }
        if on_return && self.usage.retval && !prototype.returns {
            return Err("the body reads the result of a function that has none");
        }
        if !self.facts.takes_trampoline(prototype.btf_id, on_return) {
            return Err("the kernel refuses fentry here");
        }
        Ok(prototype)
    }

    /// A kprobe or kretprobe as such, and its loader.
    fn plain(&self, point: &hir::PointKind) -> (ProgramKind, LoaderName) {
        let redbpf_is_built_in = cfg!(feature = "redbpf");
        match point {
            hir::PointKind::Kprobe { function, offset } => {
                let chosen = if redbpf_is_built_in {
                    LoaderName::Redbpf
                } else {
                    LoaderName::Sys
                };
                let kind = ProgramKind::Kprobe {
                    function: function.clone(),
                    offset: *offset,
                };
                (kind, self.options.loader.unwrap_or(chosen))
            }
            hir::PointKind::Kretprobe { function } => {
                let kind = ProgramKind::Kretprobe {
                    function: function.clone(),
                };
                (kind, self.options.loader.unwrap_or(LoaderName::Sys))
            }
            _ => (ProgramKind::Run, LoaderName::Sys),
        }
    }
}
