//! The formatter: one way to lay a script out, whatever it looked like before.
//!
//! Literals and attach points are copied as written. Comments and lines of the preprocessor keep their place between
//! statements; one inside a statement moves in front of it. Up to one empty line between statements is kept. Formatting its
//! own output changes nothing.

mod ctype;
mod expr;
mod item;
mod order;
mod stmt;

pub(super) use order::same_order;

use super::ast::{Comment, CommentKind, Script};
use crate::span::Span;

/// Columns after which the arguments of a call go on lines of their own.
const WIDTH: usize = 100;
const INDENT: &str = "    ";

/// The script, laid out. `source` is the text it was parsed from.
pub(super) fn print(script: &Script, source: &str) -> String {
    let mut printer = Printer {
        source,
        comments: &script.comments,
        out: String::new(),
        depth: 0,
        done: 0,
        fresh: true,
    };
    if let Some(shebang) = script.shebang {
        printer.push_line(printer.slice(shebang).to_owned().as_str());
        printer.done = shebang.end as usize;
        printer.fresh = false;
    }
    printer.items(script);
    printer.comments_before(source.len());
    printer.out
}

/// The state of the formatter.
struct Printer<'a> {
    source: &'a str,
    /// Those not printed yet.
    comments: &'a [Comment],
    out: String,
    depth: usize,
    /// Where the last printed thing ends in the source.
    done: usize,
    /// Nothing stands before this in its block, so no empty line goes before it.
    fresh: bool,
}

impl Printer<'_> {
    fn slice(&self, span: Span) -> &str {
        self.source.get(span.range()).unwrap_or_default()
    }

    fn push_line(&mut self, text: &str) {
        self.indent();
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// Before something that starts at `start`: an empty line if there was one.
    fn gap(&mut self, start: usize) {
        let between = self.source.get(self.done..start).unwrap_or_default();
        let is_blank = between
            .chars()
            .all(|c| c.is_whitespace() || matches!(c, ';' | ','));
        if !self.fresh && is_blank && between.matches('\n').count() > 1 {
            self.out.push('\n');
        }
        self.fresh = false;
    }

    /// Prints the comments that start before an offset, each on a line of its own.
    fn comments_before(&mut self, offset: usize) {
        while let Some((comment, rest)) = self.comments.split_first() {
            if comment.span.start as usize >= offset {
                break;
            }
            self.comments = rest;
            self.gap(comment.span.start as usize);
            let text = of_comment(self.slice(comment.span));
            if comment.kind == CommentKind::Directive {
                // In the first line it would be another thing: who runs the script.
                if self.out.is_empty() && text.starts_with("#!") {
                    self.out.push('\n');
                }
                self.out.push_str(&text);
                self.out.push('\n');
                // It goes on in an empty line, and is not to go on in the one after that.
                if text.ends_with('\\') {
                    self.out.push('\n');
                }
            } else {
                self.push_line(&text);
            }
            self.done = comment.span.end as usize;
        }
    }

    /// Ends the line of something that ends at `end`, with the comment that stands behind it on its line.
    fn end_line(&mut self, end: usize) {
        self.done = end;
        if let Some((comment, rest)) = self.comments.split_first()
            && let Some(between) = self.source.get(end..comment.span.start as usize)
            && between.chars().all(|c| matches!(c, ' ' | '\t' | ';' | ','))
        {
            self.comments = rest;
            self.done = comment.span.end as usize;
            let text = of_comment(self.slice(comment.span));
            self.out.push(' ');
            self.out.push_str(&text);
        }
        self.out.push('\n');
    }
}

/// A comment with plain line ends.
fn of_comment(text: &str) -> String {
    let lines = text.trim_end().split('\n');
    let lines: Vec<&str> = lines.map(|line| line.trim_end_matches('\r')).collect();
    lines.join("\n")
}
