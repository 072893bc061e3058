//! The script as it is written: a tree of what the text says, with places. No names are resolved here.
//!
//! Invariants: spans nest; `comments` are in source order and do not overlap; an [`Expr`]'s tree is at most
//! [`crate::limits::EXPRESSION_HEIGHT`] high and blocks nest at most [`crate::limits::NESTING`] deep, so
//! recursive walks are safe.

use crate::span::Span;

/// A whole script.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The `#!` line, without its line end.
    pub shebang: Option<Span>,
    /// Probes in order.
    pub probes: Vec<Probe>,
    /// Comments in order, wherever they stand.
    pub comments: Vec<Comment>,
}

/// A comment with its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comment {
    /// Its place, without the line end.
    pub span: Span,
    /// Whether it is `/* .. */`.
    pub block: bool,
}

/// Attach points, a predicate and a body.
#[derive(Debug, Clone)]
pub struct Probe {
    /// At least one.
    pub points: Vec<AttachPoint>,
    /// `/e/`.
    pub predicate: Option<Expr>,
    /// `{ .. }`.
    pub body: Block,
    /// From the first attach point to the closing brace.
    pub span: Span,
}

/// An attach point as written, e.g. `kprobe:tcp_*`; [`crate::provider`] reads it.
#[derive(Debug, Clone)]
pub struct AttachPoint {
    /// Its text.
    pub text: String,
    /// Its place; `text` is exactly what stands there.
    pub span: Span,
}

/// `{ .. }`.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Statements in order.
    pub stmts: Vec<Stmt>,
    /// Braces included.
    pub span: Span,
}

/// A statement.
#[derive(Debug, Clone)]
pub struct Stmt {
    /// What it says.
    pub kind: StmtKind,
    /// Its place, without the semicolon.
    pub span: Span,
}

/// What a statement says.
#[derive(Debug, Clone)]
pub enum StmtKind {
    /// `target = value`, or `target op= value`.
    Assign {
        /// A variable or a map.
        target: Expr,
        /// The operator of a compound assignment.
        op: Option<BinaryOp>,
        /// The right side.
        value: Expr,
    },
    /// `if cond { .. } else ..`.
    If {
        /// The condition, with its parentheses if it has any.
        cond: Expr,
        /// The first block.
        then: Block,
        /// What follows `else`.
        otherwise: Option<Else>,
    },
    /// A block of its own.
    Block(Block),
    /// An expression, most often a call.
    Expr(Expr),
}

/// What follows `else`.
#[derive(Debug, Clone)]
pub enum Else {
    /// A block.
    Block(Block),
    /// Another `if` statement.
    If(Box<Stmt>),
}

/// An expression.
#[derive(Debug, Clone)]
pub struct Expr {
    /// What it says.
    pub kind: ExprKind,
    /// Its place.
    pub span: Span,
    /// Height of its tree; 1 for a leaf.
    pub height: u16,
}

/// What an expression says.
#[derive(Debug, Clone)]
pub enum ExprKind {
    /// An integer literal; its spelling is in the source.
    Int(u64),
    /// A decimal fraction such as `99.9`, in thousandths.
    Decimal(u64),
    /// A string literal, escapes resolved.
    Str(Vec<u8>),
    /// A bare name, e.g. `pid`.
    Name(String),
    /// `$name`.
    Variable(String),
    /// `$1`.
    Positional(u32),
    /// `$#`.
    ParamCount,
    /// `@name` or `@name[key, ..]`.
    Map {
        /// Without the `@`; may be empty.
        name: String,
        /// Place of the name with its `@`.
        name_span: Span,
        /// The key's parts, if there are brackets.
        key: Option<Vec<Expr>>,
    },
    /// `name(args)`.
    Call {
        /// The function's name.
        name: String,
        /// Its place.
        name_span: Span,
        /// Arguments in order.
        args: Vec<Expr>,
    },
    /// `-e`, `~e`, `!e`.
    Unary(UnaryOp, Box<Expr>),
    /// `a op b`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Place of the operator.
        op_span: Span,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `a ? b : c`.
    Ternary {
        /// The condition.
        cond: Box<Expr>,
        /// Where it holds.
        then: Box<Expr>,
        /// Where it does not.
        otherwise: Box<Expr>,
    },
    /// `x++`, `--x`, ..
    Increment {
        /// A variable or a map.
        target: Box<Expr>,
        /// 1 or -1.
        delta: i64,
        /// Whether the operator stands behind.
        postfix: bool,
    },
    /// `(uint32)e`.
    Cast {
        /// The type's name.
        ty: String,
        /// Place of the name.
        ty_span: Span,
        /// What is cast.
        value: Box<Expr>,
    },
    /// `(a, b)`.
    Tuple(Vec<Expr>),
    /// `(e)`.
    Paren(Box<Expr>),
}

