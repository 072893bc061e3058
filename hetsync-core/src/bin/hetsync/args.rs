//! The command line's flags, and their defaults.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use hetsync_core::aggregate::Combine;
use hetsync_core::policy::Rule;
use hetsync_core::server::Token;
use hetsync_core::server::{Late, WaitFor};
use hetsync_core::{Name, Span};

/// A straggler-tolerant synchronisation barrier for distributed training.
///
/// Workers send gradients, the server adds up what has come and sends the
/// sum back. A round closes when everyone has come or when its deadline
/// passes, so one slow worker does not hold up the others.
#[derive(Debug, Parser)]
#[command(name = "hetsync", version, propagate_version = true)]
#[command(
    after_help = "Try it: `hetsync serve` in one terminal, and in another\n  \
    hetsync worker --count 3 & hetsync worker --straggle 5s"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the parameter server until Ctrl-C or SIGTERM.
    Serve(ServeArgs),
    /// Run one or more workers that compute nothing but take their time.
    Worker(WorkerArgs),
    /// Measure updates per second with 0 to 75 % stragglers, strict against
    /// deadline.
    Bench(BenchArgs),
    /// Judge closing rules in virtual time, on scenarios drawn at random.
    Simulate(SimulateArgs),
    /// Show a running server's rounds, workers, waits and their causes.
    Top(TopArgs),
    /// Print a shell's completion script.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man {
        /// Write a page for each command into this directory instead.
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
}

impl Cli {
    /// What no flag can see by itself: the name of the command concerned,
    /// and what is wrong.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        match &self.command {
            Command::Serve(args) => args.check().map_err(|wrong| ("serve", wrong)),
            Command::Worker(args) => args.check().map_err(|wrong| ("worker", wrong)),
            _ => Ok(()),
        }
    }
}

impl WorkerArgs {
    fn check(&self) -> Result<(), String> {
        let named = self.job != Name::default() || self.token_file.is_some();
        match (self.protocol, named) {
            (0, true) => Err("protocol 0 has no jobs and no token; say --protocol 1".into()),
            _ => Ok(()),
        }
    }
}

impl ServeArgs {
    /// What all workers need, in bytes, if the length of the model is known:
    /// their gradients, the newest result, and one that is being written.
    fn job_bytes(&self) -> u64 {
        let floats = self.floats.unwrap_or(0) as u64;
        let buffers = (self.workers as u64).saturating_add(2);
        floats.saturating_mul(4).saturating_mul(buffers)
    }

    pub(crate) fn max_memory(&self) -> u64 {
        let enough = self.job_bytes().saturating_mul(2).max(4 << 30);
        self.max_memory.unwrap_or(enough)
    }

    /// The rule that rounds close by.
    pub(crate) fn rule(&self) -> Rule {
        match (self.policy.clone(), self.deadline) {
            (None, None) => Rule::Replay,
            (None, Some(span)) => Rule::Deadline(Some(span)),
            (Some(Rule::Replay), Some(span)) => Rule::Ceiling(span, Box::new(Rule::Replay)),
            (Some(rule), Some(span)) => rule.with_deadline(span),
            (Some(rule), None) => rule,
        }
    }

    fn check(&self) -> Result<(), String> {
        if !self.listen.ip().is_loopback() && self.token_file.is_none() && !self.insecure_listen {
            return Err(format!(
                "anybody who reaches {} could join: give the workers a secret with --token-file, or say --insecure-listen",
                self.listen
            ));
        }
        let (workers, most) = (self.workers, self.max_connections);
        if workers > most {
            return Err(format!(
                "--workers {workers} can never be in, as --max-connections allows {most}; raise --max-connections to at least {workers}"
            ));
        }
        let least = self.aggregate.least();
        if workers < least {
            return Err(format!(
                "--aggregate '{}' needs {least} gradients or more, and there are --workers {workers}; have it withstand fewer, or raise --workers to at least {least}",
                self.aggregate
            ));
        }
        if let Some(floats) = self.floats {
            let Some(bytes) = (floats as u64).checked_mul(4) else {
                return Err(format!("--floats {floats} is more than any machine holds"));
            };
            if bytes > self.max_payload {
                return Err(format!(
                    "--floats {floats} makes gradients of {bytes} bytes, and --max-payload allows {}; raise --max-payload to at least {bytes}",
                    self.max_payload
                ));
            }
        }
        let (need, have) = (self.job_bytes(), self.max_memory());
        if need > have {
            return Err(format!(
                "{workers} workers with --floats {} need {need} bytes for their gradients and two results, and --max-memory allows {have}",
                self.floats.unwrap_or(0)
            ));
        }
        if have / 4 < workers as u64 + 2 {
            return Err(format!(
                "--max-memory {have} does not hold one float (4 bytes) of each of {workers} workers and of two results"
            ));
        }
        Ok(())
    }
}

