//! What a type is, read from its bytes.

use super::{Btf, Raw, TypeId};

pub(super) const INT: u32 = 1;
pub(super) const PTR: u32 = 2;
pub(super) const ARRAY: u32 = 3;
pub(super) const STRUCT: u32 = 4;
pub(super) const UNION: u32 = 5;
pub(super) const ENUM: u32 = 6;
pub(super) const FWD: u32 = 7;
pub(super) const TYPEDEF: u32 = 8;
pub(super) const VOLATILE: u32 = 9;
pub(super) const CONST: u32 = 10;
pub(super) const RESTRICT: u32 = 11;
pub(super) const FUNC: u32 = 12;
pub(super) const FUNC_PROTO: u32 = 13;
pub(super) const VAR: u32 = 14;
pub(super) const DATASEC: u32 = 15;
pub(super) const FLOAT: u32 = 16;
pub(super) const DECL_TAG: u32 = 17;
pub(super) const TYPE_TAG: u32 = 18;
pub(super) const ENUM64: u32 = 19;

/// What an integer is besides its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Unsigned.
    Unsigned,
    /// Signed; `char` of kernels is this.
    Signed,
    /// `_Bool`.
    Bool,
}

/// A type, one level of it. Members, values and parameters are asked for apart: [`Btf::members`],
/// [`Btf::enum_values`], [`Btf::params`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `void`.
    Void,
    /// An integer.
    Int {
        /// Bytes of a variable of it.
        bytes: u32,
        /// Bits that count: fewer than the bytes have only in old-style bitfields.
        bits: u8,
        /// Where in the bytes these begin; old-style bitfields only.
        bit_offset: u8,
        /// Signedness.
        encoding: Encoding,
        /// Whether it is said to be a character (compilers do not say so for `char`).
        is_char: bool,
    },
    /// A pointer.
    Ptr {
        /// To what.
        to: TypeId,
    },
    /// An array.
    Array {
        /// Of what.
        element: TypeId,
        /// How many; 0 for a flexible one.
        count: u32,
    },
    /// A structure.
    Struct {
        /// Its size.
        bytes: u32,
        /// How many members.
        members: u16,
    },
    /// A union.
    Union {
        /// Its size.
        bytes: u32,
        /// How many members.
        members: u16,
    },
    /// An enumeration.
    Enum {
        /// Its size.
        bytes: u32,
        /// Whether its values are signed.
        signed: bool,
        /// How many values.
        values: u16,
    },
    /// A structure or union of which nothing is told.
    Fwd {
        /// Whether it is a union.
        union: bool,
    },
    /// Another name of a type.
    Typedef {
        /// The type.
        of: TypeId,
    },
    /// `volatile`.
    Volatile {
        /// The type.
        of: TypeId,
    },
    /// `const`.
    Const {
        /// The type.
        of: TypeId,
    },
    /// `restrict`.
    Restrict {
        /// The type.
        of: TypeId,
    },
    /// A type with a tag such as `user`, `rcu` or `percpu` (address spaces), which is the type's name.
    TypeTag {
        /// The type.
        of: TypeId,
    },
    /// A function.
    Func {
        /// Its prototype.
        proto: TypeId,
    },
    /// A function's prototype.
    FuncProto {
        /// What it returns.
        returns: TypeId,
        /// How many parameters; a last one of type `void` stands for `...`.
        params: u16,
    },
    /// A variable.
    Var {
        /// Its type.
        of: TypeId,
    },
    /// A section of variables.
    Datasec,
    /// A floating-point number.
    Float {
        /// Its size.
        bytes: u32,
    },
    /// A tag of a declaration.
    DeclTag {
        /// What is tagged.
        of: TypeId,
    },
}

impl Btf {
    /// What a type is; `None` if there is no type of this number.
    pub fn kind(&self, id: TypeId) -> Option<Kind> {
        if id == TypeId::VOID {
            return Some(Kind::Void);
        }
        let (own, raw) = self.raw(id)?;
        let (of, bytes, count) = (TypeId(raw.value), raw.value, raw.members as u16);
        Some(match raw.kind {
            INT => {
                let word = own.word(raw, 0)?;
                Kind::Int {
                    bytes,
                    bits: word as u8,
                    bit_offset: (word >> 16) as u8,
                    encoding: match word >> 24 & 0x0f {
                        bits if bits & 4 != 0 => Encoding::Bool,
                        bits if bits & 1 != 0 => Encoding::Signed,
                        _ => Encoding::Unsigned,
                    },
                    is_char: word >> 24 & 2 != 0,
                }
            }
            PTR => Kind::Ptr { to: of },
            ARRAY => Kind::Array {
                element: TypeId(own.word(raw, 0)?),
                count: own.word(raw, 2)?,
            },
            STRUCT => Kind::Struct {
                bytes,
                members: count,
            },
            UNION => Kind::Union {
                bytes,
                members: count,
            },
            ENUM | ENUM64 => Kind::Enum {
                bytes,
                signed: own.is_signed(raw),
                values: count,
            },
            FWD => Kind::Fwd { union: raw.flag },
            TYPEDEF => Kind::Typedef { of },
            VOLATILE => Kind::Volatile { of },
            CONST => Kind::Const { of },
            RESTRICT => Kind::Restrict { of },
            TYPE_TAG => Kind::TypeTag { of },
            FUNC => Kind::Func { proto: of },
            FUNC_PROTO => Kind::FuncProto {
                returns: of,
                params: count,
            },
            VAR => Kind::Var { of },
            DATASEC => Kind::Datasec,
            FLOAT => Kind::Float { bytes },
            DECL_TAG => Kind::DeclTag { of },
            _ => return None,
        })
    }

    /// Whether an enumeration's values are signed. Old encoders did not say; there a value with its top bit set is
    /// taken for a negative one, as C would have made the type signed for it.
    fn is_signed(&self, raw: Raw) -> bool {
        let tells = self.tells_signs || self.base.as_ref().is_some_and(|base| base.tells_signs);
        if raw.flag || raw.kind == ENUM64 || tells {
            return raw.flag;
        }
        (0..raw.members).any(|index| self.word(raw, 2 * index + 1).is_some_and(|v| v >> 31 == 1))
    }
}

/// Bytes of a type after its fixed part; `None` for an unknown kind.
pub(super) fn tail_bytes(raw: Raw) -> Option<usize> {
    Some(match raw.kind {
        INT | VAR | DECL_TAG => 4,
        ARRAY => 12,
        STRUCT | UNION | DATASEC | ENUM64 => 12 * raw.members,
        ENUM | FUNC_PROTO => 8 * raw.members,
        PTR | FWD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FLOAT | TYPE_TAG => 0,
        _ => return None,
    })
}
