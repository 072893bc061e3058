//! The flags of `hetsync worker`.

use std::path::PathBuf;

use clap::Args;
use hetsync_core::net::TlsClient;
use hetsync_core::wire::v1::Dtype;
use hetsync_core::{Name, Span};

use super::value::{Target, form, pem, percent, positive, target, time};

#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArgs {
    /// The server's address or name, and port.
    #[arg(short, long, value_name = "ADDRESS", default_value = "127.0.0.1:9999", value_parser = target)]
    pub(crate) connect: Target,

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

    /// Speak TLS, with a server whose certificate is signed by an authority in
    /// this PEM file.
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,

    /// Who the server's certificate is to be for; by default the name or the
    /// address that --connect says.
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    pub(crate) tls_name: Option<String>,

    /// Send gradients as f32, f64, bf16, f16, int8 or topk, by protocol 1, and
    /// take results in the same form if the server has them so. topk sends
    /// the largest hundredth of the elements. What is lost is added to the
    /// next gradient.
    #[arg(long, value_name = "FORM", default_value = "f32", value_parser = form)]
    pub(crate) dtype: Dtype,

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
impl WorkerArgs {
    /// Whom to trust, if there is to be TLS.
    pub(crate) fn tls(&self) -> Result<Option<TlsClient>, String> {
        let Some(path) = &self.tls_ca else {
            return Ok(None);
        };
        let name = self.tls_name.as_ref().unwrap_or(&self.connect.host);
        let client = TlsClient::from_pem(&pem(path)?, name);
        let client = client.map_err(|error| format!("--tls-ca {}: {error}", path.display()));
        client.map(Some)
    }

    /// What no flag can see by itself.
    pub(crate) fn check(&self) -> Result<(), String> {
        let named =
            self.job != Name::default() || self.token_file.is_some() || self.dtype != Dtype::F32;
        match (self.protocol, named) {
            (0, true) => Err(
                "protocol 0 has no jobs, no token and no other form than f32; say --protocol 1"
                    .into(),
            ),
            _ => Ok(()),
        }
    }
}
