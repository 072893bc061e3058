//! `run`: a script on this kernel until Ctrl-C, its end, or one of `-c`, `-p`, `-d` ends it.
//!
//! ```text
//! read -> compile -> load -> begin -> attach -> watch { events, intervals } -> detach -> end -> maps, account, picture
//! ```

mod child;
mod contents;
mod events;
mod patience;
mod process;
mod readable;
mod say;
mod schedule;
mod watch;
mod words;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Pid;

use crate::cli::args::{Buffering, LoaderChoice, RunArgs};
use crate::cli::emit;
use crate::cli::exit::Exit;
use crate::cli::output::{WriteError, Writer};
use crate::cli::script::{Script, complain, complain_of};
use crate::diagnostic::Diagnostic;
use crate::image::ProgramKind;
use crate::ir;
use crate::kernel::NoKernel;
use crate::kernel::features::attachable;
use crate::kernel::running::Running;
use crate::load::sys::has_kprobe_source;
use crate::load::{LoadError, Session};
use crate::plan::{self, LoaderName};
use crate::report::account::Missed;
use crate::report::form::Form;
use crate::report::map::MapReport;
use crate::report::plot::{self, PlotError};
use crate::sema::hir::{Missing, PointKind, Program};
use crate::span::Span;
use crate::{Compiled, Target, compile};
use child::{Command, StoppedChild};
use events::Events;
use watch::{Ended, Watch};

/// A load that takes longer than this is told of.
const STILL_LOADING: Duration = Duration::from_secs(2);

/// Anything that ends a run before its time.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Child(#[from] child::ChildError),
    #[error("-p: {0}")]
    Process(String),
    #[error("cannot wait for events: {0}")]
    Wait(#[from] std::io::Error),
    #[error("cannot write the picture {path}: {reason}")]
    Plot { path: String, reason: String },
}

/// Runs `run`.
pub(super) fn main(args: &RunArgs) -> Exit {
    let script = match Script::read(&args.script) {
        Ok(script) => script,
        Err(exit) => return exit,
    };
    match Job::prepare(args, &script) {
        Ok(Some(job)) => job.run().unwrap_or_else(|error| tell(&error, &script)),
        Ok(None) => Exit::Ok,
        Err(Stop::Said(exit)) => exit,
        Err(Stop::Failed(error)) => tell(&error, &script),
    }
}

/// Tells why a run ended early, at its place in the script if it has one.
fn tell(error: &RunError, script: &Script) -> Exit {
    match error {
        RunError::Write(WriteError::Closed) => return Exit::Ok,
        RunError::Load(load) if load.span().is_some() => {
            let span = load.span().unwrap_or_default();
            let (message, detail) = split(load.to_string());
            let mut diagnostic = Diagnostic::error(code(load), span, message);
            diagnostic.help = detail;
            script.tell(&[diagnostic], true);
        }
        RunError::Load(load) => complain_of(code(load), &load.to_string()),
        other => complain(&other.to_string()),
    }
    Exit::Failure
}

/// The first line of a message, and the others.
fn split(message: String) -> (String, Option<String>) {
    match message.split_once('\n') {
        Some((first, rest)) => (first.to_string(), Some(rest.to_string())),
        None => (message, None),
    }
}

/// Codes of what a kernel refuses; explained with all others.
fn code(error: &LoadError) -> &'static str {
    match error {
        LoadError::NotPermitted { .. } => "E0601",
        LoadError::Lacking { .. } => "E0602",
        LoadError::UnknownFunction { .. } => "E0603",
        LoadError::Map { .. } => "E0604",
        LoadError::Refused { .. } => "E0605",
        LoadError::Attach { .. } => "E0606",
        _ => "E0607",
    }
}

/// Why a job was not made.
enum Stop {
    /// The reason has been told.
    Said(Exit),
    Failed(RunError),
}

impl<E: Into<RunError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

