//! What is inside structures, unions and enumerations.

use super::{Btf, Encoding, Index, Kind, Space, TypeId, VISITS, kind};

/// One member as it is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name; empty for an anonymous structure or union.
    pub name: &'a str,
    /// Its type.
    pub ty: TypeId,
    /// Where it begins in its structure, in bits; of a bitfield, its lowest bit.
    pub bit_offset: u32,
    /// Its width if it is a bitfield.
    pub bits: Option<u8>,
}

/// A member found by name, maybe through anonymous members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its type.
    pub ty: TypeId,
    /// Where it begins in the structure that was asked for, in bits; of a bitfield, its lowest bit.
    pub bit_offset: u64,
    /// Its width if it is a bitfield.
    pub bits: Option<u8>,
}

impl Field {
    /// Where it begins, in bytes; `None` for a bitfield.
    pub fn offset(&self) -> Option<u64> {
        (self.bits.is_none() && self.bit_offset.is_multiple_of(8)).then_some(self.bit_offset / 8)
    }
}

/// One value of an enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnumValue<'a> {
    /// Its name.
    pub name: &'a str,
    /// The value; of an unsigned enumeration its 64 bits.
    pub value: i64,
}

/// An enumeration's constant, found by its bare name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constant {
    /// Its enumeration.
    pub ty: TypeId,
    /// The value; of an unsigned enumeration its 64 bits.
    pub value: i64,
    /// Whether the enumeration is signed.
    pub signed: bool,
}

impl Btf {
    /// Members of a structure or union (behind typedefs), in order; none of anything else.
    pub fn members(&self, id: TypeId) -> impl Iterator<Item = Member<'_>> {
        let raw = self
            .resolve(id)
            .and_then(|id| self.raw(id))
            .filter(|(_, raw)| matches!(raw.kind, kind::STRUCT | kind::UNION));
        let count = raw.map_or(0, |(_, raw)| raw.members);
        (0..count).filter_map(move |index| {
            let (own, raw) = raw?;
            let name = own.word(raw, 3 * index)?;
            let ty = TypeId(own.word(raw, 3 * index + 1)?);
            let place = own.word(raw, 3 * index + 2)?;
            let (bit_offset, bits) = if raw.flag {
                (place & 0xff_ffff, (place >> 24) as u8)
            } else {
                self.old_bitfield(ty, place)
            };
            Some(Member {
                name: self.string(name),
                ty,
                bit_offset,
                bits: (bits != 0).then_some(bits),
            })
        })
    }

    /// Without the flag, a bitfield is an integer of fewer bits than its bytes have.
    fn old_bitfield(&self, ty: TypeId, place: u32) -> (u32, u8) {
        match self.resolved(ty) {
            Some((
                _,
                Kind::Int {
                    bytes,
                    bits,
                    bit_offset,
                    ..
                },
            )) if u32::from(bits) < bytes.saturating_mul(8) => {
                (place.saturating_add(u32::from(bit_offset)), bits)
            }
            _ => (place, 0),
        }
    }

    /// A member by name, in the structure itself or in its anonymous members.
    pub fn member(&self, id: TypeId, name: &str) -> Option<Field> {
        let mut visits = VISITS;
        // Anonymous members still to be searched, the outermost first.
        let mut todo = std::collections::VecDeque::from([(id, 0u64)]);
        while let Some((id, base)) = todo.pop_front() {
            for member in self.members(id) {
                visits = visits.checked_sub(1)?;
                let bit_offset = base.checked_add(u64::from(member.bit_offset))?;
                if member.name == name && !name.is_empty() {
                    return Some(Field {
                        ty: member.ty,
                        bit_offset,
                        bits: member.bits,
                    });
                }
                if member.name.is_empty() {
                    todo.push_back((member.ty, bit_offset));
                }
            }
        }
        None
    }

    /// Names of all members, also those of anonymous members, in order.
    pub fn member_names(&self, id: TypeId) -> Vec<&str> {
        let mut visits = VISITS;
        let mut todo = std::collections::VecDeque::from([id]);
        let mut names = Vec::new();
        while let Some(id) = todo.pop_front() {
            for member in self.members(id) {
                let Some(left) = visits.checked_sub(1) else {
                    return names;
                };
                visits = left;
                match member.name {
                    "" => todo.push_back(member.ty),
                    name => names.push(name),
                }
            }
        }
        names
    }

    /// Values of an enumeration (behind typedefs), in order; none of anything else.
    pub fn enum_values(&self, id: TypeId) -> impl Iterator<Item = EnumValue<'_>> {
        let raw = self.resolved(id).and_then(|(id, kind)| match kind {
            Kind::Enum { signed, .. } => Some((self.raw(id)?, signed)),
            _ => None,
        });
        let count = raw.map_or(0, |((_, raw), _)| raw.members);
        (0..count).filter_map(move |index| {
            let ((own, raw), signed) = raw?;
            let wide = raw.kind == kind::ENUM64;
            let words = if wide { 3 } else { 2 };
            let low = own.word(raw, words * index + 1)?;
            let value = match (wide, signed) {
                (true, _) => i64::from(low) | i64::from(own.word(raw, words * index + 2)?) << 32,
                (false, true) => i64::from(low as i32),
                (false, false) => i64::from(low),
            };
            Some(EnumValue {
                name: self.string(own.word(raw, words * index)?),
                value,
            })
        })
    }

    /// The name of an enumeration's value; the first if several have it.
    pub fn enum_name(&self, id: TypeId, value: i64) -> Option<&str> {
        let mut values = self.enum_values(id);
        values.find(|v| v.value == value).map(|v| v.name)
    }

    /// An enumeration's constant by its bare name, e.g. `TCP_ESTABLISHED`; the base's come first.
    pub fn constant(&self, name: &str) -> Option<Constant> {
        if let Some(found) = self.base.as_ref().and_then(|base| base.constant(name)) {
            return Some(found);
        }
        let table = self.constants.get_or_init(|| {
            let enums = self.ids().filter(|&id| {
                self.raw(id)
                    .is_some_and(|(_, raw)| matches!(raw.kind, kind::ENUM | kind::ENUM64))
            });
            let constants =
                enums.flat_map(|id| self.enum_values(id).map(move |v| (v.name.as_bytes(), id.0)));
            Index::new(0, constants)
        });
        table.candidates(name.as_bytes()).find_map(|id| {
            let ty = TypeId(id);
            let found = self.enum_values(ty).find(|v| v.name == name)?;
            let signed = matches!(self.kind(ty)?, Kind::Enum { signed: true, .. });
            Some(Constant {
                ty,
                value: found.value,
                signed,
            })
        })
    }

    /// Whether an integer or enumeration (behind typedefs) is signed; `None` for everything else.
    pub fn is_signed_type(&self, id: TypeId) -> Option<bool> {
        match self.resolved(id)?.1 {
            Kind::Int { encoding, .. } => Some(encoding == Encoding::Signed),
            Kind::Enum { signed, .. } => Some(signed),
            _ => None,
        }
    }

    /// Structures and unions in one of which a member of this name is declared, for messages; at most `most`.
    pub fn records_with_member(&self, name: &str, most: usize) -> Vec<TypeId> {
        let records = self
            .named(Space::Struct)
            .chain(self.named(Space::Union))
            .map(|(id, _)| id);
        records
            .filter(|&id| self.members(id).any(|member| member.name == name))
            .take(most)
            .collect()
    }
}
