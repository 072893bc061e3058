//! What is known of a value's type while a script is checked.
//!
//! Shapes form a ladder: `Unknown`, then `Flexible` (an integer that is the same number signed and unsigned, such as a
//! literal or the result of a comparison), then a type. [`Shape::join`] only climbs it.

use std::sync::Arc;

use super::hir::{Shown, Type};
use crate::limits;

/// What is known of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing yet: the value of a map that nothing was assigned to so far.
    Unknown,
    /// An integer from 0 to 2^63 - 1 that takes on the signedness of what it meets.
    Flexible,
    /// A tuple, by its parts.
    Tuple(Arc<[Shape]>),
    /// Anything else; never a tuple.
    Is(Type),
}

/// What two shapes have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Join {
    /// Both fit this.
    Fits(Shape),
    /// Integers of different signedness that no wider integer holds: taken as signed.
    Mixed(Shape),
    /// Nothing.
    Mismatch,
}

impl Shape {
    pub(super) const SIGNED: Shape = Shape::Is(Type::INT);
    pub(super) const UNSIGNED: Shape = Shape::Is(Type::UINT);
    pub(super) const TRUTH: Shape = Shape::Is(Type::Bool);

    /// The shape of values of a type.
    pub(super) fn of(ty: &Type) -> Shape {
        match ty {
            Type::Tuple(parts) => Shape::Tuple(parts.iter().map(Shape::of).collect()),
            ty => Shape::Is(ty.clone()),
        }
    }

    /// The type a value of this shape has if nothing more is learnt.
    pub(super) fn ty(&self) -> Type {
        match self {
            Shape::Unknown | Shape::Flexible => Type::INT,
            Shape::Tuple(parts) => Type::tuple(parts.iter().map(Shape::ty)),
            Shape::Is(ty) => ty.clone(),
        }
    }

    /// The shape of a string of some bytes, without its NUL.
    pub(super) fn string(len: usize) -> Shape {
        let capacity = (len + 1).next_multiple_of(8).min(limits::STRING_BYTES) as u16;
        Shape::Is(Type::Str { capacity })
    }

    /// The shape of a part of a key, where strings are shorter.
    pub(super) fn in_key(&self) -> Shape {
        match self {
            Shape::Tuple(parts) => Shape::Tuple(parts.iter().map(Shape::in_key).collect()),
            Shape::Is(Type::Str { capacity }) => {
                let capacity = (*capacity).min(limits::KEY_STRING_BYTES as u16);
                Shape::Is(Type::Str { capacity })
            }
            other => other.clone(),
        }
    }

    /// Whether a value can be used as an integer.
    pub(super) fn is_int(&self) -> bool {
        match self {
            Shape::Unknown | Shape::Flexible => true,
            Shape::Is(ty) => matches!(ty, Type::Int { .. } | Type::Bool | Type::Enum(_)),
            Shape::Tuple(_) => false,
        }
    }

    /// Whether a value can be a condition: an integer or a pointer.
    pub(super) fn is_condition(&self) -> bool {
        self.is_int() || self.is_pointer()
    }

    /// Whether a value is an address.
    pub(super) fn is_pointer(&self) -> bool {
        matches!(self, Shape::Is(Type::Pointer { .. }))
    }

    /// Whether a value can be used as text.
    pub(super) fn is_text(&self) -> bool {
        matches!(
            self,
            Shape::Unknown | Shape::Is(Type::Str { .. } | Type::Name)
        )
    }

    /// Whether an integer counts as signed when it meets nothing else.
    pub(super) fn is_signed(&self) -> bool {
        match self {
            Shape::Is(Type::Int { signed, .. }) => *signed,
            Shape::Is(Type::Pointer { .. } | Type::Bool) => false,
            Shape::Is(Type::Enum(of)) => of.signed,
            _ => true,
        }
    }

    /// Whether the shape may yet become another one.
    pub(super) fn has_unknown(&self) -> bool {
        match self {
            Shape::Unknown => true,
            Shape::Tuple(parts) => parts.iter().any(Shape::has_unknown),
            _ => false,
        }
    }

    /// The shape with integers for what is unknown.
    pub(super) fn settled(&self) -> Shape {
        match self {
            Shape::Unknown => Shape::Flexible,
            Shape::Tuple(parts) => Shape::Tuple(parts.iter().map(Shape::settled).collect()),
            known => known.clone(),
        }
    }

    /// The shape of one place that holds values of both shapes.
    pub(super) fn join(&self, other: &Shape) -> Join {
        use Shape::{Flexible, Is, Tuple, Unknown};
        match (self, other) {
            (Unknown, shape) | (shape, Unknown) => Join::Fits(shape.clone()),
            (a, b) if a == b => Join::Fits(a.clone()),
            (Flexible, Is(ty)) | (Is(ty), Flexible) => match ty {
                Type::Int { bits: 64, .. } => Join::Fits(Is(ty.clone())),
                // A literal may be too large for a narrow one.
                Type::Int { .. } | Type::Enum(_) => Join::Fits(Shape::SIGNED),
                _ => Join::Mismatch,
            },
            (Is(a), Is(b)) => join_types(a, b),
            (Tuple(a), Tuple(b)) if a.len() == b.len() => join_tuples(a, b),
            _ => Join::Mismatch,
        }
    }

