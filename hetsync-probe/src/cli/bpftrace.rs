//! bpftrace's own command line, taken when the program is called by that name.
//!
//! Its options are turned into those of `run`, `list` and `build`; what is printed is then as bpftrace 0.23 prints it, see
//! [`crate::report::peer`]. Messages about mistakes are ours. Options about parts that are not in this program (the
//! search for headers, LLVM) are taken and told of, or refused where their output was asked for.

use std::path::PathBuf;

use clap::Parser;

use super::args::{Buffering, BuildArgs, ListArgs, LoaderChoice, RunArgs, ScriptArgs, Stage};
use super::exit::Exit;
use super::script::{Script, complain};
use crate::report::form::FormKind;
use crate::syntax;

/// The version whose language is spoken.
const VERSION: &str = "bpftrace v0.26.0";

/// bpftrace's options.
#[derive(Debug, Parser)]
#[command(
    name = "bpftrace",
    about = "Trace the kernel with bpftrace's scripts; this is hetsync-probe under another name",
    disable_version_flag = true,
    override_usage = "bpftrace [OPTIONS] FILE [PARAMS].. | bpftrace [OPTIONS] -e PROGRAM [PARAMS].."
)]
struct Options {
    /// The script itself instead of a file
    #[arg(short = 'e', value_name = "PROGRAM", allow_hyphen_values = true)]
    program: Option<String>,
    /// The script's file, or `-` for standard input (not with -e); then its parameters; with -l a pattern or a file
    #[arg(value_name = "FILE | PARAMS", allow_negative_numbers = true)]
    words: Vec<String>,
    /// List what can be probed, or the probes of a script
    #[arg(short = 'l', long = "list")]
    list: bool,
    /// Say more; with -l also arguments
    #[arg(short = 'v', long = "verbose")]
    verbose: bool,
    /// Only this process fires kprobes; its end ends the run
    #[arg(short = 'p', long = "pid", value_name = "PID")]
    pid: Option<u32>,
    /// Run this command; its end ends the run
    #[arg(short = 'c', long = "cmd", value_name = "CMD")]
    command: Option<String>,
    /// Write the output to a file
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Form of the output: text or json
    #[arg(short = 'f', value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    form: String,
    /// When output is written: after each line, or when much has gathered
    #[arg(short = 'B', value_name = "MODE", default_value = "line")]
    buffering: Buffering,
    /// Do not say how many probes there are
    #[arg(short = 'q', long = "quiet")]
    quiet: bool,
    /// Tell of helpers that fail; taken, and without effect
    #[arg(short = 'k', long = "warnings")]
    helper_errors: bool,
    /// Do not print warnings
    #[arg(long)]
    no_warnings: bool,
    /// Allow calls that act on the system
    #[arg(long = "unsafe")]
    allow_unsafe: bool,
    /// Compile and load, but attach nothing
    #[arg(long)]
    dry_run: bool,
    /// What this kernel can do
    #[arg(long)]
    info: bool,
    /// Print the version
    #[arg(short = 'V', long = "version")]
    version: bool,
    /// Print a stage of the compiler: ast, types, codegen, dis
    #[arg(short = 'd', long = "debug", value_name = "STAGE")]
    debug: Option<String>,
    /// Write an eBPF object to this file and run nothing
    #[arg(long, value_name = "FILE")]
    emit_elf: Option<PathBuf>,
    /// Taken and without effect: types come from BTF
    #[arg(short = 'I', value_name = "DIR")]
    include_dir: Vec<String>,
    /// Taken and without effect: types come from BTF
    #[arg(long, value_name = "FILE")]
    include: Vec<String>,
    /// Taken and without effect
    #[arg(long)]
    usdt_file_activation: bool,
}

/// Whether the program was called as `bpftrace`.
pub(super) fn is_called() -> bool {
    let name = std::env::args_os().next().map(PathBuf::from);
    name.is_some_and(|path| path.file_name().is_some_and(|name| name == "bpftrace"))
}

/// The program under that name. bpftrace ends with 1 for every mistake, wrong usage too.
pub(super) fn main() -> Exit {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Failure
            } else {
                Exit::Ok
            };
        }
    };
    match dispatch(options) {
        Exit::Usage => Exit::Failure,
        other => other,
    }
}

