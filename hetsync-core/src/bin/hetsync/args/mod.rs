//! The command line's flags, and their defaults.

mod rule;
mod serve;
mod value;
mod worker;

pub(crate) use serve::{ServeArgs, WaitForName, Wrong};
pub(crate) use value::token;
pub(crate) use worker::WorkerArgs;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use hetsync_core::Span;
use hetsync_core::policy::Rule;

use crate::files::FileArgs;
use rule::rule;
use value::{address, positive, some_time, time};

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
    Serve(Box<ServeArgs>),
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

/// Where `hetsync bench` is told none: that of the server that this one takes
/// the place of.
const DEADLINE: Span = Span::from_secs(2);

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

    /// Deadline of the rule that is measured beside strict [default: 2s].
    #[arg(short, long, value_name = "TIME", value_parser = some_time)]
    pub(crate) deadline: Option<Span>,

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

    #[command(flatten)]
    pub(crate) files: FileArgs,
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

    #[command(flatten)]
    pub(crate) files: FileArgs,
}

impl BenchArgs {
    /// The rule that is measured beside strict.
    pub(crate) fn rule(&self) -> Result<Rule, String> {
        let rule = rule(Some(&self.policy), self.deadline)?;
        Ok(rule.with_deadline(DEADLINE))
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
}