/// Whom rounds wait for, of the workers that have taken part and are still
/// connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WaitForName {
    /// Each until its round has closed: a worker that missed one costs one
    /// deadline, and is waited for again once it has spoken.
    InStep,
    /// Each in every round anew: a silent worker costs every round its
    /// deadline, and misses as few rounds as can be.
    Connected,
}

impl From<WaitForName> for WaitFor {
    fn from(name: WaitForName) -> Self {
        match name {
            WaitForName::InStep => Self::InStep,
            WaitForName::Connected => Self::Connected,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address or name, and port, to listen on.
    #[arg(short, long, value_name = "ADDRESS", default_value = "127.0.0.1:9999", value_parser = address)]
    pub(crate) listen: SocketAddr,

    /// Workers that the first round waits for. Later rounds wait for those
    /// that have taken part and are still connected, be they more or fewer.
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = positive)]
    pub(crate) workers: usize,

    /// Close a round this long after its first gradient, with who is in.
    /// Alone it means the rule `deadline`, which takes 2s where nothing is
    /// said; with the rule `replay` it is the longest that a round may last.
    #[arg(short, long, value_name = "TIME", value_parser = some_time)]
    pub(crate) deadline: Option<Span>,

    /// When rounds close [default: replay].
    ///
    /// strict: when everyone has come. deadline, or deadline(TIME): a fixed
    /// time after the first gradient. quorum(3/4), quorum(3, grace=50ms): with
    /// enough, and a little later. replay: by the rule that would have done
    /// best in the recent past. staleness(N): when that leaves nobody more
    /// than N rounds behind. Of several: first_of(RULE, ..), all_of(RULE, ..),
    /// floor(TIME, RULE), ceiling(TIME, RULE), warm_up(ROUNDS, RULE).
    #[arg(short, long, value_name = "RULE")]
    pub(crate) policy: Option<Rule>,

    /// What becomes of late gradients: drop; next_round, into the next round
    /// in full; decay, there with weight 1/(1+age) by the number of rounds
    /// missed; decay(L), with weight L to the power of that.
    #[arg(long, value_name = "RULE", default_value = "drop")]
    pub(crate) late: Late,

    /// Whom rounds wait for, of the workers that have taken part and are
    /// still connected.
    #[arg(long, value_enum, value_name = "WHOM", default_value_t = WaitForName::InStep)]
    pub(crate) wait_for: WaitForName,

    /// What becomes of a round's gradients.
    ///
    /// sum; mean, of those that are in. Of each element: median;
    /// trimmed_mean(K), the mean without the K smallest and the K largest,
    /// or trimmed_mean(1/4) without that share at either end. krum(F): the
    /// gradient closest to the others, in spite of F bad ones;
    /// multi_krum(F, M): the mean of the M closest. clip(NORM, RULE): each
    /// gradient first shortened to this L2 norm.
    #[arg(short, long, value_name = "RULE", default_value_t = Combine::default())]
    pub(crate) aggregate: Combine,

    /// Length of the model. Without it, the first gradient sets it.
    #[arg(short, long, value_name = "N", value_parser = positive)]
    pub(crate) floats: Option<usize>,

    /// Serve this job as well, with a barrier of its own and the same rules;
    /// may be given several times. Workers of protocol 1 name it; the others
    /// are in the job `default`.
    #[arg(short, long = "job", value_name = "NAME")]
    pub(crate) jobs: Vec<Name>,

    /// Serve only workers that know the secret in this file; its last line
    /// break does not count. Protocol 0 cannot say it and is not served then.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Listen on other addresses than those of this machine alone although
    /// there is no token.
    #[arg(long)]
    pub(crate) insecure_listen: bool,

    /// Results kept for workers of protocol 1 that missed them, as far as
    /// --keep-bytes allows.
    #[arg(long, value_name = "N", default_value = "16", value_parser = positive)]
    pub(crate) keep_rounds: usize,

