//! Types that the script defines: laid out by C's rules for the machine, in the order of the text.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Origin, Types};
use crate::diagnostic::Diagnostic;
use crate::sema::ctypes::kernel::bit_field;
use crate::sema::ctypes::written::pointer;
use crate::sema::hir::{Enumeration, Field, Record, Type};
use crate::span::Span;
use crate::syntax::ast;
use crate::syntax::ast::{BinaryOp, ExprKind, RecordKind, TypeKind, TypeName, UnaryOp};

/// Most elements of an array in a record.
const ELEMENTS: i64 = 1 << 16;
/// Largest record, in bytes.
const RECORD_BYTES: u64 = 1 << 20;

/// What the script defines.
#[derive(Default)]
pub(super) struct Definitions {
    /// By `struct x`, `union x` or `enum x`.
    pub(super) tags: HashMap<String, Type>,
    pub(super) typedefs: HashMap<String, Type>,
    pub(super) constants: HashMap<String, (i64, Arc<Enumeration>)>,
    records: u32,
}

type Made<T> = Result<T, Box<Diagnostic>>;

impl Types<'_> {
    /// Takes the script's definitions, and gives the mistakes in them.
    pub(in crate::sema) fn define(&mut self, definitions: &[ast::TypeDef]) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        for definition in definitions {
            if let Err(mistake) = self.definition(definition) {
                mistakes.push(*mistake);
            }
        }
        mistakes
    }

    fn definition(&mut self, definition: &ast::TypeDef) -> Made<()> {
        let base = self.defined(&definition.ty)?;
        for declarator in &definition.names {
            let ty = self.declared(&base, declarator)?;
            if let Some(name) = &declarator.name {
                self.script.typedefs.insert(name.text.clone(), ty);
            }
        }
        Ok(())
    }

    /// A type in a definition; a body defines it.
    fn defined(&mut self, written: &TypeName) -> Made<Type> {
        let mut ty = match &written.kind {
            TypeKind::Record(record) => self.record_definition(record)?,
            TypeKind::Enumeration { name, values, .. } => {
                self.enumeration(name.as_ref().map_or("", |name| &name.text), values)?
            }
            TypeKind::Struct(name) => self.tag("struct", &name.text),
            TypeKind::Union(name) => self.tag("union", &name.text),
            TypeKind::Enum(name) => self
                .find_enum(&name.text)
                .ok_or_else(|| unknown(&format!("enum {}", name.text), name.span))?,
            TypeKind::Named(name) => self
                .plain(name)
                .ok_or_else(|| unknown(name, written.base_span))?,
            TypeKind::Typeof(_) => {
                let message = "`typeof` has no meaning in a definition";
                return Err(mistake("E0221", message, written.span));
            }
        };
        for _ in 0..written.pointers {
            ty = pointer(ty);
        }
        for dim in written.dims.iter().rev() {
            ty = self.array(ty, dim.as_ref())?;
        }
        Ok(ty)
    }

    /// A record by name; one that is nowhere defined may still be pointed to.
    fn tag(&mut self, keyword: &str, name: &str) -> Type {
        if let Some(known) = self.find_record(keyword, name) {
            return known;
        }
        let spelt = format!("{keyword} {name}");
        let ty = self.new_record(spelt.clone());
        self.script.tags.insert(spelt, ty.clone());
        ty
    }

    fn new_record(&mut self, name: String) -> Type {
        let origin = Origin::Script(self.script.records);
        self.script.records += 1;
        self.intern(origin, || name)
    }

    fn declared(&mut self, base: &Type, declarator: &ast::Declarator) -> Made<Type> {
        if declarator.function {
            return Ok(pointer(Type::Void));
        }
        let mut ty = base.clone();
        for _ in 0..declarator.pointers {
            ty = pointer(ty);
        }
        for dim in declarator.dims.iter().rev() {
            ty = self.array(ty, dim.as_ref())?;
        }
        Ok(ty)
    }

    fn array(&mut self, of: Type, dim: Option<&ast::Expr>) -> Made<Type> {
        let len = match dim {
            None => 0,
            Some(dim) => match self.constant_value(dim) {
                Some(len @ 0..=ELEMENTS) => len,
                _ => {
                    let message = format!(
                        "the size of an array is a number up to {ELEMENTS}, known before the script runs"
                    );
                    return Err(mistake("E0316", &message, dim.span));
                }
            },
        };
        Ok(match of {
            Type::Int {
                bits: 8,
                signed: true,
            } => Type::Text(len as u32),
            of => Type::Array {
                of: Arc::new(of),
                len: len as u32,
            },
        })
    }

    fn record_definition(&mut self, written: &ast::Record) -> Made<Type> {
        let keyword = written.kind.keyword();
        let ty = match &written.name {
            None => self.new_record(keyword.into()),
            Some(name) => {
                let spelt = format!("{keyword} {}", name.text);
                // A pointer may have named it before; any other definition, such as the kernel's, is replaced.
                let open = match self.script.tags.get(&spelt) {
                    Some(Type::Incomplete(known)) if !self.complete.contains_key(&known.id) => {
                        Some(Type::Incomplete(known.clone()))
                    }
                    _ => None,
                };
                let ty = open.unwrap_or_else(|| self.new_record(spelt.clone()));
                self.script.tags.insert(spelt, ty.clone());
                ty
            }
        };
        let Type::Incomplete(name) = &ty else {
            return Ok(ty);
        };
        let mut layout = Layout::new(written.kind, written.packed);
        let mistakes = self.members(written, &mut layout);
        // With a mistake in it, it still exists: one mistake, one message.
        let record = Record {
            name: name.clone(),
            size: layout.size(),
            fields: layout.fields,
        };
        self.complete.insert(name.id, Arc::new(record));
        mistakes.map(|()| ty)
    }

    fn members(&mut self, written: &ast::Record, layout: &mut Layout) -> Made<()> {
        for line in &written.fields {
            let base = self.defined(&line.ty)?;
            if line.declarators.is_empty() {
                let inner = self.whole(&base, line.span)?;
                layout.add("", inner, None, line.span)?;
            }
            for declarator in &line.declarators {
                let declared = self.declared(&base, declarator)?;
                let member = self.whole(&declared, declarator.span)?;
                let bits = match &declarator.bits {
                    None => None,
                    Some(bits) => match self.constant_value(bits) {
                        Some(width @ 0..=64) => Some(width as u8),
                        _ => {
                            let message = "a bitfield has 0 to 64 bits";
                            return Err(mistake("E0316", message, bits.span));
                        }
                    },
                };
                let name = declarator.name.as_ref().map_or("", |name| &name.text);
                layout.add(name, member, bits, declarator.span)?;
            }
        }
        Ok(())
    }

    /// A member's type, which must be complete.
    fn whole(&mut self, ty: &Type, span: Span) -> Made<Type> {
        match self.completed(ty) {
            Type::Incomplete(name) => {
                let message = format!("`{}` is not defined before this", name.name);
                Err(mistake("E0221", &message, span))
            }
            Type::Void => Err(mistake("E0221", "a member cannot be `void`", span)),
            ty => Ok(ty),
        }
    }

    fn enumeration(&mut self, name: &str, values: &[ast::Enumerator]) -> Made<Type> {
        let mut next = 0i64;
        let mut known = Vec::new();
        for value in values {
            if let Some(written) = &value.value {
                next = self.constant_value(written).ok_or_else(|| {
                    let message = "the value of a constant is known before the script runs";
                    mistake("E0316", message, written.span)
                })?;
            }
            known.push((value.name.text.clone(), next));
            next = next.wrapping_add(1);
        }
        let wide = known
            .iter()
            .any(|(_, value)| i32::try_from(*value).is_err() && u32::try_from(*value).is_err());
        let enumeration = Arc::new(Enumeration {
            name: name.into(),
            bytes: if wide { 8 } else { 4 },
            signed: known.iter().any(|(_, value)| *value < 0),
            values: known,
        });
        for (constant, value) in &enumeration.values {
            let entry = (*value, enumeration.clone());
            self.script.constants.insert(constant.clone(), entry);
        }
        let ty = Type::Enum(enumeration);
        if !name.is_empty() {
            self.script.tags.insert(format!("enum {name}"), ty.clone());
        }
        Ok(ty)
    }

    /// A number known before the script runs, of a definition.
    fn constant_value(&mut self, expr: &ast::Expr) -> Option<i64> {
        Some(match &expr.kind {
            ExprKind::Int(value) => *value as i64,
            ExprKind::Paren(inner) => self.constant_value(inner)?,
            ExprKind::Name(name) => self.constant(name)?.0,
            ExprKind::Unary(UnaryOp::Neg, inner) => self.constant_value(inner)?.wrapping_neg(),
            ExprKind::Binary { op, lhs, rhs, .. } => {
                let (a, b) = (self.constant_value(lhs)?, self.constant_value(rhs)?);
                match op {
                    BinaryOp::Add => a.checked_add(b)?,
                    BinaryOp::Sub => a.checked_sub(b)?,
                    BinaryOp::Mul => a.checked_mul(b)?,
                    BinaryOp::Div => a.checked_div(b)?,
                    BinaryOp::Shl => a.checked_shl(u32::try_from(b).ok()?)?,
                    BinaryOp::Or => a | b,
                    _ => return None,
                }
            }
            _ => return None,
        })
    }
}

