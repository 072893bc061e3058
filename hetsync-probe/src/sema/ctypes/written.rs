//! Types as the script writes them: in casts, `sizeof`, `let`.

use std::sync::Arc;

use super::Types;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::sema::checker::Checker;
use crate::sema::hir::{ExprKind, Space, Type};
use crate::span::Span;
use crate::syntax::ast::{Ident, Operand, TypeKind, TypeName};

/// Bytes of a `string` whose size is not written.
pub(in crate::sema) const DEFAULT_STRING: u16 = limits::STRING_BYTES as u16;

/// Most elements of an array that is written in a script.
const ELEMENTS: i64 = 1 << 16;

impl Checker<'_> {
    /// The type a script writes; records are not completed. A pointer is of the kernel's memory.
    pub(in crate::sema) fn written_type(&mut self, written: &TypeName) -> Option<Type> {
        let mut ty = match &written.kind {
            TypeKind::Named(name) => self.named_type(name, written)?,
            TypeKind::Struct(name) => self.tagged("struct", name, written.base_span)?,
            TypeKind::Union(name) => self.tagged("union", name, written.base_span)?,
            TypeKind::Enum(name) => match self.types.find_enum(&name.text) {
                Some(ty) => ty,
                None => {
                    return self.unknown_type(&format!("enum {}", name.text), written.base_span);
                }
            },
            TypeKind::Record(_) | TypeKind::Enumeration { .. } => {
                return self.fail(
                    Diagnostic::error("E0221", written.span, "a type is not defined here")
                        .with_label("a definition")
                        .with_help("define it at the top of the script, and name it here"),
                );
            }
            TypeKind::Typeof(operand) => match &**operand {
                Operand::Type(ty) => self.written_type(ty)?,
                Operand::Expr(expr) => self.expr(expr)?.shape.ty(),
            },
        };
        for _ in 0..written.pointers {
            ty = pointer(ty);
        }
        for dim in written.dims.iter().rev() {
            ty = self.sized(ty, dim.as_ref(), written.span)?;
        }
        Some(ty)
    }

    /// `of[dim]`.
    fn sized(
        &mut self,
        of: Type,
        dim: Option<&crate::syntax::ast::Expr>,
        span: Span,
    ) -> Option<Type> {
        let Some(dim) = dim else {
            // `(uint8[])x` takes as many as the value has.
            return Some(Type::Array {
                of: Arc::new(of),
                len: 0,
            });
        };
        let len = self.constant(dim, "the size of an array")?;
        if !(1..=ELEMENTS).contains(&len) {
            return self.fail(
                Diagnostic::error(
                    "E0316",
                    dim.span,
                    format!("an array has 1 to {ELEMENTS} elements, not {len}"),
                )
                .with_place(span, "in this type"),
            );
        }
        Some(match of {
            Type::Str { .. } => Type::Str {
                capacity: (len as u64)
                    .next_multiple_of(8)
                    .min(limits::STRING_BYTES as u64) as u16,
            },
            of => Type::Array {
                of: Arc::new(of),
                len: len as u32,
            },
        })
    }

    fn tagged(&mut self, keyword: &str, name: &Ident, span: Span) -> Option<Type> {
        match self.types.find_record(keyword, &name.text) {
            Some(ty) => Some(ty),
            None => self.unknown_type(&format!("{keyword} {}", name.text), span),
        }
    }

    fn named_type(&mut self, name: &str, written: &TypeName) -> Option<Type> {
        match self.types.plain(name) {
            Some(ty) => Some(ty),
            None => self.unknown_type(name, written.base_span),
        }
    }

    fn unknown_type<T>(&mut self, name: &str, span: Span) -> Option<T> {
        let diagnostic = Diagnostic::error("E0221", span, format!("there is no type `{name}`"))
            .with_label("unknown type");
        let help = if !self.types.knows_kernel() {
            "no kernel's types are known here; define it in the script, or check against a kernel (`--this-kernel`)".into()
        } else {
            match self.types.near(name) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "types of modules that are not loaded are not known; a script may define its own".into(),
            }
        };
        self.fail(diagnostic.with_help(help))
    }

    /// The type behind `sizeof` or another operand, complete.
    pub(in crate::sema) fn operand_type(&mut self, operand: &Operand) -> Option<Type> {
        let ty = match operand {
            Operand::Type(ty) => self.written_type(ty)?,
            // A bare name may be a type's.
            Operand::Expr(expr) => match &expr.bare().kind {
                crate::syntax::ast::ExprKind::Name(name)
                    if crate::sema::names::builtin(name).is_none() =>
                {
                    match self.types.plain(name) {
                        Some(ty) => ty,
                        None => self.value_type(expr)?,
                    }
                }
                _ => self.value_type(expr)?,
            },
        };
        Some(self.types.completed(&ty))
    }

    fn value_type(&mut self, expr: &crate::syntax::ast::Expr) -> Option<Type> {
        let value = self.expr(expr)?;
        // A string in memory has the size it has there.
        Some(match value.expr.kind {
            ExprKind::Read { bytes, .. } if matches!(value.expr.ty, Type::Str { .. }) => {
                Type::Text(bytes)
            }
            ExprKind::Str(text) => Type::Text(text.len() as u32 + 1),
            _ => value.shape.ty(),
        })
    }
}

