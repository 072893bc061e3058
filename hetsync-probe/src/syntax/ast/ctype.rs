//! Types as they are written: in casts, behind `let $x :`, and in C definitions.

use super::{Expr, Ident, Operand};
use crate::span::Span;

/// A type, e.g. `uint64`, `struct sock *`, `uint8[8]`.
#[derive(Debug, Clone)]
pub struct TypeName {
    /// What stands before the stars and brackets.
    pub kind: TypeKind,
    /// Place of that part, with `const` and its like.
    pub base_span: Span,
    /// How many stars follow.
    pub pointers: u8,
    /// Sizes of the arrays, outermost first; none in `[]`.
    pub dims: Vec<Option<Expr>>,
    /// The whole type.
    pub span: Span,
}

/// The part of a type before its stars and brackets.
#[derive(Debug, Clone)]
pub enum TypeKind {
    /// One name or C's words, e.g. `uint8`, `unsigned long`; without qualifiers.
    Named(String),
    /// `struct name`.
    Struct(Ident),
    /// `union name`.
    Union(Ident),
    /// `enum name`.
    Enum(Ident),
    /// `struct name { .. }` or `union { .. }`.
    Record(Box<Record>),
    /// `enum name { .. }`.
    Enumeration {
        /// Its name, if it has one.
        name: Option<Ident>,
        /// Its constants in order.
        values: Vec<Enumerator>,
        /// Place of the braces.
        body: Span,
    },
    /// `typeof(e)`.
    Typeof(Box<Operand>),
}

/// Fields of a struct or union.
#[derive(Debug, Clone)]
pub struct Record {
    /// Which of the two.
    pub kind: RecordKind,
    /// Its name, if it has one.
    pub name: Option<Ident>,
    /// Fields in order.
    pub fields: Vec<Field>,
    /// `__attribute__((..))` behind the braces.
    pub attribute: Option<Span>,
    /// Whether that attribute says `packed`.
    pub packed: bool,
    /// Place of the braces.
    pub body: Span,
}

/// How the fields of a record lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// One behind the other.
    Struct,
    /// All at the start.
    Union,
}

impl RecordKind {
    /// How it is written.
    pub fn keyword(self) -> &'static str {
        match self {
            RecordKind::Struct => "struct",
            RecordKind::Union => "union",
        }
    }
}

/// A line of a record: a type, and what is declared with it.
#[derive(Debug, Clone)]
pub struct Field {
    /// The type all declarators start from; it has no stars or brackets of its own.
    pub ty: TypeName,
    /// What is declared; empty for an anonymous struct or union.
    pub declarators: Vec<Declarator>,
    /// Without the semicolon.
    pub span: Span,
}

/// One name declared in a field or typedef.
#[derive(Debug, Clone)]
pub struct Declarator {
    /// The name; none for an unnamed bitfield.
    pub name: Option<Ident>,
    /// How many stars stand before it.
    pub pointers: u8,
    /// Sizes of the arrays behind it, outermost first; none in `[]`.
    pub dims: Vec<Option<Expr>>,
    /// Width of a bitfield.
    pub bits: Option<Expr>,
    /// Whether it is a pointer to a function, `(*name)(..)`.
    pub function: bool,
    /// Its place.
    pub span: Span,
}

/// A constant of an enum.
#[derive(Debug, Clone)]
pub struct Enumerator {
    /// Its name.
    pub name: Ident,
    /// What stands behind the `=`.
    pub value: Option<Expr>,
    /// Both.
    pub span: Span,
}

/// A C definition at the top of a script.
#[derive(Debug, Clone)]
pub struct TypeDef {
    /// The type that is defined, or, of a `typedef`, the type that gets names.
    pub ty: TypeName,
    /// Names given by a `typedef`.
    pub names: Vec<Declarator>,
    /// Whether it is a `typedef`.
    pub typedef: bool,
    /// Without the semicolon.
    pub span: Span,
}

impl TypeName {
    /// The name of a type that is just that: no stars, no brackets.
    pub fn plain_name(&self) -> Option<&str> {
        match &self.kind {
            TypeKind::Named(name) if self.pointers == 0 && self.dims.is_empty() => Some(name),
            _ => None,
        }
    }

    /// Height of the tallest expression in it.
    pub(super) fn height(&self) -> u16 {
        let dims = self.dims.iter().flatten().map(|dim| dim.height).max();
        let of = match &self.kind {
            TypeKind::Typeof(of) => of.height(),
            _ => 0,
        };
        dims.unwrap_or(0).max(of)
    }
}
