//! Command line: clap structs, one function per mode. Standard output is for what was asked, standard error for problems.

/// A line on standard error. That it cannot be written, as the disk is full, changes nothing of what the program does.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

/// The same, of text that has its line breaks.
macro_rules! say_as_is {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stderr(), $($text)*);
    }};
}

pub mod args;
mod bpftrace;
mod check;
mod emit;
pub mod exit;
mod fmt;
mod list;
pub mod output;
#[cfg(feature = "kernel")]
mod run;
mod script;

use std::io::Write;

use clap::{CommandFactory, Parser};

use crate::diagnostic::codes;
use crate::kernel::Kernel;
use args::{BuildArgs, Cli, Command};
use exit::Exit;
use script::{Script, complain};

/// The whole program: the process's arguments to its exit code.
pub fn main() -> Exit {
    if bpftrace::is_called() {
        return bpftrace::main();
    }
    match Cli::try_parse() {
        Ok(cli) => dispatch(cli.command),
        Err(error) => {
            // Help and version come as "errors" that go to standard output.
            let _ = error.print();
            if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            }
        }
    }
}

fn dispatch(command: Command) -> Exit {
    match command {
        Command::Run(args) => run(args),
        Command::Check(args) => check::main(&args),
        Command::Fmt(args) => fmt::main(&args),
        Command::List(args) => list::main(&args),
        Command::Build(args) => build(&args),
        Command::Explain { code } => explain(&code),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "hetsync-probe", &mut text);
            print(&text).err().unwrap_or(Exit::Ok)
        }
        Command::Man { directory } => manual(directory.as_deref()),
    }
}

#[cfg(feature = "kernel")]
fn run(args: args::RunArgs) -> Exit {
    run::main(&args)
}

#[cfg(not(feature = "kernel"))]
fn run(args: args::RunArgs) -> Exit {
    if let Some(stage) = args.script.emit {
        let script = match Script::read(&args.script) {
            Ok(script) => script,
            Err(exit) => return exit,
        };
        let options = script.options(&args.script, &crate::kernel::NoKernel, args.pid);
        let to = args.output.as_deref();
        return emit::main(stage, &script, &options, &args.script, to);
    }
    complain("this build cannot run scripts: it was made without the feature `kernel`");
    Exit::Failure
}

fn build(args: &BuildArgs) -> Exit {
    let script = match Script::read(&args.script) {
        Ok(script) => script,
        Err(exit) => return exit,
    };
    let kernel = crate::kernel::running::Running::one_of_many();
    let options = script.options(&args.script, &kernel, None);
    let stage = args.script.emit.unwrap_or(args::Stage::Elf);
    emit::main(
        stage,
        &script,
        &options,
        &args.script,
        args.output.as_deref(),
    )
}

fn explain(code: &str) -> Exit {
    match codes::find(code) {
        Some(entry) => print(codes::explain(entry).as_bytes())
            .err()
            .unwrap_or(Exit::Ok),
        None => {
            complain(&format!(
                "there is no error code {code}; codes look like E0103"
            ));
            Exit::Failure
        }
    }
}

/// The manual page of the program, then those of its subcommands, in one document; or a page each in `directory`.
fn manual(directory: Option<&std::path::Path>) -> Exit {
    let mut command = Cli::command();
    if let Some(directory) = directory {
        let written = std::fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(command, directory));
        return match written {
            Ok(()) => Exit::Ok,
            Err(error) => {
                let at = directory.display();
                complain(&format!("cannot write the manual pages to {at}: {error}"));
                Exit::Failure
            }
        };
    }
    let mut text = Vec::new();
    command.build();
    let subcommands: Vec<clap::Command> = command.get_subcommands().cloned().collect();
    let pages =
        std::iter::once(command).chain(subcommands.into_iter().filter(|c| c.get_name() != "help"));
    for page in pages {
        // Writing to a buffer cannot fail.
        let _ = clap_mangen::Man::new(page).render(&mut text);
    }
    print(&text).err().unwrap_or(Exit::Ok)
}

/// Facts about the kernel this runs on.
fn this_kernel() -> Box<dyn Kernel> {
    Box::new(crate::kernel::running::Running::new())
}

/// Whether functions of this kernel can be probed in some way.
#[cfg(feature = "kernel")]
fn functions_can_be_probed(kernel: &dyn Kernel) -> bool {
    crate::kernel::features::functions_can_be_probed(kernel)
}

/// The same, as far as the kernel's files show it.
#[cfg(not(feature = "kernel"))]
fn functions_can_be_probed(_: &dyn Kernel) -> bool {
    use crate::kernel::running::{has_ftrace, has_kprobes};
    has_kprobes() || has_ftrace()
}

/// Writes to standard output. A reader that went away (`| head`) ends the program quietly; another failure is told.
fn print(bytes: &[u8]) -> Result<(), Exit> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|error| {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                return Exit::Ok;
            }
            complain(&format!("cannot write to standard output: {error}"));
            Exit::Failure
        })
}
