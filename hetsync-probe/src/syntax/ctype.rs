//! Types as they are written.

use super::ast::{Expr, Operand, RecordKind, TypeKind, TypeName};
use super::grammar::{Grammar, Res, expected, refuse};
use super::token;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// Integer types of the language, with bits and signedness.
const INT_TYPES: [(&str, u8, bool); 8] = [
    ("int8", 8, true),
    ("int16", 16, true),
    ("int32", 32, true),
    ("int64", 64, true),
    ("uint8", 8, false),
    ("uint16", 16, false),
    ("uint32", 32, false),
    ("uint64", 64, false),
];

/// Words that C puts together to the name of one type.
const C_WORDS: [&str; 10] = [
    "unsigned", "signed", "char", "short", "int", "long", "void", "float", "double", "_Bool",
];

/// Words that stand before or between them and change nothing here.
pub(super) const QUALIFIERS: [&str; 3] = ["const", "volatile", "restrict"];

/// Other names that are types and nothing else.
const TYPE_NAMES: [&str; 35] = [
    "bool", "string", "inet", "size_t", "ssize_t", "int8_t", "int16_t", "int32_t", "int64_t",
    "uint8_t", "uint16_t", "uint32_t", "uint64_t", "u8", "u16", "u32", "u64", "s8", "s16", "s32",
    "s64", "__u8", "__u16", "__u32", "__u64", "__s8", "__s16", "__s32", "__s64", "__be16",
    "__be32", "__be64", "__le16", "__le32", "__le64",
];

/// Most stars of one type.
const POINTERS: usize = 8;

impl<'a> Grammar<'a> {
    /// Whether what stands here can only be a type.
    pub(super) fn starts_type(&self, input: &'a str) -> bool {
        let Ok((rest, (word, _))) = self.name(input) else {
            return false;
        };
        match word {
            "struct" | "union" | "enum" => true,
            "typeof" => self.is_next("(", rest),
            _ => {
                // `u8(1)` is a call of something called so.
                let known = C_WORDS.contains(&word)
                    || QUALIFIERS.contains(&word)
                    || TYPE_NAMES.contains(&word)
                    || INT_TYPES.iter().any(|(name, ..)| *name == word)
                    || self.typedefs.borrow().contains(word);
                known && !self.is_next("(", rest)
            }
        }
    }

    /// Whether a cast's type follows its opening parenthesis. A name that is not known as a type is one if nothing else
    /// makes sense: before stars, or if an operand follows the closing parenthesis.
    pub(super) fn starts_cast(&self, input: &'a str) -> bool {
        if self.starts_type(input) {
            return true;
        }
        let Ok((mut rest, _)) = self.name(input) else {
            return false;
        };
        if self.is_next("*", rest) {
            while let Ok((after, _)) = self.symbol("*", rest) {
                rest = after;
            }
            return self.is_next(")", rest);
        }
        if let Ok((after, _)) = self.symbol("[", rest) {
            let digits = after.trim_start_matches(|c: char| c.is_ascii_digit());
            match self.symbol("]", self.space(digits)) {
                Ok((after, _)) => rest = after,
                Err(_) => return false,
            }
        }
        let is_operand = |c: char| token::is_name(c) || matches!(c, '$' | '@' | '"' | '(');
        match self.symbol(")", rest) {
            Ok((after, _)) => {
                after.starts_with(is_operand)
                    && !self.is_on_new_line(after)
                    && !self.is_word("in", after)
            }
            Err(_) => false,
        }
    }