/// Everything a run needs, made and checked before anything is attached.
struct Job<'a> {
    args: &'a RunArgs,
    program: Program,
    session: Session,
    child: Option<Command>,
    process: Option<OwnedFd>,
    form: Box<dyn Form>,
    writer: Writer,
    /// The line of each loop.
    loop_lines: Vec<usize>,
}

impl<'a> Job<'a> {
    /// `None` where there is nothing to run: `--emit`, `--dry-run`.
    fn prepare(args: &'a RunArgs, script: &Script) -> Result<Option<Job<'a>>, Stop> {
        if let Some(stage) = args.script.emit {
            // What a stage makes of a script is the same everywhere, as for `check`.
            let options = script.options(&args.script, &NoKernel, args.pid);
            let to = args.output.as_deref();
            return Err(Stop::Said(emit::main(
                stage,
                script,
                &options,
                &args.script,
                to,
            )));
        }
        for path in &args.plot {
            may_be_drawn_to(path)?;
            if args.output.as_ref() == Some(path) {
                return Err(no_picture(path, "`-o` writes to the same file").into());
            }
        }
        if args.verbose {
            script.tell_includes();
        }
        let child = args.command.as_deref().map(Command::parse).transpose()?;
        let process = args.pid.map(watch_process).transpose()?;
        let kernel = Running::new();
        let options = script.options(&args.script, &kernel, args.pid);
        let compile = |lower: bool, shorter_loops: u32| {
            let target = Target::running(plan::Options {
                lower: lower && !args.no_lower,
                loader: loader(args.loader),
                // Who names a number of keys gets it, whatever it takes.
                percpu_bytes: args.script.max_keys.map(|_| u64::MAX),
                shorter_loops,
            });
            let compiled = compile(script.source.text(), &options, &target);
            let mut compiled = compiled.map_err(|diagnostics| {
                if let Some(lack) = no_kprobes_behind(&diagnostics, script.source.text()) {
                    return Stop::from(lack);
                }
                script.tell(&diagnostics, !args.script.no_warnings);
                Stop::Said(Exit::Failure)
            })?;
            compiled.image.source = Some(script.source.clone());
            Ok::<_, Stop>(compiled)
        };
        let load = |compiled: &Compiled| {
            if let Some(lack) = no_kprobes_for(compiled) {
                return Err(lack);
            }
            let say =
                || say!("note: the kernel is checking the script; a long one takes it seconds");
            patience::during(STILL_LOADING, say, || {
                Session::load(&compiled.image, &compiled.plan)
            })
            .map_err(|error| error.with_suggestions(&kernel))
        };
        let (mut lower, mut shorter) = (true, 0);
        let mut compiled = compile(lower, shorter)?;
        script.tell(&compiled.warnings, !args.script.no_warnings);
        let session = loop {
            let error = match load(&compiled) {
                Ok(session) => break session,
                Err(error) => error,
            };
            let next = if error.is_too_long()
                && !compiled.image.loops.is_empty()
                && shorter < ir::limits::TRIES
            {
                shorter += 1;
                "with shorter loops"
            } else if lower && error.may_load_without_lowering() {
                lower = false;
                "without fentry and fexit"
            } else {
                return Err(error.into());
            };
            if args.verbose {
                complain(&format!("{error}; trying again {next}"));
            }
            compiled = compile(lower, shorter)?;
        };
        if args.dry_run {
            return Ok(None);
        }
        let writer = Writer::open(args.output.as_deref())?;
        let form = args.form.start(writer.width());
        let line = |span: Span| script.source.position(span.start).line;
        Ok(Some(Job {
            loop_lines: (compiled.program.loops.iter())
                .map(|one| line(one.span))
                .collect(),
            args,
            program: compiled.program,
            session,
            child,
            process,
            form,
            writer,
        }))
    }

    /// The run itself.
    fn run(self) -> Result<Exit, RunError> {
        let Job {
            args,
            program,
            mut session,
            child,
            process,
            mut form,
            mut writer,
            loop_lines,
        } = self;
        // Signals are caught from here on, so that none is lost once the reader has heard of the probes.
        let watch = Watch::start(process, args.duration)?;
        if !args.quiet {
            form.attached(
                &mut writer.out,
                program.probes.iter().map(|probe| probe.points.len()).sum(),
            );
            writer.flush()?;
        }
        let gathers = args.buffering == Buffering::Full;
        let mut events = Events::new(&program, form, writer, session.take_events(), gathers);
        session.begin()?;
        events.drain(&session)?;
        let mut status = None;
        let mut intervals = schedule::Schedule::new([], Instant::now());
        if events.exit().is_none() {
            let child = child.map(StoppedChild::start).transpose()?;
            let asked = watch.asked();
            session.stop_on(Arc::clone(&asked));
            attach(&mut session, program.config.missing)?;
            if asked.load(Ordering::Relaxed) {
                say!("note: stopped before all probes were attached");
            }
            events.started();
            notify_attached(&mut events)?;
            if args.verbose {
                announce(&session, &program);
            }
            if waits(&program, child.is_some()) {
                intervals = periods(&session, Instant::now());
                let ended = watch.until_over(&session, &mut events, child, &mut intervals);
                let ended = smol::block_on(ended)?;
                if let Ended::Child(code) = ended {
                    status = Some(code);
                }
            }
        }
        events.ended();
        session.detach();
        events.drain_all(&session)?;
        session.end()?;
        events.drain_all(&session)?;
        watch::second_signal_ends();
        let maps = events.last_maps(&session, args.quiet && !args.as_peer)?;
        let mut account = events.account(&session, &loop_lines)?;
        account.missed.extend(missed_ticks(&session, &intervals));
        if !args.quiet || args.as_peer {
            events.tell(&account, args.verbose);
        } else if !account.is_clean() {
            // Even who wants the script's output alone must not take it for complete.
            for line in account.lines(false) {
                say!("{line}");
            }
        }
        events.flush()?;
        for path in &args.plot {
            draw(path, &maps)?;
        }
        Ok(match (events.exit(), status) {
            (None, Some(_)) if args.as_peer => Exit::Ok,
            (Some(0) | None, Some(status)) => Exit::Code(status),
            (Some(code), _) => Exit::Code(code),
            (None, None) => Exit::Ok,
        })
    }
}

/// What a kernel without kprobes lacks for a script, before anything is loaded for it.
fn no_kprobes_for(compiled: &Compiled) -> Option<LoadError> {
    let mut points = compiled.plan.points.iter().flatten();
    let needs = points.find(|planned| {
        matches!(
            planned.kind,
            ProgramKind::Kprobe { .. }
                | ProgramKind::KprobeMulti { .. }
                | ProgramKind::Kretprobe { .. }
        )
    })?;
    (!has_kprobe_source()).then(|| no_kprobes(needs.probe.clone(), needs.span))
}

/// The same, where a name or a wildcard was looked for among functions that cannot be probed anyhow.
fn no_kprobes_behind(diagnostics: &[Diagnostic], text: &str) -> Option<LoadError> {
    let about = |code| matches!(code, "E0204" | "E0205" | "E0206" | "E0207");
    let found = diagnostics.iter().find(|found| about(found.code))?;
    let name = text.get(found.span.start as usize..found.span.end as usize)?;
    (!has_kprobe_source()).then(|| no_kprobes(name.to_owned(), found.span))
}

fn no_kprobes(probe: String, span: Span) -> LoadError {
    LoadError::Lacking {
        what: "kprobes",
        probe,
        available: attachable(),
        span: Some(span),
    }
}

/// Whether a picture's folder is there, so that a slip of the pen is not told after hours of measuring.
fn may_be_drawn_to(path: &Path) -> Result<(), RunError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder.map(Path::metadata) {
        None => Ok(()),
        Some(Ok(found)) if found.is_dir() => Ok(()),
        Some(Ok(_)) => Err(no_picture(path, "its folder is a file")),
        Some(Err(error)) => Err(no_picture(path, format!("its folder: {error}"))),
    }
}

