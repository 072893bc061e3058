//! What all grammar functions share: the place in the text, white space and comments, the depth of nesting,
//! and how a failure is told.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};

use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Parser};

use super::ast::{Comment, CommentKind, Ident};
use super::preprocess::Map;
use super::token;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;

/// The result of a grammar function: the rest of the text, and what was read.
pub(super) type Res<'a, T> = IResult<&'a str, T, Fail>;

/// Why a grammar function failed.
#[derive(Debug)]
pub(super) struct Fail {
    /// Bytes left where it happened; every input is a suffix of the source, so this is a place.
    pub(super) rest: usize,
    /// What would have been right there; empty if nothing better is known.
    pub(super) expected: &'static str,
    /// The whole message, if it is not just "expected .., found ..".
    pub(super) diagnostic: Option<Box<Diagnostic>>,
}

impl ParseError<&str> for Fail {
    fn from_error_kind(input: &str, _: ErrorKind) -> Self {
        Fail {
            rest: input.len(),
            expected: "",
            diagnostic: None,
        }
    }

    fn append(_: &str, _: ErrorKind, other: Self) -> Self {
        other
    }

    /// Of two alternatives that failed, the one that came farther knows better.
    fn or(self, other: Self) -> Self {
        if self.rest < other.rest { self } else { other }
    }
}

/// "`expected` should stand here": another alternative may still match.
pub(super) fn expected<'a, T>(input: &'a str, expected: &'static str) -> Res<'a, T> {
    Err(nom::Err::Error(Fail {
        rest: input.len(),
        expected,
        diagnostic: None,
    }))
}

/// A mistake that no other alternative can mend; parsing resumes behind `input`.
pub(super) fn refuse<'a, T>(input: &'a str, diagnostic: Diagnostic) -> Res<'a, T> {
    Err(nom::Err::Failure(Fail {
        rest: input.len(),
        expected: "",
        diagnostic: Some(Box::new(diagnostic)),
    }))
}

/// The state of one parse.
pub(super) struct Grammar<'a> {
    /// The text that is read.
    source: &'a str,
    /// From places in it to places in the text as written.
    map: &'a Map,
    /// Whether lines of the preprocessor are skipped like comments; else there are none left.
    skips_directives: bool,
    pub(super) diagnostics: RefCell<Vec<Diagnostic>>,
    /// By start: white space may be read twice after backtracking.
    pub(super) comments: RefCell<BTreeMap<usize, Comment>>,
    /// Names of types that the script has defined.
    pub(super) typedefs: RefCell<HashSet<String>>,
    depth: Cell<usize>,
    /// Whether a `/` before a brace ends a predicate, which it does outside of brackets only.
    slash_ends: Cell<bool>,
}

impl<'a> Grammar<'a> {
    /// A parse of a text that the preprocessor has made.
    pub(super) fn new(source: &'a str, map: &'a Map) -> Self {
        Self {
            source,
            map,
            skips_directives: false,
            diagnostics: RefCell::default(),
            comments: RefCell::default(),
            typedefs: RefCell::default(),
            depth: Cell::new(0),
            slash_ends: Cell::new(false),
        }
    }

    /// A parse of a text as written, for the formatter.
    pub(super) fn as_written(source: &'a str, map: &'a Map) -> Self {
        Self {
            skips_directives: true,
            ..Self::new(source, map)
        }
    }

