//! Types of the kernel, from its BTF.

use std::sync::Arc;

use super::{Origin, Types};
use crate::kernel::btf::{Btf, Encoding, Kind, TypeId};
use crate::sema::hir::{Enumeration, Field, Record, RecordName, Space, Type};

/// Longest chain of pointers and arrays that is followed.
const CHAIN: usize = 16;
/// Longest chain of typedefs and tags looked through for an address space.
const TAGS: usize = 16;

impl<'a> Types<'a> {
    /// A type as C spells it without stars and brackets.
    pub(super) fn kernel_type(&mut self, spelt: &str) -> Option<Type> {
        let btf = self.kernel.btf()?;
        let id = btf.find_spelt(spelt)?;
        self.of_btf(btf, id, CHAIN)
    }

    /// The type of a BTF id of the kernel itself; records are not completed.
    pub(in crate::sema) fn kernel_id(&mut self, id: TypeId) -> Option<Type> {
        let btf = self.kernel.btf()?;
        self.of_btf(btf, id, CHAIN)
    }

    pub(super) fn kernel_constant(
        &mut self,
        name: &str,
    ) -> Option<(i64, Option<Arc<Enumeration>>)> {
        let btf = self.kernel.btf()?;
        let found = btf.constant(name)?;
        let of = match self.of_btf(btf, found.ty, CHAIN) {
            Some(Type::Enum(of)) => Some(of),
            _ => None,
        };
        Some((found.value, of))
    }

    pub(super) fn kernel_record(&mut self, name: &Arc<RecordName>, id: TypeId) -> Option<Record> {
        let btf = self.kernel.btf()?;
        let (Kind::Struct { bytes, .. } | Kind::Union { bytes, .. }) = btf.kind(id)? else {
            return None;
        };
        let mut fields = Vec::new();
        for member in btf.members(id) {
            let ty = self.of_btf(btf, member.ty, CHAIN)?;
            let ty = self.completed(&ty);
            fields.push(match member.bits {
                Some(bits) => bit_field(member.name, &ty, member.bit_offset, bits),
                None => Field {
                    name: member.name.into(),
                    ty,
                    offset: member.bit_offset / 8,
                    bits: None,
                },
            });
        }
        Some(Record {
            name: name.clone(),
            size: bytes,
            fields,
        })
    }

    fn of_btf(&mut self, btf: &Btf, id: TypeId, chain: usize) -> Option<Type> {
        let chain = chain.checked_sub(1)?;
        let tagged_user = is_user(btf, id);
        let (id, kind) = btf.resolved(id)?;
        Some(match kind {
            Kind::Int {
                bytes, encoding, ..
            } => match (bytes, encoding) {
                (1, Encoding::Bool) => Type::Bool,
                (1 | 2 | 4 | 8, encoding) => Type::Int {
                    bits: 8 * bytes as u8,
                    signed: encoding == Encoding::Signed,
                },
                _ => opaque(bytes),
            },
            Kind::Ptr { to } => {
                let space = match tagged_user || is_user(btf, to) {
                    true => Space::User,
                    false => Space::Kernel,
                };
                let to = self.of_btf(btf, to, chain).unwrap_or(Type::Void);
                Type::Pointer {
                    to: Arc::new(to),
                    space,
                }
            }
            Kind::Array { element, count } => match btf.resolved(element)? {
                // Compilers tell `char` from `signed char` by name only.
                (of, Kind::Int { bytes: 1, .. }) if btf.name(of) == "char" => Type::Text(count),
                _ => Type::Array {
                    of: Arc::new(self.of_btf(btf, element, chain)?),
                    len: count,
                },
            },
            Kind::Struct { .. } | Kind::Union { .. } | Kind::Fwd { .. } => {
                self.intern(Origin::Kernel(id), || btf.c_name(id))
            }
            Kind::Enum { bytes, signed, .. } => {
                Type::Enum(self.kernel_enum(btf, id, bytes, signed))
            }
            Kind::Float { bytes } => opaque(bytes),
            _ => Type::Void,
        })
    }

    fn kernel_enum(&mut self, btf: &Btf, id: TypeId, bytes: u32, signed: bool) -> Arc<Enumeration> {
        let enumeration = self.enums.entry(id).or_insert_with(|| {
            let values = btf.enum_values(id);
            Arc::new(Enumeration {
                name: btf.name(id).into(),
                bytes: bytes.clamp(1, 8) as u8,
                signed,
                values: values.map(|v| (v.name.to_owned(), v.value)).collect(),
            })
        });
        enumeration.clone()
    }
}

/// What no expression can look into, as bytes.
fn opaque(bytes: u32) -> Type {
    Type::Array {
        of: Arc::new(Type::Int {
            bits: 8,
            signed: false,
        }),
        len: bytes,
    }
}

/// Whether a type is tagged as of user space (`__user`).
fn is_user(btf: &Btf, mut id: TypeId) -> bool {
    for _ in 0..TAGS {
        id = match btf.kind(id) {
            Some(Kind::TypeTag { .. }) if btf.name(id) == "user" => return true,
            Some(
                Kind::TypeTag { of }
                | Kind::Const { of }
                | Kind::Volatile { of }
                | Kind::Restrict { of }
                | Kind::Typedef { of },
            ) => of,
            _ => return false,
        };
    }
    false
}

/// A bitfield as some bits of a whole integer that lies where C would read it.
pub(super) fn bit_field(name: &str, ty: &Type, bit_offset: u32, bits: u8) -> Field {
    let unit = 8 * (ty.memory_size() as u32).clamp(1, 8);
    let start = bit_offset / unit * unit;
    let low = bit_offset - start;
    let (start, low, ty) = match low + u32::from(bits) <= unit {
        true => (start, low, ty.clone()),
        // A packed one may begin in one integer and end in the next: 8 bytes from its first byte on hold it.
        false => (
            bit_offset / 8 * 8,
            bit_offset % 8,
            Type::Int {
                bits: 64,
                signed: ty.is_signed(),
            },
        ),
    };
    Field {
        name: name.into(),
        ty,
        offset: start / 8,
        bits: Some((low as u8, bits)),
    }
}