fn no_picture(path: &Path, reason: impl Into<String>) -> RunError {
    RunError::Plot {
        path: path.display().to_string(),
        reason: reason.into(),
    }
}

/// Draws the maps to a file; its ending says how. That nothing was measured is no failure of the run.
fn draw(path: &Path, maps: &[MapReport<'_>]) -> Result<(), RunError> {
    let failed = |reason: String| no_picture(path, reason);
    let picture = if path.extension().is_some_and(|ending| ending == "png") {
        plot::png(maps)
    } else {
        plot::svg(maps).map(String::into_bytes)
    };
    let bytes = match picture {
        Err(PlotError::Nothing) => {
            say!(
                "warning: {} is not drawn: {}",
                path.display(),
                PlotError::Nothing
            );
            return Ok(());
        }
        other => other.map_err(|error| failed(error.to_string()))?,
    };
    std::fs::write(path, bytes).map_err(|error| failed(error.to_string()))
}

/// Whether there is anything to wait for: a script of `begin` and `end` alone ends by itself.
fn waits(program: &Program, child: bool) -> bool {
    let once = |kind: &PointKind| matches!(kind, PointKind::Begin | PointKind::End);
    child
        || program
            .probes
            .iter()
            .flat_map(|probe| &probe.points)
            .any(|point| !once(&point.kind))
}

fn loader(choice: LoaderChoice) -> Option<LoaderName> {
    match choice {
        LoaderChoice::Auto => None,
        LoaderChoice::Redbpf => Some(LoaderName::Redbpf),
        LoaderChoice::Sys => Some(LoaderName::Sys),
    }
}

fn watch_process(pid: u32) -> Result<OwnedFd, RunError> {
    let missing = |reason: &str| RunError::Process(format!("cannot watch process {pid}: {reason}"));
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| missing("no such number"))?;
    child::watch(pid).map_err(|error| match error.raw_os_error() {
        Some(libc::ESRCH) => missing("there is none (a thread's number is not a process's)"),
        _ => missing(&error.to_string()),
    })
}

