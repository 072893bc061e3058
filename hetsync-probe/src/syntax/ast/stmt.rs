//! Statements and blocks.

use super::{BinaryOp, Expr, Ident, TypeName};
use crate::span::Span;

/// `{ .. }`.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Statements in order.
    pub stmts: Vec<Stmt>,
    /// Where the block stands as an expression, or is a macro's body: what stands last, without a semicolon. Elsewhere
    /// such an expression is the last statement, and this is none.
    pub value: Option<Box<Expr>>,
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
    /// `_ = value`: computed and not used, on purpose.
    Discard(Expr),
    /// `let $name`, with a type, a value, both or neither.
    Let {
        /// The variable.
        name: Ident,
        /// What stands behind the colon.
        ty: Option<TypeName>,
        /// What stands behind the `=`.
        value: Option<Expr>,
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
    /// `while cond { .. }`.
    While {
        /// The condition, with its parentheses if it has any.
        cond: Expr,
        /// What is repeated.
        body: Block,
    },
    /// `unroll (n) { .. }`.
    Unroll {
        /// How often, with its parentheses if it has any.
        count: Expr,
        /// What is repeated.
        body: Block,
    },
    /// `for $x : .. { .. }`.
    For {
        /// The variable that is new in each round.
        name: Ident,
        /// What it goes over.
        over: ForOver,
        /// What is repeated.
        body: Block,
        /// Whether there are parentheses around the head.
        parens: bool,
    },
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// `return`, with a value or without.
    Return(Option<Expr>),
    /// A block of its own.
    Block(Block),
    /// An expression, most often a call.
    Expr(Expr),
}

/// What a `for` goes over.
#[derive(Debug, Clone)]
pub enum ForOver {
    /// The entries of a map.
    Map(Expr),
    /// `start..end`, without the end.
    Range {
        /// The first number.
        start: Expr,
        /// The number behind the last one.
        end: Expr,
    },
}

/// What follows `else`.
#[derive(Debug, Clone)]
pub enum Else {
    /// A block.
    Block(Block),
    /// Another `if` statement.
    If(Box<Stmt>),
}

impl StmtKind {
    /// Whether it ends in a block, so that no semicolon need follow.
    pub(crate) fn ends_in_block(&self) -> bool {
        matches!(
            self,
            StmtKind::If { .. }
                | StmtKind::While { .. }
                | StmtKind::Unroll { .. }
                | StmtKind::For { .. }
                | StmtKind::Block(_)
        )
    }
}

impl Block {
    /// Height of the tallest tree in it, counting each block it opens as one more.
    pub(crate) fn height(&self) -> u16 {
        let value = self.value.as_ref().map_or(0, |value| value.height);
        let stmts = self.stmts.iter().map(Stmt::height).max().unwrap_or(0);
        value.max(stmts).saturating_add(1)
    }
}

impl Stmt {
    fn height(&self) -> u16 {
        let of = |expr: &Option<Expr>| expr.as_ref().map_or(0, |expr| expr.height);
        match &self.kind {
            StmtKind::Assign { target, value, .. } => target.height.max(value.height),
            StmtKind::Discard(value) | StmtKind::Expr(value) => value.height,
            StmtKind::Let { value, .. } | StmtKind::Return(value) => of(value),
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                let otherwise = match otherwise {
                    None => 0,
                    Some(Else::Block(block)) => block.height(),
                    Some(Else::If(stmt)) => stmt.height().saturating_add(1),
                };
                cond.height.max(then.height()).max(otherwise)
            }
            StmtKind::While { cond: head, body } | StmtKind::Unroll { count: head, body } => {
                head.height.max(body.height())
            }
            StmtKind::For { over, body, .. } => {
                let head = match over {
                    ForOver::Map(map) => map.height,
                    ForOver::Range { start, end } => start.height.max(end.height),
                };
                head.max(body.height())
            }
            StmtKind::Break | StmtKind::Continue => 0,
            StmtKind::Block(block) => block.height(),
        }
    }
}
