//! One script's text with its name and an index of its lines. Every [`Span`] is a byte range of this text.
//!
//! Columns count characters from 1, as editors do; a tab is one character.

use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;

/// A script's text and where its lines start.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
}

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Number of the line.
    pub line: usize,
    /// Number of the character in its line.
    pub column: usize,
}

/// Bytes that cannot be a script, with the part of them that can be shown.
#[derive(Debug, Clone)]
pub struct BadSource {
    /// The readable beginning, to render `diagnostic` with.
    pub source: Source,
    /// What is wrong.
    pub diagnostic: Diagnostic,
}

impl Source {
    /// Indexes a text. `name` is shown in messages: a path, `-e` or `stdin`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            name: name.into(),
            text,
            line_starts,
        }
    }

    /// Takes the bytes of a file. Too many of them, a NUL among them or bytes that are not UTF-8 are refused:
    /// those are no script but most likely the wrong file.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Box<BadSource>> {
        let bad = |shown: &[u8], diagnostic| {
            let text = String::from_utf8_lossy(&shown[..shown.len().min(120)]).into_owned();
            let text = text.replace(
                |c: char| c.is_control() && c != '\n' && c != '\t',
                "\u{fffd}",
            );
            Box::new(BadSource {
                source: Source::new(name, text.lines().next().unwrap_or_default()),
                diagnostic,
            })
        };
        if bytes.len() > limits::SOURCE_BYTES {
            return Err(bad(&[], too_large()));
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(bad(bytes, binary(at)));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(name, text)),
            Err(error) => Err(bad(
                &bytes[..error.valid_up_to()],
                Diagnostic::error(
                    "E0001",
                    Span::default(),
                    format!(
                        "the script is not UTF-8 text: byte {} is 0x{:02x}",
                        error.valid_up_to(),
                        bytes[error.valid_up_to()]
                    ),
                )
                .with_help("save the script as UTF-8, or check that this is the right file"),
            )),
        }
    }

    /// The name shown in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a span; empty if it lies outside.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Where a byte lies.
    pub fn position(&self, offset: u32) -> Position {
        let offset = (offset as usize).min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = self.line_starts[line - 1];
        Position {
            line,
            column: self.text.as_bytes()[start..offset]
                .iter()
                .filter(|byte| (**byte & 0xC0) != 0x80)
                .count()
                + 1,
        }
    }

    /// The text of line number `line` (from 1), without its line end; empty past the last.
    pub fn line(&self, line: usize) -> &str {
        let Some(start) = line.checked_sub(1).and_then(|at| self.line_starts.get(at)) else {
            return "";
        };
        let end = self
            .line_starts
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        self.text[*start..end].trim_end_matches('\r')
    }
}

/// A script of too many bytes.
pub(crate) fn too_large() -> Diagnostic {
    Diagnostic::error(
        "E0003",
        Span::default(),
        // How many there are is not known: what is past the limit is not read.
        format!(
            "the script is larger than the limit of {} bytes",
            limits::SOURCE_BYTES
        ),
    )
    .with_help("split it into several scripts")
}

/// A script with a NUL byte in it.
pub(crate) fn binary(at: usize) -> Diagnostic {
    Diagnostic::error(
        "E0002",
        Span::default(),
        format!("the script has a NUL byte at offset {at}: this looks like a binary file"),
    )
    .with_help("give the script's source, not a program or an object file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_lines_have_no_ends() {
        let source = Source::new("t", "a\r\n\tböz\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(7), Position { line: 2, column: 4 });
        assert_eq!(source.position(999), Position { line: 3, column: 1 });
        assert_eq!(source.line(1), "a");
        assert_eq!(source.line(2), "\tböz");
        assert_eq!(source.line(0), "");
        assert_eq!(source.line(9), "");
    }
}
