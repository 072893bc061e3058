//! The formatter: one way to lay a script out, whatever it looked like before.
//!
//! Literals and attach points are copied as written. Comments keep their place between statements; one
//! inside a statement moves in front of it. Up to one empty line between statements is kept. Formatting its
//! own output changes nothing.

use super::ast::{Block, Comment, Else, Expr, ExprKind, Probe, Script, Stmt, StmtKind};
use crate::span::Span;

/// Columns after which the arguments of a call go on lines of their own.
const WIDTH: usize = 100;
const INDENT: &str = "    ";

/// The script, laid out. `source` is the text it was parsed from.
///
/// ```
/// use hetsync_probe::syntax;
/// let source = "kprobe:f/pid==1/{@=count()}";
/// let (script, _) = syntax::parse(source);
/// assert_eq!(syntax::print::format(&script, source), "kprobe:f /pid == 1/ {\n    @ = count();\n}\n");
/// ```
pub fn format(script: &Script, source: &str) -> String {
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
    for probe in &script.probes {
        printer.probe(probe);
    }
    printer.comments_before(source.len());
    printer.out
}

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

    fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n(INDENT, self.depth));
    }

    fn push_line(&mut self, text: &str) {
        self.indent();
        self.out.push_str(text);
        self.out.push('\n');
    }

    /// Before something that starts at `start`: an empty line if there was one.
    fn gap(&mut self, start: usize) {
        let between = self.source.get(self.done..start).unwrap_or_default();
        let is_blank = between.chars().all(|c| c.is_whitespace() || c == ';');
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
            let text = self.slice(comment.span).trim_end().replace("\r\n", "\n");
            self.push_line(&text);
            self.done = comment.span.end as usize;
        }
    }

    /// Ends the line of something that ends at `end`, with the comment that stands behind it on its line.
    fn end_line(&mut self, end: usize) {
        self.done = end;
        if let Some((comment, rest)) = self.comments.split_first()
            && let Some(between) = self.source.get(end..comment.span.start as usize)
            && between.chars().all(|c| matches!(c, ' ' | '\t' | ';'))
        {
            self.comments = rest;
            self.done = comment.span.end as usize;
            let text = self.slice(comment.span).trim_end().replace("\r\n", "\n");
            self.out.push(' ');
            self.out.push_str(&text);
        }
        self.out.push('\n');
    }

    fn probe(&mut self, probe: &Probe) {
        let start = probe.span.start as usize;
        if !self.fresh
            && self
                .comments
                .first()
                .is_none_or(|next| next.span.start as usize >= start)
        {
            self.out.push('\n');
            self.fresh = true;
        } else if !self.fresh {
            self.separate_from_comment();
        }
        self.comments_before(probe.body.span.start as usize);
        self.gap(start);
        let points: Vec<&str> = probe
            .points
            .iter()
            .map(|point| point.text.as_str())
            .collect();
        self.out.push_str(&points.join(",\n"));
        if let Some(predicate) = &probe.predicate {
            let predicate = self.expr(predicate);
            self.out.push_str(" /");
            self.out.push_str(&predicate);
            self.out.push('/');
        }
        self.out.push(' ');
        self.block(&probe.body);
        self.end_line(probe.span.end as usize);
    }

    /// Probes stand apart, also when a comment belongs to the second.
    fn separate_from_comment(&mut self) {
        if self.out.ends_with("}\n") {
            self.out.push('\n');
            self.fresh = true;
        }
    }

    /// Braces and what is in them, up to the closing brace.
    fn block(&mut self, block: &Block) {
        let close = (block.span.end as usize).saturating_sub(1);
        let has_comment = self
            .comments
            .first()
            .is_some_and(|next| (next.span.start as usize) < close);
        if block.stmts.is_empty() && !has_comment {
            self.out.push_str("{}");
            return;
        }
        self.out.push('{');
        self.depth += 1;
        self.fresh = true;
        self.end_line(block.span.start as usize + 1);
        self.fresh = true;
        for stmt in &block.stmts {
            self.statement(stmt);
        }
        self.comments_before(close);
        self.depth -= 1;
        self.fresh = false;
        self.indent();
        self.out.push('}');
    }

    fn statement(&mut self, stmt: &Stmt) {
        // Where the first thing begins that prints its own comments.
        let own = match &stmt.kind {
            StmtKind::If { then, .. } => then.span.start,
            StmtKind::Block(block) => block.span.start,
            _ => stmt.span.end,
        };
        self.comments_before(own as usize);
        self.gap(stmt.span.start as usize);
        self.indent();
        match &stmt.kind {
            StmtKind::If { .. } => self.if_statement(stmt),
            StmtKind::Block(block) => self.block(block),
            StmtKind::Assign { target, op, value } => {
                let op = op.map_or("", |op| op.symbol());
                let start = format!("{} {op}= ", self.expr(target));
                self.value(&start, value);
            }
            StmtKind::Expr(value) => self.value("", value),
        }
        self.end_line(stmt.span.end as usize);
    }

    fn if_statement(&mut self, stmt: &Stmt) {
        let StmtKind::If {
            cond,
            then,
            otherwise,
        } = &stmt.kind
        else {
            return;
        };
        let cond = self.expr(cond);
        self.out.push_str("if ");
        self.out.push_str(&cond);
        self.out.push(' ');
        self.block(then);
        match otherwise {
            None => {}
            Some(Else::Block(block)) => {
                self.out.push_str(" else ");
                self.block(block);
            }
            Some(Else::If(stmt)) => {
                self.out.push_str(" else ");
                self.if_statement(stmt);
            }
        }
    }

    /// The rest of a statement's line: `start`, an expression, a semicolon. A call that is too long is broken.
    fn value(&mut self, start: &str, value: &Expr) {
        let text = self.expr(value);
        let width = self.depth * INDENT.len() + start.chars().count() + text.chars().count() + 1;
        self.out.push_str(start);
        match &value.kind {
            ExprKind::Call { name, args, .. } if width > WIDTH && !args.is_empty() => {
                self.out.push_str(name);
                self.out.push_str("(\n");
                self.depth += 1;
                for (index, arg) in args.iter().enumerate() {
                    let comma = if index + 1 < args.len() { "," } else { "" };
                    let arg = self.expr(arg);
                    self.push_line(&format!("{arg}{comma}"));
                }
                self.depth -= 1;
                self.indent();
                self.out.push(')');
            }
            _ => self.out.push_str(&text),
        }
        self.out.push(';');
    }

    fn list(&self, parts: &[Expr]) -> String {
        let parts: Vec<String> = parts.iter().map(|part| self.expr(part)).collect();
        parts.join(", ")
    }

    fn expr(&self, expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Int(_)
            | ExprKind::Decimal(_)
            | ExprKind::Str(_)
            | ExprKind::Name(_)
            | ExprKind::Variable(_)
            | ExprKind::Positional(_)
            | ExprKind::ParamCount => self.slice(expr.span).to_owned(),
            ExprKind::Map {
                name, key: None, ..
            } => format!("@{name}"),
            ExprKind::Map {
                name,
                key: Some(key),
                ..
            } => format!("@{name}[{}]", self.list(key)),
            ExprKind::Call { name, args, .. } => format!("{name}({})", self.list(args)),
            ExprKind::Unary(op, operand) => {
                let (symbol, operand) = (op.symbol(), self.expr(operand));
                // `- -x` is not `--x`.
                let space = if operand.starts_with(symbol) && symbol == "-" {
                    " "
                } else {
                    ""
                };
                format!("{symbol}{space}{operand}")
            }
            ExprKind::Binary { op, lhs, rhs, .. } => {
                format!("{} {} {}", self.expr(lhs), op.symbol(), self.expr(rhs))
            }
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                format!(
                    "{} ? {} : {}",
                    self.expr(cond),
                    self.expr(then),
                    self.expr(otherwise)
                )
            }
            ExprKind::Increment {
                target,
                delta,
                postfix,
            } => {
                let (symbol, target) = (if *delta > 0 { "++" } else { "--" }, self.expr(target));
                match postfix {
                    true => format!("{target}{symbol}"),
                    false => format!("{symbol}{target}"),
                }
            }
            ExprKind::Cast { ty, value, .. } => format!("({ty}){}", self.expr(value)),
            ExprKind::Tuple(parts) => format!("({})", self.list(parts)),
            ExprKind::Paren(inner) => format!("({})", self.expr(inner)),
        }
    }
}