    /// What to call it in a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Shape::Unknown => "a value of unknown type".into(),
            Shape::Flexible => "an integer".into(),
            Shape::Tuple(_) => format!("a tuple `{}`", self.ty()),
            Shape::Is(ty) => match ty {
                Type::Int { .. } => "an integer".into(),
                Type::Bool => "a truth value".into(),
                Type::Enum(_) => format!("a value of `{ty}`"),
                Type::Pointer { .. } => format!("a pointer `{ty}`"),
                Type::Name => "a probe's name".into(),
                Type::Mac => "a hardware address".into(),
                Type::Str { .. } => "a string".into(),
                Type::Inet => "an internet address".into(),
                Type::Flow => "a flow".into(),
                Type::Shown(shown) => shown.describe().into(),
                Type::Buffer { .. } => "a buffer".into(),
                Type::Record(_) => format!("a `{ty}`"),
                _ => format!("an array `{ty}`"),
            },
        }
    }
}

fn join_types(a: &Type, b: &Type) -> Join {
    use Type::{Enum, Int, Str};
    let fits = |ty: Type| Join::Fits(Shape::Is(ty));
    match (a, b) {
        (Str { capacity: a }, Str { capacity: b }) => fits(Str {
            capacity: *a.max(b),
        }),
        (
            Int { bits, signed },
            Int {
                bits: other_bits,
                signed: other_signed,
            },
        ) => {
            let most = *bits.max(other_bits);
            if signed == other_signed {
                return fits(Int {
                    bits: most,
                    signed: *signed,
                });
            }
            let unsigned = if *signed { *other_bits } else { *bits };
            match unsigned {
                64 => Join::Mixed(Shape::SIGNED),
                _ => fits(Int {
                    bits: most.max(2 * unsigned),
                    signed: true,
                }),
            }
        }
        (
            Enum(_),
            ty @ Int {
                bits: 64,
                signed: false,
            },
        )
        | (
            ty @ Int {
                bits: 64,
                signed: false,
            },
            Enum(_),
        ) => fits(ty.clone()),
        (Enum(_), Enum(_) | Int { .. }) | (Int { .. }, Enum(_)) => fits(Type::INT),
        // A function's name is one of the kernel's, as a symbol is.
        (Type::Name, symbol @ Type::Shown(Shown::KernelAddress))
        | (symbol @ Type::Shown(Shown::KernelAddress), Type::Name) => fits(symbol.clone()),
        (Type::Buffer { capacity: a }, Type::Buffer { capacity: b }) => fits(Type::Buffer {
            capacity: *a.max(b),
        }),
        _ => Join::Mismatch,
    }
}

fn join_tuples(a: &Arc<[Shape]>, b: &Arc<[Shape]>) -> Join {
    let mut mixed = false;
    let mut parts = Vec::with_capacity(a.len());
    for (a, b) in a.iter().zip(b.iter()) {
        parts.push(match a.join(b) {
            Join::Fits(part) => part,
            Join::Mixed(part) => {
                mixed = true;
                part
            }
            Join::Mismatch => return Join::Mismatch,
        });
    }
    let joined = Shape::Tuple(parts.into());
    match mixed {
        true => Join::Mixed(joined),
        false => Join::Fits(joined),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(bits: u8, signed: bool) -> Shape {
        Shape::Is(Type::Int { bits, signed })
    }

    #[test]
    fn integers_join_in_the_narrowest_that_holds_both() {
        assert_eq!(
            int(8, false).join(&int(32, false)),
            Join::Fits(int(32, false))
        );
        assert_eq!(
            int(8, true).join(&int(32, false)),
            Join::Fits(int(64, true))
        );
        assert_eq!(
            int(32, true).join(&int(8, false)),
            Join::Fits(int(32, true))
        );
        assert_eq!(
            int(64, false).join(&int(64, true)),
            Join::Mixed(int(64, true))
        );
        assert_eq!(
            int(8, false).join(&Shape::Flexible),
            Join::Fits(int(64, true))
        );
    }

    #[test]
    fn tuples_join_part_by_part() {
        let tuple = |parts: [Shape; 2]| Shape::Tuple(parts.to_vec().into());
        let a = tuple([Shape::Flexible, Shape::string(3)]);
        let b = tuple([Shape::SIGNED, Shape::string(20)]);
        assert_eq!(a.join(&b), Join::Fits(b.clone()));
        assert_eq!(b.join(&a), Join::Fits(b));
        assert_eq!(a.join(&Shape::Flexible), Join::Mismatch);
    }
}
