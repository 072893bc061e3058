//! The C preprocessor, as far as scripts need it: `#include`, `#define`, `#undef`, and the `#if` family. A pass of its own
//! before the grammar.
//!
//! Its lines, and the text of branches not taken, become spaces, so that every place stays what it was; only where a
//! macro is used do the two texts differ, and [`Map`] tells the place of what was put in. `#include` reads no file: what headers
//! would define comes from the kernel's own type information.

mod condition;
mod expand;
mod map;
mod pieces;

use std::borrow::Cow;

pub(super) use map::Map;
pub(super) use pieces::{Kind, Pieces};

use super::ast::Include;
use super::token;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;
use expand::{Macro, Macros, Trouble};

/// A text without lines of the preprocessor.
pub(super) struct Preprocessed<'a> {
    /// The text.
    pub(super) text: Cow<'a, str>,
    /// From places in it to places in the text as written.
    pub(super) map: Map,
    /// The `#include` lines that apply.
    pub(super) includes: Vec<Include>,
    /// What was wrong.
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Runs the preprocessor.
pub(super) fn run(source: &str) -> Preprocessed<'_> {
    if !has_directives(source) {
        return Preprocessed {
            text: source.into(),
            map: Map::default(),
            includes: Vec::new(),
            diagnostics: Vec::new(),
        };
    }
    let mut pass = Pass {
        source,
        out: String::with_capacity(source.len()),
        map: Map::default(),
        replaced: false,
        includes: Vec::new(),
        diagnostics: Vec::new(),
        macros: Macros::new(),
        branches: Vec::new(),
    };
    pass.run();
    Preprocessed {
        text: pass.out.into(),
        map: pass.map,
        includes: pass.includes,
        diagnostics: pass.diagnostics,
    }
}

/// Whether a text may have lines of the preprocessor; the first line's `#!` is none.
pub(super) fn has_directives(source: &str) -> bool {
    let body = source.strip_prefix("#!").unwrap_or(source);
    let first = body.len() == source.len();
    let mut lines = body.split('\n');
    (first || lines.next().is_some()) && lines.any(|line| line.trim_start().starts_with('#'))
}

/// One `#if` that is still open.
struct Branch {
    /// The line that opened it.
    span: Span,
    /// Whether the text around it applies.
    outer: bool,
    /// Whether the text here applies.
    active: bool,
    /// Whether this or an earlier branch of it applied.
    taken: bool,
    /// Its `#else`.
    has_else: bool,
}

/// The state of one run.
struct Pass<'a> {
    source: &'a str,
    out: String,
    map: Map,
    replaced: bool,
    includes: Vec<Include>,
    diagnostics: Vec<Diagnostic>,
    macros: Macros,
    branches: Vec<Branch>,
}

impl<'a> Pass<'a> {
    fn run(&mut self) {
        let mut at = 0;
        let mut in_comment = false;
        while at < self.source.len() {
            let rest = &self.source[at..];
            let line = rest.find('\n').map_or(rest.len(), |end| end + 1);
            let indent = line - rest[..line].trim_start().len();
            let is_directive = !in_comment
                && rest[indent.min(line)..line].starts_with('#')
                && !(at == 0 && rest.starts_with("#!"));
            let len = if is_directive {
                let after = token::directive(&rest[indent..]);
                let len = rest.len() - after.len();
                self.directive(at + indent, &rest[indent..len]);
                self.blank(&rest[..len]);
                len
            } else if self.is_active() {
                self.text_line(at, &rest[..line], &mut in_comment);
                line
            } else {
                Pieces::new(&rest[..line], &mut in_comment).for_each(drop);
                self.blank(&rest[..line]);
                line
            };
            at += len;
        }
        for branch in std::mem::take(&mut self.branches) {
            self.report(
                problem(branch.span, "this `#if` is never closed")
                    .with_help("close it with `#endif`"),
            );
        }
    }

