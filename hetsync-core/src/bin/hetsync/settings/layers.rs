//! Settings from the file and the environment, checked one by one and turned
//! into flags.

use std::ffi::OsString;

use clap::{ArgAction, ArgMatches, Args, CommandFactory};
use hetsync_core::Name;

use super::file::{self, Found, Value};
use super::{Fault, OF_A_JOB, Place};
use crate::args::{Cli, ServeArgs};

/// The flags of `hetsync serve`.
pub(super) struct Flags(clap::Command);

/// A setting that is in order by itself.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) values: Vec<String>,
    pub(super) place: Place,
}

/// What has been set besides the command line, the foremost first.
#[derive(Debug, Default)]
pub(super) struct Layers {
    entries: Vec<Entry>,
    jobs: Vec<(Name, Vec<Entry>)>,
}

impl Flags {
    pub(super) fn of_serve() -> Self {
        Self(ServeArgs::augment_args(
            clap::Command::new("serve").no_binary_name(true),
        ))
    }

    fn arg(&self, key: &str) -> Option<&clap::Arg> {
        self.0
            .get_arguments()
            .find(|arg| arg.get_long() == Some(key))
    }

    /// By their long names, in the order of the help.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &clap::Arg)> {
        let named = self.0.get_arguments();
        named.filter_map(|arg| Some((arg.get_long()?, arg)))
    }

    pub(super) fn id(&self, key: &str) -> Option<&str> {
        self.arg(key).map(|arg| arg.get_id().as_str())
    }

    fn is_switch(&self, key: &str) -> bool {
        self.arg(key)
            .is_some_and(|arg| !arg.get_action().takes_values())
    }

    fn is_list(&self, key: &str) -> bool {
        self.arg(key)
            .is_some_and(|arg| matches!(arg.get_action(), ArgAction::Append))
    }

    /// The setting most like this, for a person who mistyped it.
    fn closest(&self, key: &str) -> Option<&str> {
        let key = key.replace('_', "-").to_lowercase();
        let all = self
            .all()
            .map(|(name, _)| (strsim::jaro_winkler(name, &key), name));
        let best = all.max_by(|a, b| a.0.total_cmp(&b.0));
        best.filter(|(likeness, _)| *likeness > 0.8)
            .map(|(_, name)| name)
    }

    /// Whether these values would do.
    fn try_values(&self, key: &str, values: &[String]) -> Result<(), String> {
        let arguments = values
            .iter()
            .map(|value| flag(key, self.is_switch(key), value));
        let tried = self.0.clone().try_get_matches_from(arguments.flatten());
        tried.map(drop).map_err(|error| first_words(&error))
    }
}

/// A setting as a flag; a switch that is off is none.
fn flag(key: &str, is_switch: bool, value: &str) -> Option<OsString> {
    match (is_switch, value) {
        (true, "true") => Some(format!("--{key}").into()),
        (true, _) => None,
        (false, value) => Some(format!("--{key}={value}").into()),
    }
}

/// What clap says is wrong, without the usage below it.
pub(super) fn first_words(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let first = text.split("\n\n").next().unwrap_or(text);
    let words: Vec<&str> = first.split_whitespace().collect();
    words.join(" ")
}

impl Layers {
    /// `HETSYNC_MAX_PAYLOAD=64M` and the like. Others that begin so are left
    /// alone: Kubernetes sets some for a service of that name.
    pub(super) fn take_environment(
        &mut self,
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        faults: &mut Vec<Fault>,
    ) {
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with("HETSYNC_")) else {
                continue;
            };
            let key = name["HETSYNC_".len()..].replace('_', "-").to_lowercase();
            let place = Place::Variable(name.into());
            if flags.arg(&key).is_none() || key == "help" || name != variable(&key) {
                continue;
            }
            let value = value.to_string_lossy();
            let values = match () {
                () if flags.is_list(&key) => value.split(',').map(|v| v.trim().into()).collect(),
                () if flags.is_switch(&key) => match &*value {
                    "1" | "true" | "yes" => vec!["true".into()],
                    "0" | "false" | "no" | "" => vec!["false".into()],
                    _ => {
                        let text = format!("expected true or false, not {value:?}");
                        faults.push(Fault { place, text });
                        continue;
                    }
                },
                () => vec![value.into_owned()],
            };
            take(
                &mut self.entries,
                flags,
                Entry { key, values, place },
                faults,
            );
        }
    }

    /// What the file says, as far as the environment has not said it.
    pub(super) fn take_file(
        &mut self,
        flags: &Flags,
        path: &str,
        text: &str,
        faults: &mut Vec<Fault>,
    ) {
        for found in file::parse(path, text, faults) {
            match (found.key.as_str(), found.value) {
                ("job", Value::Table(jobs)) => self.take_jobs(flags, jobs, faults),
                ("config" | "check-config", _) => faults.push(Fault {
                    place: found.place,
                    text: format!("`{}` has no place in a file", found.key),
                }),
                (_, value) => {
                    let found = Found { value, ..found };
                    if let Some(entry) = setting(flags, found, faults) {
                        take(&mut self.entries, flags, entry, faults);
                    }
                }
            }
        }
    }

    fn take_jobs(&mut self, flags: &Flags, jobs: Vec<Found>, faults: &mut Vec<Fault>) {
        for job in jobs {
            let place = job.place;
            let name: Name = match job.key.parse() {
                Ok(name) => name,
                Err(error) => {
                    let text = format!("job: {error}");
                    faults.push(Fault { place, text });
                    continue;
                }
            };
            let Value::Table(settings) = job.value else {
                let text = format!("expected a table, as in [job.{name}]");
                faults.push(Fault { place, text });
                continue;
            };
            if name == Name::default() {
                let text = "the default job has the settings outside of all tables".into();
                faults.push(Fault { place, text });
                continue;
            }
            let mut entries = Vec::new();
            for found in settings {
                let (key, place) = (found.key.clone(), found.place.clone());
                if let Some(entry) = setting(flags, found, faults) {
                    match OF_A_JOB.contains(&key.as_str()) {
                        true => take(&mut entries, flags, entry, faults),
                        false => faults.push(Fault {
                            place,
                            text: format!(
                                "`{key}` is the whole server's; a job has {}",
                                OF_A_JOB.join(", ")
                            ),
                        }),
                    }
                }
            }
            self.jobs.push((name, entries));
        }
    }

    /// The flags to put before those of the command line.
    pub(super) fn arguments(&self, flags: &Flags, is_said: impl Fn(&str) -> bool) -> Vec<OsString> {
        let left = self.entries.iter().filter(|entry| !is_said(&entry.key));
        left.flat_map(|entry| arguments(flags, entry)).collect()
    }

    pub(super) fn place(&self, key: &str) -> Place {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.map_or(Place::Default, |entry| entry.place.clone())
    }

    pub(super) fn value(&self, key: &str) -> Option<String> {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        entry.and_then(|entry| entry.values.first().cloned())
    }

    pub(super) fn job_tables(&self) -> impl Iterator<Item = Name> + '_ {
        self.jobs.iter().map(|(name, _)| name.clone())
    }

    pub(super) fn of_job(&self, name: &str) -> &[Entry] {
        let job = self.jobs.iter().find(|(other, _)| other.as_str() == name);
        job.map_or(&[], |(_, entries)| entries)
    }
}

