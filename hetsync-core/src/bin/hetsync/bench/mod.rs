//! `hetsync bench`: the headline table, measured.
//!
//! Each cell is a real server with real workers over loopback. All cells
//! run at the same time, as each of them sleeps nearly all of its time.

mod cell;
mod chart;
mod report;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hetsync_core::Span;
use hetsync_core::policy::Rule;
use indicatif::{ProgressBar, ProgressStyle};
use smol::Executor;

use crate::Failure;
use crate::args::BenchArgs;
use crate::files::write;
use crate::signals::Stop;
use crate::together::together;
use cell::{Cell, Plan, Side};
use report::Report;

/// Shares of the workers that straggle, in percent, as near as whole workers come to them.
const SHARES: [usize; 4] = [0, 25, 50, 75];

/// `rule` is what the arguments say.
pub(crate) fn run(args: BenchArgs, rule: &Rule) -> Result<(), Failure> {
    args.files.check(&[&args.csv])?;
    if !args.files.quiet {
        warn(&args, rule);
    }
    let stop = Stop::install()?;
    // Few workers cannot be divided so finely, and one is never a straggler.
    let most = args.workers.saturating_sub(1);
    let mut stragglers = SHARES
        .map(|share| ((args.workers * share + 50) / 100).min(most))
        .to_vec();
    stragglers.dedup();
    let plans: Vec<Plan> = stragglers
        .into_iter()
        .flat_map(|stragglers| {
            [Side::Strict, Side::Rule].map(|side| Plan {
                side,
                share: (100 * stragglers + args.workers / 2) / args.workers,
                stragglers,
            })
        })
        .collect();
    let started = Instant::now();
    let cells = measure(&args, rule, &plans, &stop)?;
    let took = Span::from(started.elapsed()).min(args.duration);
    if stop.is_requested() && !args.files.quiet {
        crate::lines::say(format!("stopped: the figures are those of {took}"));
    }
    let report = Report::new(&args, rule, took, cells);
    if !args.files.takes_stdout(&[&args.csv]) {
        crate::print(format!("{}\n", report.table()).as_bytes())?;
    }
    write(args.csv.as_deref(), || Ok(report.csv().into_bytes()))?;
    args.files.write(&report, || report.json())
}

/// Says what cannot be seen in so short a time.
fn warn(args: &BenchArgs, rule: &Rule) {
    let is_short = |span: Span| args.duration < span;
    let deadline = match rule {
        Rule::Deadline(Some(span)) if is_short(*span) => Some(*span),
        _ => None,
    };
    let duration = args.duration;
    match (is_short(args.straggle), deadline) {
        (false, None) => {}
        (false, Some(span)) => crate::lines::say(format!(
            "hetsync: --duration {duration} is shorter than the deadline of {span}, so deadline cells may show 0"
        )),
        (true, deadline) => crate::lines::say(format!(
            "hetsync: --duration {duration} is shorter than one straggler's step ({}), so strict cells will show 0{}",
            args.straggle,
            match deadline {
                Some(_) => ", and than the deadline, so deadline cells may too",
                None => "",
            }
        )),
    }
}

/// Runs all cells at once under a progress bar, until they are done or a stop
/// is requested.
fn measure(
    args: &BenchArgs,
    rule: &Rule,
    plans: &[Plan],
    stop: &Stop,
) -> Result<Vec<Cell>, Failure> {
    let bar = match args.files.quiet {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(Duration::from(args.duration).as_millis() as u64),
    };
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {elapsed} of {prefix}, {msg}",
    )?);
    bar.set_prefix(format!("{:.0}s", args.duration.as_secs_f64()));
    let updates = AtomicU64::new(0);
    let started = Instant::now();
    // Cells share one thread, so that each sees the same machine; they
    // leave it idle nearly all of the time.
    let cells = std::thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            let executor = Executor::new();
            let cells: Vec<_> = plans
                .iter()
                .map(|plan| cell::measure(&executor, args, rule, *plan, (stop, &updates)))
                .collect();
            smol::block_on(executor.run(together(cells)))
        });
        while !measuring.is_finished() {
            bar.set_position(started.elapsed().as_millis() as u64);
            let seen = updates.load(Ordering::Relaxed);
            bar.set_message(format!("{} cells at once, {seen} updates", plans.len()));
            std::thread::sleep(Duration::from_millis(50));
        }
        measuring
            .join()
            .map_err(|_| Failure::from("the measurement stopped by a fault of its own"))?
    });
    bar.finish_and_clear();
    cells
}