impl Types<'_> {
    /// A type that is one name, or C's words for an integer.
    pub(in crate::sema) fn plain(&mut self, name: &str) -> Option<Type> {
        let int = |bits, signed| Some(Type::Int { bits, signed });
        match name {
            "void" => return Some(Type::Void),
            "bool" | "_Bool" => return Some(Type::Bool),
            "string" => {
                return Some(Type::Str {
                    capacity: DEFAULT_STRING,
                });
            }
            "inet" => return Some(Type::Inet),
            "int8" | "int8_t" | "s8" | "__s8" | "char" | "signed char" => return int(8, true),
            "uint8" | "uint8_t" | "u8" | "__u8" | "unsigned char" => return int(8, false),
            "int16" | "int16_t" | "s16" | "__s16" => return int(16, true),
            "uint16" | "uint16_t" | "u16" | "__u16" | "__be16" | "__le16" => return int(16, false),
            "int32" | "int32_t" | "s32" | "__s32" => return int(32, true),
            "uint32" | "uint32_t" | "u32" | "__u32" | "__be32" | "__le32" => return int(32, false),
            "int64" | "int64_t" | "s64" | "__s64" | "ssize_t" => return int(64, true),
            "uint64" | "uint64_t" | "u64" | "__u64" | "__be64" | "__le64" | "size_t" => {
                return int(64, false);
            }
            _ => {}
        }
        c_integer(name).or_else(|| self.find_typedef(name))
    }

    /// A type as the kernel's text forms spell it: `const struct sock *`.
    pub(in crate::sema) fn spelt(&mut self, text: &str) -> Option<Type> {
        let bare = text.trim_end_matches(['*', ' ']);
        let stars = text[bare.len()..].matches('*').count();
        let words: Vec<&str> = bare
            .split_whitespace()
            .filter(|word| !matches!(*word, "const" | "volatile"))
            .collect();
        let mut ty = match words[..] {
            ["struct" | "union", name] => self.find_record(words[0], name),
            ["enum", name] => self.find_enum(name),
            _ => self.plain(&words.join(" ")),
        };
        if stars > 0 {
            ty = Some(ty.unwrap_or(Type::Void));
        }
        (0..stars).fold(ty, |ty, _| ty.map(pointer))
    }

    /// The record's name nearest to one that does not exist.
    fn near(&self, name: &str) -> Option<String> {
        use crate::kernel::btf::Space as Names;
        let (keyword, bare) = name.split_once(' ')?;
        let space = match keyword {
            "struct" => Names::Struct,
            "union" => Names::Union,
            _ => Names::Enum,
        };
        let known = self.kernel.btf()?.named(space).map(|(_, name)| name);
        let near = crate::diagnostic::suggest::nearest(bare, known)?;
        Some(format!("{keyword} {near}"))
    }
}

/// A pointer into the kernel's memory.
pub(in crate::sema) fn pointer(to: Type) -> Type {
    Type::Pointer {
        to: Arc::new(to),
        space: Space::Kernel,
    }
}

/// `unsigned long int` and its like.
fn c_integer(name: &str) -> Option<Type> {
    let (mut unsigned, mut longs, mut short, mut known) = (false, 0, false, false);
    for word in name.split_whitespace() {
        known = true;
        match word {
            "unsigned" => unsigned = true,
            "signed" | "int" => {}
            "long" => longs += 1,
            "short" => short = true,
            _ => return None,
        }
    }
    let bits = match (longs, short) {
        (0, true) => 16,
        (0, false) => 32,
        _ => 64,
    };
    known.then_some(Type::Int {
        bits,
        signed: !unsigned,
    })
}