    fn is_active(&self) -> bool {
        self.branches.last().is_none_or(|branch| branch.active)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < limits::DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Spaces instead of a text; its line ends stay.
    fn blank(&mut self, text: &str) {
        self.out.extend(text.bytes().map(|byte| {
            if matches!(byte, b'\n' | b'\r') {
                byte as char
            } else {
                ' '
            }
        }));
    }

    /// A line that is none of the preprocessor's: its macros are replaced.
    fn text_line(&mut self, at: usize, line: &str, in_comment: &mut bool) {
        if self.macros.is_empty() {
            Pieces::new(line, in_comment).for_each(drop);
            self.out.push_str(line);
            return;
        }
        let mut done = 0;
        let mut uses = Vec::new();
        for (kind, start, len) in Pieces::new(line, in_comment) {
            if kind == Kind::Name && start >= done && self.macros.has(&line[start..start + len]) {
                match self.macros.expand_use(&line[start..]) {
                    Ok(Some((text, used))) => {
                        uses.push((start, used, text));
                        done = start + used;
                    }
                    Ok(None) => {}
                    Err(trouble) => {
                        let span = Span::new(at + start, at + start + len);
                        self.report(trouble.diagnostic(span));
                    }
                }
            }
        }
        let mut done = 0;
        for (start, used, text) in uses {
            self.out.push_str(&line[done..start]);
            self.put(at + start, used, &text, &line[start + used..]);
            done = start + used;
        }
        self.out.push_str(&line[done..]);
    }

    /// Puts `text` in place of `used` bytes at `from`.
    fn put(&mut self, from: usize, used: usize, text: &str, behind: &str) {
        if !self.replaced {
            self.map.copied(0, 0);
            self.replaced = true;
        }
        self.map.replaced(self.out.len(), from, used);
        expand::append(&mut self.out, text);
        if expand::would_join(&self.out, behind) {
            self.out.push(' ');
        }
        self.map.copied(self.out.len(), from + used);
    }

    /// A line of the preprocessor, with the lines that continue it.
    fn directive(&mut self, at: usize, text: &str) {
        let span = Span::new(at, at + text.trim_end().len());
        let body = plain(&text[1..]);
        let body = body.trim();
        let len = body.find(|c| !token::is_name(c)).unwrap_or(body.len());
        let (word, rest) = (&body[..len], body[len..].trim());
        match word {
            "if" | "ifdef" | "ifndef" => self.open(word, rest, span),
            "elif" | "else" => self.turn(word, rest, span),
            "endif" => {
                if self.branches.pop().is_none() {
                    self.report(problem(span, "this `#endif` closes no `#if`"));
                }
            }
            _ if !self.is_active() => {}
            "define" => match Macro::parse(rest) {
                Ok((name, value)) => self.macros.define(name, value),
                Err(message) => self.report(problem(span, message)),
            },
            "undef" => match token::identifier(rest) {
                Ok(("", name)) => self.macros.undefine(name),
                _ => self.report(problem(span, "`#undef` needs one name")),
            },
            "include" => self.include(rest, span),
            // Advice to a C compiler, or nothing at all.
            "pragma" | "" => {}
            "error" => self.report(problem(span, format!("the script refuses to run: {rest}"))),
            _ => {
                let help = "there are #include, #define, #undef, #if, #ifdef, #ifndef, #elif, #else, #endif, #error";
                self.report(problem(span, format!("there is no `#{word}`")).with_help(help));
            }
        }
    }

    fn include(&mut self, rest: &str, span: Span) {
        let path = rest
            .strip_prefix('<')
            .and_then(|path| path.strip_suffix('>'))
            .or_else(|| {
                rest.strip_prefix('"')
                    .and_then(|path| path.strip_suffix('"'))
            });
        match path {
            Some(path) if !path.is_empty() => self.includes.push(Include {
                path: path.into(),
                span,
            }),
            _ => self.report(
                problem(span, "`#include` needs the name of a file")
                    .with_help("write `#include <linux/socket.h>`"),
            ),
        }
    }

    fn open(&mut self, word: &str, rest: &str, span: Span) {
        let outer = self.is_active();
        let mut holds = false;
        if outer {
            holds = match word {
                "if" => self.holds(rest, span),
                _ => match token::identifier(rest) {
                    Ok((_, name)) => self.macros.has(name) == (word == "ifdef"),
                    Err(_) => {
                        self.report(problem(span, format!("`#{word}` needs a name")));
                        false
                    }
                },
            };
        }
        // Past the limit they still count, so that each `#endif` finds its own.
        if self.branches.len() == limits::NESTING {
            self.report(problem(
                span,
                format!("more than {} `#if`s are open", limits::NESTING),
            ));
        }
        self.branches.push(Branch {
            span,
            outer,
            active: outer && holds,
            taken: holds,
            has_else: false,
        });
    }

    fn turn(&mut self, word: &str, rest: &str, span: Span) {
        let Some(branch) = self.branches.last() else {
            return self.report(problem(span, format!("this `#{word}` belongs to no `#if`")));
        };
        if branch.has_else {
            let first = branch.span;
            return self.report(
                problem(span, format!("`#{word}` behind `#else`"))
                    .with_place(first, "of this `#if`"),
            );
        }
        let open = branch.outer && !branch.taken;
        let holds = open && (word == "else" || self.holds(rest, span));
        if let Some(branch) = self.branches.last_mut() {
            branch.active = holds;
            branch.taken |= holds;
            branch.has_else = word == "else";
        }
    }

    fn holds(&mut self, text: &str, span: Span) -> bool {
        match condition::value(text, &mut self.macros) {
            Ok(value) => value != 0,
            Err(trouble) => {
                self.report(trouble.diagnostic(span));
                false
            }
        }
    }
}

/// A directive's text without comments and on one line.
fn plain(text: &str) -> String {
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut out = String::new();
    for (kind, start, len) in Pieces::new(&text, &mut false) {
        if kind == Kind::Comment {
            out.push(' ');
        } else {
            out.push_str(&text[start..start + len]);
        }
    }
    out
}

/// A mistake in a line of the preprocessor.
fn problem(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("E0112", span, message)
}

impl Trouble {
    /// As a message about the place where it came up.
    fn diagnostic(self, span: Span) -> Diagnostic {
        match self {
            Trouble::Wrong(message) => problem(span, message),
            Trouble::Unsupported(what) => super::expr::unsupported(&what, span),
            Trouble::TooMuch => Diagnostic::error(
                "E0003",
                span,
                format!(
                    "macros grow beyond all measure here; the limits are {} replacements and {} bytes",
                    limits::EXPANSIONS,
                    limits::SOURCE_BYTES
                ),
            )
            .with_label("one replacement too many"),
        }
    }
}
