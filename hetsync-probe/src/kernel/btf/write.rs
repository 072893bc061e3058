//! Writing BTF type by type: what programs carry (`crate::object`), parts of a kernel's for test data (`super::subset`).

use super::{HEADER_BYTES, MAGIC, TypeId};
use std::collections::HashMap;

/// BTF as it grows. Types are numbered from 1 in the order they are added.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(super) types: Vec<u8>,
    strings: Vec<u8>,
    known: HashMap<String, u32>,
    next: u32,
}

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer {
            types: Vec::new(),
            strings: vec![0],
            known: HashMap::new(),
            next: 1,
        }
    }

    /// Adds a type; `info` is its kind, its flag (bit 31) and how many members it has.
    pub(crate) fn add(&mut self, name: &str, info: u32, value: u32, tail: &[u32]) -> TypeId {
        let name = self.string(name);
        for word in [name, info, value].iter().chain(tail) {
            self.types.extend(word.to_le_bytes());
        }
        self.next += 1;
        TypeId(self.next - 1)
    }

    /// The offset of a string, which is added if it is new.
    pub(crate) fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(&at) = self.known.get(text) {
            return at;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        self.known.insert(text.to_owned(), at);
        at
    }

    /// The number the next type gets.
    #[cfg(test)]
    pub(super) fn next(&self) -> TypeId {
        TypeId(self.next)
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend([1, 0]);
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for word in [HEADER_BYTES as u32, 0, types, types, strings] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }
}