/// Where the members of a record come to lie.
struct Layout {
    kind: RecordKind,
    packed: bool,
    /// Bits used so far; of a union, of its largest member.
    end: u64,
    align: u64,
    fields: Vec<Field>,
}

impl Layout {
    fn new(kind: RecordKind, packed: bool) -> Self {
        Self {
            kind,
            packed,
            end: 0,
            align: 1,
            fields: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, ty: Type, bits: Option<u8>, span: Span) -> Made<()> {
        let size = 8 * ty.memory_size() as u64;
        let align = if self.packed { 1 } else { alignment(&ty) };
        let from = match self.kind {
            RecordKind::Struct => self.end,
            RecordKind::Union => 0,
        };
        let (start, end) = match bits {
            None => {
                let start = from.next_multiple_of(8 * align);
                (start, start + size)
            }
            // A width of 0 ends the integer that bitfields before it share.
            Some(0) => {
                self.end = from.next_multiple_of(size.max(8));
                return Ok(());
            }
            Some(bits) => {
                let bits = u64::from(bits);
                // It does not cross from one integer of its type into the next.
                let crosses = !self.packed && from / size != (from + bits - 1) / size;
                let start = if crosses {
                    from.next_multiple_of(size)
                } else {
                    from
                };
                (start, start + bits)
            }
        };
        if end > 8 * RECORD_BYTES {
            let message = format!("a record has at most {RECORD_BYTES} bytes");
            return Err(mistake("E0316", &message, span));
        }
        self.align = self.align.max(align);
        self.end = self.end.max(end);
        if name.is_empty() && !matches!(ty, Type::Record(_)) {
            return Ok(());
        }
        self.fields.push(match bits {
            Some(bits) => bit_field(name, &ty, start as u32, bits),
            None => Field {
                name: name.into(),
                ty,
                offset: (start / 8) as u32,
                bits: None,
            },
        });
        Ok(())
    }

    fn size(&self) -> u32 {
        self.end.div_ceil(8).next_multiple_of(self.align) as u32
    }
}

/// What the address of a type's objects is a multiple of.
fn alignment(ty: &Type) -> u64 {
    match ty {
        Type::Record(record) => {
            let fields = record.fields.iter();
            fields.map(|field| alignment(&field.ty)).max().unwrap_or(1)
        }
        Type::Array { of, .. } => alignment(of),
        Type::Text(_) => 1,
        ty => (ty.memory_size() as u64).clamp(1, 8),
    }
}

fn unknown(name: &str, span: Span) -> Box<Diagnostic> {
    mistake("E0221", &format!("there is no type `{name}`"), span)
}

fn mistake(code: &'static str, message: &str, span: Span) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(code, span, message.to_owned()))
}
