//! What a server has counted, as Prometheus reads it.
//!
//! The text format is that of version 0.0.4: `# HELP` and `# TYPE` once for
//! each family, its samples behind them, labels escaped. Nothing here knows
//! sockets; `net` serves the text over HTTP.
//!
//! A job's label is `hetsync_job`, as `job` is Prometheus's own and would be
//! renamed on the way in.
//!
//! Invariants: the samples of a family stand together; a histogram's buckets
//! are exact, as their limits are powers of two of a nanosecond, which are
//! limits of [`Histogram`] too; a name that is in
//! [`NAMES`] stays in every version.

mod text;

use crate::Name;
use crate::policy::Outcome;
use crate::server::{Account, Accounts, Cause, Census, ConnId, OpenRound, RoundId};
use crate::stats::{Histogram, Stats};
use crate::time::{Span, Time};
use text::Text;

/// Every family, in the order of the text.
pub const NAMES: [&str; 28] = [
    "hetsync_build_info",
    "hetsync_uptime_seconds",
    "hetsync_connections",
    "hetsync_bytes_total",
    "hetsync_round",
    "hetsync_round_open_seconds",
    "hetsync_round_awaited",
    "hetsync_rounds_total",
    "hetsync_round_duration_seconds",
    "hetsync_gradients_total",
    "hetsync_deadline_seconds",
    "hetsync_forecast_useful_gradients_per_second",
    "hetsync_workers",
    "hetsync_turnaround_seconds",
    "hetsync_barrier_wait_seconds_total",
    "hetsync_checkpoints_total",
    "hetsync_checkpoint_duration_seconds",
    "hetsync_checkpoint_bytes",
    "hetsync_checkpoint_last_success_timestamp_seconds",
    "hetsync_worker_turnaround_seconds",
    "hetsync_worker_rounds_total",
    "hetsync_worker_silent_rounds",
    "hetsync_worker_cost_seconds_total",
    "hetsync_worker_recent_cost_share",
    "hetsync_worker_straggler",
    "hetsync_worker_rtt_seconds",
    "hetsync_worker_delivery_bytes_per_second",
    "hetsync_worker_retransmits_recent",
];

/// A server at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Since it was started.
    pub uptime: Span,
    /// Open connections.
    pub connections: usize,
    /// Bytes that came from workers.
    pub received_bytes: u64,
    /// Bytes that went to them.
    pub sent_bytes: u64,
    /// Its jobs.
    pub jobs: Vec<Job>,
}

/// One job at one moment.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: Name,
    /// The round that is open or will open next.
    pub round: RoundId,
    /// It, if it is open.
    pub open: Option<OpenRound>,
    /// Who takes part.
    pub census: Census,
    /// What it has counted.
    pub stats: Stats,
    /// How it is saved, if it is.
    pub checkpoints: Option<Checkpointing>,
    /// What workers are called; the others go by their numbers.
    pub names: Vec<(ConnId, Name)>,
}

/// What was counted of a job's checkpoints since the server started.
#[derive(Debug, Clone, Default)]
pub struct Checkpointing {
    /// Those that are safe.
    pub saved: u64,
    /// Attempts that have failed.
    pub failed: u64,
    /// From the close of a round until its checkpoint was safe.
    pub took: Histogram,
    /// Length of the newest.
    pub bytes: u64,
    /// When the newest was safe, since the beginning of 1970.
    pub newest: Option<std::time::Duration>,
}

impl Job {
    /// A worker's label: its name, or `#` and the number of its connection.
    pub fn label(&self, conn: ConnId) -> String {
        let known = self.names.iter().find(|(of, _)| *of == conn);
        known.map_or_else(|| format!("#{}", conn.0), |(_, name)| name.to_string())
    }

    fn workers(&self) -> impl Iterator<Item = (String, &Account)> {
        let accounts: &Accounts = &self.stats.accounts;
        let names: std::collections::HashMap<_, _> = self.names.iter().cloned().collect();
        accounts.iter().map(move |(conn, account)| {
            let label = names.get(&conn).map(Name::to_string);
            (label.unwrap_or_else(|| format!("#{}", conn.0)), account)
        })
    }
}