/// For programs that wait until tracing has begun: bpftrace's way to tell.
fn notify_attached(events: &mut Events<'_>) -> Result<(), RunError> {
    const NAME: &str = "__BPFTRACE_NOTIFY_PROBES_ATTACHED";
    if std::env::var_os(NAME).is_some_and(|value| value == "1") {
        println!("{NAME}");
    }
    events.flush()
}

/// Attaches everything; what cannot be attached is told, or ends the run, as the script wants it.
fn attach(session: &mut Session, missing: Missing) -> Result<(), RunError> {
    match missing {
        Missing::Warn | Missing::Error => session.attach()?,
        Missing::WarnAlways | Missing::Ignore => session.attach_what_is_there()?,
    }
    match missing {
        Missing::Ignore => {}
        Missing::Error => {
            session.all_attached()?;
        }
        Missing::Warn | Missing::WarnAlways => {
            for skipped in session.skipped() {
                say!("warning: {skipped}; this place is left out");
            }
        }
    }
    Ok(())
}

fn announce(session: &Session, program: &Program) {
    let Ok(account) = session.account() else {
        return;
    };
    for probe in account.probes {
        let reason = probe
            .not_lowered
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        say!("{}: {}{reason}", probe.probe, probe.mechanism);
    }
    for map in session.fronts().filter_map(|map| program.maps.get(map)) {
        say!("@{}: each thread's value in a slot of its own", map.name);
    }
}

/// Intervals that came too late to be kept.
fn missed_ticks(session: &Session, intervals: &schedule::Schedule) -> Vec<Missed> {
    let missed = intervals.missed().iter();
    missed
        .filter_map(|(&program, &hits)| {
            let probe = session.probe(program)?.to_owned();
            Some(Missed { probe, hits })
        })
        .collect()
}

/// Periods of the interval probes, by program.
fn periods(session: &Session, now: Instant) -> schedule::Schedule {
    let periods = session
        .intervals()
        .into_iter()
        .map(|(id, ns)| (id, Duration::from_nanos(ns)));
    schedule::Schedule::new(periods, now)
}