    /// Bytes of all kept results but the newest, in each job.
    #[arg(long, value_name = "BYTES", default_value = "256M", value_parser = bytes)]
    pub(crate) keep_bytes: u64,

    /// Workers of protocol 1 that each job remembers; no more are taken.
    #[arg(long, value_name = "N", default_value = "4096", value_parser = positive)]
    pub(crate) max_workers: usize,

    /// How long a worker of protocol 1 that lost its connection is part of
    /// its job: when all are gone for longer, the job starts over.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = some_time)]
    pub(crate) linger: Span,

    /// Longest gradient that is taken, in bytes; K, M and G are understood.
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = whole_floats)]
    pub(crate) max_payload: u64,

    /// Bytes that all gradients and results may take together. By default 4G,
    /// or with --floats twice what all workers need if that is more. Until
    /// the length of the model is known, no gradient may take more than its
    /// share: this, divided by the workers and two results.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub(crate) max_memory: Option<u64>,

    /// Connections at one time; more are closed at once.
    #[arg(long, value_name = "N", default_value = "1024", value_parser = positive)]
    pub(crate) max_connections: usize,

    /// Disconnect a worker that should speak and has not for this long.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = some_time)]
    pub(crate) idle: Span,

    /// Disconnect a worker that stops in the middle of a gradient for this
    /// long. When all places are taken, a connection that has sent nothing
    /// yet makes room for a newcomer at once, and one that has been at its
    /// first gradient for longer than this if there is none.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = some_time)]
    pub(crate) hello: Span,

    /// How long a stopping server lets an open round go on.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = time)]
    pub(crate) grace: Span,

    /// Serve metrics for Prometheus at http://ADDRESS/metrics, and /livez and
    /// /readyz for Kubernetes. Whoever can connect there can read them.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) metrics: Option<SocketAddr>,

    /// Do not spare old workers, which write header and payload apart, the
    /// 40 ms of a delayed acknowledgement. For measuring what it spares.
    #[arg(long)]
    pub(crate) no_quick_ack: bool,

    /// A line for every round and connection.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// No lines but errors.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArgs {
    /// The server's address or name, and port.
    #[arg(short, long, value_name = "ADDRESS", default_value = "127.0.0.1:9999", value_parser = address)]
    pub(crate) connect: SocketAddr,

    /// Workers to run in this process, each with its own connection.
    #[arg(short = 'n', long, value_name = "N", default_value = "1", value_parser = positive)]
    pub(crate) count: usize,

    /// Version of the wire protocol to speak.
    #[arg(long, value_name = "0|1", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) protocol: u8,

    /// Which job to take part in, by protocol 1.
    #[arg(short, long, value_name = "NAME", default_value_t = Name::default())]
    pub(crate) job: Name,

    /// Who this worker is, over connections and restarts, by protocol 1; with
    /// --count the number of each is put behind it.
    #[arg(long, value_name = "NAME", default_value = "worker")]
    pub(crate) id: Name,

    /// The server's secret is in this file; for protocol 1.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Time that a step takes.
    #[arg(short, long, value_name = "TIME", default_value = "100ms", value_parser = time)]
    pub(crate) think: Span,

    /// Vary each step's time by up to this share of it, in percent.
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    pub(crate) jitter: f64,

    /// Be a straggler: a step takes this long instead.
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub(crate) straggle: Option<Span>,

    /// Share of the steps that straggle, in percent.
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = percent, requires = "straggle")]
    pub(crate) straggle_chance: f64,

    /// Wait this long before the first step.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    pub(crate) delay: Span,

    /// Stop after this many rounds; without it, at Ctrl-C or SIGTERM.
    #[arg(short, long, value_name = "N", value_parser = positive)]
    pub(crate) rounds: Option<usize>,

    /// Length of the gradients.
    #[arg(short, long, value_name = "N", default_value = "10", value_parser = positive)]
    pub(crate) floats: usize,

    /// Seed of the gradients, the jitter and the straggling.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// A line for every round.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// No lines but errors.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// How long each cell of the table is measured. All cells run at the
    /// same time: they sleep, and the machine has little to do.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = some_time)]
    pub(crate) duration: Span,

    /// Workers, stragglers included.
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = positive)]
    pub(crate) workers: usize,

    /// Time that a step takes.
    #[arg(short, long, value_name = "TIME", default_value = "100ms", value_parser = time)]
    pub(crate) think: Span,

    /// Time that a straggler's step takes.
    #[arg(short, long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(crate) straggle: Span,

    /// Deadline of the deadline policy.
    #[arg(short, long, value_name = "TIME", default_value = "2s", value_parser = some_time)]
    pub(crate) deadline: Span,

    /// The rule to measure beside strict; written as for `hetsync serve`.
    #[arg(short, long, value_name = "RULE", default_value = "deadline")]
    pub(crate) policy: Rule,

    /// Whom rounds under the deadline wait for.
    #[arg(long, value_enum, value_name = "WHOM", default_value_t = WaitForName::InStep)]
    pub(crate) wait_for: WaitForName,

    /// Length of the gradients.
    #[arg(short, long, value_name = "N", default_value = "10", value_parser = positive)]
    pub(crate) floats: usize,

    /// Write the table as CSV; `-` for standard output, without the table.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write the table, with its settings, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the chart as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Write the chart as PNG.
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,

    /// No progress bar.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Address or name, and port, of the server's --metrics.
    #[arg(value_name = "ADDRESS", default_value = "127.0.0.1:9998", value_parser = address)]
    pub(crate) address: SocketAddr,

    /// Time between two looks.
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = some_time)]
    pub(crate) every: Span,

    /// Look once, print what is seen, and end.
    #[arg(long)]
    pub(crate) once: bool,

    /// Workers of each job that are shown: those that cost most.
    #[arg(short, long, value_name = "N", default_value = "20", value_parser = positive)]
    pub(crate) workers: usize,
}

