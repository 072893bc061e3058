//! What is known of a value's type while a script is checked.
//!
//! Shapes form a ladder: `Unknown`, then `Flexible` (an integer that is the same number signed and unsigned, such as a
//! literal or the result of a comparison), then a type. [`Shape::join`] only climbs it.

use super::hir::Type;
use crate::limits;

/// What is known of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing yet: the value of a map that nothing was assigned to so far.
    Unknown,
    /// An integer from 0 to 2^63 - 1 that takes on the signedness of what it meets.
    Flexible,
    /// An integer.
    Int { signed: bool },
    /// A string with this capacity.
    Str(u16),
    /// A name known at compile time.
    Name,
}

/// What two shapes have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// Both fit this.
    Fits(Shape),
    /// Integers of different signedness; the first one's shape.
    Mixed(Shape),
    /// Nothing.
    Mismatch,
}

impl Shape {
    pub(super) const SIGNED: Shape = Shape::Int { signed: true };
    pub(super) const UNSIGNED: Shape = Shape::Int { signed: false };

    /// The type a value of this shape has if nothing more is learnt.
    pub(super) fn ty(self) -> Type {
        match self {
            Shape::Unknown | Shape::Flexible => Type::INT,
            Shape::Int { signed } => Type::Int { signed },
            Shape::Str(capacity) => Type::Str { capacity },
            Shape::Name => Type::Name,
        }
    }

    /// The shape of a string of some bytes, without its NUL.
    pub(super) fn string(len: usize) -> Shape {
        Shape::Str((len + 1).next_multiple_of(8).min(limits::STRING_BYTES) as u16)
    }

    /// Whether a value can be used as an integer.
    pub(super) fn is_int(self) -> bool {
        matches!(self, Shape::Unknown | Shape::Flexible | Shape::Int { .. })
    }

    /// Whether a value can be used as text.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Shape::Unknown | Shape::Str(_) | Shape::Name)
    }

    /// Whether an integer counts as signed when it meets nothing else.
    pub(super) fn is_signed(self) -> bool {
        self != Shape::UNSIGNED
    }

    /// The shape of one place that holds values of both shapes.
    pub(super) fn join(self, other: Shape) -> Join {
        use Shape::{Flexible, Int, Str, Unknown};
        match (self, other) {
            (Unknown, shape) | (shape, Unknown) => Join::Fits(shape),
            (Flexible, Flexible) => Join::Fits(Flexible),
            (Flexible, Int { .. }) => Join::Fits(other),
            (Int { .. }, Flexible) => Join::Fits(self),
            (Int { signed: a }, Int { signed: b }) if a != b => Join::Mixed(self),
            (Str(a), Str(b)) => Join::Fits(Str(a.max(b))),
            (a, b) if a == b => Join::Fits(a),
            _ => Join::Mismatch,
        }
    }

    /// What to call it in a message.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Shape::Unknown => "a value of unknown type",
            Shape::Flexible | Shape::Int { .. } => "an integer",
            Shape::Str(_) => "a string",
            Shape::Name => "a probe's name",
        }
    }
}