/// The whole text.
pub fn render(snapshot: &Snapshot) -> String {
    let mut text = Text::default();
    server(&mut text, snapshot);
    rounds(&mut text, Time::ZERO + snapshot.uptime, &snapshot.jobs);
    waits(&mut text, &snapshot.jobs);
    checkpoints(&mut text, &snapshot.jobs);
    workers(&mut text, &snapshot.jobs);
    costs(&mut text, &snapshot.jobs);
    signs(&mut text, &snapshot.jobs);
    text.finish()
}

fn server(text: &mut Text, snapshot: &Snapshot) {
    text.gauge("hetsync_build_info", "The version that runs.");
    let version = env!("CARGO_PKG_VERSION");
    text.sample(&[("version", version)], 1.0);
    text.gauge("hetsync_uptime_seconds", "Time since the server started.");
    text.sample(&[], snapshot.uptime.as_secs_f64());
    text.gauge("hetsync_connections", "Open connections.");
    text.sample(&[], snapshot.connections as f64);
    text.counter("hetsync_bytes_total", "Bytes moved on all connections.");
    let moved = [
        ("received", snapshot.received_bytes),
        ("sent", snapshot.sent_bytes),
    ];
    for (direction, bytes) in moved {
        text.sample(&[("direction", direction)], bytes as f64);
    }
}

fn rounds(text: &mut Text, now: Time, jobs: &[Job]) {
    text.gauge("hetsync_round", "Number of the round that is open or next.");
    for job in jobs {
        text.sample(&[("hetsync_job", job.name.as_str())], job.round.0 as f64);
    }
    text.gauge(
        "hetsync_round_open_seconds",
        "How long the open round has been open; 0 if none is.",
    );
    for job in jobs {
        let since = job
            .open
            .as_ref()
            .map_or(Span::ZERO, |open| now - open.opened);
        text.sample(&[("hetsync_job", job.name.as_str())], since.as_secs_f64());
    }
    text.gauge(
        "hetsync_round_awaited",
        "Workers that the open round waits for, those included that have not connected.",
    );
    for job in jobs {
        let open = job.open.as_ref();
        let awaited = open.map_or(0, |open| open.awaited.len() + open.absent);
        text.sample(&[("hetsync_job", job.name.as_str())], awaited as f64);
    }
    text.counter(
        "hetsync_rounds_total",
        "Closed rounds, by what closed them.",
    );
    for job in jobs {
        let stats = &job.stats;
        let closed = [
            (Outcome::Full, stats.full_rounds),
            (Outcome::Deadline, stats.deadline_rounds),
            (Outcome::Quorum, stats.quorum_rounds),
        ];
        for (outcome, count) in closed {
            let labels = [
                ("hetsync_job", job.name.as_str()),
                ("outcome", outcome.name()),
            ];
            text.sample(&labels, count as f64);
        }
    }
    let help = "From a round's first gradient to its close.";
    histogram(
        text,
        "hetsync_round_duration_seconds",
        help,
        jobs,
        |stats| &stats.round_duration,
    );
    let help = "Gradients that came: in time, late and used, late and dropped, refused with their connection, or sent twice.";
    text.counter("hetsync_gradients_total", help);
    for job in jobs {
        let stats = &job.stats;
        let came = [
            ("fresh", stats.accepted),
            ("stale", stats.late_used),
            ("late_dropped", stats.late - stats.late_used),
            ("rejected", stats.refused),
            ("duplicate", stats.duplicates),
        ];
        for (result, count) in came {
            let labels = [("hetsync_job", job.name.as_str()), ("result", result)];
            text.sample(&labels, count as f64);
        }
    }
}

