//! C definitions at the top of a script: structs, unions, enums, and what is declared with them.

use super::ast::{Declarator, Enumerator, Field, Ident, Record, RecordKind, TypeDef, TypeKind};
use super::grammar::{Grammar, Res, expected};
use crate::span::Span;

impl<'a> Grammar<'a> {
    fn tag(&self, input: &'a str) -> (&'a str, Option<Ident>) {
        match self.ident(input, "") {
            Ok((rest, name)) => (rest, Some(name)),
            Err(_) => (input, None),
        }
    }

    pub(super) fn record(
        &self,
        kind: RecordKind,
        word: Span,
        rest: &'a str,
        with_body: bool,
    ) -> Res<'a, (TypeKind, Span)> {
        let (rest, name) = self.tag(rest);
        let open = match (self.symbol("{", rest), name) {
            (Ok(open), name) if with_body => (open, name),
            (_, Some(name)) => {
                let span = word.to(name.span);
                let kind = match kind {
                    RecordKind::Struct => TypeKind::Struct(name),
                    RecordKind::Union => TypeKind::Union(name),
                };
                return Ok((rest, (kind, span)));
            }
            (_, None) => return expected(rest, "the name of a type"),
        };
        let ((mut rest, open), name) = open;
        let mut fields = Vec::new();
        loop {
            if let Ok((after, _)) = self.symbol(";", rest) {
                rest = after;
                continue;
            }
            if self.is_next("}", rest) || rest.is_empty() {
                break;
            }
            let (after, field) = self.field(rest)?;
            fields.push(field);
            if !self.is_next("}", after) {
                (rest, _) = self.close(";", open, after)?;
            } else {
                rest = after;
            }
        }
        let (rest, close) = self.close("}", open, rest)?;
        let (rest, attribute) = self.attribute(rest)?;
        let end = attribute.map_or(close, |(span, _)| span);
        let record = Record {
            kind,
            name,
            fields,
            attribute: attribute.map(|(span, _)| span),
            packed: attribute.is_some_and(|(_, packed)| packed),
            body: open.to(close),
        };
        Ok((rest, (TypeKind::Record(Box::new(record)), word.to(end))))
    }

    /// `__attribute__((..))`, if there is one, and whether it says `packed`.
    fn attribute(&self, input: &'a str) -> Res<'a, Option<(Span, bool)>> {
        let Ok((rest, ("__attribute__", word))) = self.name(input) else {
            return Ok((input, None));
        };
        let (rest, _) = self.symbol("(", rest)?;
        let text = rest;
        let (rest, close) = self.balanced(rest)?;
        let inside = &text[..text.len() - rest.len()];
        Ok((rest, Some((word.to(close), inside.contains("packed")))))
    }

    /// Behind the parenthesis that closes the one before the input.
    fn balanced(&self, mut rest: &'a str) -> Res<'a, Span> {
        let mut open = 1usize;
        loop {
            let Some(c) = rest
                .chars()
                .next()
                .filter(|c| !matches!(c, '{' | '}' | ';'))
            else {
                return expected(rest, ")");
            };
            let after = &rest[c.len_utf8()..];
            match c {
                '(' => open += 1,
                ')' => open -= 1,
                _ => {}
            }
            if open == 0 {
                return Ok((self.space(after), self.span(rest, after)));
            }
            rest = self.space(after);
        }
    }

    fn field(&self, input: &'a str) -> Res<'a, Field> {
        let (rest, ty) = self.base_type(input, true)?;
        let (rest, declarators) = self.declarators(rest)?;
        let is_record = matches!(ty.kind, TypeKind::Record(_) | TypeKind::Enumeration { .. });
        if declarators.is_empty() && !is_record {
            return expected(rest, "the name of a field");
        }
        let span = declarators
            .last()
            .map_or(ty.span, |last| ty.span.to(last.span));
        Ok((
            rest,
            Field {
                ty,
                declarators,
                span,
            },
        ))
    }

    fn declarators(&self, mut rest: &'a str) -> Res<'a, Vec<Declarator>> {
        let mut found = Vec::new();
        if self.is_next(";", rest) || self.is_next("}", rest) {
            return Ok((rest, found));
        }
        loop {
            let (after, declarator) = self.declarator(rest)?;
            found.push(declarator);
            match self.symbol(",", after) {
                Ok((after, _)) => rest = after,
                Err(_) => return Ok((after, found)),
            }
        }
    }

    fn declarator(&self, input: &'a str) -> Res<'a, Declarator> {
        let mut span = self.span(input, input);
        let (mut rest, pointers) = self.stars(input, &mut span)?;
        let (mut function, mut bits) = (false, None);
        let name = if let Ok((after, open)) = self.symbol("(", rest) {
            function = true;
            (rest, _) = self.symbol("*", after)?;
            let (after, name) = self.ident(rest, "a name")?;
            let (after, _) = self.close(")", open, after)?;
            let (after, _) = self.symbol("(", after)?;
            let (after, close) = self.balanced(after)?;
            span = span.to(close);
            rest = after;
            Some(name)
        } else {
            let (after, name) = self.tag(rest);
            rest = after;
            if let Some(name) = &name {
                span = span.to(name.span);
            }
            name
        };
        let dims;
        (rest, dims) = self.dims(rest, &mut span)?;
        if let Ok((after, _)) = self.symbol(":", rest) {
            let (after, width) = self.expr(after)?;
            span = span.to(width.span);
            bits = Some(width);
            rest = after;
        }
        if name.is_none() && bits.is_none() {
            return expected(rest, "a name");
        }
        Ok((
            rest,
            Declarator {
                name,
                pointers,
                dims,
                bits,
                function,
                span,
            },
        ))
    }

    pub(super) fn enumeration(
        &self,
        word: Span,
        rest: &'a str,
        with_body: bool,
    ) -> Res<'a, (TypeKind, Span)> {
        let (rest, name) = self.tag(rest);
        let (mut rest, open) = match (self.symbol("{", rest), name.clone()) {
            (Ok(open), _) if with_body => open,
            (_, Some(name)) => {
                let span = word.to(name.span);
                return Ok((rest, (TypeKind::Enum(name), span)));
            }
            (_, None) => return expected(rest, "the name of a type"),
        };
        let mut values = Vec::new();
        while !self.is_next("}", rest) {
            let (after, name) = self.ident(rest, "the name of a constant")?;
            let mut span = name.span;
            let (after, value) = match self.symbol("=", after) {
                Ok((after, _)) => {
                    let (after, value) = self.expr(after)?;
                    span = span.to(value.span);
                    (after, Some(value))
                }
                Err(_) => (after, None),
            };
            values.push(Enumerator { name, value, span });
            match self.symbol(",", after) {
                Ok((after, _)) => rest = after,
                Err(_) => {
                    rest = after;
                    break;
                }
            }
        }
        let (rest, close) = self.close("}", open, rest)?;
        let kind = TypeKind::Enumeration {
            name,
            values,
            body: open.to(close),
        };
        Ok((rest, (kind, word.to(close))))
    }

    /// A C definition: of a struct, union or enum, or a `typedef`.
    pub(super) fn type_def(&self, input: &'a str) -> Res<'a, TypeDef> {
        let (rest, typedef) = match self.name(input) {
            Ok((rest, ("typedef", span))) => (rest, Some(span)),
            _ => (input, None),
        };
        let (rest, ty) = self.base_type(rest, true)?;
        let start = typedef.unwrap_or(ty.span);
        let (mut rest, names) = match typedef {
            Some(_) => self.declarators(rest)?,
            None => (rest, Vec::new()),
        };
        if typedef.is_some() && names.is_empty() {
            return expected(rest, "the name of the type");
        }
        let known = names.iter().filter_map(|names| names.name.as_ref());
        self.typedefs
            .borrow_mut()
            .extend(known.map(|name| name.text.clone()));
        let span = names
            .last()
            .map_or(start.to(ty.span), |last| start.to(last.span));
        // bpftrace takes a record without its semicolon, too.
        match self.symbol(";", rest) {
            Ok((after, _)) => rest = after,
            Err(_) if typedef.is_some() => return expected(rest, ";"),
            Err(_) if !matches!(ty.kind, TypeKind::Record(_) | TypeKind::Enumeration { .. }) => {
                return expected(rest, "{");
            }
            Err(_) => {}
        }
        Ok((
            rest,
            TypeDef {
                ty,
                names,
                typedef: typedef.is_some(),
                span,
            },
        ))
    }
}
