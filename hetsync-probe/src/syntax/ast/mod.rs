//! The script as it is written: a tree of what the text says, with places. No names are resolved here.
//!
//! Invariants: spans nest, except in what a `#define` has put in: all of that has the place of the macro's use;
//! `comments` are in source order and do not overlap; an [`Expr`]'s tree is at most [`crate::limits::EXPRESSION_HEIGHT`] high and
//! blocks nest at most [`crate::limits::NESTING`] deep, so recursive walks are safe.

mod ctype;
mod expr;
mod stmt;

pub use ctype::{Declarator, Enumerator, Field, Record, RecordKind, TypeDef, TypeKind, TypeName};
pub use expr::{BinaryOp, Expr, ExprKind, Operand, UnaryOp};
pub use stmt::{Block, Else, ForOver, Stmt, StmtKind};

use crate::span::Span;

/// A whole script. What it says at its top level stands here by kind, each in source order.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The `#!` line, without its line end.
    pub shebang: Option<Span>,
    /// `#include` lines that apply.
    pub includes: Vec<Include>,
    /// C definitions of types.
    pub types: Vec<TypeDef>,
    /// `config = { .. }`; a script should have at most one.
    pub configs: Vec<Config>,
    /// `let @m = lruhash(100);`
    pub maps: Vec<MapDecl>,
    /// `macro name(..) { .. }`
    pub macros: Vec<Macro>,
    /// Probes in order.
    pub probes: Vec<Probe>,
    /// Comments in order, wherever they stand.
    pub comments: Vec<Comment>,
}

/// A name with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// The name, without any `$` or `@` before it.
    pub text: String,
    /// Its place, with the `$` or `@`.
    pub span: Span,
}

/// `#include <path>` or `#include "path"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// What stands between the brackets or quotes.
    pub path: String,
    /// The whole line.
    pub span: Span,
}

/// A comment with its marks, or, where the text is read as written, a line of the preprocessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comment {
    /// Its place, without the line end.
    pub span: Span,
    /// How it is written.
    pub kind: CommentKind,
}

/// How a comment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentKind {
    /// `// ..`
    Line,
    /// `/* .. */`
    Block,
    /// `#define ..` and its like, with all its continued lines.
    Directive,
}

/// `config = { .. }`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Settings in order.
    pub settings: Vec<Setting>,
    /// Place of the braces.
    pub body: Span,
    /// From `config` to the closing brace.
    pub span: Span,
}

/// `key = value` in a [`Config`].
#[derive(Debug, Clone)]
pub struct Setting {
    /// What is set.
    pub key: Ident,
    /// A literal or a bare name.
    pub value: Expr,
    /// Both.
    pub span: Span,
}

/// `let @name = kind(args);`.
#[derive(Debug, Clone)]
pub struct MapDecl {
    /// The map.
    pub name: Ident,
    /// E.g. `lruhash`.
    pub kind: Ident,
    /// What stands in the parentheses.
    pub args: Vec<Expr>,
    /// Without the semicolon.
    pub span: Span,
}

/// `macro name(params) { .. }`.
#[derive(Debug, Clone)]
pub struct Macro {
    /// Its name.
    pub name: Ident,
    /// Parameters in order.
    pub params: Vec<MacroParam>,
    /// Statements, and perhaps a value.
    pub body: Block,
    /// From `macro` to the closing brace.
    pub span: Span,
}

/// A parameter of a [`Macro`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroParam {
    /// What may be given for it.
    pub kind: MacroParamKind,
    /// Its name.
    pub name: Ident,
}

/// What may be given for a macro's parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacroParamKind {
    /// `$name`: a variable.
    Variable,
    /// `@name`: a map.
    Map,
    /// `name`: any expression.
    Value,
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
    /// Its place; `text` is exactly what stands there, unless a `#define` has put part of it in.
    pub span: Span,
}
