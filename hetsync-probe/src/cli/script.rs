//! Getting a script: from `-e`, a file or standard input; its parameters; telling its mistakes.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};

use crate::cli::args::ScriptArgs;
use crate::cli::exit::Exit;
use crate::diagnostic::{Diagnostic, render};
use crate::kernel::Kernel;
use crate::limits;
use crate::sema::Options;
use crate::source::Source;

/// A script and what it is called with.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) source: Source,
    pub(super) params: Vec<String>,
}

impl Script {
    /// Reads the script that the arguments name. On failure the reason has been told.
    pub(super) fn read(args: &ScriptArgs) -> Result<Script, Exit> {
        let (source, params) = match (&args.program, args.words.split_first()) {
            (Some(program), _) => (take("-e", program.as_bytes())?, args.words.clone()),
            (None, Some((file, params))) => (read_source(file)?, params.to_vec()),
            (None, None) => {
                complain("there is no script: give a file, `-` for standard input, or -e PROGRAM");
                return Err(Exit::Usage);
            }
        };
        Ok(Script { source, params })
    }

    /// What it is checked against.
    pub(super) fn options<'a>(
        &self,
        args: &ScriptArgs,
        kernel: &'a dyn Kernel,
        pid: Option<u32>,
    ) -> Options<'a> {
        Options {
            params: self.params.clone(),
            kernel,
            pid_filter: pid,
            max_keys: args.max_keys.unwrap_or(0),
            allow_unsafe: args.allow_unsafe,
            settings: settings(),
        }
    }

    /// Tells which headers the script names, as none is read.
    #[cfg(feature = "kernel")]
    pub(super) fn tell_includes(&self) {
        for include in crate::syntax::parse(self.source.text()).0.includes {
            let place = self.source.position(include.span.start);
            say!(
                "{}:{}: <{}> is not read: types come from BTF, and well-known constants are known",
                self.source.name(),
                place.line,
                include.path
            );
        }
    }

    /// Tells mistakes on standard error, warnings among them if wanted.
    pub(super) fn tell(&self, diagnostics: &[Diagnostic], warnings: bool) {
        let told: Vec<Diagnostic> = diagnostics
            .iter()
            .filter(|diagnostic| warnings || diagnostic.is_error())
            .cloned()
            .collect();
        say_as_is!("{}", render::text(&told, &self.source, use_color()));
    }
}

/// Settings that the environment makes, by bpftrace's names for them.
fn settings() -> Vec<(String, String)> {
    let setting = |(name, value): (OsString, OsString)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        let name = name.strip_prefix("BPFTRACE_")?.to_ascii_lowercase();
        Some(match (name.as_str(), value.as_str()) {
            // How it was said before there was a setting.
            ("no_cpp_demangle", "1") => ("cpp_demangle".into(), "false".into()),
            _ => (name, value),
        })
    };
    std::env::vars_os().filter_map(setting).collect()
}

/// A script's text from a file or `-`. On failure the reason has been told.
pub(super) fn read_source(file: &str) -> Result<Source, Exit> {
    let (name, bytes) = if file == "-" {
        ("stdin", read_capped(io::stdin().lock()))
    } else {
        (file, File::open(file).and_then(read_capped))
    };
    match bytes {
        Ok(bytes) => take(name, &bytes),
        Err(error) => {
            complain(&format!("cannot read the script {name}: {error}"));
            Err(Exit::Failure)
        }
    }
}

/// One byte more than a script may have is enough to know that there are too many.
fn read_capped(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input
        .take(limits::SOURCE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn take(name: &str, bytes: &[u8]) -> Result<Source, Exit> {
    Source::from_bytes(name, bytes).map_err(|bad| {
        say_as_is!(
            "{}",
            render::text(
                std::slice::from_ref(&bad.diagnostic),
                &bad.source,
                use_color()
            )
        );
        Exit::Failure
    })
}

/// Tells a problem that has a code, but no place in a script.
#[cfg(feature = "kernel")]
pub(super) fn complain_of(code: &str, problem: &str) {
    say!("error[{code}]: {problem}");
}

/// Tells a problem that has no place in a script.
pub(super) fn complain(problem: &str) {
    say!("error: {problem}");
}

/// Whether standard error is a terminal that wants colours.
pub(super) fn use_color() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
