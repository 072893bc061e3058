//! Values of a running script.

use crate::layout;
use crate::sema::hir::Type;

/// A value; which variant is decided by its [`Type`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A word's bits.
    Int(u64),
    /// A string without its NUL and what follows.
    Str(Vec<u8>),
    /// The parts of a tuple.
    Tuple(Vec<Value>),
    /// Any other value, as it lies in memory.
    Raw(Vec<u8>),
}

impl Value {
    /// What a variable or a missing key is: zeros.
    pub fn zero(ty: &Type) -> Self {
        Self::read(ty, &vec![0; ty.size()])
    }

    /// The bits of a word; 0 for anything else, which a checked script never asks for.
    pub fn bits(&self) -> u64 {
        match self {
            Value::Int(bits) => *bits,
            _ => 0,
        }
    }

    /// The value as it is once put into a place of type `ty`: strings are cut to `capacity - 1` bytes.
    pub fn fit(self, ty: &Type) -> Self {
        match (self, ty) {
            (Value::Str(mut text), Type::Str { capacity }) => {
                text.truncate((*capacity as usize).saturating_sub(1));
                Value::Str(text)
            }
            (Value::Tuple(parts), Type::Tuple(types)) => {
                let parts = parts.into_iter().zip(types.iter());
                Value::Tuple(parts.map(|(part, ty)| part.fit(ty)).collect())
            }
            (value, _) => value,
        }
    }

    /// Appends the bytes the value takes in a place of type `ty`.
    pub fn write(self, ty: &Type, bytes: &mut Vec<u8>) {
        let end = bytes.len() + ty.size();
        match (self.fit(ty), ty) {
            (Value::Int(bits), _) => bytes.extend_from_slice(&bits.to_le_bytes()),
            (Value::Tuple(parts), Type::Tuple(types)) => {
                for (part, ty) in parts.into_iter().zip(types.iter()) {
                    part.write(ty, bytes);
                }
            }
            (Value::Str(raw) | Value::Raw(raw), _) => bytes.extend_from_slice(&raw),
            (Value::Tuple(_), _) => {}
        }
        bytes.resize(end, 0);
    }

    /// Reads a value of type `ty` from the start of `bytes`, which are a place of that type or memory that holds one;
    /// a string ends at its NUL or with the bytes.
    pub fn read(ty: &Type, bytes: &[u8]) -> Self {
        match ty {
            Type::Str { capacity } => {
                let text = &bytes[..bytes.len().min(usize::from(*capacity))];
                let end = text.iter().position(|&byte| byte == 0);
                Value::Str(text[..end.unwrap_or(text.len())].to_vec())
            }
            Type::Tuple(types) => {
                let mut rest = bytes;
                let parts = types.iter().map(|ty| {
                    let (part, after) = rest.split_at(ty.size());
                    rest = after;
                    Value::read(ty, part)
                });
                Value::Tuple(parts.collect())
            }
            ty if ty.is_word() => Value::Int(layout::narrow_word(ty, bytes)),
            ty => Value::Raw(bytes[..ty.memory_size()].to_vec()),
        }
    }

    /// The piece `bytes` long at `offset` of a value of type `whole`.
    pub fn part(&self, whole: &Type, offset: usize, bytes: usize, ty: &Type) -> Value {
        let mut all = Vec::new();
        self.clone().write(whole, &mut all);
        Value::read(ty, &all[offset..offset + bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_cut_to_leave_room_for_its_nul() {
        let ty = Type::Str { capacity: 8 };
        let mut bytes = vec![];
        Value::Str(b"abcdefghij".to_vec()).write(&ty, &mut bytes);
        assert_eq!(bytes, b"abcdefg\0");
        assert_eq!(Value::read(&ty, &bytes), Value::Str(b"abcdefg".to_vec()));
    }

    #[test]
    fn parts_of_a_tuple_are_cut_each_for_itself() {
        let short = Type::tuple([Type::INT, Type::Str { capacity: 8 }]);
        let value = Value::Tuple(vec![Value::Int(7), Value::Str(b"abcdefghij".to_vec())]);
        let mut bytes = vec![];
        value.write(&short, &mut bytes);
        assert_eq!(bytes, b"\x07\0\0\0\0\0\0\0abcdefg\0");
        let read = Value::read(&short, &bytes);
        assert_eq!(
            read.part(&short, 8, 8, &Type::Str { capacity: 8 }),
            Value::Str(b"abcdefg".to_vec())
        );
    }
}
