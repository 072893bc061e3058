//! Statements that start with a word: `if`, loops, `let`, jumps.

use super::ast::{Block, Else, ForOver, Stmt, StmtKind};
use super::grammar::{Grammar, Res, expected, refuse};
use super::token;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

impl<'a> Grammar<'a> {
    /// The statement that the word at the start makes; none if the word makes none.
    pub(super) fn keyword_statement(&self, input: &'a str) -> Option<Res<'a, Stmt>> {
        let (rest, (word, span)) = self.name(input).ok()?;
        let plain = |kind| Some(Ok((rest, Stmt { kind, span })));
        match word {
            "if" => Some(self.if_statement(rest, span)),
            "while" => Some(self.while_statement(rest, span)),
            "unroll" => Some(self.unroll_statement(rest, span)),
            "for" => Some(self.for_statement(rest, span)),
            "let" => Some(self.let_statement(rest, span)),
            "break" => plain(StmtKind::Break),
            "continue" => plain(StmtKind::Continue),
            "return" => Some(self.return_statement(rest, span)),
            "else" => Some(refuse(
                rest,
                Diagnostic::error("E0101", span, "this `else` belongs to no `if`")
                    .with_label("no `if` before it")
                    .with_help("`else` stands directly behind the closing brace of its `if`"),
            )),
            "macro" | "import" | "config" if !self.is_next("(", rest) => {
                let found = token::identifier(rest).is_ok() || rest.starts_with(['"', '=']);
                found.then(|| {
                    refuse(
                        rest,
                        Diagnostic::error(
                            "E0101",
                            span,
                            format!("`{word}` stands outside of probes"),
                        )
                        .with_label("not a statement")
                        .with_help("put it at the top of the script"),
                    )
                })
            }
            _ => None,
        }
    }

    /// The block of a statement that starts with `word`; `head` is what stands between.
    fn body(&self, rest: &'a str, word: Span, name: &str, head: &str) -> Res<'a, Block> {
        if self.is_next("{", rest) {
            return self.block(rest);
        }
        let found = token::describe(rest);
        refuse(
            rest,
            Diagnostic::error(
                "E0101",
                self.found(rest),
                format!("expected `{{` after {head}, found {found}"),
            )
            .with_label("expected `{`")
            .with_place(word, format!("of this `{name}`"))
            .with_help(format!(
                "the statements of {} `{name}` always stand in braces",
                if matches!(name, "if" | "unroll") {
                    "an"
                } else {
                    "a"
                }
            )),
        )
    }

    fn if_statement(&self, rest: &'a str, word: Span) -> Res<'a, Stmt> {
        let (rest, cond) = self.expr(rest)?;
        let (rest, then) = self.body(rest, word, "if", "the condition")?;
        let (rest, otherwise) = match self.name(rest) {
            Ok((after, ("else", _))) => {
                let (rest, otherwise) = self.nested(after, |after| self.else_branch(after))?;
                (rest, Some(otherwise))
            }
            _ => (rest, None),
        };
        let end = match &otherwise {
            Some(Else::Block(block)) => block.span,
            Some(Else::If(stmt)) => stmt.span,
            None => then.span,
        };
        let kind = StmtKind::If {
            cond,
            then,
            otherwise,
        };
        let span = word.to(end);
        Ok((rest, Stmt { kind, span }))
    }

    fn else_branch(&self, input: &'a str) -> Res<'a, Else> {
        if let Ok((rest, ("if", span))) = self.name(input) {
            let (rest, stmt) = self.if_statement(rest, span)?;
            return Ok((rest, Else::If(Box::new(stmt))));
        }
        let (rest, block) = self.block(input)?;
        Ok((rest, Else::Block(block)))
    }

    fn while_statement(&self, rest: &'a str, word: Span) -> Res<'a, Stmt> {
        let (rest, cond) = self.expr(rest)?;
        let (rest, body) = self.body(rest, word, "while", "the condition")?;
        let span = word.to(body.span);
        let kind = StmtKind::While { cond, body };
        Ok((rest, Stmt { kind, span }))
    }

    fn unroll_statement(&self, rest: &'a str, word: Span) -> Res<'a, Stmt> {
        let (rest, count) = self.expr(rest)?;
        let (rest, body) = self.body(rest, word, "unroll", "the number")?;
        let span = word.to(body.span);
        let kind = StmtKind::Unroll { count, body };
        Ok((rest, Stmt { kind, span }))
    }

    fn for_statement(&self, rest: &'a str, word: Span) -> Res<'a, Stmt> {
        let (rest, open) = match self.symbol("(", rest) {
            Ok((rest, open)) => (rest, Some(open)),
            Err(_) => (rest, None),
        };
        if !rest.starts_with('$') {
            return expected(rest, "a variable");
        }
        let (rest, name) = self.sigil(rest)?;
        if self.is_next("=", rest) {
            let diagnostic = Diagnostic::error(
                "E0101",
                self.found(rest),
                "a `for` goes over a map or a range; it has no three parts",
            );
            return refuse(
                rest,
                diagnostic
                    .with_label("expected `:`")
                    .with_place(word, "of this `for`")
                    .with_help("write `for $i : 0..10 { .. }`, or use `while`"),
            );
        }
        let (rest, _) = self.symbol(":", rest)?;
        let (rest, first) = self.expr(rest)?;
        let (rest, over) = match self.symbol("..", rest) {
            Ok((rest, _)) => {
                let (rest, end) = self.expr(rest)?;
                (rest, ForOver::Range { start: first, end })
            }
            Err(_) => (rest, ForOver::Map(first)),
        };
        let rest = match open {
            Some(open) => self.close(")", open, rest)?.0,
            None => rest,
        };
        let (rest, body) = self.body(rest, word, "for", "what it goes over")?;
        let span = word.to(body.span);
        let kind = StmtKind::For {
            name,
            over,
            body,
            parens: open.is_some(),
        };
        Ok((rest, Stmt { kind, span }))
    }

    fn let_statement(&self, rest: &'a str, word: Span) -> Res<'a, Stmt> {
        if rest.starts_with('@') {
            let (after, name) = self.sigil(rest)?;
            return refuse(
                after,
                Diagnostic::error("E0101", name.span, "a map is not declared inside a probe")
                    .with_label("expected a `$` variable")
                    .with_help("declare it at the top of the script, or assign it without `let`"),
            );
        }
        if !rest.starts_with('$') {
            return expected(rest, "a variable");
        }
        let (rest, name) = self.sigil(rest)?;
        if name.text.is_empty() {
            return expected(rest, "a name behind `$`");
        }
        let mut span = word.to(name.span);
        let (rest, ty) = match self.symbol(":", rest) {
            Ok((rest, _)) => {
                let (rest, ty) = self.type_name(rest)?;
                span = span.to(ty.span);
                (rest, Some(ty))
            }
            Err(_) => (rest, None),
        };
        let (rest, value) = match self.symbol("=", rest) {
            Ok((rest, _)) => {
                let (rest, value) = self.expr(rest)?;
                span = span.to(value.span);
                (rest, Some(value))
            }
            Err(_) => (rest, None),
        };
        let kind = StmtKind::Let { name, ty, value };
        Ok((rest, Stmt { kind, span }))
    }

    fn return_statement(&self, rest: &'a str, word: Span) -> Res<'a, Stmt> {
        if self.is_next(";", rest) || self.is_next("}", rest) || rest.is_empty() {
            let kind = StmtKind::Return(None);
            return Ok((rest, Stmt { kind, span: word }));
        }
        let (rest, value) = self.expr(rest)?;
        let span = word.to(value.span);
        let kind = StmtKind::Return(Some(value));
        Ok((rest, Stmt { kind, span }))
    }
}