    /// The text that is read.
    pub(super) fn source(&self) -> &'a str {
        self.source
    }

    /// Offset of an input in the text that is read.
    pub(super) fn offset(&self, input: &str) -> usize {
        self.source.len() - input.len()
    }

    /// The place of the text from one input up to a later one.
    pub(super) fn span(&self, from: &str, to: &str) -> Span {
        self.map.span(self.offset(from), self.offset(to))
    }

    /// The place of what stands at the start of an input, for a message.
    pub(super) fn found(&self, input: &str) -> Span {
        self.span(input, &input[token::found_len(input)..])
    }

    /// The input at an offset.
    pub(super) fn input(&self, offset: usize) -> &'a str {
        &self.source[offset..]
    }

    /// Adds a mistake, once.
    pub(super) fn report(&self, diagnostic: Diagnostic) {
        let mut all = self.diagnostics.borrow_mut();
        let known =
            |other: &Diagnostic| other.span == diagnostic.span && other.code == diagnostic.code;
        if all.len() < limits::DIAGNOSTICS && !all.iter().any(known) {
            all.push(diagnostic);
        }
    }

    /// Whether so much is wrong that going on helps nobody.
    pub(super) fn is_hopeless(&self) -> bool {
        self.diagnostics.borrow().len() >= limits::DIAGNOSTICS
    }

    /// Skips white space and comments.
    pub(super) fn space(&self, mut input: &'a str) -> &'a str {
        loop {
            input = input.trim_start_matches(|c: char| c.is_ascii_whitespace());
            let (kind, rest) = match input.as_bytes() {
                [b'/', b'/', ..] => (CommentKind::Line, self.comment(input)),
                [b'/', b'*', ..] => (CommentKind::Block, self.comment(input)),
                [b'#', ..] if self.skips_directives && self.starts_line(input) => {
                    (CommentKind::Directive, token::directive(input))
                }
                _ => return input,
            };
            let span = self.span(input, rest);
            self.comments
                .borrow_mut()
                .insert(self.offset(input), Comment { span, kind });
            input = rest;
        }
    }

    /// Behind the comment at the start.
    fn comment(&self, input: &'a str) -> &'a str {
        if let Ok((rest, _)) = token::comment(input) {
            return rest;
        }
        self.report(
            Diagnostic::error(
                "E0103",
                self.span(input, &input[2..]),
                "this comment is never closed",
            )
            .with_label("starts here")
            .with_help("close it with `*/`"),
        );
        &input[input.len()..]
    }

    /// Whether only white space stands before an input on its line.
    fn starts_line(&self, input: &str) -> bool {
        let before = &self.source[..self.offset(input)];
        let line = before.trim_end_matches([' ', '\t']);
        line.is_empty() || line.ends_with('\n')
    }

    /// Whether a line ends in the white space just before an input.
    pub(super) fn is_on_new_line(&self, input: &str) -> bool {
        let before = &self.source[..self.offset(input)];
        before[before.trim_end().len()..].contains('\n')
    }

    /// One token and the white space behind it; gives the token's own place too.
    pub(super) fn lexeme<T, P>(&self, mut parser: P, input: &'a str) -> Res<'a, (T, Span)>
    where
        P: Parser<&'a str, Output = T, Error = Fail>,
    {
        let (rest, value) = parser.parse(input)?;
        Ok((self.space(rest), (value, self.span(input, rest))))
    }

    /// A certain operator or bracket.
    pub(super) fn symbol(&self, symbol: &'static str, input: &'a str) -> Res<'a, Span> {
        match token::operator(input) {
            Ok((rest, found)) if found == symbol => Ok((self.space(rest), self.span(input, rest))),
            _ => expected(input, symbol),
        }
    }

    /// Whether a certain operator or bracket comes next.
    pub(super) fn is_next(&self, symbol: &str, input: &str) -> bool {
        matches!(token::operator(input), Ok((_, found)) if found == symbol)
    }

    /// A name.
    pub(super) fn name(&self, input: &'a str) -> Res<'a, (&'a str, Span)> {
        self.lexeme(token::identifier, input)
    }

    /// Whether a certain name comes next.
    pub(super) fn is_word(&self, word: &str, input: &str) -> bool {
        matches!(token::identifier(input), Ok((_, found)) if found == word)
    }

    /// A name that belongs to the script.
    pub(super) fn ident(&self, input: &'a str, what: &'static str) -> Res<'a, Ident> {
        match self.name(input) {
            Ok((rest, (text, span))) => Ok((
                rest,
                Ident {
                    text: text.into(),
                    span,
                },
            )),
            Err(_) => expected(input, what),
        }
    }

    /// The closing bracket of one opened at `open`.
    pub(super) fn close(&self, symbol: &'static str, open: Span, input: &'a str) -> Res<'a, Span> {
        if let Ok(closed) = self.symbol(symbol, input) {
            return Ok(closed);
        }
        let found = token::describe(input);
        let at = self.found(input);
        let ends = matches!(input.chars().next(), None | Some(';' | '}' | '{'));
        let code = if ends { "E0108" } else { "E0101" };
        let diagnostic = Diagnostic::error(code, at, format!("expected `{symbol}`, found {found}"))
            .with_label(format!("expected `{symbol}`"))
            .with_place(open, "to close this");
        refuse(
            input,
            if symbol == ")" && self.is_next("=", input) {
                diagnostic.with_help("`=` assigns and is a statement of its own; compare with `==`")
            } else {
                diagnostic
            },
        )
    }

    /// Runs a grammar function one level deeper; refuses when that is too deep.
    pub(super) fn nested<T>(
        &self,
        input: &'a str,
        inner: impl FnOnce(&'a str) -> Res<'a, T>,
    ) -> Res<'a, T> {
        if self.depth.get() >= limits::NESTING {
            return self.too_deep(input);
        }
        self.depth.set(self.depth.get() + 1);
        let result = inner(input);
        self.depth.set(self.depth.get() - 1);
        result
    }

    /// Runs a grammar function with a `/` before a brace ending a predicate, or not.
    pub(super) fn slash_ends<T>(&self, ends: bool, inner: impl FnOnce() -> T) -> T {
        let before = self.slash_ends.replace(ends);
        let result = inner();
        self.slash_ends.set(before);
        result
    }

    /// Whether a `/` before a brace ends a predicate here.
    pub(super) fn is_in_predicate(&self) -> bool {
        self.slash_ends.get()
    }

    pub(super) fn too_deep<T>(&self, input: &'a str) -> Res<'a, T> {
        refuse(
            input,
            Diagnostic::error(
                "E0004",
                self.found(input),
                format!(
                    "this is nested too deep; the limits are {} brackets or blocks and {} operators",
                    limits::NESTING,
                    limits::EXPRESSION_HEIGHT
                ),
            )
            .with_label("one level too many")
            .with_help("keep parts of it in `$` variables"),
        )
    }
}
