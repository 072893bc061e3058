//! Map definitions as BTF, in the manner of libbpf's `.maps` section: for each map a variable of a struct type whose
//! members are pointers to arrays, the array's length being the number meant (`__uint(max_entries, 4096)`).
//!
//! Format: Documentation/bpf/btf.rst.

use crate::image::{MapKind, MapSpec};

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
/// The first type: `int`.
const INT: u32 = 1;

/// Types for a `.maps` section.
#[derive(Debug)]
pub(super) struct Maps {
    types: Vec<u8>,
    /// Types so far.
    count: u32,
    strings: Vec<u8>,
    /// Variable, offset and size of each map.
    variables: Vec<[u32; 3]>,
    end: u32,
}

impl Default for Maps {
    fn default() -> Self {
        let mut maps = Self {
            types: Vec::new(),
            count: 0,
            // Offset 0 is the empty name.
            strings: vec![0],
            variables: Vec::new(),
            end: 0,
        };
        let name = maps.string("int");
        // Signed, 32 bits.
        maps.add_type(&[name, KIND_INT << 24, 4, 1 << 24 | 32]);
        maps
    }
}

impl Maps {
    /// Adds a map; the bytes its variable takes in the section.
    pub(super) fn add(&mut self, name: &str, map: &MapSpec) -> usize {
        let mut numbers = vec![("type", kernel_type(map.kind))];
        if map.kind != MapKind::Ringbuf {
            numbers.push(("key_size", map.key_size));
            numbers.push(("value_size", map.value_size));
        }
        numbers.push(("max_entries", map.max_entries));
        let members: Vec<[u32; 2]> = numbers
            .iter()
            .map(|(member, number)| {
                let array = self.add_type(&[0, KIND_ARRAY << 24, 0, INT, INT, *number]);
                let pointer = self.add_type(&[0, KIND_PTR << 24, array]);
                [self.string(member), pointer]
            })
            .collect();
        let size = 8 * members.len() as u32;
        let mut words = vec![0, KIND_STRUCT << 24 | members.len() as u32, size];
        for (i, [member, pointer]) in (0..).zip(members) {
            words.extend([member, pointer, 64 * i]);
        }
        let definition = self.add_type(&words);
        let name = self.string(name);
        // 1: a global variable.
        let variable = self.add_type(&[name, KIND_VAR << 24, definition, 1]);
        self.variables.push([variable, self.end, size]);
        self.end += size;
        size as usize
    }

    /// The `.BTF` section.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let name = self.string(".maps");
        let count = self.variables.len() as u32;
        let mut words = vec![name, KIND_DATASEC << 24 | count, self.end];
        words.extend(self.variables.iter().flatten());
        self.add_type(&words);
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types, types, strings] {
            bytes.extend(u32::to_le_bytes(word));
        }
        bytes.extend(self.types);
        bytes.extend(self.strings);
        bytes
    }

    fn add_type(&mut self, words: &[u32]) -> u32 {
        self.types
            .extend(words.iter().flat_map(|w| w.to_le_bytes()));
        self.count += 1;
        self.count
    }

    fn string(&mut self, text: &str) -> u32 {
        let at = self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }
}

/// The kernel's number of a map kind (`enum bpf_map_type`).
fn kernel_type(kind: MapKind) -> u32 {
    match kind {
        MapKind::Hash => 1,
        MapKind::Array => 2,
        MapKind::PercpuHash => 5,
        MapKind::PercpuArray => 6,
        MapKind::LruHash => 9,
        MapKind::LruPercpuHash => 10,
        MapKind::Ringbuf => 27,
        MapKind::StackTrace => 7,
    }
}
