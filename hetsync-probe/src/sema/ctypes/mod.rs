//! Types of C: those of the kernel's BTF and those that the script defines, by name and by member.
//!
//! Records are found by name and completed (their members looked at) only when a member or a whole value is wanted, so a
//! script pays for what it mentions. The script's own definitions come before the kernel's.

mod constants;
mod kernel;
mod script;
mod written;

use std::collections::HashMap;
use std::sync::Arc;

use super::hir::{Enumeration, Record, RecordId, RecordName, Type};
use crate::kernel::Kernel;
use crate::kernel::btf::TypeId;

pub(super) use written::pointer;

/// All types a script can name; numbers of records hold for the whole check.
pub(super) struct Types<'a> {
    kernel: &'a dyn Kernel,
    names: Vec<(Arc<RecordName>, Origin)>,
    by_origin: HashMap<Origin, Arc<RecordName>>,
    complete: HashMap<RecordId, Arc<Record>>,
    /// Records being completed: one that holds itself is broken.
    open: Vec<RecordId>,
    enums: HashMap<TypeId, Arc<Enumeration>>,
    script: script::Definitions,
}

/// Where a record is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    Kernel(TypeId),
    /// Number of the definition.
    Script(u32),
}

/// A member, maybe of an anonymous member.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Its type in memory, complete.
    pub(super) ty: Type,
    /// Bytes from the start of the record that was asked.
    pub(super) offset: u32,
    /// Lowest bit and width of a bitfield.
    pub(super) bits: Option<(u8, u8)>,
}

impl<'a> Types<'a> {
    pub(super) fn new(kernel: &'a dyn Kernel) -> Self {
        Self {
            kernel,
            names: Vec::new(),
            by_origin: HashMap::new(),
            complete: HashMap::new(),
            open: Vec::new(),
            enums: HashMap::new(),
            script: script::Definitions::default(),
        }
    }

    /// Whether there are types of a kernel to look in.
    pub(super) fn knows_kernel(&self) -> bool {
        self.kernel.btf().is_some()
    }

    fn intern(&mut self, origin: Origin, name: impl FnOnce() -> String) -> Type {
        if let Some(known) = self.by_origin.get(&origin) {
            return Type::Incomplete(known.clone());
        }
        let id = RecordId(self.names.len() as u32);
        let name = Arc::new(RecordName { id, name: name() });
        self.names.push((name.clone(), origin));
        self.by_origin.insert(origin, name.clone());
        Type::Incomplete(name)
    }

    /// A struct or union with its members; none if it is only declared.
    pub(super) fn record(&mut self, name: &RecordName) -> Option<Arc<Record>> {
        if let Some(known) = self.complete.get(&name.id) {
            return Some(known.clone());
        }
        let (name, origin) = self.names.get(name.id.0 as usize)?.clone();
        if self.open.contains(&name.id) {
            return None;
        }
        self.open.push(name.id);
        let record = match origin {
            Origin::Kernel(id) => self.kernel_record(&name, id),
            Origin::Script(_) => None,
        };
        self.open.pop();
        let record = Arc::new(record?);
        self.complete.insert(name.id, record.clone());
        Some(record)
    }

    /// The type with its members, where it is a record or an array of such; itself otherwise, or if nothing is known of it.
    pub(super) fn completed(&mut self, ty: &Type) -> Type {
        match ty {
            Type::Incomplete(name) => match self.record(name) {
                Some(record) => Type::Record(record),
                None => ty.clone(),
            },
            Type::Array { of, len } => Type::Array {
                of: Arc::new(self.completed(of)),
                len: *len,
            },
            ty => ty.clone(),
        }
    }

    /// `struct NAME` or `union NAME`, not completed.
    pub(super) fn find_record(&mut self, keyword: &str, name: &str) -> Option<Type> {
        let spelt = format!("{keyword} {name}");
        if let Some(known) = self.script.tags.get(&spelt) {
            return Some(known.clone());
        }
        self.kernel_type(&spelt)
    }

    /// `enum NAME`.
    pub(super) fn find_enum(&mut self, name: &str) -> Option<Type> {
        let spelt = format!("enum {name}");
        if let Some(known) = self.script.tags.get(&spelt) {
            return Some(known.clone());
        }
        self.kernel_type(&spelt)
    }

    /// A name that stands alone: a typedef of the script or the kernel.
    pub(super) fn find_typedef(&mut self, name: &str) -> Option<Type> {
        if let Some(known) = self.script.typedefs.get(name) {
            return Some(known.clone());
        }
        self.kernel_type(name)
    }

    /// A constant of an enum, or one of the headers that scripts rely on; with its enum, if it is of one.
    pub(super) fn constant(&mut self, name: &str) -> Option<(i64, Option<Arc<Enumeration>>)> {
        if let Some((value, of)) = self.script.constants.get(name) {
            return Some((*value, Some(of.clone())));
        }
        if let Some(found) = self.kernel_constant(name) {
            return Some(found);
        }
        constants::value(name).map(|value| (value, None))
    }

    /// A member by name, also of anonymous members.
    pub(super) fn member(&mut self, record: &Record, name: &str) -> Option<Member> {
        for field in &record.fields {
            if field.name == name && !name.is_empty() {
                return Some(Member {
                    ty: self.completed(&field.ty),
                    offset: field.offset,
                    bits: field.bits,
                });
            }
            if let (true, Type::Record(inner)) = (field.name.is_empty(), &field.ty)
                && let Some(found) = self.member(inner, name)
            {
                return Some(Member {
                    offset: field.offset + found.offset,
                    ..found
                });
            }
        }
        None
    }
}

/// Names of all members, also those of anonymous members.
pub(super) fn member_names(record: &Record) -> Vec<&str> {
    let mut names = Vec::new();
    for field in &record.fields {
        match (&field.ty, field.name.as_str()) {
            (Type::Record(inner), "") => names.extend(member_names(inner)),
            (_, name) => names.push(name),
        }
    }
    names
}
