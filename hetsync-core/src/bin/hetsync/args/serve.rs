//! The flags of `hetsync serve`. Each is also a setting of the file and of the
//! environment; see `settings`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hetsync_core::aggregate::Combine;
use hetsync_core::net::TlsServer;
use hetsync_core::policy::Rule;
use hetsync_core::server::{Late, Optimizer, WaitFor};
use hetsync_core::wire::v1::Dtype;
use hetsync_core::{Name, Span};

use super::rule::rule;
use super::value::{
    address, bytes, parameters, pem, positive, result_form, some_time, time, token, whole_floats,
};

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
    /// Take settings from this TOML file: `workers = 8` for --workers 8, and
    /// so for each of these options; [job.NAME] for a job with rules of its
    /// own. The environment (HETSYNC_WORKERS=8) goes before the file, and
    /// the command line before both.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Say what is wrong with the settings, with file and line, or print
    /// them all and where each is from; serve nothing.
    #[arg(long)]
    pub(crate) check_config: bool,

    /// Address or name, and port, to listen on.
    #[arg(short, long, value_name = "ADDRESS", default_value = "127.0.0.1:9999", value_parser = address)]
    pub(crate) listen: SocketAddr,

    /// Workers that the first round waits for. Later rounds wait for those
    /// that have taken part and are still connected, be they more or fewer.
    #[arg(short, long, value_name = "N", default_value = "4", value_parser = positive)]
    pub(crate) workers: usize,

    /// Close a round this long after its first gradient, with who is in.
    /// Alone it means the rule `deadline`; beside a rule it is the time of each
    /// `deadline` in it that names none (2s where nothing is said), and with
    /// the rule `replay` the longest that a round may last.
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
    /// sum; mean, of those that are in; weighted_mean, each by the weight that
    /// its worker says. Of each element: median;
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

    /// Hold the model here, and change it by this rule with each round:
    /// sgd(RATE), momentum(RATE, 0.9), adam(RATE, 0.9, 0.999, 1e-8). Workers
    /// of protocol 1 that begin, or have missed too much, are sent it.
    #[arg(long, value_name = "RULE")]
    pub(crate) model: Option<Optimizer>,

    /// The model begins with the parameters in this file: floats of 4 bytes,
    /// little-endian. Without it, with --floats zeros.
    #[arg(long, value_name = "FILE")]
    pub(crate) initial: Option<PathBuf>,

    /// Round results to f32, bf16, f16 or int8, and send them so to workers
    /// of protocol 1 that would have them so. What rounding takes away is
    /// added to the next result. Gradients are taken in any form.
    #[arg(long, value_name = "FORM", default_value = "f32", value_parser = result_form)]
    pub(crate) dtype: Dtype,

    /// Serve this job as well, with a barrier of its own and the same rules;
    /// may be given several times. Workers of protocol 1 name it; the others
    /// are in the job `default`.
    #[arg(short, long = "job", value_name = "NAME")]
    pub(crate) jobs: Vec<Name>,

    /// Serve only workers that know the secret in this file; its last line
    /// break does not count. Protocol 0 cannot say it and is not served then.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// Speak TLS with workers, and show them the certificate in this PEM
    /// file, with those that lead to its authority behind it.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of the certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

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

    /// Save the jobs in this folder, and go on from what is there: the round,
    /// the newest result or the model, the workers and what was seen of them.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) checkpoint: Option<PathBuf>,

    /// Save a job after so many rounds. With 1 a round's result is sent once
    /// it is safe on disk, so a crash loses the open round at most; with more,
    /// as many rounds as this.
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    pub(crate) checkpoint_every: usize,

    /// Checkpoints of each job that are kept.
    #[arg(long, value_name = "N", default_value = "3", value_parser = positive)]
    pub(crate) checkpoint_keep: usize,

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

    /// Why no server listens there without a token.
    pub(crate) fn unguarded(address: SocketAddr) -> String {
        format!(
            "anybody who reaches {address} could join: give the workers a secret with --token-file, or say --insecure-listen"
        )
    }

    /// What to show to workers, if there is to be TLS; the settings that are
    /// wrong, and how.
    pub(crate) fn tls(&self) -> Result<Option<TlsServer>, (&'static [&'static str], String)> {
        let (certificates, key) = match (&self.tls_cert, &self.tls_key) {
            (None, None) => return Ok(None),
            (Some(certificates), Some(key)) => (certificates, key),
            (Some(_), None) => {
                let text = "--tls-cert is nothing without its key: give it with --tls-key";
                return Err((&["tls-cert"], text.into()));
            }
            (None, Some(_)) => {
                let text = "--tls-key is nothing without its certificate: give it with --tls-cert";
                return Err((&["tls-key"], text.into()));
            }
        };
        let read = |path| pem(path).map_err(|text| (&["tls-cert", "tls-key"][..], text));
        let server = TlsServer::from_pem(&read(certificates)?, &read(key)?);
        server.map(Some).map_err(|error| {
            let (certificates, key) = (certificates.display(), key.display());
            let text = format!("--tls-cert {certificates} with --tls-key {key}: {error}");
            (&["tls-cert", "tls-key"][..], text)
        })
    }

    /// The rule that rounds close by.
    pub(crate) fn rule(&self) -> Result<Rule, String> {
        rule(self.policy.as_ref(), self.deadline)
    }

    /// What the model begins with, if the server is to hold one; the settings
    /// that are wrong, and how, if they do not say it.
    pub(crate) fn parameters(&self) -> Result<Option<Vec<f32>>, (&'static [&'static str], String)> {
        match (&self.model, &self.initial, self.floats) {
            (None, None, _) => Ok(None),
            (None, Some(_), _) => Err((
                &["initial"],
                "--initial has parameters, and there is no --model to hold them".into(),
            )),
            (Some(_), None, None) => Err((
                &["model"],
                "--model needs the parameters in a file with --initial, or their number with --floats".into(),
            )),
            (Some(_), None, Some(floats)) => {
                let mut zeros = Vec::new();
                let text = format!("--floats {floats} is more than this machine holds");
                zeros.try_reserve_exact(floats).map_err(|_| (&["floats"][..], text))?;
                zeros.resize(floats, 0.0);
                Ok(Some(zeros))
            }
            (Some(_), Some(path), floats) => {
                let parameters = parameters(path).map_err(|text| (&["initial"][..], text))?;
                match floats.is_none_or(|floats| floats == parameters.len()) {
                    true => Ok(Some(parameters)),
                    false => Err((
                        &["floats", "initial"],
                        format!("--initial has {} floats, and --floats says otherwise", parameters.len()),
                    )),
                }
            }
        }
    }

    /// What no setting can see by itself: all of it.
    pub(crate) fn check(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let mut say =
            |keys: &'static [&'static str], text: String| wrong.push(Wrong { keys, text });
        if !self.listen.ip().is_loopback() && self.token_file.is_none() && !self.insecure_listen {
            say(&["listen"], Self::unguarded(self.listen));
        }
        let (workers, most) = (self.workers, self.max_connections);
        if workers > most {
            say(
                &["workers", "max-connections"],
                format!(
                    "--workers {workers} can never be in, as --max-connections allows {most}; raise --max-connections to at least {workers}"
                ),
            );
        }
        let least = self.aggregate.least();
        if workers < least {
            say(
                &["aggregate", "workers"],
                format!(
                    "--aggregate '{}' needs {least} gradients or more, and there are --workers {workers}; have it withstand fewer, or raise --workers to at least {least}",
                    self.aggregate
                ),
            );
        }
        match self
            .floats
            .map(|floats| (floats, (floats as u64).checked_mul(4)))
        {
            Some((floats, None)) => say(
                &["floats"],
                format!("--floats {floats} is more than any machine holds"),
            ),
            Some((floats, Some(bytes))) if bytes > self.max_payload => say(
                &["floats", "max-payload"],
                format!(
                    "--floats {floats} makes gradients of {bytes} bytes, and --max-payload allows {}; raise --max-payload to at least {bytes}",
                    self.max_payload
                ),
            ),
            _ => {}
        }
        let (need, have) = (self.job_bytes(), self.max_memory());
        if need > have {
            say(
                &["max-memory", "floats", "workers"],
                format!(
                    "{workers} workers with --floats {} need {need} bytes for their gradients and two results, and --max-memory allows {have}",
                    self.floats.unwrap_or(0)
                ),
            );
        } else if have / 4 < workers as u64 + 2 {
            say(
                &["max-memory", "workers"],
                format!(
                    "--max-memory {have} does not hold one float (4 bytes) of each of {workers} workers and of two results"
                ),
            );
        }
        if let Err((keys, text)) = self.parameters() {
            say(keys, text);
        }
        if let Err(text) = self.rule() {
            say(&["deadline", "policy"], text);
        }
        if let Err((keys, text)) = self.tls() {
            say(keys, text);
        }
        if let Some(Err(text)) = self.token_file.as_deref().map(token) {
            say(&["token-file"], text);
        }
        wrong
    }
}

/// Settings that do not go together, or that this machine does not bear out.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// The settings that it is about; the first that was set at all is blamed.
    pub(crate) keys: &'static [&'static str],
    pub(crate) text: String,
}
