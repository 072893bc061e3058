//! Types of values, and of the memory they are read from.
//!
//! A value is one of two kinds. A *word* is held in one 64-bit register: integers of any width (kept extended by their
//! sign or by zeros, so that reading the low bytes or the whole word gives the same number), `bool`, enums,
//! pointers, names, hardware addresses. *Bytes* are an object in memory of a fixed size, a multiple of 8: strings, tuples
//! (their parts side by side), internet addresses, buffers, and records and arrays of C copied as they are.
//! Keys, map values, event arguments and variables are the same for all of them.
//!
//! [`Type::Text`] and [`Type::Incomplete`] are of memory only: no value has such a type.

use std::fmt;
use std::sync::Arc;

/// A type of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// An integer.
    Int {
        /// 8, 16, 32 or 64.
        bits: u8,
        /// Whether division, `>>`, comparison and printing are signed.
        signed: bool,
    },
    /// 0 or 1, shown as `false` or `true`.
    Bool,
    /// An integer of an enum of C, shown as its name by `%s`.
    Enum(Arc<Enumeration>),
    /// An address.
    Pointer {
        /// What lies there; a record is [`Type::Incomplete`] here.
        to: Arc<Type>,
        /// Whose memory it is in.
        space: Space,
    },
    /// A [`super::hir::NameId`] in 8 bytes, shown as its string.
    Name,
    /// The 6 bytes of a hardware address, the first one lowest.
    Mac,
    /// A string of at most `capacity - 1` bytes; `capacity` is a multiple of 8, at most [`crate::limits::STRING_BYTES`].
    Str {
        /// Bytes it takes, the closing NUL included.
        capacity: u16,
    },
    /// Values side by side, each [`Type::size`].
    Tuple(Arc<[Type]>),
    /// An internet address: its family (`AF_INET`, `AF_INET6`; 0 is none) as a word, then 16 bytes, of which version 4 fills the first four.
    Inet,
    /// The two ends of a connection: a word of its family (as of [`Type::Inet`]) in the low 16 bits, its own port in the next and
    /// the peer's in the third 16, both in the host's byte order; then 16 bytes of each address.
    Flow,
    /// Bytes of a length known when the script runs: the length as a word, then `capacity` bytes, zero past the length.
    Buffer {
        /// Most bytes, a multiple of 8.
        capacity: u16,
    },
    /// A number that is put into words when it is printed.
    Shown(super::shown::Shown),
    /// A struct or union of C, as it lies in memory.
    Record(Arc<Record>),
    /// An array of C, as it lies in memory.
    Array {
        /// The type of an element.
        of: Arc<Type>,
        /// How many.
        len: u32,
    },
    /// In memory only: an array of characters of this many bytes, read as a string.
    Text(u32),
    /// In memory only: a struct or union whose members are not needed yet.
    Incomplete(Arc<RecordName>),
    /// In memory only, behind a pointer: nothing is known of it.
    Void,
}

/// Whose memory an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// The kernel's.
    Kernel,
    /// The current process's.
    User,
}

/// An enum of C.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Enumeration {
    /// Its name without the word `enum`; empty for one without a name.
    pub name: String,
    /// Bytes it takes in memory: 1, 2, 4 or 8.
    pub bytes: u8,
    /// Whether its values are signed.
    pub signed: bool,
    /// Names and values.
    pub values: Vec<(String, i64)>,
}

/// Which record of the script or the kernel; equal for equal records of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(pub u32);

/// A struct or union by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecordName {
    /// Which one.
    pub id: RecordId,
    /// As it is written: `struct sock`; `struct` alone has no name.
    pub name: String,
}

/// A struct or union with its members.
#[derive(Debug, Clone)]
pub struct Record {
    /// Which one, and its name.
    pub name: Arc<RecordName>,
    /// Bytes it takes in memory.
    pub size: u32,
    /// Its members in order; those of a member without a name are reached through it.
    pub fields: Vec<Field>,
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.name.id == other.name.id
    }
}

impl Eq for Record {}

impl std::hash::Hash for Record {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.id.hash(state);
    }
}

/// A member of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its name; empty for an anonymous struct or union.
    pub name: String,
    /// The type in memory.
    pub ty: Type,
    /// Bytes from the record's start.
    pub offset: u32,
    /// Where it is only some bits of the `ty` at `offset`: the lowest one and how many.
    pub bits: Option<(u8, u8)>,
}