/// Operators on one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UnaryOp {
    Neg,
    BitNot,
    Not,
}

/// Operators on two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    LogicalOr,
    LogicalAnd,
    Or,
    Xor,
    And,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Shl,
    Shr,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

impl UnaryOp {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::BitNot => "~",
            UnaryOp::Not => "!",
        }
    }
}

impl BinaryOp {
    /// All of them, with spelling and binding strength (C's; stronger is larger).
    pub const TABLE: [(BinaryOp, &'static str, u8); 18] = [
        (BinaryOp::LogicalOr, "||", 1),
        (BinaryOp::LogicalAnd, "&&", 2),
        (BinaryOp::Or, "|", 3),
        (BinaryOp::Xor, "^", 4),
        (BinaryOp::And, "&", 5),
        (BinaryOp::Eq, "==", 6),
        (BinaryOp::Ne, "!=", 6),
        (BinaryOp::Lt, "<", 7),
        (BinaryOp::Le, "<=", 7),
        (BinaryOp::Gt, ">", 7),
        (BinaryOp::Ge, ">=", 7),
        (BinaryOp::Shl, "<<", 8),
        (BinaryOp::Shr, ">>", 8),
        (BinaryOp::Add, "+", 9),
        (BinaryOp::Sub, "-", 9),
        (BinaryOp::Mul, "*", 10),
        (BinaryOp::Div, "/", 10),
        (BinaryOp::Mod, "%", 10),
    ];

    /// How it is written.
    pub fn symbol(self) -> &'static str {
        Self::TABLE[self as usize].1
    }
}

impl Expr {
    /// An expression; its height follows from its parts.
    pub fn new(kind: ExprKind, span: Span) -> Self {
        let tallest = |parts: &[Expr]| parts.iter().map(|part| part.height).max().unwrap_or(0);
        let below = match &kind {
            ExprKind::Int(_)
            | ExprKind::Decimal(_)
            | ExprKind::Str(_)
            | ExprKind::Name(_)
            | ExprKind::Variable(_)
            | ExprKind::Positional(_)
            | ExprKind::ParamCount => 0,
            ExprKind::Map { key, .. } => key.as_deref().map_or(0, tallest),
            ExprKind::Call { args, .. } => tallest(args),
            ExprKind::Tuple(parts) => tallest(parts),
            ExprKind::Unary(_, part)
            | ExprKind::Paren(part)
            | ExprKind::Increment { target: part, .. }
            | ExprKind::Cast { value: part, .. } => part.height,
            ExprKind::Binary { lhs, rhs, .. } => lhs.height.max(rhs.height),
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => cond.height.max(then.height).max(otherwise.height),
        };
        Self {
            kind,
            span,
            height: below + 1,
        }
    }

    /// The expression inside any parentheses around it.
    pub fn bare(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_table_is_in_the_order_of_the_enum() {
        for (at, (op, _, _)) in BinaryOp::TABLE.iter().enumerate() {
            assert_eq!(*op as usize, at);
        }
    }
}
