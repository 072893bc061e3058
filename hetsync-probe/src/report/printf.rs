//! `printf` as in C: flags, width and precision in bytes, integers of 8 to 64 bits.

use crate::report::value::Scalar;
use crate::sema::hir::{Conversion, ConversionKind, Format, Piece};

/// The text of a format with its arguments, as bytes: a string argument need not be UTF-8.
/// A conversion without an argument (a cut-off record) prints nothing.
pub fn render(format: &Format, args: &[Scalar]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut args = args.iter();
    for piece in &format.pieces {
        match piece {
            Piece::Text(literal) => text.extend_from_slice(literal.as_bytes()),
            Piece::Conversion(conversion) => {
                if let Some(arg) = args.next() {
                    convert(&mut text, conversion, arg);
                }
            }
        }
    }
    text
}

fn convert(text: &mut Vec<u8>, conversion: &Conversion, arg: &Scalar) {
    use ConversionKind::*;
    let bits = match arg {
        Scalar::Text(bytes) => return string(text, conversion, bytes),
        Scalar::Bytes(bytes) => {
            let shown = match conversion.kind {
                BytesEscaped => joined(bytes, "\\x", ""),
                BytesHex => joined(bytes, "", " "),
                _ => arg.to_string(),
            };
            return string(text, conversion, shown.as_bytes());
        }
        arg => match arg.as_integer() {
            Some(n) => n as u64,
            // A number asked of something else: the type checker refuses it; shown as what it is.
            None => return string(text, conversion, arg.to_string().as_bytes()),
        },
    };
    match conversion.kind {
        Str | Bytes | BytesEscaped | BytesHex => {
            string(text, conversion, arg.to_string().as_bytes());
        }
        Char => pad(text, conversion, &[], &[bits as u8], false),
        Signed => {
            let n = sign_extended(bits, conversion.bits);
            let sign: &[u8] = match (n < 0, conversion.plus, conversion.space) {
                (true, ..) => b"-",
                (false, true, _) => b"+",
                (false, false, true) => b" ",
                (false, false, false) => b"",
            };
            number(text, conversion, sign, n.unsigned_abs().to_string());
        }
        Unsigned => number(
            text,
            conversion,
            b"",
            low_bits(bits, conversion.bits).to_string(),
        ),
        // As the GNU library has it.
        Pointer if bits == 0 => pad(text, conversion, b"", b"(nil)", false),
        LowerHex | UpperHex | Pointer => {
            let n = low_bits(bits, conversion.bits);
            let (prefix, digits): (&[u8], String) = match conversion.kind {
                UpperHex => (b"0X", format!("{n:X}")),
                _ => (b"0x", format!("{n:x}")),
            };
            // C writes no prefix before a zero; a pointer always has one.
            let prefixed = conversion.kind == Pointer || (conversion.alternate && n != 0);
            number(
                text,
                conversion,
                if prefixed { prefix } else { b"" },
                digits,
            );
        }
        Octal => {
            let mut digits = format!("{:o}", low_bits(bits, conversion.bits));
            let precision = usize::from(conversion.precision.unwrap_or(1));
            if conversion.alternate && !digits.starts_with('0') && digits.len() >= precision {
                digits.insert(0, '0');
            }
            if conversion.alternate && digits == "0" && precision == 0 {
                // `%#.0o` of 0 is the one zero that precision 0 does not remove.
                return pad(text, conversion, b"", b"0", false);
            }
            number(text, conversion, b"", digits);
        }
    }
}

/// Bytes in hexadecimal, each behind a prefix, with something between them.
fn joined(bytes: &[u8], prefix: &str, between: &str) -> String {
    let bytes = bytes.iter().map(|byte| format!("{prefix}{byte:02x}"));
    bytes.collect::<Vec<_>>().join(between)
}

/// Digits brought to the precision, with their sign or prefix, in the width.
fn number(text: &mut Vec<u8>, conversion: &Conversion, prefix: &[u8], mut digits: String) {
    if let Some(precision) = conversion.precision {
        if precision == 0 && digits == "0" {
            digits.clear();
        }
        let missing = usize::from(precision).saturating_sub(digits.len());
        digits.insert_str(0, &"0".repeat(missing));
    }
    // With a precision or `-` the flag `0` means nothing.
    let zeros = conversion.zero && !conversion.left && conversion.precision.is_none();
    pad(text, conversion, prefix, digits.as_bytes(), zeros);
}

fn string(text: &mut Vec<u8>, conversion: &Conversion, bytes: &[u8]) {
    let most = conversion.precision.map_or(usize::MAX, usize::from);
    pad(
        text,
        conversion,
        b"",
        &bytes[..bytes.len().min(most)],
        false,
    );
}

fn pad(text: &mut Vec<u8>, conversion: &Conversion, prefix: &[u8], body: &[u8], zeros: bool) {
    let width = usize::from(conversion.width.unwrap_or(0));
    let missing = width.saturating_sub(prefix.len() + body.len());
    let fill = |text: &mut Vec<u8>, byte, when: bool| {
        if when {
            text.resize(text.len() + missing, byte);
        }
    };
    fill(text, b' ', !zeros && !conversion.left);
    text.extend_from_slice(prefix);
    fill(text, b'0', zeros);
    text.extend_from_slice(body);
    fill(text, b' ', conversion.left);
}

fn sign_extended(bits: u64, width: u8) -> i64 {
    let unused = 64 - u32::from(width.clamp(1, 64));
    (bits << unused) as i64 >> unused
}

fn low_bits(bits: u64, width: u8) -> u64 {
    let unused = 64 - u32::from(width.clamp(1, 64));
    bits << unused >> unused
}
