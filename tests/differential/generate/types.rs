//! Types at random, and what lies in their values.

use super::Generator;
use hetsync_probe::sema::hir::*;
use std::sync::Arc;

/// A record of C with members of all kinds, some at odd places.
pub(super) fn record_type() -> Type {
    let int = |bits, signed| Type::Int { bits, signed };
    let array = |of, len| Type::Array {
        of: Arc::new(of),
        len,
    };
    let fields = [
        (int(8, false), 0),
        (int(16, true), 2),
        (int(32, false), 4),
        (Type::Text(5), 8),
        (array(int(8, false), 6), 13),
        (int(32, true), 21),
        (Type::INT, 32),
        (array_type(), 40),
    ];
    Type::Record(Arc::new(Record {
        name: Arc::new(RecordName {
            id: RecordId(0),
            name: "struct mixed".into(),
        }),
        size: 50,
        fields: (fields.into_iter().enumerate())
            .map(|(i, (ty, offset))| Field {
                name: format!("m{i}"),
                ty,
                offset,
                bits: None,
            })
            .collect(),
    }))
}

pub(super) fn array_type() -> Type {
    Type::Array {
        of: Arc::new(Type::Int {
            bits: 16,
            signed: false,
        }),
        len: 5,
    }
}

/// Everything in a record: its type and offset.
pub(super) fn pieces(ty: &Type, offset: usize, found: &mut Vec<(Type, usize)>) {
    match ty {
        Type::Record(record) => {
            for field in &record.fields {
                let at = offset + field.offset as usize;
                found.push((field.ty.clone(), at));
                pieces(&field.ty, at, found);
            }
        }
        Type::Array { of, len } => {
            for i in 0..*len as usize {
                found.push(((**of).clone(), offset + i * of.memory_size()));
            }
        }
        _ => {}
    }
}

/// Whether a type is an integer of a whole register.
pub(super) fn is_wide(ty: &Type) -> bool {
    matches!(ty, Type::Int { bits: 64, .. })
}

impl Generator<'_> {
    pub(super) fn ty(&mut self) -> Type {
        match self.choices.below(12) {
            0..3 => Type::INT,
            3 => Type::UINT,
            4 => Type::Name,
            5 => self.narrow_type(),
            6 => Type::Bool,
            7 | 8 => self.tuple_type(1),
            9 => self.choices.pick_one(&[record_type(), array_type()]),
            _ => self.string_type(),
        }
    }

    pub(super) fn narrow_type(&mut self) -> Type {
        Type::Int {
            bits: self.choices.pick(&[8, 16, 32]),
            signed: self.choices.chance(50),
        }
    }

    /// A tuple that may hold others, `deeper` levels of them.
    pub(super) fn tuple_type(&mut self, deeper: usize) -> Type {
        let parts = 1 + self.choices.below(3);
        Type::tuple((0..parts).map(|_| match self.choices.below(8) {
            0..3 => Type::INT,
            3 => self.narrow_type(),
            4 => Type::Bool,
            5 if deeper > 0 => self.tuple_type(deeper - 1),
            6 => self.choices.pick_one(&[record_type(), array_type()]),
            _ => self.string_type(),
        }))
    }

    /// A type whose values may be put into a place of type `ty`: strings of any capacity.
    pub(super) fn varied(&mut self, ty: &Type) -> Type {
        match ty {
            Type::Str { .. } => self.string_type(),
            Type::Tuple(parts) => Type::tuple(parts.iter().map(|part| self.varied(part))),
            other => other.clone(),
        }
    }

    pub(super) fn string_type(&mut self) -> Type {
        let capacity = self.choices.pick(&[16, 8, 24, 64]);
        Type::Str { capacity }
    }
}
