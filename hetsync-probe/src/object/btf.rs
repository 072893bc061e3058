//! The types an object file or a loaded program carries.
//!
//! Map definitions are in the manner of libbpf's `.maps` section: for each map a variable of a struct type whose members
//! are pointers to arrays, the array's length being the number meant (`__uint(max_entries, 4096)`). Each program is a
//! function `int name(void *ctx)`.
//!
//! Format: Documentation/bpf/btf.rst.

use crate::image::{MapKind, MapSpec};
use crate::kernel::btf::{TypeId, Writer};

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
/// A function or variable seen from outside.
const GLOBAL: u32 = 1;

/// Types and strings as they grow.
#[derive(Debug)]
pub(super) struct Types {
    writer: Writer,
    int: TypeId,
    /// `int (void *ctx)`, once there is a function.
    prototype: Option<TypeId>,
    /// `int (void *map, void *key, void *value, void *link)`, once there is the body of a loop over a map.
    body: Option<TypeId>,
    /// Variable, offset and size of each map.
    variables: Vec<[u32; 3]>,
    end: u32,
}

impl Default for Types {
    fn default() -> Self {
        let mut writer = Writer::new();
        // Signed, 32 bits.
        let int = writer.add("int", KIND_INT << 24, 4, &[1 << 24 | 32]);
        Self {
            writer,
            int,
            prototype: None,
            body: None,
            variables: Vec::new(),
            end: 0,
        }
    }
}

impl Types {
    /// Adds a map; the bytes its variable takes in the section.
    pub(super) fn map(&mut self, name: &str, map: &MapSpec) -> usize {
        let mut numbers = vec![("type", map.kind.number())];
        if map.kind != MapKind::Ringbuf {
            numbers.push(("key_size", map.key_size));
            numbers.push(("value_size", map.value_size));
        }
        numbers.push(("max_entries", map.max_entries));
        let mut members = Vec::new();
        for (i, (member, number)) in (0..).zip(&numbers) {
            let array = [self.int.0, self.int.0, *number];
            let array = self.writer.add("", KIND_ARRAY << 24, 0, &array);
            let pointer = self.writer.add("", KIND_PTR << 24, array.0, &[]);
            members.extend([self.string(member), pointer.0, 64 * i]);
        }
        let info = KIND_STRUCT << 24 | numbers.len() as u32;
        let size = 8 * numbers.len() as u32;
        let definition = self.writer.add("", info, size, &members);
        let variable = (self.writer).add(name, KIND_VAR << 24, definition.0, &[GLOBAL]);
        self.variables.push([variable.0, self.end, size]);
        self.end += size;
        size as usize
    }

    /// Adds a program's function; the number of its type.
    pub(super) fn function(&mut self, name: &str) -> u32 {
        let prototype = match self.prototype {
            Some(prototype) => prototype,
            None => self.prototype(&["ctx"]),
        };
        self.prototype = Some(prototype);
        let info = KIND_FUNC << 24 | GLOBAL;
        self.writer.add(name, info, prototype.0, &[]).0
    }

    /// Adds the body of a loop over a map, a function not seen from outside; the number of its type.
    pub(super) fn body(&mut self, name: &str) -> u32 {
        let prototype = match self.body {
            Some(prototype) => prototype,
            None => self.prototype(&["map", "key", "value", "link"]),
        };
        self.body = Some(prototype);
        self.writer.add(name, KIND_FUNC << 24, prototype.0, &[]).0
    }

    /// A function of addresses that gives an `int`. The kernel wants parameters to have names.
    fn prototype(&mut self, names: &[&str]) -> TypeId {
        let void = self.writer.add("", KIND_PTR << 24, 0, &[]);
        let params: Vec<u32> = (names.iter())
            .flat_map(|name| [self.string(name), void.0])
            .collect();
        let info = KIND_FUNC_PROTO << 24 | names.len() as u32;
        self.writer.add("", info, self.int.0, &params)
    }

    /// The offset of a string.
    pub(super) fn string(&mut self, text: &str) -> u32 {
        self.writer.string(text)
    }

    /// The whole object, with the section of the maps if there are any.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if !self.variables.is_empty() {
            let info = KIND_DATASEC << 24 | self.variables.len() as u32;
            (self.writer).add(".maps", info, self.end, self.variables.as_flattened());
        }
        self.writer.bytes()
    }
}

/// The first `most` bytes of a text, or a few less where that would cut a character.
pub(super) fn at_most(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
