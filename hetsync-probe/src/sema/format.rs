//! `printf` and its like: the format and its arguments.

use super::checker::Checker;
use super::hir::{Conversion, ConversionKind, Piece, StmtKind, TextUse, Type};
use super::shape::Shape;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;
use crate::syntax::ast;

/// Most characters a width or precision may ask for.
const MAX_WIDTH: u16 = 4096;

impl Checker<'_> {
    /// `printf` and the others whose first argument is a format.
    pub(super) fn formatted(
        &mut self,
        use_as: TextUse,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<StmtKind> {
        let function = use_as.name();
        let Some((format, values)) = args.split_first() else {
            let usage = format!("{function}(\"format\", ..)");
            let most = 1 + limits::PRINTF_ARGS;
            return self
                .arguments(function, args, 1..=most, &usage, span)
                .and(None);
        };
        let mut values: Vec<_> = values.iter().map(|value| self.expr(value)).collect();
        for value in &mut values {
            if value
                .as_ref()
                .is_some_and(|value| self.no_bare_statistic(value).is_none())
            {
                *value = None;
            }
        }
        let ast::ExprKind::Str(bytes) = &format.bare().kind else {
            return self.fail(
                Diagnostic::error(
                    "E0405",
                    format.span,
                    format!("the format of `{function}` must be a string literal"),
                )
                .with_label("not a literal")
                .with_help(format!("write `{function}(\"%s\", ..)`")),
            );
        };
        let text = String::from_utf8_lossy(bytes);
        let pieces = match parse(&text) {
            Ok(pieces) => pieces,
            Err((code, message)) => {
                return self.fail(Diagnostic::error(code, format.span, message).with_help(
                    "conversions: %d %i %u %x %X %o %p %c %s %r %rx %rh, and %% for a percent sign",
                ));
            }
        };
        if values.len() > limits::PRINTF_ARGS {
            return self.fail(
                Diagnostic::error(
                    "E0505",
                    span,
                    format!(
                        "this `{function}` has {} arguments; the limit is {}",
                        values.len(),
                        limits::PRINTF_ARGS
                    ),
                )
                .with_help("print in two steps"),
            );
        }
        let conversions: Vec<(&Conversion, &str)> =
            pieces.iter().filter_map(Parsed::conversion).collect();
        if conversions.len() != values.len() {
            let diagnostic = Diagnostic::error(
                "E0406",
                span,
                format!(
                    "{} for {}",
                    plural(conversions.len(), "conversion"),
                    plural(values.len(), "value")
                ),
            )
            .with_place(format.span, plural(conversions.len(), "conversion"));
            let unused = args.get(1 + conversions.len());
            return self.fail(match unused {
                Some(unused) => diagnostic.with_place(unused.span, "has no conversion"),
                None => diagnostic
                    .with_help("each conversion shows one value; a percent sign is written `%%`"),
            });
        }
        let values = values.into_iter().collect::<Option<Vec<_>>>()?;
        let mut wrong = false;
        for ((conversion, spelling), value) in conversions.iter().zip(&values) {
            let shows = Shows::of(conversion.kind);
            if !shows.fits(&value.shape) {
                wrong = true;
                let is = value.shape.describe();
                let diagnostic = Diagnostic::error(
                    "E0410",
                    value.span(),
                    format!("`{spelling}` shows {}, and this is {is}", shows.describe()),
                )
                .with_label(is)
                .with_place(format.span, format!("`{spelling}` in this format"));
                self.report(diagnostic.with_help(help(&value.shape)));
            }
        }
        if wrong {
            return None;
        }
        let pieces = pieces.into_iter().map(|parsed| parsed.piece).collect();
        let values = values.into_iter().map(|value| value.expr).collect();
        Some(self.event(use_as, pieces, values))
    }
}

/// What a conversion shows.
#[derive(Clone, Copy, PartialEq)]
enum Shows {
    Integer,
    Text,
    Bytes,
}

impl Shows {
    fn of(kind: ConversionKind) -> Shows {
        match kind {
            ConversionKind::Str => Shows::Text,
            ConversionKind::Bytes | ConversionKind::BytesEscaped | ConversionKind::BytesHex => {
                Shows::Bytes
            }
            _ => Shows::Integer,
        }
    }

    fn fits(self, shape: &Shape) -> bool {
        match (self, shape) {
            (Shows::Integer, shape) => shape.is_int() || shape.is_pointer(),
            (Shows::Text, shape) if shape.is_text() => true,
            (
                Shows::Text,
                Shape::Is(
                    Type::Shown(_)
                    | Type::Inet
                    | Type::Flow
                    | Type::Mac
                    | Type::Enum(_)
                    | Type::Bool,
                ),
            )
            | (Shows::Bytes, Shape::Unknown | Shape::Is(Type::Buffer { .. })) => true,
            _ => false,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Shows::Integer => "an integer",
            Shows::Text => "a string",
            Shows::Bytes => "a buffer",
        }
    }
}

