//! The `hetsync` command: serve, worker, bench, completions, man.
//!
//! Exit codes: 0 done or stopped by a signal, 1 failed, 2 wrong usage.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod log;
mod serve;
mod signals;
mod step;
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    let done = match args::Cli::parse().command {
        args::Command::Serve(args) => serve::run(args),
        args::Command::Worker(args) => worker::run(args),
        args::Command::Bench(args) => bench::run(args),
        args::Command::Completions { shell } => {
            let mut command = args::Cli::command();
            clap_complete::generate(shell, &mut command, "hetsync", &mut std::io::stdout());
            Ok(())
        }
        args::Command::Man { directory } => manual(directory.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hetsync: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, in words for the person who typed the command.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prints the manual page, or writes one per command into `directory`.
fn manual(directory: Option<&std::path::Path>) -> Result<(), Failure> {
    let command = args::Cli::command();
    match directory {
        None => clap_mangen::Man::new(command).render(&mut std::io::stdout())?,
        Some(directory) => {
            std::fs::create_dir_all(directory)?;
            clap_mangen::generate_to(command, directory)?;
        }
    }
    Ok(())
}

/// Runs `work` on a thread of this name, so that tools which tell processes
/// apart by their thread's name can tell server and worker apart.
fn on_named_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let thread = std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    thread
        .join()
        .map_err(|_| "stopped by a fault of its own; the message above tells where".into())
}
