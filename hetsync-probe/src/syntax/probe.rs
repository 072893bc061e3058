//! Probes and their attach points.

use super::ast::{AttachPoint, Probe};
use super::grammar::{Grammar, Res, expected};
use super::token;

/// Probe kinds whose attach points contain slashes: of a path, or of an address range.
const WITH_PATHS: [&str; 12] = [
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
    "iter",
    "it",
];

impl<'a> Grammar<'a> {
    /// Attach points, a predicate and a body.
    pub(super) fn probe(&self, input: &'a str) -> Res<'a, Probe> {
        let (mut rest, first) = self.attach_point(input)?;
        let start = first.span;
        let mut points = vec![first];
        while let Ok((after, _)) = self.symbol(",", rest) {
            // A comma behind the last one is fine.
            if after.starts_with(['{', '/']) {
                rest = after;
                break;
            }
            let (after, point) = self.attach_point(after)?;
            points.push(point);
            rest = after;
        }
        let (rest, predicate) = match self.symbol("/", rest) {
            Ok((rest, open)) => {
                let (rest, predicate) = self.slash_ends(true, || self.expr(rest))?;
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
                if c == '"' {
                    quoted = !quoted;
                }
                let ends = c.is_ascii_whitespace() || matches!(c, ',' | '{' | '}' | ';');
                matches!(c, '\n' | '\r') || !quoted && (ends || c == '/' && !has_path)
            })
            .unwrap_or(input.len());
        let (text, rest) = input.split_at(end);
        if quoted {
            return self.unterminated(input, rest);
        }
        let point = AttachPoint {
            text: text.into(),
            span: self.span(input, rest),
        };
        Ok((self.space(rest), point))
    }
}
