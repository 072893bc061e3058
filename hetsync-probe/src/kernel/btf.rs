//! A reader of BTF, the kernel's type information (Documentation/bpf/btf.rst), for one question: the prototype of a
//! function.
//!
//! What this is not: a general BTF library. It keeps the raw bytes and two tables of offsets, and reads a type only when
//! asked for it: 5 MB of vmlinux BTF take a few milliseconds and little more memory than the file.
//!
//! Invariants: no bytes make it panic, loop or read outside; whatever does not fit is an error or "not known".

use super::Prototype;
use std::path::Path;

/// Where the running kernel keeps its own.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
const TYPE_BYTES: usize = 12;
/// Longest chain of typedefs and qualifiers followed; the kernel's own limit is 32 (`MAX_RESOLVE_DEPTH`).
const CHAIN: usize = 32;
/// Most arguments a function may have to be attached to (`MAX_BPF_FUNC_ARGS`).
const ARGS: usize = 12;

/// Kinds used here, bits 24 to 28 of a type's `info`.
mod kind {
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
}

/// Why bytes are not BTF this reader knows.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not BTF of version 1 in this machine's byte order.
    #[error("not BTF: the header is short or has another magic number or version")]
    Header,
    /// A section lies outside the file, or a type outside its section.
    #[error("BTF is cut off in type {id}")]
    Truncated {
        /// The type's id; 0 for the header's sections.
        id: u32,
    },
    /// A kind newer than this reader; what follows it cannot be found.
    #[error("BTF type {id} is of unknown kind {kind}")]
    UnknownKind {
        /// The type's id.
        id: u32,
        /// The kind's number.
        kind: u32,
    },
}

/// BTF in memory.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Where in `bytes` type `id` begins, at index `id - 1`.
    types: Vec<u32>,
    /// Ids of the functions.
    functions: Vec<u32>,
    /// The string section, as a range of `bytes`.
    strings: std::ops::Range<usize>,
}

/// The fixed part of a type.
#[derive(Debug, Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    members: usize,
    /// A size or another type's id.
    value: u32,
    /// Where in the bytes the variable part begins.
    tail: usize,
}

/// What a value of a type takes in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Void,
    /// An integer, enumeration or pointer of 1, 2, 4 or 8 bytes.
    Word(u8),
    /// Anything else.
    Other,
}

