//! The script and its probes.

use super::ast::{AttachPoint, Probe, Script};
use super::expr::unsupported;
use super::grammar::{Grammar, Res, expected, refuse};
use super::{recover, token};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// Words that start a part of a script which is still to come, with what it is.
const LATER: [(&str, &str); 8] = [
    ("config", "a `config` block is"),
    ("macro", "a `macro` is"),
    ("struct", "the definition of a `struct` is"),
    ("union", "the definition of a `union` is"),
    ("enum", "the definition of an `enum` is"),
    ("let", "the declaration of a map with `let` is"),
    ("import", "`import` is"),
    ("fn", "a function (`fn`) is"),
];

/// Probe kinds whose attach points contain slashes: of a path, or of an address range.
const WITH_PATHS: [&str; 10] = [
    "uprobe",
    "u",
    "uretprobe",
    "ur",
    "usdt",
    "U",
    "watchpoint",
    "w",
    "asyncwatchpoint",
    "aw",
];

impl<'a> Grammar<'a> {
    /// The whole script.
    pub(super) fn script(self) -> (Script, Vec<Diagnostic>) {
        // Some editors put a byte order mark before the text.
        let text = self.source.strip_prefix('\u{feff}').unwrap_or(self.source);
        let (shebang, rest) = self.shebang(text);
        let mut rest = self.space(rest);
        let mut probes = Vec::new();
        let mut understood = true;
        while !rest.is_empty() && !self.is_hopeless() {
            match self.probe(rest) {
                Ok((after, probe)) => {
                    probes.push(probe);
                    rest = after;
                }
                Err(nom::Err::Error(fail) | nom::Err::Failure(fail)) => {
                    understood = false;
                    // What a mistake before this has left over.
                    if rest.starts_with(['}', ';']) && !self.diagnostics.borrow().is_empty() {
                        rest = self.space(&rest[1..]);
                        continue;
                    }
                    let is_line = rest.starts_with('#');
                    let stopped = self.report_fail(fail);
                    let stopped = if stopped.len() < rest.len() {
                        stopped
                    } else {
                        rest
                    };
                    rest = self.space(if is_line {
                        stopped
                    } else {
                        recover::probe(stopped)
                    });
                }
                Err(nom::Err::Incomplete(_)) => break,
            }
        }
        if probes.is_empty() && understood {
            self.report(
                Diagnostic::error("E0005", Span::default(), "the script has no probes")
                    .with_help("a script is a list of probes, e.g. `kprobe:tcp_sendmsg { @[comm] = count(); }`"),
            );
        }
        let comments = self.comments.into_inner().into_values().collect();
        let mut diagnostics = self.diagnostics.into_inner();
        diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        (
            Script {
                shebang,
                probes,
                comments,
            },
            diagnostics,
        )
    }

    fn shebang(&self, input: &'a str) -> (Option<Span>, &'a str) {
        if !input.starts_with("#!") {
            return (None, input);
        }
        let end = input.find('\n').unwrap_or(input.len());
        let (start, line) = (self.at(input), input[..end].trim_end());
        (Some(Span::new(start, start + line.len())), &input[end..])
    }

    fn probe(&self, input: &'a str) -> Res<'a, Probe> {
        if input.starts_with('#') {
            return self.directive(input);
        }
        if let Ok((rest, (word, span))) = self.name(input)
            && let Some((_, what)) = LATER.iter().find(|(known, _)| *known == word)
        {
            return refuse(rest, unsupported(what, span));
        }
        let (mut rest, first) = self.attach_point(input)?;
        let start = first.span;
        let mut points = vec![first];
        while let Ok((after, _)) = self.symbol(",", rest) {
            let (after, point) = self.attach_point(after)?;
            points.push(point);
            rest = after;
        }
        let (rest, predicate) = match self.symbol("/", rest) {
            Ok((rest, open)) => {
                let (rest, predicate) = self.expr(rest)?;
                let (rest, _) = self.close("/", open, rest)?;
                (rest, Some(predicate))
            }
            Err(_) => (rest, None),
        };
        if !self.is_next("{", rest) {
            return expected(rest, "a body in braces, `{ .. }`");
        }
        let (rest, body) = self.block(rest)?;
        let span = start.to(body.span);
        Ok((
            rest,
            Probe {
                points,
                predicate,
                body,
                span,
            },
        ))
    }

    /// The text of an attach point: up to white space, a comma, the predicate or the body.
    fn attach_point(&self, input: &'a str) -> Res<'a, AttachPoint> {
        let kind = token::identifier(input).map_or("", |(_, kind)| kind);
        if kind.is_empty() {
            return expected(input, "a probe");
        }
        let has_path = WITH_PATHS.contains(&kind);
        let mut quoted = false;
        let end = input
            .find(|c: char| {
                if c == '"' && has_path {
                    quoted = !quoted;
                }
                let ends = c.is_ascii_whitespace() || matches!(c, ',' | '{' | '}' | ';');
                !quoted && (ends || c == '/' && !has_path)
            })
            .unwrap_or(input.len());
        let (text, rest) = input.split_at(end);
        let point = AttachPoint {
            text: text.into(),
            span: self.span(input, rest),
        };
        Ok((self.space(rest), point))
    }
}
