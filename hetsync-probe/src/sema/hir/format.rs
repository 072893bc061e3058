//! Texts with values in them: the formats of `printf` and its relatives, parsed.
//!
//! The values themselves are arguments of the statement ([`super::StmtKind::Printf`]); printing is `report`'s.

use super::Type;

/// A `printf` format, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    /// Text and conversions in order.
    pub pieces: Vec<Piece>,
    /// Types of the arguments, one a conversion.
    pub args: Vec<Type>,
    /// What becomes of the text.
    pub use_as: TextUse,
}

/// What becomes of a formatted text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextUse {
    /// `printf`: it is printed.
    #[default]
    Print,
    /// `time`: a form of the time of day, which is printed.
    Time,
    /// `cat`: the name of a file, whose contents are printed.
    Cat,
    /// `system`: a command for the shell, whose output is printed.
    System,
    /// `join`: as printed, but for programs it is another kind of line.
    Join,
    /// `errorf`: a message beside the output.
    Error,
    /// `warnf`: the same, less grave.
    Warn,
}

impl TextUse {
    /// The function's name.
    pub fn name(self) -> &'static str {
        match self {
            TextUse::Print => "printf",
            TextUse::Time => "time",
            TextUse::Cat => "cat",
            TextUse::System => "system",
            TextUse::Join => "join",
            TextUse::Error => "errorf",
            TextUse::Warn => "warnf",
        }
    }
}

/// A part of a format.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text as it is printed (escapes and `%%` resolved).
    Text(String),
    /// The next argument, formatted.
    Conversion(Conversion),
}

/// A `printf` conversion as in C.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversion {
    /// `-`: pad on the right.
    pub left: bool,
    /// `0`: pad with zeros.
    pub zero: bool,
    /// `+`: always a sign.
    pub plus: bool,
    /// A space where a plus sign would be.
    pub space: bool,
    /// `#`: the alternative form.
    pub alternate: bool,
    /// Minimum width in characters.
    pub width: Option<u16>,
    /// Precision: digits of an integer, most characters of a string.
    pub precision: Option<u16>,
    /// How the value is shown.
    pub kind: ConversionKind,
    /// Bits of the value looked at (`%hhd` 8, `%hd` 16, `%d` 32 in C); as bpftrace does, plain
    /// `%d` shows the value's full 64 bits, so this is 64 unless `h`/`hh` is given.
    pub bits: u8,
}

/// How a conversion shows its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConversionKind {
    /// `%d`, `%i`.
    #[default]
    Signed,
    /// `%u`.
    Unsigned,
    /// `%x`.
    LowerHex,
    /// `%X`.
    UpperHex,
    /// `%o`.
    Octal,
    /// `%p`: hexadecimal with `0x`.
    Pointer,
    /// `%c`.
    Char,
    /// `%s`.
    Str,
    /// `%r`: bytes, those that are not printable as `\\x00`.
    Bytes,
    /// `%rx`: every byte as `\\x00`.
    BytesEscaped,
    /// `%rh`: every byte as `00`, spaces between them.
    BytesHex,
}