/// The secret in a file, without the line break that editors put at its end.
pub(crate) fn token(path: &Path) -> Result<Token, String> {
    let name = path.display();
    let text = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    match text.len() {
        0 => Err(format!("{name} is empty; a token has at least one byte")),
        1..=1024 => Ok(Token::new(text)),
        long => Err(format!(
            "{name} holds {long} bytes; a token has at most 1024"
        )),
    }
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// A rule to judge; written as for `hetsync serve`. May be given several
    /// times. By default replay, three quarters, and two seconds.
    #[arg(short, long, value_name = "RULE")]
    pub(crate) policy: Vec<Rule>,

    /// Scenarios to draw; 0 for the scenes with names alone.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
    pub(crate) scenarios: u64,

    /// Seed of the scenarios. No two seeds share one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Write everything as JSON; `-` for standard output, without tables.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the chart as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Write the chart as PNG.
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,

    /// No progress bar.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// The first address of a name, of IPv4 if it has one, so that server and
/// worker agree on what `localhost` is.
fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map_err(|error| {
        format!("{error}; write an address and a port, as in 127.0.0.1:9999 or localhost:9999")
    })?;
    let first = found.min_by_key(SocketAddr::is_ipv6);
    first.ok_or_else(|| String::from("this name has no address"))
}

fn time(text: &str) -> Result<Span, hetsync_core::time::ParseSpanError> {
    text.parse()
}

fn some_time(text: &str) -> Result<Span, String> {
    match time(text) {
        Ok(Span::ZERO) => Err("must be longer than nothing, as in 1ms".into()),
        Ok(span) => Ok(span),
        Err(error) => Err(error.to_string()),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("write a number from 0 to 100".into()),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| {
        String::from("write a number of bytes, or one with K, M or G behind it, as in 64M")
    })?;
    match number.checked_mul(factor) {
        Some(bytes @ 4..) => Ok(bytes),
        Some(_) => Err("must hold at least one float (4 bytes)".into()),
        None => Err("is too large".into()),
    }
}

fn whole_floats(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        bytes if bytes.is_multiple_of(4) => Ok(bytes),
        bytes => Err(format!(
            "a gradient is a whole number of floats of 4 bytes; write {} or {}",
            bytes - bytes % 4,
            (bytes - bytes % 4).saturating_add(4)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn byte_counts_parse() {
        assert_eq!(bytes("1G"), Ok(1 << 30));
        assert_eq!(bytes("64k"), Ok(64 << 10));
        assert_eq!(bytes("4"), Ok(4));
        for text in [
            "",
            "G",
            "3",
            "-1",
            "99999999999999999999",
            "18446744073709551615K",
        ] {
            assert!(bytes(text).is_err(), "{text} was taken");
        }
    }
}