fn dispatch(mut options: Options) -> Exit {
    if options.version {
        let own = env!("CARGO_PKG_VERSION");
        return shown(&format!("{VERSION}\nhetsync-probe {own}\n"));
    }
    if options.info {
        return info();
    }
    if options.list {
        return list(&mut options);
    }
    let max_keys = match environment(options.no_warnings) {
        Ok(max_keys) => max_keys,
        Err(exit) => return exit,
    };
    let emit = match options.debug.as_deref().map(stage).transpose() {
        Ok(emit) => emit,
        Err(exit) => return exit,
    };
    let script = ScriptArgs {
        program: options.program,
        words: options.words,
        allow_unsafe: options.allow_unsafe,
        max_keys,
        no_warnings: options.no_warnings,
        emit,
    };
    if let Some(file) = options.emit_elf {
        return super::build(&BuildArgs {
            script: ScriptArgs {
                emit: None,
                ..script
            },
            output: Some(file),
        });
    }
    super::run(RunArgs {
        script,
        command: options.command,
        pid: options.pid,
        form: match options.form.as_str() {
            "json" => FormKind::PeerJson,
            _ => FormKind::PeerText,
        },
        output: options.output,
        plot: Vec::new(),
        duration: None,
        quiet: options.quiet,
        verbose: options.verbose,
        no_lower: false,
        loader: LoaderChoice::Auto,
        dry_run: options.dry_run,
        buffering: options.buffering,
        as_peer: true,
    })
}

/// The stage of our compiler that is nearest to one of bpftrace's.
fn stage(name: &str) -> Result<Stage, Exit> {
    match name {
        "ast" | "parse" | "all" => Ok(Stage::Ast),
        "types" => Ok(Stage::Types),
        "codegen" | "codegen-opt" => Ok(Stage::Ir),
        "dis" | "libbpf" | "verifier" => Ok(Stage::Asm),
        _ => {
            complain(&format!(
                "-d: there is no stage `{name}`; there are ast, types, codegen and dis"
            ));
            Err(Exit::Failure)
        }
    }
}

/// bpftrace's settings in the environment: how many keys a map holds, and those that change nothing here.
fn environment(no_warnings: bool) -> Result<Option<u32>, Exit> {
    let mut max_keys = None;
    for (name, value) in std::env::vars_os() {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        match name.as_ref() {
            "BPFTRACE_MAX_MAP_KEYS" | "BPFTRACE_MAP_KEYS_MAX" => {
                let number = value.parse().ok().filter(|n| (1..=1 << 24).contains(n));
                if number.is_none() {
                    complain(&format!("{name} is `{value}`: it is 1 to {}", 1 << 24));
                    return Err(Exit::Failure);
                }
                max_keys = number;
            }
            "BPFTRACE_COLOR" => {}
            other if other.starts_with("BPFTRACE_") && !no_warnings => {
                say!("warning: {other} has no effect here");
            }
            _ => {}
        }
    }
    Ok(max_keys)
}

/// `-l`: a pattern, or the probes of a script.
fn list(options: &mut Options) -> Exit {
    let pattern = options.words.first().cloned();
    let is_file = |name: &String| std::path::Path::new(name).is_file();
    if options.program.is_none() && !pattern.as_ref().is_some_and(is_file) {
        return super::list::main(&ListArgs {
            pattern,
            verbose: options.verbose,
        });
    }
    let script = Script::read(&ScriptArgs {
        program: options.program.take(),
        words: std::mem::take(&mut options.words),
        allow_unsafe: true,
        max_keys: None,
        no_warnings: true,
        emit: None,
    });
    let script = match script {
        Ok(script) => script,
        Err(exit) => return exit,
    };
    let (tree, mistakes) = syntax::parse(script.source.text());
    if mistakes.iter().any(|mistake| mistake.is_error()) {
        script.tell(&mistakes, false);
        return Exit::Failure;
    }
    let points = tree.probes.iter().flat_map(|probe| &probe.points);
    let mut failed = Exit::Ok;
    for point in points {
        failed = match super::list::main(&ListArgs {
            pattern: Some(point.text.clone()),
            verbose: options.verbose,
        }) {
            Exit::Ok => failed,
            exit => exit,
        };
    }
    failed
}

/// `--info`.
fn info() -> Exit {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    let btf = std::path::Path::new("/sys/kernel/btf/vmlinux").exists();
    let yes = |known: bool| if known { "yes" } else { "no" };
    shown(&format!(
        "System\n  OS: Linux {}\n  Arch: {}\n\nBuild\n  version: {VERSION} (hetsync-probe {})\n  LLVM: none\n\n\
         Kernel features\n  btf: {}\n  can be attached: {}\n",
        release.trim(),
        std::env::consts::ARCH,
        env!("CARGO_PKG_VERSION"),
        yes(btf),
        attachable(),
    ))
}

#[cfg(feature = "kernel")]
fn attachable() -> String {
    crate::kernel::features::attachable()
}

#[cfg(not(feature = "kernel"))]
fn attachable() -> String {
    "not known to this build, which loads nothing".into()
}

fn shown(text: &str) -> Exit {
    super::print(text.as_bytes()).err().unwrap_or(Exit::Ok)
}