impl Btf {
    /// Reads a file, such as [`VMLINUX`].
    ///
    /// # Errors
    /// It cannot be read, or is not BTF.
    pub fn read(path: &Path) -> Result<Btf, BtfError> {
        let bytes = std::fs::read(path).map_err(|source| BtfError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Btf::parse(bytes)
    }

    /// Takes BTF apart.
    ///
    /// # Errors
    /// The bytes are not BTF of version 1, are cut off, or hold a kind this reader does not know.
    pub fn parse(bytes: Vec<u8>) -> Result<Btf, BtfError> {
        let head = bytes.get(..HEADER_BYTES).ok_or(BtfError::Header)?;
        let magic = u16::from_le_bytes([head[0], head[1]]);
        let word = |at: usize| u32_at(&bytes, at).map(|word| word as usize);
        let (Some(header_bytes), true, 1) = (word(4), magic == MAGIC, head[2]) else {
            return Err(BtfError::Header);
        };
        let section = |offset: usize, length: usize| {
            let start = header_bytes.checked_add(word(offset)?)?;
            let end = start.checked_add(word(length)?)?;
            (end <= bytes.len()).then_some(start..end)
        };
        let types = section(8, 12).ok_or(BtfError::Truncated { id: 0 })?;
        let strings = section(16, 20).ok_or(BtfError::Truncated { id: 0 })?;

        let mut btf = Btf {
            // vmlinux has one type in about 33 bytes.
            types: Vec::with_capacity(types.len() / 30),
            functions: Vec::new(),
            strings,
            bytes,
        };
        let mut at = types.start;
        while at < types.end {
            let id = btf.types.len() as u32 + 1;
            let head = btf.type_at(at).ok_or(BtfError::Truncated { id })?;
            let tail_bytes = tail_bytes(head).ok_or(BtfError::UnknownKind {
                id,
                kind: head.kind,
            })?;
            let end = head.tail + tail_bytes;
            if end > types.end {
                return Err(BtfError::Truncated { id });
            }
            btf.types.push(at as u32);
            if head.kind == kind::FUNC {
                btf.functions.push(id);
            }
            at = end;
        }
        Ok(btf)
    }

    /// Number of functions.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// Names of all functions, in the file's order; a name that is not UTF-8 is left out.
    pub fn function_names(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().filter_map(|&id| {
            let name = self.string(self.get(id)?.name)?;
            std::str::from_utf8(name).ok()
        })
    }

    /// Whether there is a function of this name.
    pub fn has_function(&self, name: &str) -> bool {
        self.functions_named(name).next().is_some()
    }

    /// The prototype of a function, if fentry and fexit can describe it: one function of that name, at most 12
    /// arguments, none of them or the result larger than 8 bytes or a structure, not variadic.
    pub fn prototype(&self, name: &str) -> Option<Prototype> {
        let mut named = self.functions_named(name);
        let (btf_id, function) = named.next()?;
        if named.next().is_some() {
            // Several static functions share the name: which one the kernel means is not known.
            return None;
        }
        let proto = self
            .get(function.value)
            .filter(|proto| proto.kind == kind::FUNC_PROTO)?;
        if proto.members > ARGS {
            return None;
        }
        let mut arg_names = Vec::with_capacity(proto.members);
        let mut arg_bytes = Vec::with_capacity(proto.members);
        for index in 0..proto.members {
            let at = proto.tail + 8 * index;
            let (name, ty) = (u32_at(&self.bytes, at)?, u32_at(&self.bytes, at + 4)?);
            // A variadic function ends in an argument of type void.
            let Shape::Word(bytes) = self.shape(ty) else {
                return None;
            };
            arg_bytes.push(bytes);
            arg_names.push(String::from_utf8_lossy(self.string(name)?).into_owned());
        }
        let returns = match self.shape(proto.value) {
            Shape::Void => false,
            Shape::Word(_) => true,
            Shape::Other => return None,
        };
        Some(Prototype {
            btf_id,
            args: arg_names.len() as u8,
            arg_names,
            arg_bytes,
            returns,
        })
    }

    fn functions_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (u32, Type)> + 'a {
        self.functions.iter().filter_map(move |&id| {
            let function = self.get(id)?;
            self.is_string(function.name, name.as_bytes())
                .then_some((id, function))
        })
    }

    /// What a type is behind its typedefs and qualifiers.
    fn shape(&self, mut id: u32) -> Shape {
        for _ in 0..CHAIN {
            if id == 0 {
                return Shape::Void;
            }
            let Some(ty) = self.get(id) else {
                return Shape::Other;
            };
            match ty.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = ty.value
                }
                kind::PTR => return Shape::Word(8),
                kind::INT | kind::ENUM | kind::ENUM64 if matches!(ty.value, 1 | 2 | 4 | 8) => {
                    return Shape::Word(ty.value as u8);
                }
                _ => return Shape::Other,
            }
        }
        Shape::Other
    }

    fn get(&self, id: u32) -> Option<Type> {
        let at = self.types.get(id.checked_sub(1)? as usize)?;
        self.type_at(*at as usize)
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        let head = self.bytes.get(at..at + TYPE_BYTES)?;
        let info = u32_at(head, 4)?;
        Some(Type {
            name: u32_at(head, 0)?,
            kind: info >> 24 & 0x1f,
            members: (info & 0xffff) as usize,
            value: u32_at(head, 8)?,
            tail: at + TYPE_BYTES,
        })
    }

    /// The string at an offset of the string section, without its NUL.
    fn string(&self, offset: u32) -> Option<&[u8]> {
        let rest = self.bytes[self.strings.clone()].get(offset as usize..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        Some(&rest[..end])
    }

    /// Whether the string at an offset is `name`, without looking for its end.
    fn is_string(&self, offset: u32, name: &[u8]) -> bool {
        let rest = self.bytes[self.strings.clone()].get(offset as usize..);
        rest.and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

/// Bytes of a type after its fixed part; `None` for an unknown kind.
fn tail_bytes(ty: Type) -> Option<usize> {
    Some(match ty.kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * ty.members,
        kind::ENUM | kind::FUNC_PROTO => 8 * ty.members,
        kind::PTR
        | kind::FWD
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::FLOAT
        | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "btf_tests.rs"]
mod tests;
