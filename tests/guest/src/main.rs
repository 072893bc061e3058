//! The command line: fetch kernels, run a command in a guest, or open a
//! shell in one.
//!
//! `run` ends with the command's own status; 124 if it took too long, 125 if
//! the guest failed, 2 for wrong usage.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use hetsync_guest::{Error, Guest, Kernel, Options, Result, Stream, Suite, quote, shell};

/// Boots a stock Debian kernel in QEMU and runs commands in it as root
#[derive(Parser)]
#[command(name = "hetsync-guest", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Fetch kernels, so that later boots need no network
    Fetch {
        /// Which kernel: 5.10, 6.1 or 6.12; all three if not given
        #[arg(long)]
        kernel: Option<Kernel>,
    },
    /// Run a command in a fresh guest, stream its output, end with its status
    Run(Run),
    /// Open a shell in a fresh guest on this terminal
    Shell(Boot),
}

#[derive(Args)]
struct Boot {
    /// Which kernel: 5.10, 6.1, 6.12, or host [default: $HETSYNC_KERNEL, else 6.1]
    #[arg(long)]
    kernel: Option<Kernel>,
    /// A file or folder to put in; a relative guest path is taken from /root
    #[arg(long, value_name = "HOST[:GUEST]")]
    file: Vec<String>,
    /// A program to put on the search path, with the libraries it needs
    #[arg(long, value_name = "PATH")]
    bin: Vec<PathBuf>,
    /// Debian packages whose programs the guest has, such as bpftrace
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    deb: Vec<String>,
    /// The release that they are taken from: bookworm, trixie or sid
    #[arg(long, default_value = "trixie")]
    suite: Suite,
    /// Further kernel modules to load
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    module: Vec<String>,
    /// Processors
    #[arg(long, default_value_t = 2)]
    cpus: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 1024)]
    memory: u32,
    /// One processor whose clock counts instructions: times repeat within 1 %
    #[arg(long)]
    icount: bool,
    /// A further argument for QEMU itself
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu_arg: Vec<String>,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    boot: Boot,
    /// A file to fetch out when the command has ended
    #[arg(long, value_name = "GUEST:HOST")]
    get: Vec<String>,
    /// The longest the command may take, in seconds
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Say at the end how long the boot took and how much memory was used
    #[arg(long)]
    report: bool,
    /// The command; several words are taken as they are, one as a line of shell
    #[arg(required = true, last = true)]
    command: Vec<String>,
}

impl Boot {
    fn options(&self) -> Result<Options> {
        // Tests are switched to the host as a whole, whatever they ask for.
        let kernel = match (Kernel::from_env()?, self.kernel) {
            (Some(Kernel::Host), _) => Kernel::Host,
            (_, Some(kernel)) => kernel,
            (Some(kernel), None) => kernel,
            (None, None) => Kernel::V6_1,
        };
        let mut options = Options::new(kernel);
        for spec in &self.file {
            let (host, guest) = spec.split_once(':').unwrap_or((spec, ""));
            let name = Path::new(host)
                .file_name()
                .unwrap_or_default()
                .to_string_lossy();
            let guest = if guest.is_empty() {
                name.into_owned()
            } else {
                guest.to_owned()
            };
            options = options.file(host, guest);
        }
        options.programs = self.bin.clone();
        options.packages = self.deb.clone();
        options.suite = self.suite;
        options.modules = self.module.clone();
        options.cpus = self.cpus;
        options.memory_mib = self.memory;
        options.icount = self.icount;
        options.qemu_args = self.qemu_arg.clone();
        Ok(options)
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().action {
        Action::Fetch { kernel } => fetch(kernel),
        Action::Run(run) => run.carry_out(),
        Action::Shell(boot) => boot
            .options()
            .and_then(|options| shell(&options))
            .map(|()| 0),
    };
    match done {
        // Statuses are one byte; what a shell gives is in range.
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(255)),
        Err(error) => {
            eprintln!("guest: {error}");
            ExitCode::from(match error {
                Error::Usage(_) => 2,
                Error::Timeout { .. } => 124,
                _ => 125,
            })
        }
    }
}

fn fetch(kernel: Option<Kernel>) -> Result<i32> {
    for kernel in kernel.map_or(Kernel::GUESTS.to_vec(), |kernel| vec![kernel]) {
        println!("{kernel}: {}", kernel.fetch()?.release);
    }
    Ok(0)
}

impl Run {
    fn carry_out(&self) -> Result<i32> {
        let mut wanted = Vec::new();
        for spec in &self.get {
            wanted.push(
                spec.split_once(':')
                    .ok_or_else(|| Error::Usage(format!("--get {spec}: it is GUEST:HOST")))?,
            );
        }
        let command = match self.command.as_slice() {
            [line] => line.clone(),
            words => words.iter().map(quote).collect::<Vec<_>>().join(" "),
        };
        let guest = Guest::boot(&self.boot.options()?)?;
        let status = guest.stream(
            &command,
            Duration::from_secs(self.timeout),
            |stream, bytes| {
                // If our own output is closed, the command still runs to its end.
                let _ = match stream {
                    Stream::Stdout => write_out(io::stdout(), bytes),
                    Stream::Stderr => write_out(io::stderr(), bytes),
                };
            },
        )?;
        for (from, to) in wanted {
            let fetched = guest.get(from).and_then(|bytes| {
                std::fs::write(to, bytes).map_err(|source| Error::File {
                    path: PathBuf::from(to),
                    source,
                })
            });
            match fetched {
                // A command that failed may well have left nothing to fetch: its own status says more.
                Err(error) if status != 0 => eprintln!("guest: --get {from}: {error}"),
                other => other?,
            }
        }
        if self.report {
            let report = guest.report();
            eprintln!(
                "guest: {} in user space after {:.1} s ({:.1} s on its own clock), {} MiB taken",
                report.release,
                report.wall.as_secs_f64(),
                report.uptime.as_secs_f64(),
                guest.peak_memory_kib().unwrap_or(0) >> 10,
            );
        }
        guest.shutdown()?;
        Ok(status)
    }
}

fn write_out(mut sink: impl Write, bytes: &[u8]) -> io::Result<()> {
    sink.write_all(bytes)?;
    sink.flush()
}
