//! The `hetsync` command: serve, worker, bench, simulate, completions, man.
//!
//! Exit codes: 0 done or stopped by a signal, 1 failed, 2 wrong usage.

#![forbid(unsafe_code)]

mod args;
mod bench;
mod chart;
mod files;
mod lines;
mod log;
mod serve;
mod settings;
mod signals;
mod simulate;
mod step;
mod systemd;
mod together;
mod top;
mod worker;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let done = match cli.command {
        args::Command::Serve(_) => serve_as_settled(),
        args::Command::Worker(args) => match args.check() {
            Ok(()) => worker::run(args),
            Err(wrong) => misused("worker", wrong),
        },
        args::Command::Bench(args) => match args.rule() {
            Ok(rule) => bench::run(args, &rule),
            Err(wrong) => misused("bench", wrong),
        },
        args::Command::Simulate(args) => simulate::run(args),
        args::Command::Top(args) => top::run(&args),
        args::Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut args::Cli::command(), "hetsync", &mut text);
            print(&text)
        }
        args::Command::Man { directory } => manual(directory.as_deref()),
    };
    let code = match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            lines::say(format!("hetsync: {failure}"));
            ExitCode::FAILURE
        }
    };
    lines::flush();
    code
}

/// Serves, or tells of the settings, once they are settled.
fn serve_as_settled() -> Result<(), Failure> {
    let argv: Vec<_> = std::env::args_os().collect();
    match settings::resolve(&argv, std::env::vars_os()) {
        Ok(settings) if settings.general.check_config => {
            print(settings::show(&settings).as_bytes())
        }
        Ok(settings) => serve::run(settings),
        // A fault of the command line is told as clap tells its own.
        Err(faults) if faults[0].place == settings::Place::Flag => {
            misused("serve", faults[0].text.clone())
        }
        Err(faults) => {
            faults
                .iter()
                .for_each(|fault| lines::say(fault.to_string()));
            lines::flush();
            std::process::exit(2)
        }
    }
}

/// Says what no flag can see by itself, and ends with the code of wrong usage.
fn misused(name: &str, wrong: String) -> ! {
    let kind = clap::error::ErrorKind::ValueValidation;
    let mut command = args::Cli::command();
    // Only a built command knows that it is called `hetsync serve`.
    command.build();
    match command.find_subcommand_mut(name) {
        Some(command) => command.error(kind, wrong).exit(),
        None => command.error(kind, wrong).exit(),
    }
}

/// What went wrong, in words for the person who typed the command.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prints the manual page, or writes one per command into `directory`.
fn manual(directory: Option<&std::path::Path>) -> Result<(), Failure> {
    let command = args::Cli::command();
    match directory {
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(command).render(&mut text)?;
            print(&text)?;
        }
        Some(directory) => {
            std::fs::create_dir_all(directory)?;
            clap_mangen::generate_to(command, directory)?;
        }
    }
    Ok(())
}

/// Writes to standard output. A reader that went away (`| head`) has seen what it wanted.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
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