    /// A type with its stars and brackets.
    pub(super) fn type_name(&self, input: &'a str) -> Res<'a, TypeName> {
        let (mut rest, mut ty) = self.base_type(input, false)?;
        (rest, ty.pointers) = self.stars(rest, &mut ty.span)?;
        (rest, ty.dims) = self.dims(rest, &mut ty.span)?;
        Ok((rest, ty))
    }

    /// What stands before the stars and brackets. Only definitions may have a body in braces.
    pub(super) fn base_type(&self, input: &'a str, with_body: bool) -> Res<'a, TypeName> {
        let mut words: Vec<&str> = Vec::new();
        let mut found = None;
        let (mut rest, mut span) = (input, None::<Span>);
        while let Ok((after, (word, word_span))) = self.name(rest) {
            let is_c = C_WORDS.contains(&word);
            let ends = matches!(
                found,
                Some(TypeKind::Typeof(_) | TypeKind::Record(_) | TypeKind::Enumeration { .. })
            );
            if ends {
                break;
            }
            if !QUALIFIERS.contains(&word) {
                // `unsigned int x`: the name behind C's words is no part of the type.
                if found.is_some() || !words.is_empty() && !is_c {
                    break;
                }
                if is_c {
                    words.push(word);
                } else {
                    let (after, (kind, kind_span)) = self.nested(after, |after| {
                        self.special(word, word_span, after, with_body)
                    })?;
                    found = Some(kind);
                    span = Some(span.map_or(kind_span, |span| span.to(kind_span)));
                    rest = after;
                    continue;
                }
            }
            span = Some(span.map_or(word_span, |span| span.to(word_span)));
            rest = after;
        }
        let kind = match found {
            Some(kind) => kind,
            None if words.is_empty() => return expected(rest, "a type"),
            None => TypeKind::Named(words.join(" ")),
        };
        let span = span.unwrap_or_default();
        Ok((
            rest,
            TypeName {
                kind,
                base_span: span,
                pointers: 0,
                dims: Vec::new(),
                span,
            },
        ))
    }

    /// A type that starts with a word which is none of C's.
    fn special(
        &self,
        word: &'a str,
        word_span: Span,
        rest: &'a str,
        with_body: bool,
    ) -> Res<'a, (TypeKind, Span)> {
        match word {
            "struct" => self.record(RecordKind::Struct, word_span, rest, with_body),
            "union" => self.record(RecordKind::Union, word_span, rest, with_body),
            "enum" => self.enumeration(word_span, rest, with_body),
            "typeof" if self.is_next("(", rest) => {
                let (rest, open) = self.symbol("(", rest)?;
                let (rest, of): (_, Operand) = self.operand(rest)?;
                let (rest, close) = self.close(")", open, rest)?;
                Ok((rest, (TypeKind::Typeof(Box::new(of)), word_span.to(close))))
            }
            _ => Ok((rest, (TypeKind::Named(word.into()), word_span))),
        }
    }

    pub(super) fn stars(&self, mut rest: &'a str, span: &mut Span) -> Res<'a, u8> {
        let mut count = 0;
        // Not `symbol`: in `let $p : int8 *= e` the star and the `=` are two.
        while let Some(after) = rest.strip_prefix('*') {
            let star = self.span(rest, after);
            let after = self.space(after);
            count += 1;
            if count > POINTERS {
                return refuse(
                    after,
                    Diagnostic::error(
                        "E0004",
                        star,
                        format!("a type may have at most {POINTERS} stars"),
                    )
                    .with_label("one too many"),
                );
            }
            *span = span.to(star);
            rest = after;
        }
        Ok((rest, count as u8))
    }

    pub(super) fn dims(&self, mut rest: &'a str, span: &mut Span) -> Res<'a, Vec<Option<Expr>>> {
        let mut dims = Vec::new();
        while let Ok((after, open)) = self.symbol("[", rest) {
            if dims.len() >= POINTERS {
                return self.too_deep(rest);
            }
            let (after, size) = match self.is_next("]", after) {
                true => (after, None),
                false => {
                    let (after, size) = self.expr(after)?;
                    (after, Some(size))
                }
            };
            let (after, close) = self.close("]", open, after)?;
            dims.push(size);
            *span = span.to(close);
            rest = after;
        }
        Ok((rest, dims))
    }
}
