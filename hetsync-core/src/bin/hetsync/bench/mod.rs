//! `hetsync bench`: the headline table, measured.
//!
//! Each cell is a real server with real workers over loopback. All cells
//! run at the same time, as each of them sleeps nearly all of its time.

mod cell;
mod chart;
mod report;

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use smol::Executor;

use crate::Failure;
use crate::args::BenchArgs;
use crate::files::write;
use cell::{Cell, Plan, Side};
use report::Report;

/// Shares of the workers that straggle, in percent.
const SHARES: [usize; 4] = [0, 25, 50, 75];

pub(crate) fn run(args: BenchArgs) -> Result<(), Failure> {
    args.files.check(&[&args.csv])?;
    if args.duration < args.deadline && args.duration >= args.straggle && !args.files.quiet {
        crate::lines::say(format!(
            "hetsync: --duration {} is shorter than --deadline {}, so deadline cells may show 0",
            args.duration, args.deadline
        ));
    }
    if args.duration < args.straggle && !args.files.quiet {
        crate::lines::say(format!(
            "hetsync: --duration {} is shorter than one straggler's step ({}), so strict cells will show 0{}",
            args.duration,
            args.straggle,
            match args.duration < args.deadline {
                true => ", and than --deadline, so deadline cells may too",
                false => "",
            }
        ));
    }
    let plans: Vec<Plan> = SHARES
        .iter()
        .flat_map(|share| {
            [Side::Strict, Side::Rule].map(|side| Plan {
                side,
                share: *share,
                stragglers: (args.workers * share + 50) / 100,
            })
        })
        .collect();
    let report = Report::new(&args, measure(&args, &plans)?);
    if !args.files.takes_stdout(&[&args.csv]) {
        crate::print(format!("{}\n", report.table()).as_bytes())?;
    }
    write(args.csv.as_deref(), || Ok(report.csv().into_bytes()))?;
    args.files.write(&report, || report.json())
}

/// Runs all cells at once under a progress bar.
fn measure(args: &BenchArgs, plans: &[Plan]) -> Result<Vec<Cell>, Failure> {
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
                .map(|plan| cell::measure(&executor, args, *plan, &updates))
                .collect();
            smol::block_on(executor.run(all(cells)))
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

/// Waits for all of them; they run side by side.
async fn all<T, F: Future<Output = Result<T, Failure>>>(
    futures: Vec<F>,
) -> Result<Vec<T>, Failure> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in running.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(result) = future.as_mut().poll(cx)
            {
                *done = Some(result?);
            }
        }
        match done.iter().all(Option::is_some) {
            true => Poll::Ready(Ok(done.drain(..).flatten().collect())),
            false => Poll::Pending,
        }
    })
    .await
}