impl Type {
    /// A signed 64-bit integer.
    pub const INT: Type = Type::Int {
        bits: 64,
        signed: true,
    };
    /// An unsigned 64-bit integer.
    pub const UINT: Type = Type::Int {
        bits: 64,
        signed: false,
    };

    /// Bytes a value of this type takes in a map key, a map value, a variable or an event; a multiple of 8.
    pub fn size(&self) -> usize {
        match self {
            Type::Str { capacity } => usize::from(*capacity),
            Type::Tuple(parts) => parts.iter().map(Type::size).sum(),
            Type::Inet => 24,
            Type::Flow => 40,
            Type::Shown(shown) => shown.size(),
            Type::Buffer { capacity } => 8 + usize::from(*capacity),
            Type::Record(_) | Type::Array { .. } => self.memory_size().next_multiple_of(8),
            _ => 8,
        }
    }

    /// Bytes an object of this type takes in a process's or the kernel's memory; for what C does not have, [`Type::size`].
    pub fn memory_size(&self) -> usize {
        match self {
            Type::Int { bits, .. } => usize::from(bits / 8),
            Type::Bool => 1,
            Type::Enum(of) => usize::from(of.bytes),
            Type::Record(record) => record.size as usize,
            Type::Array { of, len } => of.memory_size() * *len as usize,
            Type::Text(bytes) => *bytes as usize,
            Type::Incomplete(_) => 0,
            Type::Void => 1,
            _ => self.size(),
        }
    }

    /// Whether a value is one word, held in a register.
    pub fn is_word(&self) -> bool {
        match self {
            Type::Int { .. }
            | Type::Bool
            | Type::Enum(_)
            | Type::Pointer { .. }
            | Type::Name
            | Type::Mac => true,
            Type::Shown(shown) => shown.size() == 8,
            Type::Str { .. }
            | Type::Tuple(_)
            | Type::Inet
            | Type::Flow
            | Type::Buffer { .. }
            | Type::Record(_)
            | Type::Array { .. }
            | Type::Text(_)
            | Type::Incomplete(_)
            | Type::Void => false,
        }
    }

    /// Whether values are integers.
    pub fn is_int(&self) -> bool {
        matches!(self, Type::Int { .. })
    }

    /// Whether a word's value extends by its sign.
    pub fn is_signed(&self) -> bool {
        match self {
            Type::Int { signed, .. } => *signed,
            Type::Enum(of) => of.signed,
            _ => false,
        }
    }

    /// A tuple.
    pub fn tuple(parts: impl IntoIterator<Item = Type>) -> Type {
        Type::Tuple(parts.into_iter().collect())
    }
}

impl fmt::Display for Type {
    /// As a script would write it, as far as it can.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Int { bits, signed } => {
                write!(f, "{}int{bits}", if *signed { "" } else { "u" })
            }
            Type::Bool => f.write_str("bool"),
            Type::Enum(of) if of.name.is_empty() => f.write_str("enum"),
            Type::Enum(of) => write!(f, "enum {}", of.name),
            Type::Pointer { to, .. } => match **to {
                Type::Pointer { .. } => write!(f, "{to}*"),
                _ => write!(f, "{to} *"),
            },
            Type::Name => f.write_str("name"),
            Type::Mac => f.write_str("mac"),
            Type::Str { capacity } => write!(f, "string[{capacity}]"),
            Type::Tuple(parts) => {
                f.write_str("(")?;
                for (i, part) in parts.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{part}")?;
                }
                f.write_str(")")
            }
            Type::Inet => f.write_str("inet"),
            Type::Flow => f.write_str("flow"),
            Type::Shown(shown) => shown.fmt(f),
            Type::Buffer { capacity } => write!(f, "buffer[{capacity}]"),
            Type::Record(record) => f.write_str(&record.name.name),
            Type::Array { of, len } => write!(f, "{of}[{len}]"),
            Type::Text(bytes) => write!(f, "char[{bytes}]"),
            Type::Incomplete(name) => f.write_str(&name.name),
            Type::Void => f.write_str("void"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_values_are_whole_words() {
        let byte = Type::Int {
            bits: 8,
            signed: false,
        };
        let ten = Type::Array {
            of: Arc::new(byte.clone()),
            len: 10,
        };
        assert_eq!((ten.memory_size(), ten.size()), (10, 16));
        assert_eq!((byte.memory_size(), byte.size()), (1, 8));
        let tuple = Type::tuple([byte, Type::Str { capacity: 16 }, ten]);
        assert_eq!(tuple.size(), 8 + 16 + 16);
        assert_eq!(tuple.to_string(), "(uint8,string[16],uint8[10])");
    }
}
