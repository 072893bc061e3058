//! What `hetsync top` shows: a head, and for each job its rounds and its
//! workers, the dearest first.

use std::fmt;
use std::net::SocketAddr;

use hetsync_core::Span;

use super::scrape::Scrape;

/// A scrape and, if there is one, the scrape before it and how long ago that
/// was: then rates are of the time between, else of all the time.
pub(super) struct Table<'a> {
    pub(super) address: SocketAddr,
    pub(super) now: &'a Scrape,
    pub(super) before: Option<(&'a Scrape, Span)>,
    /// Rows of each job at most.
    pub(super) workers: usize,
}

struct Row<'a> {
    name: &'a str,
    is_straggler: bool,
    share: f64,
    cost: f64,
}

const CAUSES: [&str; 4] = ["compute", "network", "queue", "unseen"];

impl Table<'_> {
    /// What was counted since the scrape before, and the seconds it took.
    fn since(&self, count: impl Fn(&Scrape) -> f64) -> (f64, f64) {
        match self.before {
            // A server that was started again counts anew.
            Some((before, span)) if count(self.now) >= count(before) => {
                (count(self.now) - count(before), span.as_secs_f64())
            }
            _ => (
                count(self.now),
                self.now.count("hetsync_uptime_seconds", &[]),
            ),
        }
    }

    fn job(&self, f: &mut fmt::Formatter<'_>, job: &str) -> fmt::Result {
        let of = [("hetsync_job", job)];
        let now = self.now;
        let (rounds, seconds) = self.since(|s| s.sum("hetsync_rounds_total", &of));
        let closed = |outcome| now.count("hetsync_rounds_total", &[of[0], ("outcome", outcome)]);
        writeln!(
            f,
            "\njob {job}: round {}, {:.1} rounds/s; {} full, {} by deadline, {} with enough",
            now.count("hetsync_round", &of),
            rounds / seconds.max(1e-9),
            closed("full"),
            closed("deadline"),
            closed("quorum"),
        )?;
        let (lasted, _) = self.since(|s| s.count("hetsync_round_duration_seconds_sum", &of));
        let (waited, _) = self.since(|s| s.count("hetsync_barrier_wait_seconds_total", &of));
        let (worked, _) = self.since(|s| s.count("hetsync_turnaround_seconds_sum", &of));
        let limit = match now.get("hetsync_deadline_seconds", &of) {
            Some(limit) => format!("waits at most {}", span(limit)),
            None => "waits without limit".into(),
        };
        writeln!(
            f,
            "a round is open for {} on average and {limit}; waiting is {} of the workers' time",
            span(lasted / rounds.max(1.0)),
            percent(waited / (waited + worked).max(1e-9)),
        )?;
        let state = |state| now.count("hetsync_workers", &[of[0], ("state", state)]);
        writeln!(
            f,
            "workers: {} in step, {} behind, {} away, {} silent",
            state("in_step"),
            state("behind"),
            state("away"),
            state("silent"),
        )?;
        self.rows(f, job)
    }

    fn rows(&self, f: &mut fmt::Formatter<'_>, job: &str) -> fmt::Result {
        let now = self.now;
        let names = now.values(
            "hetsync_worker_straggler",
            &[("hetsync_job", job)],
            "worker",
        );
        let mut rows: Vec<Row<'_>> = names
            .into_iter()
            .map(|name| {
                let of = [("hetsync_job", job), ("worker", name)];
                Row {
                    name,
                    is_straggler: now.count("hetsync_worker_straggler", &of) > 0.0,
                    share: now.count("hetsync_worker_recent_cost_share", &of),
                    cost: now.sum("hetsync_worker_cost_seconds_total", &of),
                }
            })
            .collect();
        rows.sort_by(|a, b| {
            let named = b.is_straggler.cmp(&a.is_straggler);
            let share = b.share.total_cmp(&a.share);
            named.then(share).then(b.cost.total_cmp(&a.cost))
        });
        if rows.is_empty() {
            return Ok(());
        }
        let width = rows.iter().take(self.workers).map(|row| row.name.len());
        let width = width.max().unwrap_or(0).clamp(6, 64);
        writeln!(
            f,
            "\n  {:width$} {:>8} {:>7} {:>6} {:>11} {:>11} {:>7}  why",
            "worker", "in time", "missed", "late", "turnaround", "cost", "recent",
        )?;
        for row in rows.iter().take(self.workers) {
            self.row(f, job, row, width)?;
        }
        match rows.len().saturating_sub(self.workers) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more (--workers)"),
        }
    }

    fn row(
        &self,
        f: &mut fmt::Formatter<'_>,
        job: &str,
        row: &Row<'_>,
        width: usize,
    ) -> fmt::Result {
        let of = [("hetsync_job", job), ("worker", row.name)];
        let rounds = |result| {
            let labels = [of[0], of[1], ("result", result)];
            self.now.count("hetsync_worker_rounds_total", &labels)
        };
        let (took, _) = self.since(|s| s.count("hetsync_worker_turnaround_seconds_sum", &of));
        let (count, _) = self.since(|s| s.count("hetsync_worker_turnaround_seconds_count", &of));
        let turnaround = match count > 0.0 {
            true => span(took / count),
            false => "-".into(),
        };
        let cost_of = |cause| {
            let labels = [of[0], of[1], ("cause", cause)];
            self.now.count("hetsync_worker_cost_seconds_total", &labels)
        };
        let dearest = CAUSES
            .into_iter()
            .max_by(|a, b| cost_of(a).total_cmp(&cost_of(b)));
        let mut why = String::new();
        if let Some(cause) = dearest.filter(|cause| *cause != "unseen" && row.cost >= 0.001) {
            why.push_str(cause);
        }
        if row.is_straggler {
            why.push_str(if why.is_empty() { "" } else { ", " });
            why.push_str("STRAGGLER");
        }
        let silent = self.now.count("hetsync_worker_silent_rounds", &of);
        if silent > 0.0 {
            why.push_str(if why.is_empty() { "" } else { ", " });
            why.push_str(&format!("{silent} rounds without it"));
        }
        let line = format!(
            "{} {:width$} {:>8} {:>7} {:>6} {turnaround:>11} {:>11} {:>7}  {why}",
            if row.is_straggler { '*' } else { ' ' },
            row.name,
            rounds("in_time"),
            rounds("missed"),
            rounds("late"),
            span(row.cost),
            percent(row.share),
        );
        writeln!(f, "{}", line.trim_end())
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.now;
        let versions = now.values("hetsync_build_info", &[], "version");
        let moved = |direction| {
            let labels = [("direction", direction)];
            megabytes(now.count("hetsync_bytes_total", &labels))
        };
        writeln!(
            f,
            "hetsync {} at {}, up {}, {} connections, {} received, {} sent",
            versions.first().unwrap_or(&"?"),
            self.address,
            span(now.count("hetsync_uptime_seconds", &[])),
            now.count("hetsync_connections", &[]),
            moved("received"),
            moved("sent"),
        )?;
        for job in now.values("hetsync_round", &[], "hetsync_job") {
            self.job(f, job)?;
        }
        Ok(())
    }
}

fn span(seconds: f64) -> String {
    // The cast saturates, and what is not a number is nothing.
    Span::from_nanos((seconds * 1e9) as u64).to_string()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}
