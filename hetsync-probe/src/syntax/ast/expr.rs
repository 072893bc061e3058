//! Expressions and their operators.

use super::{Block, Ident, TypeName};
use crate::span::Span;

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
    /// A string literal, escapes resolved; several that stand side by side are one.
    Str(Vec<u8>),
    /// `true` or `false`.
    Bool(bool),
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
    /// `-e`, `~e`, `!e`, `*e`, `&e`.
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
    /// `value in within`, e.g. `$addr in cidr("10.0.0.0/8")`.
    In {
        /// What is looked for.
        value: Box<Expr>,
        /// Where.
        within: Box<Expr>,
    },
    /// `a ? b : c`, or `a ?: c`.
    Ternary {
        /// The condition.
        cond: Box<Expr>,
        /// Where it holds; none in the short form, whose value is then the condition itself.
        then: Option<Box<Expr>>,
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
        /// The type.
        ty: TypeName,
        /// What is cast.
        value: Box<Expr>,
    },
    /// `base.name` or `base->name`; the two mean the same.
    Field {
        /// What has the field.
        base: Box<Expr>,
        /// The field.
        name: Ident,
        /// Whether it is written `->`.
        arrow: bool,
    },
    /// `base.0`: a part of a tuple.
    Element {
        /// The tuple.
        base: Box<Expr>,
        /// Which part, from 0.
        index: u32,
        /// Place of the number.
        index_span: Span,
    },
    /// `base[index]` of anything but a map.
    Index {
        /// The array, pointer or tuple.
        base: Box<Expr>,
        /// Which one.
        index: Box<Expr>,
    },
    /// `sizeof(..)`.
    Sizeof(Box<Operand>),
    /// `offsetof(of, path)`.
    Offsetof {
        /// The record, by its type or a value of it.
        of: Box<Operand>,
        /// The field, and the fields on the way to it.
        path: Vec<Ident>,
    },
    /// A type as the argument of a call.
    Type(TypeName),
    /// `comptime e`: e must be known before the script runs.
    Comptime(Box<Expr>),
    /// `{ .. }` as a value.
    Block(Block),
    /// `(a, b)`, `(a,)` or `()`.
    Tuple(Vec<Expr>),
    /// `(e)`.
    Paren(Box<Expr>),
}

/// What `sizeof` and its like are asked about.
#[derive(Debug, Clone)]
pub enum Operand {
    /// A type that can be told from its spelling.
    Type(TypeName),
    /// An expression; a bare name may still turn out to be a type.
    Expr(Expr),
}

/// Operators on one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UnaryOp {
    Neg,
    BitNot,
    Not,
    Deref,
    AddressOf,
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
            UnaryOp::Deref => "*",
            UnaryOp::AddressOf => "&",
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
            | ExprKind::Bool(_)
            | ExprKind::Name(_)
            | ExprKind::Variable(_)
            | ExprKind::Positional(_)
            | ExprKind::ParamCount => 0,
            ExprKind::Map { key, .. } => key.as_deref().map_or(0, tallest),
            ExprKind::Call { args, .. } => tallest(args),
            ExprKind::Tuple(parts) => tallest(parts),
            ExprKind::Unary(_, part)
            | ExprKind::Paren(part)
            | ExprKind::Comptime(part)
            | ExprKind::Increment { target: part, .. }
            | ExprKind::Field { base: part, .. }
            | ExprKind::Element { base: part, .. } => part.height,
            ExprKind::Cast { ty, value } => value.height.max(ty.height()),
            ExprKind::Type(ty) => ty.height(),
            ExprKind::Sizeof(of) | ExprKind::Offsetof { of, .. } => of.height(),
            ExprKind::Index { base, index } => base.height.max(index.height),
            ExprKind::In { value, within } => value.height.max(within.height),
            ExprKind::Binary { lhs, rhs, .. } => lhs.height.max(rhs.height),
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                let then = then.as_ref().map_or(0, |then| then.height);
                cond.height.max(then).max(otherwise.height)
            }
            ExprKind::Block(block) => block.height(),
        };
        Self {
            kind,
            span,
            height: below.saturating_add(1),
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

impl Operand {
    pub(super) fn height(&self) -> u16 {
        match self {
            Operand::Type(ty) => ty.height(),
            Operand::Expr(expr) => expr.height,
        }
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
