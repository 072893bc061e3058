//! Numbers and strings.

use std::borrow::Cow;

use nom::bytes::complete::take_while1;
use nom::character::complete::digit1;
use nom::combinator::{opt, recognize};
use nom::sequence::preceded;

use super::ast::{Expr, ExprKind};
use super::grammar::{Grammar, Res, expected, refuse};
use super::preprocess::{Kind, Pieces};
use super::token;
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// Suffixes of durations with their nanoseconds.
const DURATIONS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// C's suffixes: read, and without effect.
const C_SUFFIXES: [&str; 7] = ["", "u", "l", "ul", "lu", "ll", "ull"];

impl<'a> Grammar<'a> {
    /// A number: an integer in any spelling, or a decimal fraction.
    pub(super) fn number(&self, input: &'a str) -> Res<'a, Expr> {
        if !input.starts_with(|c: char| c.is_ascii_digit()) {
            return expected(input, "a number");
        }
        let word = take_while1(token::is_name);
        let fraction = opt(preceded(nom::character::complete::char('.'), digit1));
        let (rest, (text, span)) = self.lexeme(recognize((word, fraction)), input)?;
        let value = match text.contains('.') {
            true => decimal(text).map(ExprKind::Decimal),
            false => integer(text).map(ExprKind::Int),
        };
        match value {
            Ok(kind) => Ok((rest, Expr::new(kind, span))),
            Err(problem) => refuse(rest, malformed(text, span, &problem)),
        }
    }

    /// A string literal with its escapes resolved.
    pub(super) fn string(&self, input: &'a str) -> Res<'a, (Vec<u8>, Span)> {
        let Some(mut rest) = input.strip_prefix('"') else {
            return expected(input, "a string");
        };
        let mut bytes = Vec::new();
        loop {
            let Some(c) = rest.chars().next() else {
                return self.unterminated(input, rest);
            };
            match c {
                '"' => {
                    let end = &rest[1..];
                    return Ok((self.space(end), (bytes, self.span(input, end))));
                }
                '\n' => return self.unterminated(input, rest),
                '\\' => match escape(&rest[1..]) {
                    Some((byte, len)) => {
                        bytes.push(byte);
                        rest = &rest[1 + len..];
                    }
                    None => {
                        let len = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                        let span = self.span(rest, &rest[len..]);
                        self.report(
                            Diagnostic::error(
                                "E0104",
                                span,
                                format!("unknown escape `{}` in a string", &rest[..len]),
                            )
                            .with_label("not an escape")
                            .with_help(
                                r#"the escapes are \n \t \r \a \0 \\ \" \nnn (octal) and \xnn"#,
                            ),
                        );
                        rest = &rest[len..];
                    }
                },
                _ => {
                    bytes.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
    }

    pub(super) fn unterminated<T>(&self, start: &'a str, end: &'a str) -> Res<'a, T> {
        refuse(
            end,
            Diagnostic::error(
                "E0102",
                self.span(start, end),
                "this string is not closed on its line",
            )
            .with_label("starts here")
            .with_help("close it with `\"`; a line break inside a string is written `\\n`"),
        )
    }
}

/// The string literals that stand side by side in a text, as written.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let quoted = |(kind, start, len): (Kind, usize, usize)| {
        let piece = &text[start..start + len];
        (kind == Kind::Other && piece.starts_with('"')).then_some(piece)
    };
    Pieces::new(text, &mut false).filter_map(quoted).collect()
}

/// A text with a space for each comment.
pub(super) fn without_comments(text: &str) -> String {
    let mut out = String::new();
    for (kind, start, len) in Pieces::new(text, &mut false) {
        match kind {
            Kind::Comment => out.push(' '),
            _ => out.push_str(&text[start..start + len]),
        }
    }
    out
}

fn malformed(text: &str, span: Span, problem: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        "E0105",
        span,
        format!("`{text}` is not a number: {problem}"),
    );
    if text.starts_with("0b") || text.starts_with("0B") {
        return diagnostic.with_help("there are no binary literals; write it in hexadecimal");
    }
    diagnostic
        .with_help("numbers are written 10, 0x1f, 017, 0o17, 1_000, 1e6, or as a duration: 5ms")
}

/// The byte an escape (behind its backslash) stands for, and how many bytes it takes.
fn escape(text: &str) -> Option<(u8, usize)> {
    let bytes = text.as_bytes();
    let simple = match bytes.first()? {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'v' => 0x0b,
        b'e' => 0x1b,
        b'\\' => b'\\',
        b'"' => b'"',
        b'\'' => b'\'',
        b'x' => {
            let digits = bytes[1..]
                .iter()
                .take(2)
                .take_while(|b| b.is_ascii_hexdigit())
                .count();
            let value = u8::from_str_radix(text.get(1..1 + digits)?, 16).ok()?;
            return Some((value, 1 + digits));
        }
        b'0'..=b'7' => {
            let digits = bytes
                .iter()
                .take(3)
                .take_while(|b| matches!(b, b'0'..=b'7'))
                .count();
            return Some((u8::from_str_radix(&text[..digits], 8).ok()?, digits));
        }
        _ => return None,
    };
    Some((simple, 1))
}

/// An integer literal that a minus may stand before: whether one does, and the number behind it, which then fits 64 bits.
pub(crate) fn signed_integer(text: &str) -> Option<(bool, u64)> {
    match text.strip_prefix('-') {
        Some(digits) => {
            let value = integer(digits).ok()?;
            (value <= 1 << 63).then_some((true, value))
        }
        None => Some((false, integer(text).ok()?)),
    }
}

/// The value of an integer literal.
pub(crate) fn integer(text: &str) -> Result<u64, String> {
    let clean: Cow<'_, str> = if text.contains('_') {
        text.replace('_', "").into()
    } else {
        text.into()
    };
    let lower = clean.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = lower.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let (digits, tail) = lower.split_at(
        lower
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(lower.len()),
    );
    if tail.is_empty() || C_SUFFIXES.contains(&tail) {
        let base = if digits.len() > 1 && digits.starts_with('0') {
            8
        } else {
            10
        };
        return radix(digits, base);
    }
    let value = radix(digits, 10)?;
    if let Some(exponent) = tail.strip_prefix('e') {
        let exponent: u32 = exponent
            .parse()
            .map_err(|_| "the exponent after `e` must be a number".to_string())?;
        return 10u64
            .checked_pow(exponent)
            .and_then(|scale| value.checked_mul(scale))
            .or((value == 0).then_some(0))
            .ok_or_else(too_big);
    }
    match DURATIONS.iter().find(|(suffix, _)| *suffix == tail) {
        Some((_, ns)) => value.checked_mul(*ns).ok_or_else(too_big),
        None => Err(format!("`{tail}` is no suffix of a number")),
    }
}

