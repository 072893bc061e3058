//! Functions and their prototypes.

use super::{Btf, Kind, Space, TypeId};
use crate::kernel::Prototype;

/// Most arguments a function may have to be attached to (`MAX_BPF_FUNC_ARGS`).
const ARGS: usize = 12;

/// What the kernel puts before a raw tracepoint's name to name its type.
const RAW_TRACEPOINT: &str = "btf_trace_";

/// One parameter of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param<'a> {
    /// Its name; empty in prototypes of pointers.
    pub name: &'a str,
    /// Its type.
    pub ty: TypeId,
}

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// Its own id, which fentry and fexit attach by.
    pub id: TypeId,
    /// Its prototype.
    pub proto: TypeId,
    /// What it returns.
    pub returns: TypeId,
}

/// What a value of a type takes in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Void,
    /// An integer, enumeration or pointer of 1, 2, 4 or 8 bytes.
    Word(u8),
    /// Anything else.
    Other,
}

impl Btf {
    /// Number of its own functions.
    pub fn functions(&self) -> usize {
        self.named(Space::Function).count()
    }

    /// Names of its own functions, in the file's order.
    pub fn function_names(&self) -> impl Iterator<Item = &str> {
        self.named(Space::Function).map(|(_, name)| name)
    }

    /// Whether there is a function of this name.
    pub fn has_function(&self, name: &str) -> bool {
        self.find(Space::Function, name).is_some()
    }

    /// The function of this name; `None` if there is none, or several static ones share the name: which one the kernel
    /// means is not known then.
    pub fn function(&self, name: &str) -> Option<Function> {
        let mut named = self.find_all(Space::Function, name);
        let id = named.next().filter(|_| named.next().is_none())?;
        let Kind::Func { proto } = self.kind(id)? else {
            return None;
        };
        match self.kind(proto)? {
            Kind::FuncProto { returns, .. } => Some(Function { id, proto, returns }),
            _ => None,
        }
    }

    /// Parameters of a prototype, in order. A last one of type `void` stands for `...`.
    pub fn params(&self, proto: TypeId) -> impl Iterator<Item = Param<'_>> {
        let raw = match self.kind(proto) {
            Some(Kind::FuncProto { .. }) => self.raw(proto),
            _ => None,
        };
        let count = raw.map_or(0, |(_, raw)| raw.members);
        (0..count).filter_map(move |index| {
            let (own, raw) = raw?;
            Some(Param {
                name: self.string(own.word(raw, 2 * index)?),
                ty: TypeId(own.word(raw, 2 * index + 1)?),
            })
        })
    }

    /// Names of its own raw tracepoints: the kernel declares a type `btf_trace_NAME` for each.
    pub fn raw_tracepoints(&self) -> impl Iterator<Item = String> {
        self.named(Space::Plain)
            .filter_map(|(_, name)| Some(name.strip_prefix(RAW_TRACEPOINT)?.to_owned()))
    }

    /// Parameters of a raw tracepoint, in the order a program gets them.
    pub fn raw_tracepoint(&self, name: &str) -> Option<Vec<Param<'_>>> {
        let pointer = self.find(Space::Plain, &format!("{RAW_TRACEPOINT}{name}"))?;
        let Kind::Ptr { to } = self.resolved(pointer)?.1 else {
            return None;
        };
        let Kind::FuncProto { .. } = self.kind(to)? else {
            return None;
        };
        // The first is the registering program's own pointer.
        Some(self.params(to).skip(1).collect())
    }

    /// The prototype of a function, if fentry and fexit can describe it: one function of that name, at most 12
    /// arguments, none of them or the result larger than 8 bytes or a structure, not variadic.
    pub fn prototype(&self, name: &str) -> Option<Prototype> {
        let function = self.function(name)?;
        let mut arg_names = Vec::new();
        let mut arg_bytes = Vec::new();
        for param in self.params(function.proto) {
            // A variadic function ends in an argument of type void.
            let Shape::Word(bytes) = self.shape(param.ty) else {
                return None;
            };
            arg_bytes.push(bytes);
            arg_names.push(param.name.to_owned());
            if arg_names.len() > ARGS {
                return None;
            }
        }
        let returns = match self.shape(function.returns) {
            Shape::Void => false,
            Shape::Word(_) => true,
            Shape::Other => return None,
        };
        Some(Prototype {
            btf_id: function.id.0.into(),
            args: arg_names.len() as u8,
            arg_names,
            arg_bytes,
            returns,
        })
    }

    /// What a type takes in a register.
    fn shape(&self, id: TypeId) -> Shape {
        match self.resolved(id) {
            Some((_, Kind::Void)) => Shape::Void,
            Some((_, Kind::Ptr { .. })) => Shape::Word(8),
            Some((_, Kind::Int { bytes, .. } | Kind::Enum { bytes, .. }))
                if matches!(bytes, 1 | 2 | 4 | 8) =>
            {
                Shape::Word(bytes as u8)
            }
            _ => Shape::Other,
        }
    }
}
