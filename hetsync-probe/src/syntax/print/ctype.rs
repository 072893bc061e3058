//! Types and C definitions.

use super::Printer;
use crate::span::Span;
use crate::syntax::ast::{Declarator, Enumerator, Expr, Field, TypeDef, TypeKind, TypeName};
use crate::syntax::ctype::QUALIFIERS;
use crate::syntax::literal;

/// Place of the braces of a type that has some.
pub(super) fn body(ty: &TypeName) -> Option<Span> {
    match &ty.kind {
        TypeKind::Record(record) => Some(record.body),
        TypeKind::Enumeration { body, .. } => Some(*body),
        _ => None,
    }
}

impl Printer<'_> {
    /// A type without braces.
    pub(super) fn type_name(&self, ty: &TypeName) -> String {
        let mut text = self.base(ty);
        if ty.pointers > 0 {
            text.push(' ');
        }
        text.extend(std::iter::repeat_n('*', ty.pointers.into()));
        text + &self.dims(&ty.dims)
    }

    /// A type up to its stars, brackets or braces.
    fn base(&self, ty: &TypeName) -> String {
        let written = literal::without_comments(self.slice(ty.base_span));
        let words = || written.split_whitespace();
        let rest = match &ty.kind {
            TypeKind::Typeof(of) => format!("typeof({})", self.operand(of)),
            TypeKind::Record(record) => {
                let name = record.name.as_ref();
                named(record.kind.keyword(), name.map(|name| name.text.as_str()))
            }
            TypeKind::Enumeration { name, .. } => {
                named("enum", name.as_ref().map(|name| name.text.as_str()))
            }
            _ => return words().collect::<Vec<_>>().join(" "),
        };
        let qualifiers = words().take_while(|word| QUALIFIERS.contains(word));
        let mut text: Vec<&str> = qualifiers.collect();
        text.push(&rest);
        text.join(" ")
    }

    fn dims(&self, dims: &[Option<Expr>]) -> String {
        dims.iter()
            .map(|dim| match dim {
                Some(dim) => format!("[{}]", self.expr(dim)),
                None => "[]".into(),
            })
            .collect()
    }

    /// A definition with its semicolon.
    pub(super) fn type_def(&mut self, item: &TypeDef) {
        if item.typedef {
            self.out.push_str("typedef ");
        }
        self.declaration(&item.ty, &item.names);
    }

    /// A type with its braces, what is declared with it, and a semicolon.
    fn declaration(&mut self, ty: &TypeName, declarators: &[Declarator]) {
        let base = self.base(ty);
        self.out.push_str(&base);
        match &ty.kind {
            TypeKind::Record(record) => {
                self.out.push(' ');
                self.braces(record.body, record.fields.is_empty(), |this| {
                    for field in &record.fields {
                        this.field(field);
                    }
                });
                if let Some(attribute) = record.attribute {
                    let text = literal::without_comments(self.slice(attribute));
                    self.out.push(' ');
                    self.out
                        .push_str(&text.split_whitespace().collect::<String>());
                }
            }
            TypeKind::Enumeration { values, body, .. } => {
                self.out.push(' ');
                self.braces(*body, values.is_empty(), |this| {
                    for value in values {
                        this.enumerator(value);
                    }
                });
            }
            _ => {}
        }
        let declarators: Vec<String> = declarators
            .iter()
            .map(|declarator| self.declarator(declarator))
            .collect();
        if !declarators.is_empty() {
            self.out.push(' ');
            self.out.push_str(&declarators.join(", "));
        }
        self.out.push(';');
    }

    fn field(&mut self, field: &Field) {
        let own = body(&field.ty).map_or(field.span.end, |body| body.start);
        self.comments_before(own as usize);
        self.gap(field.span.start as usize);
        self.indent();
        self.declaration(&field.ty, &field.declarators);
        self.end_line(field.span.end as usize);
    }

    fn enumerator(&mut self, value: &Enumerator) {
        self.comments_before(value.span.end as usize);
        self.gap(value.span.start as usize);
        self.indent();
        self.out.push_str(&value.name.text);
        if let Some(value) = &value.value {
            let value = self.expr(value);
            self.out.push_str(" = ");
            self.out.push_str(&value);
        }
        self.out.push(',');
        self.end_line(value.span.end as usize);
    }

    fn declarator(&self, declarator: &Declarator) -> String {
        let stars = "*".repeat(declarator.pointers.into());
        let name = declarator.name.as_ref().map_or("", |name| &name.text);
        let mut text = if declarator.function {
            // Its parameters matter to nobody here; they are copied.
            let written = literal::without_comments(self.slice(declarator.span));
            written.split_whitespace().collect::<Vec<_>>().join(" ")
        } else {
            format!("{stars}{name}{}", self.dims(&declarator.dims))
        };
        if let Some(bits) = declarator.bits.as_ref().filter(|_| !declarator.function) {
            text += &format!(" : {}", self.expr(bits));
        }
        text.trim_start().into()
    }
}

fn named(keyword: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{keyword} {name}"),
        None => keyword.into(),
    }
}