fn too_big() -> String {
    "it does not fit 64 bits".into()
}

/// Digits of a base, with C's suffixes.
fn radix(text: &str, base: u32) -> Result<u64, String> {
    let digits = text.trim_end_matches(['u', 'l']);
    if !C_SUFFIXES.contains(&&text[digits.len()..]) {
        return Err(format!(
            "`{}` is no suffix of a number",
            &text[digits.len()..]
        ));
    }
    if digits.is_empty() {
        return Err("digits are missing".into());
    }
    if let Some(bad) = digits.chars().find(|c| !c.is_digit(base)) {
        return Err(match base {
            8 => format!("`{bad}` is no octal digit, and a leading 0 means octal"),
            16 => format!("`{bad}` is no hexadecimal digit"),
            _ => format!("`{bad}` is no digit"),
        });
    }
    u64::from_str_radix(digits, base).map_err(|_| too_big())
}

/// A decimal fraction in thousandths; further digits must be 0.
fn decimal(text: &str) -> Result<u64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = whole
        .parse()
        .map_err(|_| "only plain digits may stand before the point".to_string())?;
    let kept = &fraction[..fraction.len().min(3)];
    if fraction[kept.len()..].bytes().any(|digit| digit != b'0') {
        return Err("at most three digits may stand behind the point".into());
    }
    let thousandths: u64 = format!("{kept:0<3}").parse().map_err(|_| too_big())?;
    whole
        .checked_mul(1000)
        .and_then(|n| n.checked_add(thousandths))
        .ok_or_else(too_big)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_every_spelling() {
        for (text, value) in [
            ("0", 0),
            ("42", 42),
            ("0x1F", 31),
            ("0XffUL", 255),
            ("017", 15),
            ("0o17", 15),
            ("1_000_000", 1_000_000),
            ("1e6", 1_000_000),
            ("25e2", 2500),
            ("5ms", 5_000_000),
            ("2h", 7_200_000_000_000),
            ("7ull", 7),
            ("18446744073709551615", u64::MAX),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            assert_eq!(integer(text), Ok(value), "{text}");
        }
        for text in [
            "08",
            "0x",
            "0xg",
            "1e",
            "1e99",
            "5q",
            "18446744073709551616",
            "1uu",
            "99999999999d",
            "0b11",
        ] {
            assert!(integer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fractions_are_thousandths() {
        assert_eq!(decimal("99.9"), Ok(99_900));
        assert_eq!(decimal("0.0010"), Ok(1));
        assert!(decimal("0.0001").is_err());
        assert!(decimal("1e2.5").is_err());
    }

    #[test]
    fn escapes() {
        assert_eq!(escape("n"), Some((b'\n', 1)));
        assert_eq!(escape("x41b"), Some((b'A', 3)));
        assert_eq!(escape("101"), Some((b'A', 3)));
        assert_eq!(escape("0"), Some((0, 1)));
        assert_eq!(escape("400"), None);
        assert_eq!(escape("q"), None);
        assert_eq!(escape("xg"), None);
    }
}
