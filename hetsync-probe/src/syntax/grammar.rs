//! What all grammar functions share: the place in the text, white space and comments, the depth of nesting,
//! and how a failure is told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Parser};

use super::ast::Comment;
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
    pub(super) source: &'a str,
    pub(super) diagnostics: RefCell<Vec<Diagnostic>>,
    /// By start: white space may be read twice after backtracking.
    pub(super) comments: RefCell<BTreeMap<usize, Comment>>,
    depth: Cell<usize>,
}

impl<'a> Grammar<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            diagnostics: RefCell::default(),
            comments: RefCell::default(),
            depth: Cell::new(0),
        }
    }

    /// Offset of an input.
    pub(super) fn at(&self, input: &str) -> usize {
        self.source.len() - input.len()
    }

    /// The text from one input up to a later one.
    pub(super) fn span(&self, from: &str, to: &str) -> Span {
        Span::new(self.at(from), self.at(to))
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
            let block = match input.as_bytes() {
                [b'/', b'/', ..] => false,
                [b'/', b'*', ..] => true,
                _ => return input,
            };
            let rest = match token::comment(input) {
                Ok((rest, _)) => rest,
                Err(_) => {
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
            };
            let span = self.span(input, rest);
            self.comments
                .borrow_mut()
                .insert(self.at(input), Comment { span, block });
            input = rest;
        }
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

    /// The closing bracket of one opened at `open`.
    pub(super) fn close(&self, symbol: &'static str, open: Span, input: &'a str) -> Res<'a, Span> {
        if let Ok(closed) = self.symbol(symbol, input) {
            return Ok(closed);
        }
        let found = token::describe(input);
        let at = Span::new(self.at(input), self.at(input) + token::found_len(input));
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

    pub(super) fn too_deep<T>(&self, input: &'a str) -> Res<'a, T> {
        let at = self.at(input);
        refuse(
            input,
            Diagnostic::error(
                "E0004",
                Span::new(at, at + token::found_len(input)),
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
