//! What can be typed: clap structs, their help texts, nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::report::form::FormKind;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "hetsync-probe",
    version,
    about = "Measure kernel network functions with small scripts, compiled to eBPF without LLVM",
    after_help = "Examples:\n  \
        hetsync-probe run -e 'kprobe:tcp_sendmsg { @[comm] = count(); }'\n  \
        hetsync-probe run -d 10 --plot latency.svg probe-scripts/tcp_sendmsg.hp\n  \
        hetsync-probe check probe-scripts/tcp_sendmsg.hp\n  \
        hetsync-probe list 'kprobe:tcp_*'"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a script until Ctrl-C, then print every map that is not empty
    Run(RunArgs),
    /// Check a script; needs no root and no kernel
    Check(CheckArgs),
    /// Format scripts
    Fmt(FmtArgs),
    /// List what can be probed on this kernel
    List(ListArgs),
    /// Compile a script to an eBPF object file
    Build(BuildArgs),
    /// Explain an error code such as E0103
    Explain {
        /// The code
        code: String,
    },
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write a page for each command into this directory instead
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
}

/// A script and its parameters.
#[derive(Debug, Args)]
pub struct ScriptArgs {
    /// The script itself instead of a file
    #[arg(short = 'e', value_name = "PROGRAM")]
    pub program: Option<String>,
    /// The script's file, or `-` for standard input (not with -e); then its parameters $1, $2, ..
    #[arg(value_name = "FILE | PARAMS", allow_negative_numbers = true)]
    pub words: Vec<String>,
    /// Allow calls that act on the system
    #[arg(long = "unsafe")]
    pub allow_unsafe: bool,
    /// Keys each map with keys can hold [default: 4096, of large statistics as many as fit 4 MiB and 2 MiB a CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub max_keys: Option<u32>,
    /// Do not print warnings
    #[arg(long)]
    pub no_warnings: bool,
    /// Print what this stage of the compiler makes, and stop
    #[arg(long, value_name = "STAGE")]
    pub emit: Option<Stage>,
}

/// Stages of the compiler that can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The syntax tree
    Ast,
    /// The script with every type
    Types,
    /// The intermediate representation
    Ir,
    /// eBPF instructions beside the script's lines
    Asm,
    /// The ELF object (bytes)
    Elf,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The script.
    #[command(flatten)]
    pub script: ScriptArgs,
    /// Run this command; it starts once everything is attached, and its end ends the run, with its exit status as ours
    #[arg(short = 'c', value_name = "CMD")]
    pub command: Option<String>,
    /// Only this process fires kprobes; its end ends the run
    #[arg(short = 'p', value_name = "PID", conflicts_with = "command", value_parser = clap::value_parser!(u32).range(1..=i32::MAX as i64))]
    pub pid: Option<u32>,
    /// Form of the output
    #[arg(short = 'f', value_name = "FORM", default_value = "text")]
    pub form: FormKind,
    /// Write the output to a file
    #[arg(short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Draw the maps to a picture at the end: FILE.svg or FILE.png; may be given several times
    #[arg(long, value_name = "FILE", value_parser = picture)]
    pub plot: Vec<PathBuf>,
    /// End after this many seconds
    #[arg(short = 'd', value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<std::time::Duration>,
    /// Print only what the script prints; what was lost is still told, on standard error
    #[arg(short = 'q')]
    pub quiet: bool,
    /// Say how each probe was attached
    #[arg(short = 'v')]
    pub verbose: bool,
    /// Attach kprobes as kprobes, even where fentry and fexit would cost less
    #[arg(long)]
    pub no_lower: bool,
    /// What loads programs into the kernel
    #[arg(long, value_name = "LOADER", default_value = "auto")]
    pub loader: LoaderChoice,
    /// Compile and load, but attach nothing
    #[arg(long)]
    pub dry_run: bool,
    /// When output is written: `line` and `none` at each quiet moment, `full` when much has gathered
    #[arg(short = 'B', value_name = "MODE", default_value = "line")]
    pub buffering: Buffering,
    /// Called by the name of bpftrace.
    #[arg(skip)]
    pub as_peer: bool,
}

/// When output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Buffering {
    /// As soon as no more events wait
    Line,
    /// When 64 KiB have gathered, and at the end
    Full,
    /// As soon as no more events wait
    None,
}

/// Loaders by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoaderChoice {
    /// redbpf where it can, our own for the rest
    Auto,
    /// redbpf; an error where it cannot
    Redbpf,
    /// Our own, over bpf(2)
    Sys,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The script.
    #[command(flatten)]
    pub script: ScriptArgs,
    /// Only parse it
    #[arg(long)]
    pub parse_only: bool,
    /// Also check that this machine's kernel has what the script probes
    #[arg(long)]
    pub this_kernel: bool,
    /// Check for another machine's kernel: its types as raw BTF, a copy of its /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE", conflicts_with = "this_kernel")]
    pub btf: Option<PathBuf>,
    /// That kernel's attachable functions, one a line: a copy of its tracefs' available_filter_functions
    #[arg(long, value_name = "FILE", conflicts_with = "this_kernel")]
    pub functions: Option<PathBuf>,
    /// That kernel's tracepoints: a folder with copies of tracefs' events/CATEGORY/NAME/format
    #[arg(long, value_name = "FOLDER", conflicts_with = "this_kernel")]
    pub tracepoints: Option<PathBuf>,
    /// Form of the mistakes
    #[arg(short = 'f', value_name = "FORM", default_value = "text")]
    pub form: MistakeForm,
}

/// Forms of diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MistakeForm {
    /// As rustc prints them
    Text,
    /// One JSON array of all of them
    Json,
}

/// `fmt`.
#[derive(Debug, Args)]
pub struct FmtArgs {
    /// Scripts, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Change nothing; exit with 1 if a script is not formatted
    #[arg(long)]
    pub check: bool,
    /// Rewrite the files instead of printing
    #[arg(long, conflicts_with = "check")]
    pub write: bool,
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// A glob over probe names such as `kprobe:tcp_*`; without a colon over the names of functions and tracepoints of
    /// every kind; or types: `struct sock`, `enum tcp_*`
    pub pattern: Option<String>,
    /// Also arguments, fields and members, with their types
    #[arg(short = 'v')]
    pub verbose: bool,
}

/// `build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The script.
    #[command(flatten)]
    pub script: ScriptArgs,
    /// The object file to write
    #[arg(short = 'o', value_name = "FILE", required_unless_present = "emit")]
    pub output: Option<PathBuf>,
}

impl ValueEnum for FormKind {
    fn value_variants<'a>() -> &'a [Self] {
        &[FormKind::Text, FormKind::Json, FormKind::Csv]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        use clap::builder::PossibleValue;
        Some(match self {
            FormKind::Text => {
                PossibleValue::new("text").help("As bpftrace prints, with tables for summary()")
            }
            FormKind::Json => PossibleValue::new("json").help("One JSON object a line"),
            FormKind::PeerText | FormKind::PeerJson => return None,
            FormKind::Csv => PossibleValue::new("csv")
                .help("Tables of the maps; everything else on standard error"),
        })
    }
}

/// A file name whose ending says which picture.
fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("svg" | "png") => Ok(path),
        _ => Err("the name must end in .svg or .png".into()),
    }
}

/// A positive number of seconds, with a fraction if need be.
fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("`{text}` is not a number of seconds"))?;
    match std::time::Duration::try_from_secs_f64(number) {
        Ok(duration) if !duration.is_zero() && number <= 1e9 => Ok(duration),
        _ => Err("must be more than 0 and at most 1000000000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
