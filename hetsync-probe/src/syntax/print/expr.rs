//! Expressions, each as one piece of text.

use super::Printer;
use crate::syntax::ast::{Block, Expr, ExprKind, Operand, UnaryOp};
use crate::syntax::literal;

/// Whether an expression begins with a literal number: a dot and digits behind it would be its fraction.
fn begins_with_number(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Int(_) | ExprKind::Decimal(_) => true,
        ExprKind::Field { base, .. }
        | ExprKind::Element { base, .. }
        | ExprKind::Index { base, .. } => begins_with_number(base),
        _ => false,
    }
}

impl Printer<'_> {
    /// Expressions between commas.
    pub(super) fn list(&self, parts: &[Expr]) -> String {
        let parts: Vec<String> = parts.iter().map(|part| self.expr(part)).collect();
        parts.join(", ")
    }

    /// An expression. It has one line unless there is a block in it.
    pub(super) fn expr(&self, expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Int(_)
            | ExprKind::Decimal(_)
            | ExprKind::Bool(_)
            | ExprKind::Name(_)
            | ExprKind::Variable(_)
            | ExprKind::Positional(_)
            | ExprKind::ParamCount => self.slice(expr.span).to_owned(),
            ExprKind::Str(_) => literal::pieces(self.slice(expr.span)).join(" "),
            ExprKind::Map { name, key, .. } => match key {
                None => format!("@{name}"),
                Some(key) => format!("@{name}[{}]", self.list(key)),
            },
            ExprKind::Call { name, args, .. } => format!("{name}({})", self.list(args)),
            ExprKind::Unary(op, operand) => self.unary(*op, operand),
            ExprKind::Binary { op, lhs, rhs, .. } => {
                format!("{} {} {}", self.expr(lhs), op.symbol(), self.expr(rhs))
            }
            ExprKind::In { value, within } => {
                format!("{} in {}", self.expr(value), self.expr(within))
            }
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                let (cond, otherwise) = (self.expr(cond), self.expr(otherwise));
                match then {
                    Some(then) => format!("{cond} ? {} : {otherwise}", self.expr(then)),
                    None => format!("{cond} ?: {otherwise}"),
                }
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
            ExprKind::Cast { ty, value } => format!("({}){}", self.type_name(ty), self.expr(value)),
            ExprKind::Field { base, name, arrow } => {
                let dot = if *arrow { "->" } else { "." };
                format!("{}{dot}{}", self.expr(base), name.text)
            }
            ExprKind::Element { base, index, .. } => {
                let dot = if begins_with_number(base) { "->" } else { "." };
                format!("{}{dot}{index}", self.expr(base))
            }
            ExprKind::Index { base, index } => {
                format!("{}[{}]", self.expr(base), self.expr(index))
            }
            ExprKind::Sizeof(of) => format!("sizeof({})", self.operand(of)),
            ExprKind::Offsetof { of, path } => {
                let path: Vec<&str> = path.iter().map(|field| field.text.as_str()).collect();
                format!("offsetof({}, {})", self.operand(of), path.join("."))
            }
            ExprKind::Type(ty) => self.type_name(ty),
            ExprKind::Comptime(value) => format!("comptime {}", self.expr(value)),
            ExprKind::Tuple(parts) => match parts.as_slice() {
                [only] => format!("({},)", self.expr(only)),
                parts => format!("({})", self.list(parts)),
            },
            ExprKind::Paren(inner) => format!("({})", self.expr(inner)),
            ExprKind::Block(block) => self.block_value(block),
        }
    }

    fn unary(&self, op: UnaryOp, operand: &Expr) -> String {
        let (symbol, operand) = (op.symbol(), self.expr(operand));
        // `- -x` is not `--x`, and `& &x` not `&&x`.
        let joins = operand.starts_with(symbol) && matches!(op, UnaryOp::Neg | UnaryOp::AddressOf);
        let space = if joins { " " } else { "" };
        format!("{symbol}{space}{operand}")
    }

    /// What `sizeof` and its like are asked about.
    pub(super) fn operand(&self, operand: &Operand) -> String {
        match operand {
            Operand::Type(ty) => self.type_name(ty),
            Operand::Expr(expr) => self.expr(expr),
        }
    }

    /// A block as a value: on one line if it was written on one and all in it fits one.
    fn block_value(&self, block: &Block) -> String {
        let printer = || Printer {
            source: self.source,
            comments: &[],
            out: String::new(),
            depth: self.depth,
            done: block.span.start as usize + 1,
            fresh: true,
        };
        let is_empty = block.stmts.is_empty() && block.value.is_none();
        let broken = self.slice(block.span).contains('\n')
            || block.stmts.iter().any(|stmt| stmt.kind.ends_in_block());
        if !is_empty && !broken {
            let mut line = printer();
            line.out.push('{');
            for stmt in &block.stmts {
                line.out.push(' ');
                line.statement_text(stmt);
            }
            if let Some(value) = &block.value {
                line.out.push(' ');
                line.out.push_str(&self.expr(value));
            }
            line.out.push_str(" }");
            if !line.out.contains('\n') {
                return line.out;
            }
        }
        let mut lines = printer();
        lines.block(block);
        lines.out
    }
}