/// Adds an entry that clap would take, unless one goes before it.
fn take(entries: &mut Vec<Entry>, flags: &Flags, entry: Entry, faults: &mut Vec<Fault>) {
    if let Err(text) = flags.try_values(&entry.key, &entry.values) {
        let place = entry.place;
        faults.push(Fault { place, text });
        return;
    }
    let settles = |other: &Entry| {
        let pair = [other.key.as_str(), entry.key.as_str()];
        other.key == entry.key || pair == ["verbose", "quiet"] || pair == ["quiet", "verbose"]
    };
    if !entries.iter().any(settles) {
        entries.push(entry);
    }
}

/// A setting of the file, if there is one of this name and kind.
fn setting(flags: &Flags, found: Found, faults: &mut Vec<Fault>) -> Option<Entry> {
    let Found { key, value, place } = found;
    let mut say = |text: String| {
        faults.push(Fault {
            place: place.clone(),
            text,
        })
    };
    if flags.arg(&key).is_none() || key == "help" {
        let hint = flags
            .closest(&key)
            .map(|like| format!("; did you mean `{like}`?"));
        say(format!(
            "no setting is called `{key}`{}",
            hint.unwrap_or_default()
        ));
        return None;
    }
    let values = match (flags.is_switch(&key), flags.is_list(&key), value) {
        (true, _, Value::Switch(is_on)) => vec![is_on.to_string()],
        (true, _, _) => {
            say(format!("`{key}` is true or false"));
            return None;
        }
        (_, true, Value::List(values)) => values,
        (_, _, Value::Text(text)) => vec![text],
        (_, true, _) => {
            say(format!("`{key}` is a list of texts, as in [\"a\", \"b\"]"));
            return None;
        }
        (_, _, Value::Switch(_)) => {
            say(format!("`{key}` is a number or a text, not true or false"));
            return None;
        }
        (_, _, Value::Table(_)) => {
            say(format!("`{key}` is a number or a text, not a table"));
            return None;
        }
        (_, _, Value::List(_)) => {
            say(format!("`{key}` is one number or text, not a list"));
            return None;
        }
        (_, _, Value::Other(what)) => {
            say(format!("`{key}` is a number or a text, not {what}"));
            return None;
        }
    };
    Some(Entry { key, values, place })
}

fn arguments<'a>(flags: &'a Flags, entry: &'a Entry) -> impl Iterator<Item = OsString> + 'a {
    let is_switch = flags.is_switch(&entry.key);
    let values = entry.values.iter();
    values.filter_map(move |value| flag(&entry.key, is_switch, value))
}

/// A command line with the settings of one job: what it has of its own, and
/// the general ones as they were settled.
pub(super) fn of_job(flags: &Flags, general: &ArgMatches, own: &[Entry]) -> Vec<OsString> {
    let mut argv: Vec<OsString> = vec![Cli::command().get_name().into(), "serve".into()];
    for (key, arg) in flags.all() {
        if let Some(entry) = own.iter().find(|entry| entry.key == key) {
            argv.extend(arguments(flags, entry));
        } else if key != "help" && key != "job" {
            argv.extend(
                raw(general, arg).flat_map(|value| flag(key, flags.is_switch(key), &value)),
            );
        }
    }
    argv
}

/// The values of a flag as they were written, defaults included.
pub(super) fn raw<'a>(
    matches: &'a ArgMatches,
    arg: &clap::Arg,
) -> impl Iterator<Item = String> + 'a {
    let id = arg.get_id().as_str();
    let values: Vec<String> = match arg.get_action().takes_values() {
        true => {
            let raw = matches.get_raw(id).into_iter().flatten();
            raw.map(|value| value.to_string_lossy().into_owned())
                .collect()
        }
        false => vec![matches.get_flag(id).to_string()],
    };
    values.into_iter()
}

/// The environment's name for a setting.
pub(super) fn variable(key: &str) -> String {
    format!("HETSYNC_{}", key.replace('-', "_").to_uppercase())
}
