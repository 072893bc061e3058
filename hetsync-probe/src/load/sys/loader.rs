//! The loader by bpf(2) and perf_event_open(2) alone. It can do every kind of program.

use super::link::{attach_raw_tracepoint, attach_tracing};
use super::multi::{self, Multi};
use super::perf::{PerfProbe, has_kprobe_source};
use super::program::{Program, ProgramInfo, ProgramType};
use super::tracefs::{Kretprobe, MAXACTIVE};
use crate::image::ProgramKind;
use crate::kernel::tracepoint::Tracefs;
use crate::load::error::LoadError;
use crate::load::loader::{Loaded, Loader, Mechanism, Prepared};
use crate::span::Span;
use std::io;
use std::os::fd::OwnedFd;

/// Loads by bpf(2).
#[derive(Debug, Clone, Copy)]
pub struct SysLoader {
    /// Whether kretprobes are made by tracefs with room for many calls at once, where tracefs is there.
    pub tracefs: bool,
}

impl Default for SysLoader {
    fn default() -> Self {
        SysLoader { tracefs: true }
    }
}

impl Loader for SysLoader {
    fn name(&self) -> &'static str {
        "sys"
    }

    fn load(&self, program: &Prepared<'_>) -> Result<Box<dyn Loaded>, LoadError> {
        let btf_id = || {
            program
                .btf_id
                .ok_or_else(|| LoadError::Image(format!("`{}` has no BTF id", program.probe)))
        };
        let kind = match program.kind {
            ProgramKind::Run => ProgramType::RawTracepoint,
            ProgramKind::Kprobe { .. } | ProgramKind::Kretprobe { .. } => ProgramType::Kprobe,
            ProgramKind::KprobeMulti { .. } => ProgramType::KprobeMulti,
            ProgramKind::Joined => {
                let what = format!("`{}` is part of another program", program.probe);
                return Err(LoadError::Image(what));
            }
            ProgramKind::Fentry { .. } => ProgramType::Fentry(btf_id()?),
            ProgramKind::Fexit { .. } => ProgramType::Fexit(btf_id()?),
            ProgramKind::Tracepoint { .. } => ProgramType::Tracepoint,
            ProgramKind::RawTracepoint { .. } => ProgramType::RawTracepoint,
            ProgramKind::Sampled(_) => ProgramType::PerfEvent,
            ProgramKind::Uprobe { .. } | ProgramKind::Uretprobe { .. } => ProgramType::Kprobe,
        };
        let (insns, spans) = (program.insns, program.spans);
        let loaded = Program::load_described(program.name, kind, insns, spans, program.debug)?;
        Ok(Box::new(SysProgram {
            attached: None,
            mechanism: match program.kind {
                ProgramKind::Run => Mechanism::UserRun,
                _ => Mechanism::NotAttached,
            },
            program: loaded,
            kind: program.kind.clone(),
            probe: program.probe.to_owned(),
            span: program.span,
            tracefs: self.tracefs,
            missed: None,
            left_out: Vec::new(),
        }))
    }
}

/// What keeps a program attached. Dropping it detaches; fields are dropped in order, the event before its tracefs entry.
#[derive(Debug)]
enum Attached {
    Link { link: OwnedFd },
    Samples { events: Vec<PerfProbe> },
    Perf(PerfProbe),
    Multi(Multi),
    Tracefs { event: PerfProbe, entry: Kretprobe },
}

impl Attached {
    /// What is to be closed, in this order.
    fn into_fds(self) -> Vec<OwnedFd> {
        match self {
            Attached::Link { link } => vec![link],
            Attached::Samples { events } => {
                events.into_iter().flat_map(PerfProbe::into_fds).collect()
            }
            Attached::Perf(probe) => probe.into_fds(),
            Attached::Multi(multi) => multi.into_fds(),
            // The entry is in use until its event is closed; then its guard removes it.
            Attached::Tracefs { event, entry: _ } => event.into_fds(),
        }
    }
}

#[derive(Debug)]
struct SysProgram {
    attached: Option<Attached>,
    mechanism: Mechanism,
    program: Program,
    kind: ProgramKind,
    probe: String,
    span: Option<Span>,
    tracefs: bool,
    /// Misses of the probe when it was detached.
    missed: Option<u64>,
    /// What was said of functions that could not be attached though others of a [`ProgramKind::KprobeMulti`] were.
    left_out: Vec<LoadError>,
}

