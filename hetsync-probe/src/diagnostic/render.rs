//! Diagnostics as text in rustc's manner, and as JSON.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::json;

use super::{Diagnostic, Severity};
use crate::source::{Position, Source};
use crate::span::Span;

/// Columns a message is laid out for.
const WIDTH: usize = 120;

/// Diagnostics as a person reads them, one after the other, each with the lines of the script it is about and an empty
/// line behind it. `color` adds ANSI escapes.
pub fn text(diagnostics: &[Diagnostic], source: &Source, color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[group(diagnostic, source)]));
        out.push_str("\n\n");
    }
    out
}

fn group<'a>(diagnostic: &'a Diagnostic, source: &'a Source) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let whole_script = diagnostic.span == Span::default();
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code);
    let mut group = if whole_script {
        title.element(annotate_snippets::Origin::path(source.name()))
    } else {
        // Only the lines around the places are handed over: scripts may be a megabyte.
        let window = Window::around(diagnostic, source);
        let primary = AnnotationKind::Primary.span(window.range(diagnostic.span));
        let secondary = diagnostic.secondary.iter().map(|(span, text)| {
            AnnotationKind::Context
                .span(window.range(*span))
                .label(text.as_str())
        });
        let label = Some(diagnostic.label.as_str()).filter(|label| !label.is_empty());
        title.element(
            Snippet::source(window.text)
                .line_start(window.first_line)
                .path(source.name())
                .annotation(primary.label(label))
                .annotations(secondary),
        )
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

/// The lines of a script that hold all places of a diagnostic.
struct Window<'a> {
    text: &'a str,
    first_line: usize,
    start: usize,
}

impl<'a> Window<'a> {
    fn around(diagnostic: &Diagnostic, source: &'a Source) -> Self {
        let places = || {
            std::iter::once(diagnostic.span).chain(diagnostic.secondary.iter().map(|place| place.0))
        };
        let all = places().fold(diagnostic.span, Span::to);
        let text = source.text();
        let start = (all.start as usize).min(text.len());
        let end = (all.end as usize).min(text.len());
        let start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = text[end..].find('\n').map_or(text.len(), |at| end + at);
        Self {
            text: &text[start..end],
            first_line: source.position(start as u32).line,
            start,
        }
    }

    fn range(&self, span: Span) -> std::ops::Range<usize> {
        let inside = |at: u32| {
            (at as usize)
                .saturating_sub(self.start)
                .min(self.text.len())
        };
        inside(span.start)..inside(span.end)
    }
}

/// Diagnostics as a JSON array of objects with `severity`, `code`, `message`, `label`, `help` (or null), `span` and
/// `secondary`; a span has the file's name and the positions of its start and end.
pub fn json(diagnostics: &[Diagnostic], source: &Source) -> String {
    let position = |offset: u32| {
        let Position { line, column } = source.position(offset);
        json!({ "line": line, "column": column, "byte": offset })
    };
    let place = |span: Span| json!({ "file": source.name(), "start": position(span.start), "end": position(span.end) });
    let all: Vec<_> = diagnostics
        .iter()
        .map(|diagnostic| {
            let secondary: Vec<_> = diagnostic
                .secondary
                .iter()
                .map(|(span, text)| json!({ "span": place(*span), "label": text }))
                .collect();
            json!({
                "severity": match diagnostic.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "code": diagnostic.code,
                "message": diagnostic.message,
                "label": diagnostic.label,
                "help": diagnostic.help,
                "span": place(diagnostic.span),
                "secondary": secondary,
            })
        })
        .collect();
    let mut text = serde_json::to_string_pretty(&all).unwrap_or_else(|_| "[]".into());
    text.push('\n');
    text
}
