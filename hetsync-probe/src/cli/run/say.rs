//! Texts of a script's formats to what the script does with them: printed, run, or taken for the name of a file.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::load::sys::{boot_ns, booted_at_ns, time_of_day};
use crate::report::form::{Form, Output};
use crate::report::printf;
use crate::report::value::Scalar;
use crate::sema::hir::{Format, Piece, TextUse};

/// Most bytes of a file or of a command's output that are printed.
const CONTENTS_BYTES: u64 = 1 << 20;

/// Does what the format is for with its values.
pub(super) fn say(form: &mut dyn Form, out: &mut Output, format: &Format, args: &[Scalar]) {
    let text = || printf::render(format, args);
    match format.use_as {
        TextUse::Print => form.printf(out, &text()),
        TextUse::Time => {
            let now = booted_at_ns() + i128::from(boot_ns());
            let shown = String::from_utf8_lossy(&text()).into_owned();
            form.message(out, "time", &time_of_day(&shown, now).unwrap_or_default());
        }
        TextUse::Join => form.message(out, "join", &joined(format, args)),
        TextUse::Cat => {
            let path = String::from_utf8_lossy(&text()).into_owned();
            match contents(&path) {
                Ok(contents) => form.message(out, "cat", &contents),
                Err(error) => aside(out, "error", &format!("cat: cannot read {path}: {error}\n")),
            }
        }
        TextUse::System => {
            let command = String::from_utf8_lossy(&text()).into_owned();
            match output_of(&command) {
                Ok(output) => form.message(out, "syscall", &output),
                Err(error) => aside(
                    out,
                    "error",
                    &format!("system: cannot run `{command}`: {error}\n"),
                ),
            }
        }
        TextUse::Error => aside(out, "error", &String::from_utf8_lossy(&text())),
        TextUse::Warn => aside(out, "warning", &String::from_utf8_lossy(&text())),
    }
}

/// A message beside the output.
fn aside(out: &mut Output, kind: &str, text: &str) {
    out.aside
        .extend_from_slice(format!("{kind}: {text}").as_bytes());
    if !text.ends_with('\n') {
        out.aside.push(b'\n');
    }
}

/// The strings up to the first empty one, the format's text between them.
fn joined(format: &Format, args: &[Scalar]) -> Vec<u8> {
    let delimiter = match format.pieces.first() {
        Some(Piece::Text(text)) => text.as_bytes(),
        _ => b" ",
    };
    let strings = args.iter().map_while(|arg| match arg {
        Scalar::Text(text) if !text.is_empty() => Some(text.as_slice()),
        _ => None,
    });
    let mut line = strings.collect::<Vec<_>>().join(delimiter);
    line.push(b'\n');
    line
}

fn contents(path: &str) -> std::io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(CONTENTS_BYTES).read_to_end(&mut contents)?;
    Ok(contents)
}

/// What a command of the shell prints.
fn output_of(command: &str) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        pipe.take(CONTENTS_BYTES).read_to_end(&mut output)?;
    }
    child.wait()?;
    Ok(output)
}