impl SysProgram {
    fn try_attach(&mut self) -> io::Result<(Attached, Mechanism)> {
        match &self.kind {
            ProgramKind::KprobeMulti { places, on_return } => {
                let (multi, refused) = Multi::attach(&self.program, places, *on_return)?;
                let mechanism = Mechanism::KprobeMulti {
                    functions: places.len() - refused.len(),
                    on_return: *on_return,
                };
                let refused = refused.into_iter();
                self.left_out = refused
                    .map(|(function, source)| {
                        let (kind, probe) = multi::single(function, *on_return);
                        attach_error(&kind, &probe, self.span, source)
                    })
                    .collect();
                Ok((Attached::Multi(multi), mechanism))
            }
            ProgramKind::Run | ProgramKind::Joined => {
                Err(io::Error::from_raw_os_error(libc::EINVAL))
            }
            ProgramKind::Fentry { .. } => self.trampoline(Mechanism::Fentry),
            ProgramKind::Fexit { .. } => self.trampoline(Mechanism::Fexit),
            ProgramKind::Kprobe { function, offset } => {
                let probe = PerfProbe::kprobe(&self.program, function, *offset, false)?;
                Ok((Attached::Perf(probe), Mechanism::Kprobe { redbpf: false }))
            }
            ProgramKind::Kretprobe { function } => {
                // Whatever goes wrong with tracefs goes wrong again, and is reported, below.
                if let Some(attached) = self.by_tracefs(function) {
                    return Ok(attached);
                }
                let probe = PerfProbe::kprobe(&self.program, function, 0, true)?;
                Ok((
                    Attached::Perf(probe),
                    Mechanism::Kretprobe { redbpf: false },
                ))
            }
            ProgramKind::Tracepoint { category, name } => {
                let format = Tracefs::find()
                    .and_then(|tracefs| tracefs.format(category, name))
                    .map_err(io::Error::other)?;
                let format = format.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
                let probe = PerfProbe::tracefs_event(&self.program, u64::from(format.id))?;
                Ok((Attached::Perf(probe), Mechanism::Tracepoint))
            }
            ProgramKind::RawTracepoint { name } => {
                let name = std::ffi::CString::new(name.as_str())?;
                let link = attach_raw_tracepoint(&self.program, &name)?;
                Ok((Attached::Link { link }, Mechanism::RawTracepoint))
            }
            ProgramKind::Sampled(sampling) => {
                let events = PerfProbe::samples(&self.program, sampling)?;
                let cpus = events.len() as u32;
                Ok((Attached::Samples { events }, Mechanism::Sampled { cpus }))
            }
            ProgramKind::Uprobe {
                path,
                offset,
                semaphore,
            } => {
                let probe = PerfProbe::uprobe(&self.program, path, *offset, *semaphore)?;
                Ok((Attached::Perf(probe), Mechanism::Uprobe))
            }
            ProgramKind::Uretprobe { path, offset } => {
                let probe = PerfProbe::uretprobe(&self.program, path, *offset)?;
                Ok((Attached::Perf(probe), Mechanism::Uretprobe))
            }
        }
    }

    fn trampoline(&self, mechanism: Mechanism) -> io::Result<(Attached, Mechanism)> {
        let link = attach_tracing(&self.program)?;
        Ok((Attached::Link { link }, mechanism))
    }

    fn by_tracefs(&self, function: &str) -> Option<(Attached, Mechanism)> {
        if !self.tracefs {
            return None;
        }
        let entry = Kretprobe::create(function, MAXACTIVE).ok()?;
        let event = PerfProbe::tracefs_event(&self.program, entry.id()).ok()?;
        Some((
            Attached::Tracefs { event, entry },
            Mechanism::TracefsKretprobe {
                maxactive: MAXACTIVE,
            },
        ))
    }

    /// Misses the probe itself counts, apart from the program's own.
    fn probe_missed(&self) -> Option<u64> {
        match &self.attached {
            Some(Attached::Perf(probe)) => probe.missed(),
            Some(Attached::Multi(multi)) => multi.missed(),
            Some(Attached::Tracefs { entry, .. }) => entry.missed(),
            Some(Attached::Link { .. } | Attached::Samples { .. }) => Some(0),
            None => self.missed,
        }
    }
}