fn waits(text: &mut Text, jobs: &[Job]) {
    let help =
        "How long the newest round would have waited at most; absent if its rule had no limit.";
    text.gauge("hetsync_deadline_seconds", help);
    for job in jobs {
        if let Some(longest) = job.stats.newest.and_then(|why| why.longest) {
            text.sample(&[("hetsync_job", job.name.as_str())], longest.as_secs_f64());
        }
    }
    let help =
        "What the rule expected of the newest round, and of one that waits shorter or longer.";
    text.gauge("hetsync_forecast_useful_gradients_per_second", help);
    for job in jobs {
        let Some(why) = job.stats.newest else {
            continue;
        };
        let forecasts = [
            ("as_is", why.expected),
            ("shorter", why.shorter),
            ("longer", why.longer),
        ];
        for (wait, forecast) in forecasts {
            if let Some(rate) = forecast.and_then(|forecast| forecast.useful_per_s) {
                text.sample(&[("hetsync_job", job.name.as_str()), ("wait", wait)], rate);
            }
        }
    }
    let help = "Workers: in step, behind (missed a round and have not spoken since), away (connection lost), or connected without having spoken.";
    text.gauge("hetsync_workers", help);
    for job in jobs {
        let census = job.census;
        let states = [
            ("in_step", census.in_step),
            ("behind", census.behind),
            ("away", census.away),
            ("silent", census.silent),
        ];
        for (state, count) in states {
            let labels = [("hetsync_job", job.name.as_str()), ("state", state)];
            text.sample(&labels, count as f64);
        }
    }
    let help = "From the server's last word to a worker to that worker's gradient.";
    histogram(text, "hetsync_turnaround_seconds", help, jobs, |stats| {
        &stats.turnaround
    });
    let help = "Time that workers whose gradients were in waited for the close, summed over them.";
    text.counter("hetsync_barrier_wait_seconds_total", help);
    for job in jobs {
        let wait = job.stats.accounts.wait.as_secs_f64();
        text.sample(&[("hetsync_job", job.name.as_str())], wait);
    }
}

/// Of jobs that are saved.
fn checkpoints(text: &mut Text, jobs: &[Job]) {
    let saved = || {
        let saved = jobs
            .iter()
            .filter_map(|job| Some((job, job.checkpoints.as_ref()?)));
        saved.map(|(job, of)| (("hetsync_job", job.name.as_str()), of))
    };
    let help = "Checkpoints that were written and are safe, and attempts that failed.";
    text.counter("hetsync_checkpoints_total", help);
    for (job, of) in saved() {
        text.sample(&[job, ("result", "saved")], of.saved as f64);
        text.sample(&[job, ("result", "failed")], of.failed as f64);
    }
    let help = "From the close of a round until its checkpoint was safe.";
    text.histogram("hetsync_checkpoint_duration_seconds", help);
    for (job, of) in saved() {
        buckets(text, job, &of.took);
    }
    let help = "Length of the newest checkpoint; absent until there is one.";
    text.gauge("hetsync_checkpoint_bytes", help);
    for (job, of) in saved().filter(|(_, of)| of.saved > 0) {
        text.sample(&[job], of.bytes as f64);
    }
    let help = "When the newest checkpoint was safe, in Unix time; absent until there is one.";
    text.gauge("hetsync_checkpoint_last_success_timestamp_seconds", help);
    for (job, of) in saved() {
        if let Some(newest) = of.newest {
            text.sample(&[job], newest.as_secs_f64());
        }
    }
}

fn workers(text: &mut Text, jobs: &[Job]) {
    let help = "From the server's last word to this worker's gradient.";
    text.summary("hetsync_worker_turnaround_seconds", help);
    each(text, jobs, |text, labels, account| {
        text.part("_sum", labels, account.turnaround.as_secs_f64());
        text.part("_count", labels, account.gradients as f64);
    });
    let help = "Rounds that this worker was in, and that waited for it in vain; gradients of its that came late.";
    text.counter("hetsync_worker_rounds_total", help);
    each(text, jobs, |text, labels, account| {
        let counts = [
            ("in_time", account.rounds),
            ("missed", account.missed),
            ("late", account.late),
        ];
        for (result, count) in counts {
            let labels = [labels[0], labels[1], ("result", result)];
            text.sample(&labels, count as f64);
        }
    });
    let help = "Rounds that have closed without this worker since it last spoke.";
    text.gauge("hetsync_worker_silent_rounds", help);
    each(text, jobs, |text, labels, account| {
        text.sample(labels, account.silent_rounds as f64);
    });
}

