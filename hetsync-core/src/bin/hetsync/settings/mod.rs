//! The settings of `hetsync serve`: from a file, the environment and the
//! command line, the later of them
//! going before the earlier.
//!
//! Every flag is a setting of the same name, so there is one table of them:
//! clap's. What the file and the environment say is handed to clap as flags,
//! and is read, refused and explained by the same code.
//!
//! Invariants: all faults are told, not only the first, each with its place;
//! a setting that is given twice is taken from one place whole.

mod file;
mod layers;
mod show;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, Parser};
use hetsync_core::Name;

use crate::args::{Cli, Command, ServeArgs, Wrong};
use layers::{Flags, Layers};
pub(crate) use show::show;

/// Longest file that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Settings that a job may have for itself.
const OF_A_JOB: [&str; 12] = [
    "workers",
    "floats",
    "deadline",
    "policy",
    "late",
    "wait-for",
    "aggregate",
    "model",
    "initial",
    "dtype",
    "keep-rounds",
    "keep-bytes",
];

/// All there is to serve.
pub(crate) struct Settings {
    /// Of the server, and of its default job.
    pub(crate) general: ServeArgs,
    /// The other jobs. What concerns no single job is the server's.
    pub(crate) jobs: Vec<(Name, ServeArgs)>,
    /// What the command line alone says, and what all together do.
    said: ArgMatches,
    matches: ArgMatches,
    layers: Layers,
}

/// Where a setting is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    File {
        path: String,
        line: usize,
        column: usize,
    },
    Variable(String),
    Flag,
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Variable(name) => write!(f, "{name}"),
            Self::Flag => write!(f, "command line"),
            Self::Default => write!(f, "default"),
        }
    }
}

/// Something wrong with the settings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Settles everything. `argv` has been parsed once without a fault.
pub(crate) fn resolve(
    argv: &[OsString],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Settings, Vec<Fault>> {
    let flags = Flags::of_serve();
    let said = parse(argv).map_err(|text| {
        vec![Fault {
            place: Place::Flag,
            text,
        }]
    })?;
    let mut faults = Vec::new();
    let mut layers = Layers::default();
    layers.take_environment(&flags, environment, &mut faults);
    if let Some(path) = config_path(&said, &layers) {
        let text = file::read(Path::new(&path)).map_err(|text| {
            vec![Fault {
                place: Place::File {
                    path: path.clone(),
                    line: 1,
                    column: 1,
                },
                text,
            }]
        })?;
        layers.take_file(&flags, &path, &text, &mut faults);
    }
    if !faults.is_empty() {
        faults.sort_by_key(|fault| match fault.place {
            Place::File { line, column, .. } => (line, column),
            _ => (0, 0),
        });
        return Err(faults);
    }
    let is_said = |key: &str| is_said(&said, &flags, key);
    let mut all = argv[..2].to_vec();
    all.extend(layers.arguments(&flags, is_said));
    all.extend_from_slice(&argv[2..]);
    let flag_fault = |text| {
        vec![Fault {
            place: Place::Flag,
            text,
        }]
    };
    let matches = parse(&all).map_err(flag_fault)?;
    let general = serve_args(&all).map_err(flag_fault)?;

    let place = |key: &str| match is_said(key) {
        true => Place::Flag,
        false => layers.place(key),
    };
    let mut faults: Vec<Fault> = blame(general.check(), &place);
    let mut jobs = Vec::new();
    for name in job_names(&general, &layers, is_said("job")) {
        let own = layers.of_job(name.as_str());
        let args = serve_args(&layers::of_job(&flags, &matches, own)).map_err(flag_fault)?;
        let of_job = |key: &str| own.iter().find(|e| e.key == key).map(|e| e.place.clone());
        // What the general settings get wrong is told once.
        let found = args.check().into_iter();
        let found = found.filter(|wrong| wrong.keys.iter().any(|key| of_job(key).is_some()));
        let place = |key: &str| of_job(key).unwrap_or_else(|| place(key));
        faults.extend(blame(found.collect(), &place));
        jobs.push((name, args));
    }
    match faults.is_empty() {
        true => Ok(Settings {
            general,
            jobs,
            said,
            matches,
            layers,
        }),
        false => Err(faults),
    }
}

/// `--job` on the command line is the whole list; otherwise those of the
/// settings and those that have a table.
fn job_names(general: &ServeArgs, layers: &Layers, is_said: bool) -> Vec<Name> {
    let mut names = general.jobs.clone();
    if !is_said {
        names.extend(layers.job_tables());
    }
    names.sort();
    names.dedup();
    names
}

fn blame(wrong: Vec<Wrong>, place: &dyn Fn(&str) -> Place) -> Vec<Fault> {
    let fault = |wrong: Wrong| {
        let mut places = wrong.keys.iter().map(|key| place(key));
        let place = places.find(|place| *place != Place::Default);
        Fault {
            place: place.unwrap_or(Place::Default),
            text: wrong.text,
        }
    };
    wrong.into_iter().map(fault).collect()
}

fn config_path(said: &ArgMatches, layers: &Layers) -> Option<String> {
    let said = said.get_raw("config").and_then(|mut raw| raw.next());
    let said = said.map(|path| path.to_string_lossy().into_owned());
    said.or_else(|| layers.value("config"))
}

fn is_said(said: &ArgMatches, flags: &Flags, key: &str) -> bool {
    let is = |key: &str| {
        let id = flags.id(key);
        id.is_some_and(|id| said.value_source(id) == Some(ValueSource::CommandLine))
    };
    // One of the two on the command line settles both.
    match key {
        "verbose" | "quiet" => is("verbose") || is("quiet"),
        key => is(key),
    }
}

fn parse(argv: &[OsString]) -> Result<ArgMatches, String> {
    let matches = Cli::command().try_get_matches_from(argv);
    let mut matches = matches.map_err(|error| layers::first_words(&error))?;
    let serve = matches
        .remove_subcommand()
        .filter(|(name, _)| name == "serve");
    serve
        .map(|(_, matches)| matches)
        .ok_or_else(|| "expected `hetsync serve`".into())
}

fn serve_args(argv: &[OsString]) -> Result<ServeArgs, String> {
    match Cli::try_parse_from(argv) {
        Ok(Cli {
            command: Command::Serve(args),
        }) => Ok(*args),
        Ok(_) => Err("expected `hetsync serve`".into()),
        Err(error) => Err(layers::first_words(&error)),
    }
}

#[cfg(test)]
mod tests;
