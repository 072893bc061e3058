//! All settings and where each is from, in a form that can be used as a file.

use std::fmt::Write;

use super::layers::{Flags, raw};
use super::{OF_A_JOB, Place, Settings, is_said};
use crate::args::ServeArgs;

/// One line for each.
pub(crate) fn show(settings: &Settings) -> String {
    let flags = Flags::of_serve();
    let mut lines = Vec::new();
    for (key, arg) in flags.all() {
        if ["help", "config", "check-config", "job"].contains(&key) {
            continue;
        }
        let place = match is_said(&settings.said, &flags, key) {
            true => Place::Flag,
            false => settings.layers.place(key),
        };
        for value in raw(&settings.matches, arg) {
            lines.push((format!("{key} = {}", toml(&value)), place.to_string()));
        }
    }
    lines.extend(closing_rule(&settings.general));
    for (name, args) in &settings.jobs {
        lines.push((format!("[job.{}]", toml_key(name.as_str())), String::new()));
        let own = settings.layers.of_job(name.as_str()).iter();
        for entry in own.filter(|entry| OF_A_JOB.contains(&entry.key.as_str())) {
            let values = entry.values.iter().map(|value| toml(value));
            let text = format!("{} = {}", entry.key, values.collect::<String>());
            lines.push((text, entry.place.to_string()));
        }
        lines.extend(closing_rule(args));
    }
    let width = lines.iter().filter(|(_, place)| !place.is_empty());
    let width = width.map(|(text, _)| text.len()).max().unwrap_or(0);
    let mut shown = String::new();
    for (text, place) in lines {
        // A String takes whatever is written to it.
        let _ = match place.is_empty() {
            true => writeln!(shown, "\n{text}"),
            false => writeln!(shown, "{text:width$}  # {place}"),
        };
    }
    shown
}

/// What `policy` and `deadline` come to together, as a comment where that is
/// not what `policy` says.
fn closing_rule(args: &ServeArgs) -> Option<(String, String)> {
    let rule = args.rule().ok()?;
    (args.policy.as_ref() != Some(&rule)).then(|| {
        let place = match args.deadline {
            None => Place::Default.to_string(),
            Some(_) => String::from("policy and deadline together"),
        };
        (format!("# rounds close by {rule}"), place)
    })
}

/// Numbers and truth values plain, texts in quotes.
fn toml(value: &str) -> String {
    let is_plain = value.parse::<u64>().is_ok() || value == "true" || value == "false";
    match is_plain {
        true => value.into(),
        false => quoted(value),
    }
}

fn toml_key(key: &str) -> String {
    let is_bare = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match is_bare {
        true => key.into(),
        false => quoted(key),
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