fn costs(text: &mut Text, jobs: &[Job]) {
    let help = "Time of others that this worker took by being late, by why it was late as far as that could be seen.";
    text.counter("hetsync_worker_cost_seconds_total", help);
    each(text, jobs, |text, labels, account| {
        let seen = Cause::ALL.iter().zip(account.cost);
        let seen = seen.map(|(cause, cost)| (cause.name(), cost));
        for (cause, cost) in seen.chain([("unseen", account.cost_unseen)]) {
            let labels = [labels[0], labels[1], ("cause", cause)];
            text.sample(&labels, cost.as_secs_f64());
        }
    });
    let help = "This worker's share of what the last rounds cost, from 0 to 1; of those that went on without it, all.";
    text.gauge("hetsync_worker_recent_cost_share", help);
    each(text, jobs, |text, labels, account| {
        text.sample(labels, account.recent_share());
    });
    let help = "1 while this worker is called a straggler.";
    text.gauge("hetsync_worker_straggler", help);
    each(text, jobs, |text, labels, account| {
        text.sample(labels, f64::from(u8::from(account.is_straggler())));
    });
}

/// What the kernel said of workers whose turnarounds are long enough to ask.
fn signs(text: &mut Text, jobs: &[Job]) {
    let help = "Shortest time for there and back that this worker's connection has seen of late.";
    text.gauge("hetsync_worker_rtt_seconds", help);
    each(text, jobs, |text, labels, account| {
        if let Some(signs) = account.signs.filter(|signs| signs.rtt > Span::ZERO) {
            text.sample(labels, signs.rtt.as_secs_f64());
        }
    });
    let help = "Newest rate at which bytes were delivered to this worker.";
    text.gauge("hetsync_worker_delivery_bytes_per_second", help);
    each(text, jobs, |text, labels, account| {
        if let Some(signs) = account.signs.filter(|signs| signs.delivery_rate > 0) {
            text.sample(labels, signs.delivery_rate as f64);
        }
    });
    let help = "Segments that were sent to this worker again since the gradient before its newest.";
    text.gauge("hetsync_worker_retransmits_recent", help);
    each(text, jobs, |text, labels, account| {
        if let Some(signs) = account.signs {
            text.sample(labels, f64::from(signs.retransmits));
        }
    });
}

/// Something for each worker of each job, with the two labels of each.
fn each(text: &mut Text, jobs: &[Job], tell: impl Fn(&mut Text, &[(&str, &str); 2], &Account)) {
    for job in jobs {
        for (worker, account) in job.workers() {
            let labels = [
                ("hetsync_job", job.name.as_str()),
                ("worker", worker.as_str()),
            ];
            tell(text, &labels, account);
        }
    }
}

/// Limits of the buckets, as exponents: from 131 us to 69 s, doubling.
const BUCKETS: std::ops::RangeInclusive<u32> = 17..=36;

fn histogram(
    text: &mut Text,
    name: &'static str,
    help: &str,
    jobs: &[Job],
    of: impl Fn(&Stats) -> &Histogram,
) {
    text.histogram(name, help);
    for job in jobs {
        buckets(text, ("hetsync_job", job.name.as_str()), of(&job.stats));
    }
}

/// The samples of one histogram of the family that was opened last.
fn buckets(text: &mut Text, job: (&str, &str), times: &Histogram) {
    for exponent in BUCKETS {
        let limit = Span::from_nanos(1 << exponent).as_secs_f64().to_string();
        let below = times.count_below(exponent);
        text.part("_bucket", &[job, ("le", &limit)], below as f64);
    }
    let all = times.count() as f64;
    text.part("_bucket", &[job, ("le", "+Inf")], all);
    text.part("_sum", &[job], times.sum().as_secs_f64());
    text.part("_count", &[job], all);
}
