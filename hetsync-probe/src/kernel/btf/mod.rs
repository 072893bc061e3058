//! A reader of BTF, the kernel's type information (Documentation/bpf/btf.rst): of vmlinux, of modules, of files.
//!
//! What this is not: a copy in other structures. It keeps the raw bytes and a table of offsets and reads a type
//! only when asked for it, so 5 MB of vmlinux BTF take a few milliseconds and little more memory than the file. A table of
//! names is made for who looks up many; the first few names are searched for.
//!
//! Invariants: no bytes make it panic, loop or read outside; whatever does not fit is an error or "not known". Chains
//! of types are followed 32 steps, trees of members to 65,536 members.

mod define;
mod function;
mod index;
mod kind;
mod lookup;
mod members;
mod name;
pub mod subset;
mod write;

pub use function::{Function, Param};
pub use kind::{Encoding, Kind};
pub use lookup::Space;
pub use members::{Constant, EnumValue, Field, Member};
pub(crate) use write::Writer;

use index::Index;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};

/// Where the running kernel keeps its own; modules' are beside it.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
const TYPE_BYTES: usize = 12;
/// Longest chain of typedefs and qualifiers followed; the kernel's own limit is 32 (`MAX_RESOLVE_DEPTH`).
const CHAIN: usize = 32;
/// Most members looked at in one search through anonymous members; the kernel's largest structures have some 300.
const VISITS: usize = 1 << 16;
/// Largest BTF taken: some ten times what kernels have.
const BYTES_MOST: u64 = 64 << 20;

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
    /// BTF of a machine of the other byte order.
    #[error("BTF of a big-endian machine; only little-endian kernels are known here")]
    BigEndian,
    /// An ELF file, such as `vmlinux`, around the BTF.
    #[error(
        "an ELF file, not raw BTF; take the section out of it: objcopy -O binary --only-section=.BTF FILE raw.btf"
    )]
    Elf,
    /// Larger than any kernel's.
    #[error("{bytes} bytes; the largest BTF taken has {BYTES_MOST}")]
    TooLarge {
        /// The file's size.
        bytes: u64,
    },
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

/// The number of a type in one [`Btf`]; 0 is `void`. A module's numbers go on where vmlinux' end, so numbers of two
/// modules mean different types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TypeId(pub u32);

impl TypeId {
    /// No type at all.
    pub const VOID: TypeId = TypeId(0);
}

/// BTF in memory.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Where in `bytes` each type begins, in the order of ids from `first_id`.
    starts: Vec<u32>,
    /// The string section, as a range of `bytes`.
    strings: std::ops::Range<usize>,
    /// What a module's types and strings build on.
    base: Option<Arc<Btf>>,
    first_id: u32,
    /// Offset of the first own string: the length of the base's.
    first_string: u32,
    /// Whether an enumeration says that it is signed. Encoders before 2022 never did.
    tells_signs: bool,
    names: OnceLock<Index>,
    /// Look-ups by name so far.
    looked_up: AtomicU32,
    constants: OnceLock<Index>,
}

/// The fixed part of a type.
#[derive(Debug, Clone, Copy)]
struct Raw {
    name: u32,
    kind: u32,
    /// The `kind_flag`: bitfields in a structure, signed in an enumeration, union in a forward declaration.
    flag: bool,
    members: usize,
    /// A size or another type's id.
    value: u32,
    /// Where in the bytes the variable part begins.
    tail: usize,
}

impl Btf {
    /// Reads a file of raw BTF, such as [`VMLINUX`].
    ///
    /// # Errors
    /// It cannot be read, or is not BTF.
    pub fn read(path: &Path) -> Result<Btf, BtfError> {
        Btf::parse(read_file(path)?)
    }

    /// Reads a module's BTF (`/sys/kernel/btf/MODULE`), which builds on that of vmlinux.
    ///
    /// # Errors
    /// It cannot be read, or is not BTF.
    pub fn read_module(path: &Path, base: Arc<Btf>) -> Result<Btf, BtfError> {
        Btf::parse_module(read_file(path)?, base)
    }

    /// Takes BTF apart.
    ///
    /// # Errors
    /// The bytes are not BTF of version 1, are cut off, or hold a kind this reader does not know.
    pub fn parse(bytes: Vec<u8>) -> Result<Btf, BtfError> {
        Btf::take(bytes, None)
    }

    /// Takes a module's BTF apart.
    ///
    /// # Errors
    /// As [`Btf::parse`].
    pub fn parse_module(bytes: Vec<u8>, base: Arc<Btf>) -> Result<Btf, BtfError> {
        Btf::take(bytes, Some(base))
    }