impl Loaded for SysProgram {
    fn attach(&mut self) -> Result<(), LoadError> {
        if self.kind == ProgramKind::Run || self.attached.is_some() {
            return Ok(());
        }
        match self.try_attach() {
            Ok((attached, mechanism)) => {
                self.attached = Some(attached);
                self.mechanism = mechanism;
                Ok(())
            }
            Err(source) => Err(attach_error(&self.kind, &self.probe, self.span, source)),
        }
    }

    fn take_left_out(&mut self) -> Vec<LoadError> {
        std::mem::take(&mut self.left_out)
    }

    fn detach(&mut self) {
        self.missed = self.probe_missed();
        self.attached = None;
    }

    fn let_go(&mut self) -> Vec<OwnedFd> {
        self.missed = self.probe_missed();
        self.attached.take().map_or(Vec::new(), Attached::into_fds)
    }

    fn run(&self) -> Result<u32, LoadError> {
        self.program.test_run(&[])
    }

    fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    fn missed(&self) -> Option<u64> {
        let recursion = self.program.info().ok()?.recursion_misses;
        match self.mechanism {
            Mechanism::UserRun | Mechanism::NotAttached => Some(0),
            // Trampolines lose nothing but recursion, so without its count nothing is known.
            Mechanism::Fentry
            | Mechanism::Fexit
            | Mechanism::Tracepoint
            | Mechanism::RawTracepoint
            | Mechanism::Sampled { .. }
            | Mechanism::Uprobe
            | Mechanism::Uretprobe => recursion,
            _ => Some(self.probe_missed()? + recursion.unwrap_or(0)),
        }
    }

    fn info(&self) -> io::Result<ProgramInfo> {
        self.program.info()
    }
}

/// What a failed attachment means, whoever tried it.
pub(in crate::load) fn attach_error(
    kind: &ProgramKind,
    probe: &str,
    span: Option<Span>,
    source: io::Error,
) -> LoadError {
    let needs_kprobes = matches!(
        kind,
        ProgramKind::Kprobe { .. }
            | ProgramKind::KprobeMulti { .. }
            | ProgramKind::Kretprobe { .. }
    );
    let (function, by, lowered) = match kind {
        ProgramKind::Run | ProgramKind::Joined => ("", "to anything", false),
        ProgramKind::KprobeMulti { .. } => ("", "by kprobe.multi", false),
        ProgramKind::Tracepoint { .. } => ("", "by a perf event", false),
        ProgramKind::RawTracepoint { .. } => ("", "by name", false),
        ProgramKind::Sampled(_) => ("", "by perf events", false),
        ProgramKind::Uprobe { .. } | ProgramKind::Uretprobe { .. } => ("", "by a uprobe", false),
        ProgramKind::Kprobe { function, .. } => (function.as_str(), "by a kprobe", false),
        ProgramKind::Kretprobe { function } => (function.as_str(), "by a kretprobe", false),
        ProgramKind::Fentry { function, .. } => (function.as_str(), "by fentry", true),
        ProgramKind::Fexit { function, .. } => (function.as_str(), "by fexit", true),
    };
    if needs_kprobes && !has_kprobe_source() {
        return LoadError::Lacking {
            what: "kprobes",
            probe: probe.to_owned(),
            available: crate::kernel::features::attachable(),
            span,
        };
    }
    match source.raw_os_error() {
        // ESRCH is what kprobe.multi says.
        Some(libc::ENOENT | libc::ESRCH) if !function.is_empty() => LoadError::UnknownFunction {
            function: function.to_owned(),
            suggestions: Vec::new(),
            span,
        },
        Some(libc::EPERM | libc::EACCES) if !lowered => LoadError::NotPermitted {
            action: format!("attach `{probe}` {by}"),
            source,
        },
        errno => LoadError::Attach {
            probe: probe.to_owned(),
            by: by.to_owned(),
            hint: match errno {
                Some(libc::ENOENT | libc::EOPNOTSUPP)
                    if matches!(kind, ProgramKind::Sampled(_)) =>
                {
                    "; the processor or the virtual machine does not count it"
                }
                Some(libc::ENOENT) if function.is_empty() => "; this kernel has none of this name",
                Some(libc::EADDRNOTAVAIL) => "; the kernel has several functions of this name",
                Some(libc::EBUSY) if lowered => {
                    "; the kernel does not let this function be traced by fentry: `--no-lower` tries a kprobe"
                }
                Some(libc::EILSEQ) => "; no instruction starts there",
                Some(libc::EINVAL) => "; the kernel does not let this place be probed",
                _ => "",
            },
            lowered,
            span,
            source,
        },
    }
}
