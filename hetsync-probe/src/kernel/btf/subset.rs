//! A part of a kernel's BTF: small enough to keep beside tests, so that scripts are checked against real kernels that
//! are not there.

use super::write::Writer;
use super::{Btf, Raw, Space, TypeId, kind};
use std::collections::{BTreeSet, HashMap, HashSet};

/// What a part of a BTF is to hold. What the kernel does not have is left out.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Types with all their members, as C spells them. Others that these name have their size and no members.
    pub types: &'a [&'a str],
    /// Functions with their prototypes.
    pub functions: &'a [&'a str],
    /// Raw tracepoints with their prototypes.
    pub raw_tracepoints: &'a [&'a str],
    /// Constants whose enumerations are taken.
    pub constants: &'a [&'a str],
}

/// The part of a kernel's own BTF that holds what is wanted, as raw BTF.
pub fn subset(btf: &Btf, wanted: &Wanted<'_>) -> Vec<u8> {
    let whole: HashSet<TypeId> = (wanted.types.iter())
        .filter_map(|spelt| btf.resolve(btf.find_spelt(spelt)?))
        .collect();
    let plain = |name: &str| btf.find(Space::Plain, name);
    let mut todo: Vec<TypeId> = (wanted.types.iter())
        .filter_map(|spelt| btf.find_spelt(spelt))
        .collect();
    todo.extend((wanted.functions.iter()).filter_map(|name| btf.find(Space::Function, name)));
    todo.extend(
        (wanted.raw_tracepoints.iter()).filter_map(|name| plain(&format!("btf_trace_{name}"))),
    );
    todo.extend((wanted.constants.iter()).filter_map(|name| Some(btf.constant(name)?.ty)));

    // Every type that is mentioned, in the order of the whole file.
    let mut taken = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if id == TypeId::VOID || !taken.insert(id) {
            continue;
        }
        if let Some((_, raw)) = btf.raw(id) {
            todo.extend(btf.mentions(raw, is_whole(btf, &whole, id, raw)));
        }
    }
    let numbers: HashMap<TypeId, u32> = taken.iter().copied().zip(1..).collect();
    let mut writer = Writer::new();
    for &id in &taken {
        if let Some((_, raw)) = btf.raw(id) {
            btf.copy(raw, is_whole(btf, &whole, id, raw), &numbers, &mut writer);
        }
    }
    writer.bytes()
}

/// Whether the members of a structure or union are taken.
fn is_whole(btf: &Btf, whole: &HashSet<TypeId>, id: TypeId, raw: Raw) -> bool {
    !matches!(raw.kind, kind::STRUCT | kind::UNION)
        || whole.contains(&id)
        || btf.string(raw.name).is_empty()
}

/// What the words behind a type's fixed part are: names, types, or neither; so for each member.
fn words(kind: u32) -> &'static [Word] {
    use Word::{Name, Plain, Type};
    match kind {
        kind::INT | kind::VAR | kind::DECL_TAG => &[Plain],
        kind::ARRAY => &[Type, Type, Plain],
        kind::STRUCT | kind::UNION => &[Name, Type, Plain],
        kind::DATASEC => &[Type, Plain, Plain],
        kind::ENUM => &[Name, Plain],
        kind::ENUM64 => &[Name, Plain, Plain],
        kind::FUNC_PROTO => &[Name, Type],
        _ => &[],
    }
}

#[derive(Clone, Copy)]
enum Word {
    Name,
    Type,
    Plain,
}

impl Btf {
    /// Types a type is made of.
    fn mentions(&self, raw: Raw, whole: bool) -> Vec<TypeId> {
        let mut found = Vec::new();
        if value_is_type(raw.kind) {
            found.push(TypeId(raw.value));
        }
        for (index, word) in self.tail(raw, whole) {
            if let Word::Type = word {
                found.extend(self.word(raw, index).map(TypeId));
            }
        }
        found
    }

    /// Places and meanings of the words behind the fixed part.
    fn tail(&self, raw: Raw, whole: bool) -> impl Iterator<Item = (usize, Word)> + use<> {
        let words = words(raw.kind);
        let times = match raw.kind {
            kind::INT | kind::VAR | kind::DECL_TAG | kind::ARRAY => 1,
            _ if whole => raw.members,
            _ => 0,
        };
        (0..times * words.len()).map(|index| (index, words[index % words.len()]))
    }

    fn copy(&self, raw: Raw, whole: bool, numbers: &HashMap<TypeId, u32>, writer: &mut Writer) {
        let number = |id: u32| numbers.get(&TypeId(id)).copied().unwrap_or(0);
        let mut tail = Vec::new();
        for (index, word) in self.tail(raw, whole) {
            let value = self.word(raw, index).unwrap_or(0);
            tail.push(match word {
                Word::Name => writer.string(self.string(value)),
                Word::Type => number(value),
                Word::Plain => value,
            });
        }
        // The low bits are how many members there are, but of a function its linkage.
        let members = if whole { raw.members as u32 } else { 0 };
        let info = u32::from(raw.flag) << 31 | raw.kind << 24 | members;
        let value = if value_is_type(raw.kind) {
            number(raw.value)
        } else {
            raw.value
        };
        writer.add(self.string(raw.name), info, value, &tail);
    }
}

/// Whether the last word of the fixed part is a type; else it is a size or nothing.
fn value_is_type(kind: u32) -> bool {
    matches!(
        kind,
        kind::PTR
            | kind::TYPEDEF
            | kind::VOLATILE
            | kind::CONST
            | kind::RESTRICT
            | kind::FUNC
            | kind::FUNC_PROTO
            | kind::VAR
            | kind::DECL_TAG
            | kind::TYPE_TAG
    )
}
