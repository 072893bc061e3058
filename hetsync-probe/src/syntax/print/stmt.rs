//! Statements and blocks.

use super::{INDENT, Printer, WIDTH};
use crate::syntax::ast::{Block, Else, Expr, ExprKind, ForOver, Stmt, StmtKind};

impl Printer<'_> {
    /// Braces and what is in them, up to the closing brace.
    pub(super) fn block(&mut self, block: &Block) {
        let empty = block.stmts.is_empty() && block.value.is_none();
        self.braces(block.span, empty, |this| {
            for stmt in &block.stmts {
                this.statement(stmt);
            }
            if let Some(value) = &block.value {
                this.comments_before(value.span.end as usize);
                this.gap(value.span.start as usize);
                this.indent();
                this.value("", value, "");
                this.end_line(value.span.end as usize);
            }
        });
    }

    pub(super) fn statement(&mut self, stmt: &Stmt) {
        // Where the first thing begins that prints its own comments.
        let own = match &stmt.kind {
            StmtKind::If { then, .. } => then.span.start,
            StmtKind::While { body, .. }
            | StmtKind::Unroll { body, .. }
            | StmtKind::For { body, .. } => body.span.start,
            StmtKind::Block(block) => block.span.start,
            _ => stmt.span.end,
        };
        self.comments_before(own as usize);
        self.gap(stmt.span.start as usize);
        self.indent();
        self.statement_text(stmt);
        self.end_line(stmt.span.end as usize);
    }

    /// A statement with its semicolon.
    pub(super) fn statement_text(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Block(block) => self.block(block),
            StmtKind::If { .. } => self.if_statement(stmt),
            StmtKind::While { cond, body } => {
                let cond = self.expr(cond);
                self.headed(&format!("while {cond} "), body);
            }
            StmtKind::Unroll { count, body } => {
                let count = self.expr(count);
                self.headed(&format!("unroll {count} "), body);
            }
            StmtKind::For {
                name,
                over,
                body,
                parens,
            } => {
                let over = match over {
                    ForOver::Map(map) => self.expr(map),
                    ForOver::Range { start, end } => {
                        format!("{}..{}", self.expr(start), self.expr(end))
                    }
                };
                let head = format!("${} : {over}", name.text);
                let head = match parens {
                    true => format!("for ({head}) "),
                    false => format!("for {head} "),
                };
                self.headed(&head, body);
            }
            StmtKind::Assign { target, op, value } => {
                let op = op.map_or("", |op| op.symbol());
                let start = format!("{} {op}= ", self.expr(target));
                self.value(&start, value, ";");
            }
            StmtKind::Discard(value) => self.value("_ = ", value, ";"),
            StmtKind::Let { name, ty, value } => {
                let mut start = format!("let ${}", name.text);
                if let Some(ty) = ty {
                    start += &format!(" : {}", self.type_name(ty));
                }
                match value {
                    Some(value) => self.value(&format!("{start} = "), value, ";"),
                    None => self.out.push_str(&(start + ";")),
                }
            }
            StmtKind::Break => self.out.push_str("break;"),
            StmtKind::Continue => self.out.push_str("continue;"),
            StmtKind::Return(None) => self.out.push_str("return;"),
            StmtKind::Return(Some(value)) => self.value("return ", value, ";"),
            StmtKind::Expr(value) => self.value("", value, ";"),
        }
    }

    fn headed(&mut self, head: &str, body: &Block) {
        self.out.push_str(head);
        self.block(body);
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
        self.headed(&format!("if {cond} "), then);
        match otherwise {
            None => {}
            Some(Else::Block(block)) => self.headed(" else ", block),
            Some(Else::If(stmt)) => {
                self.out.push_str(" else ");
                self.if_statement(stmt);
            }
        }
    }

    /// The rest of a statement's line: `start`, an expression, `end`. A call that is too long is broken.
    fn value(&mut self, start: &str, value: &Expr, end: &str) {
        let text = self.expr(value);
        let width =
            self.depth * INDENT.len() + start.chars().count() + text.chars().count() + end.len();
        self.out.push_str(start);
        match &value.kind {
            ExprKind::Call { name, args, .. }
                if width > WIDTH && !args.is_empty() && !text.contains('\n') =>
            {
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
        self.out.push_str(end);
    }
}