    fn take(bytes: Vec<u8>, base: Option<Arc<Btf>>) -> Result<Btf, BtfError> {
        if bytes.len() as u64 > BYTES_MOST {
            let bytes = bytes.len() as u64;
            return Err(BtfError::TooLarge { bytes });
        }
        let [types, strings] = sections(&bytes)?;
        let mut btf = Btf {
            // vmlinux has one type in about 33 bytes.
            starts: Vec::with_capacity(types.len() / 30),
            strings,
            first_id: base.as_ref().map_or(1, |base| base.end_id()),
            first_string: base.as_ref().map_or(0, |base| base.end_string()),
            base,
            tells_signs: false,
            names: OnceLock::new(),
            looked_up: AtomicU32::new(0),
            constants: OnceLock::new(),
            bytes,
        };
        let mut at = types.start;
        while at < types.end {
            let id = btf.end_id();
            let raw = btf.raw_at(at).ok_or(BtfError::Truncated { id })?;
            let tail = kind::tail_bytes(raw).ok_or(BtfError::UnknownKind { id, kind: raw.kind })?;
            let end = raw.tail + tail;
            if end > types.end {
                return Err(BtfError::Truncated { id });
            }
            btf.tells_signs |= raw.flag && raw.kind == kind::ENUM;
            btf.starts.push(at as u32);
            at = end;
        }
        Ok(btf)
    }

    /// The BTF this module's builds on.
    pub fn base(&self) -> Option<&Btf> {
        self.base.as_deref()
    }

    /// Its own types (not the base's), in the file's order, without `void`.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (self.first_id..self.end_id()).map(TypeId)
    }

    /// One more than the last id.
    fn end_id(&self) -> u32 {
        self.first_id.saturating_add(self.starts.len() as u32)
    }

    /// One more than the last offset of a string.
    fn end_string(&self) -> u32 {
        self.first_string.saturating_add(self.strings.len() as u32)
    }

    /// The type's fixed part, and the BTF (this one or its base) whose bytes it is in.
    fn raw(&self, id: TypeId) -> Option<(&Btf, Raw)> {
        if id.0 < self.first_id {
            return self.base.as_ref()?.raw(id);
        }
        let at = self.starts.get((id.0 - self.first_id) as usize)?;
        Some((self, self.raw_at(*at as usize)?))
    }

    fn raw_at(&self, at: usize) -> Option<Raw> {
        let head = self.bytes.get(at..at + TYPE_BYTES)?;
        let info = u32_at(head, 4)?;
        Some(Raw {
            name: u32_at(head, 0)?,
            kind: info >> 24 & 0x1f,
            flag: info >> 31 == 1,
            members: (info & 0xffff) as usize,
            value: u32_at(head, 8)?,
            tail: at + TYPE_BYTES,
        })
    }

    /// The `index`th word of a type's variable part.
    fn word(&self, raw: Raw, index: usize) -> Option<u32> {
        u32_at(&self.bytes, raw.tail + 4 * index)
    }

    /// The string at an offset, without its NUL; empty where there is none or it is not UTF-8.
    fn string(&self, offset: u32) -> &str {
        let name = self.string_bytes(offset).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }

    fn string_bytes(&self, offset: u32) -> Option<&[u8]> {
        let rest = self.string_on(offset)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        Some(&rest[..end])
    }

    /// Whether the string at an offset is `name`, without looking for its end.
    fn is_string(&self, offset: u32, name: &[u8]) -> bool {
        self.string_on(offset)
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    /// The string section from an offset on.
    fn string_on(&self, offset: u32) -> Option<&[u8]> {
        match (&self.base, offset.checked_sub(self.first_string)) {
            (Some(base), None) => base.string_on(offset),
            (_, own) => self.bytes[self.strings.clone()].get(own? as usize..),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, BtfError> {
    use std::io::Read;
    let read = |source| BtfError::Read {
        path: path.display().to_string(),
        source,
    };
    let file = std::fs::File::open(path).map_err(read)?;
    let size = file.metadata().map_or(0, |about| about.len());
    let mut bytes = Vec::with_capacity(size.min(BYTES_MOST) as usize + 1);
    let mut file = file.take(BYTES_MOST + 1);
    file.read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

/// The types and the strings, by the header.
fn sections(bytes: &[u8]) -> Result<[std::ops::Range<usize>; 2], BtfError> {
    if bytes.starts_with(b"\x7fELF") {
        return Err(BtfError::Elf);
    }
    if bytes.starts_with(&MAGIC.to_be_bytes()) {
        return Err(BtfError::BigEndian);
    }
    let head = bytes.get(..HEADER_BYTES).ok_or(BtfError::Header)?;
    let word = |at: usize| u32_at(bytes, at).map(|word| word as usize);
    let magic = u16::from_le_bytes([head[0], head[1]]);
    let (Some(header_bytes), MAGIC, 1) = (word(4), magic, head[2]) else {
        return Err(BtfError::Header);
    };
    let section = |offset: usize, length: usize| {
        let start = header_bytes.checked_add(word(offset)?)?;
        let end = start.checked_add(word(length)?)?;
        (end <= bytes.len()).then_some(start..end)
    };
    let cut = || BtfError::Truncated { id: 0 };
    Ok([
        section(8, 12).ok_or_else(cut)?,
        section(16, 20).ok_or_else(cut)?,
    ])
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

#[cfg(test)]
mod tests;