/// How a value of this shape can be shown.
fn help(shape: &Shape) -> &'static str {
    if Shows::Text.fits(shape) {
        return "show strings and names with `%s`";
    }
    if Shows::Bytes.fits(shape) {
        return "show buffers with `%r`, `%rx` or `%rh`";
    }
    if Shows::Integer.fits(shape) {
        return "show integers with `%d`, `%u` or `%x`";
    }
    "show it with `print()`"
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A piece with its spelling.
#[derive(Debug, PartialEq)]
struct Parsed {
    piece: Piece,
    spelling: String,
}

impl Parsed {
    fn conversion(&self) -> Option<(&Conversion, &str)> {
        match &self.piece {
            Piece::Conversion(conversion) => Some((conversion, &self.spelling)),
            Piece::Text(_) => None,
        }
    }
}

type Problem = (&'static str, String);

/// Splits a format into text and conversions.
fn parse(format: &str) -> Result<Vec<Parsed>, Problem> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("%%") {
            text.push('%');
            rest = after;
            continue;
        }
        let (conversion, len) = conversion(rest)?;
        if !text.is_empty() {
            pieces.push(Parsed {
                piece: Piece::Text(std::mem::take(&mut text)),
                spelling: String::new(),
            });
        }
        pieces.push(Parsed {
            piece: Piece::Conversion(conversion),
            spelling: rest[..len].into(),
        });
        rest = &rest[len..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Parsed {
            piece: Piece::Text(text),
            spelling: String::new(),
        });
    }
    Ok(pieces)
}

/// The conversion at the start, which is a `%`, and its length.
fn conversion(text: &str) -> Result<(Conversion, usize), Problem> {
    let problem = |message: String| ("E0411", message);
    let (flags, rest) = split_while(&text[1..], |c| "-0+ #".contains(c));
    let (width, rest) = split_while(rest, |c| c.is_ascii_digit());
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (digits, rest) = split_while(rest, |c| c.is_ascii_digit());
            (Some(digits), rest)
        }
        None => (None, rest),
    };
    let (length, rest) = split_while(rest, |c| "hlzjt".contains(c));
    let bits = match length {
        "hh" => 8,
        "h" => 16,
        "" | "l" | "ll" | "z" | "j" | "t" => 64,
        _ => {
            let shown: String = length.chars().take(8).collect();
            return Err(problem(format!("`{shown}` is no length of a conversion")));
        }
    };
    let Some(letter) = rest.chars().next() else {
        return Err(problem("the format ends inside a conversion".into()));
    };
    let kind = match letter {
        'd' | 'i' => ConversionKind::Signed,
        'u' => ConversionKind::Unsigned,
        'x' => ConversionKind::LowerHex,
        'X' => ConversionKind::UpperHex,
        'o' => ConversionKind::Octal,
        'p' => ConversionKind::Pointer,
        'c' => ConversionKind::Char,
        's' => ConversionKind::Str,
        'r' => match rest[1..].chars().next() {
            Some('x') => ConversionKind::BytesEscaped,
            Some('h') => ConversionKind::BytesHex,
            _ => ConversionKind::Bytes,
        },
        '*' => {
            return Err(problem(
                "a width taken from the arguments (`*`) is not supported".into(),
            ));
        }
        other => {
            return Err(problem(format!(
                "`%{}` is no conversion",
                other.escape_debug()
            )));
        }
    };
    let more = matches!(
        kind,
        ConversionKind::BytesEscaped | ConversionKind::BytesHex
    );
    let number = |digits: &str| match digits.parse() {
        Ok(number @ ..=MAX_WIDTH) => Ok(number),
        _ => Err(problem(format!(
            "a width or precision of a conversion is at most {MAX_WIDTH}"
        ))),
    };
    let conversion = Conversion {
        left: flags.contains('-'),
        zero: flags.contains('0'),
        plus: flags.contains('+'),
        space: flags.contains(' '),
        alternate: flags.contains('#'),
        width: if width.is_empty() {
            None
        } else {
            Some(number(width)?)
        },
        precision: match precision {
            None => None,
            Some("") => Some(0),
            Some(digits) => Some(number(digits)?),
        },
        kind,
        bits,
    };
    let len = text.len() - rest.len() + letter.len_utf8() + usize::from(more);
    Ok((conversion, len))
}

/// The beginning made of such characters, and the rest.
fn split_while(text: &str, is_in: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_in(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_split() {
        let pieces = parse("a%%b %-10.3s|%+05lld%hhx").unwrap();
        let spelled: Vec<&str> = pieces.iter().map(|piece| piece.spelling.as_str()).collect();
        assert_eq!(spelled, ["", "%-10.3s", "", "%+05lld", "%hhx"]);
        assert_eq!(pieces[0].piece, Piece::Text("a%b ".into()));
        let (conversion, _) = conversion("%+05lldrest").unwrap();
        assert!(conversion.plus && conversion.zero && !conversion.left);
        assert_eq!((conversion.width, conversion.bits), (Some(5), 64));
        for bad in ["%", "%q", "%99999d", "%*d", "%lhd", "%."] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
