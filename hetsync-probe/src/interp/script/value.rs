//! Values of a running script.

use crate::sema::hir::Type;

/// A value; which variant is decided by its [`Type`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An integer's bits, or the number of a name.
    Int(u64),
    /// A string without its NUL and what follows.
    Str(Vec<u8>),
}

impl Value {
    /// What a variable or a missing key is: 0 or "".
    pub fn zero(ty: Type) -> Self {
        match ty {
            Type::Int { .. } | Type::Name => Value::Int(0),
            Type::Str { .. } => Value::Str(Vec::new()),
        }
    }

    /// The bits of an integer; 0 for a string, which a checked script never asks for.
    pub fn bits(&self) -> u64 {
        match self {
            Value::Int(bits) => *bits,
            Value::Str(_) => 0,
        }
    }

    /// The value as it is once put into a place of type `ty`: a string is cut to `capacity - 1` bytes.
    pub fn fit(mut self, ty: Type) -> Self {
        if let (Value::Str(text), Type::Str { capacity }) = (&mut self, ty) {
            text.truncate((capacity as usize).saturating_sub(1));
        }
        self
    }

    /// Appends the bytes the value takes in a place of type `ty`.
    pub fn write(self, ty: Type, bytes: &mut Vec<u8>) {
        let end = bytes.len() + ty.size();
        match self.fit(ty) {
            Value::Int(bits) => bytes.extend_from_slice(&bits.to_le_bytes()),
            Value::Str(text) => bytes.extend_from_slice(&text),
        }
        bytes.resize(end, 0);
    }

    /// Reads a value of type `ty` from the start of `bytes`.
    pub fn read(ty: Type, bytes: &[u8]) -> Self {
        match ty {
            Type::Int { .. } | Type::Name => Value::Int(crate::layout::word(bytes, 0)),
            Type::Str { capacity } => {
                let text = &bytes[..capacity as usize];
                let end = text.iter().position(|&byte| byte == 0);
                Value::Str(text[..end.unwrap_or(text.len())].to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_cut_to_leave_room_for_its_nul() {
        let ty = Type::Str { capacity: 8 };
        let mut bytes = vec![];
        Value::Str(b"abcdefghij".to_vec()).write(ty, &mut bytes);
        assert_eq!(bytes, b"abcdefg\0");
        assert_eq!(Value::read(ty, &bytes), Value::Str(b"abcdefg".to_vec()));
    }
}
