//! The checked script: what `sema` makes and everything after it reads.
//!
//! Every name is resolved, every expression has a type, every aggregation is
//! known by kind. Two engines give it meaning and must agree: the interpreter in
//! [`crate::interp`] walks it directly, and [`crate::ir`] lowers it to eBPF.
//!
//! # Semantics both engines implement
//!
//! * Integers are 64 bits wide and wrap. `x / 0` is 0 and `x % 0` is `x`
//!   (the eBPF machine's rule); `i64::MIN / -1` wraps, its remainder is 0. Signed
//!   division truncates toward zero. Shift counts are taken modulo 64; a
//!   signed `>>` keeps the sign. Comparisons and logical operators give 0 or 1.
//! * [`ExprKind::Logical`] and [`ExprKind::Ternary`] evaluate only the side they need.
//!   Operands are evaluated left to right; a statement's key before its value.
//! * A string value of capacity `n` is `n` bytes, zero from its first NUL to its end; a longer
//!   one is cut to `n - 1` bytes when it is put into a smaller place.
//!   Equality of strings is equality after zero-extension to the longer capacity.
//! * Reading a map's missing key gives 0 or "" and does not create the key.
//! * A `$` variable that was never assigned on this path is 0 or "".

use crate::span::Span;

/// Index into [`Program::maps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MapId(pub u32);

/// Index into [`Probe::locals`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(pub u32);

/// Index into [`Program::formats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FormatId(pub u32);

/// Index into [`Program::prints`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrintId(pub u32);

/// Index into [`Program::names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u32);

/// A whole checked script.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Program {
    /// Probe bodies in script order.
    pub probes: Vec<Probe>,
    /// Maps in order of first mention.
    pub maps: Vec<Map>,
    /// Formats of the `printf` calls.
    pub formats: Vec<Format>,
    /// What each `print` call prints.
    pub prints: Vec<Print>,
    /// Strings known at compile time that travel as a number (`probe`, `func`).
    pub names: Vec<String>,
}

/// One body and the places it is attached to.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Where it fires; at least one.
    pub points: Vec<AttachPoint>,
    /// `/e/`: the body runs where this is not 0.
    pub predicate: Option<Expr>,
    /// The statements.
    pub body: Vec<Stmt>,
    /// Types of the `$` variables, by [`LocalId`].
    pub locals: Vec<Local>,
    /// The whole probe in the source.
    pub span: Span,
}

/// A `$` variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Local {
    /// Its name without the `$`.
    pub name: String,
    /// Its one type.
    pub ty: Type,
}

/// One place a body is attached to.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachPoint {
    /// What fires it.
    pub kind: PointKind,
    /// The value of the built-in `probe`: e.g. `kprobe:tcp_sendmsg`.
    pub probe_name: NameId,
    /// The value of the built-in `func`: e.g. `tcp_sendmsg`; equal to `probe_name` where there is no function.
    pub func_name: NameId,
    /// The attach point in the source.
    pub span: Span,
}

/// What fires a probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PointKind {
    /// Once, before anything else is attached.
    Begin,
    /// Once, after everything else is detached.
    End,
    /// On entry to a kernel function, or `offset` bytes into it.
    Kprobe {
        /// The function's symbol.
        function: String,
        /// Bytes past its start.
        offset: u64,
    },
    /// On return from a kernel function.
    Kretprobe {
        /// The function's symbol.
        function: String,
    },
    /// Every `period_ns`, on one CPU.
    Interval {
        /// The period in nanoseconds, at least 1.
        period_ns: u64,
    },
}

/// A type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// A 64-bit integer.
    Int {
        /// Whether division, `>>`, comparison and printing are signed.
        signed: bool,
    },
    /// A string of at most `capacity - 1` bytes; `capacity` is a multiple of 8, at most [`crate::limits::STRING_BYTES`].
    Str {
        /// Bytes it takes, the closing NUL included.
        capacity: u16,
    },
    /// A [`NameId`] in 8 bytes, shown as its string.
    Name,
}

impl Type {
    /// A signed integer.
    pub const INT: Type = Type::Int { signed: true };
    /// An unsigned integer.
    pub const UINT: Type = Type::Int { signed: false };

    /// Bytes a value of this type takes in a map key, a map value or an event; a multiple of 8.
    pub fn size(self) -> usize {
        match self {
            Type::Int { .. } | Type::Name => 8,
            Type::Str { capacity } => capacity as usize,
        }
    }

    /// Whether values are integers.
    pub fn is_int(self) -> bool {
        matches!(self, Type::Int { .. })
    }
}

/// An expression with its type and its place.
///
/// The signedness in an integer's `ty` says how the *reader* of the value takes it and may differ from what
/// its parts suggest (a variable's type, an operator's `signed`): the bits are the same, so such a conversion has
/// no node of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// The type of its value.
    pub ty: Type,
    /// Its place in the source.
    pub span: Span,
}

/// What an expression computes.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A literal (or a resolved positional parameter); the bits of the value.
    Int(u64),
    /// A string literal without its NUL; at most `capacity - 1` bytes, no NUL inside.
    Str(Vec<u8>),
    /// A built-in value.
    Builtin(Builtin),
    /// The value of a `$` variable.
    Local(LocalId),
    /// The value of a scalar map (never of an aggregation) at a key; empty for a map without keys.
    MapGet {
        /// Which map; its value is [`MapValue::Scalar`].
        map: MapId,
        /// One expression a key part, of exactly the map's key types.
        key: Vec<Expr>,
    },
    /// An operator on one integer.
    Unary(UnaryOp, Box<Expr>),
    /// An operator on two integers.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Whether `/ % >> < <= > >=` treat both operands as signed.
        signed: bool,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `==` or `!=` of two strings or of a [`Type::Name`] and a string or name.
    StrCompare {
        /// True for `==`.
        equal: bool,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `&&` or `||`, short-circuiting; the value is 0 or 1.
    Logical {
        /// True for `&&`.
        and: bool,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `cond ? then : otherwise`; both arms have the expression's type, but a string arm
    /// may have a smaller capacity.
    Ternary {
        /// The integer tested against 0.
        cond: Box<Expr>,
        /// Value where it is not 0.
        then: Box<Expr>,
        /// Value where it is 0.
        otherwise: Box<Expr>,
    },
    /// `++`/`--` of an integer place.
    Increment {
        /// What changes.
        place: Place,
        /// 1 or -1.
        delta: i64,
        /// Whether the value is the one before the change (postfix) or after (prefix).
        postfix: bool,
    },
}

/// Something that can be assigned.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A `$` variable.
    Local(LocalId),
    /// A scalar map at a key.
    Map {
        /// Which map; its value is [`MapValue::Scalar`].
        map: MapId,
        /// One expression a key part.
        key: Vec<Expr>,
    },
}

/// Built-in values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Process id (thread group id in kernel terms).
    Pid,
    /// Thread id.
    Tid,
    /// Name of the current thread, `Str { capacity: 16 }`.
    Comm,
    /// Nanoseconds since boot.
    Nsecs,
    /// Nanoseconds since the script was loaded.
    Elapsed,
    /// Number of the CPU.
    Cpu,
    /// Argument `n` of the function, 0 to 9, as the 64-bit register or stack slot holds it (kprobe).
    Arg(u8),
    /// The function's return value (kretprobe).
    Retval,
    /// Name of the function, [`Type::Name`].
    Func,
    /// Name of the attach point, [`Type::Name`].
    Probe,
}

/// Operators on one integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-x`, wrapping.
    Neg,
    /// `~x`.
    BitNot,
    /// `!x`: 1 where x is 0, else 0.
    Not,
}

/// Operators on two integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Stmt {
    /// What it does.
    pub kind: StmtKind,
    /// Its place in the source.
    pub span: Span,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq)]
pub enum StmtKind {
    /// `place = value`; compound assignments arrive here with the place read inside `value`
    /// (key expressions have no side effects when that happens, or `sema` has refused it).
    /// A string value may have a smaller or larger capacity than its place.
    Assign {
        /// What changes.
        place: Place,
        /// The new value.
        value: Expr,
    },
    /// `@m[key] = count()` and its like: one sample into an aggregation.
    Aggregate {
        /// Which map; its value is [`MapValue::Aggregate`].
        map: MapId,
        /// One expression a key part.
        key: Vec<Expr>,
        /// The sample; none for `count()`.
        sample: Option<Expr>,
    },
    /// `if (cond) { .. } else { .. }`.
    If {
        /// Tested against 0.
        cond: Expr,
        /// Where it is not 0.
        then: Vec<Stmt>,
        /// Where it is 0.
        otherwise: Vec<Stmt>,
    },
    /// `printf(..)`: an event with the arguments' values.
    Printf {
        /// Which format.
        format: FormatId,
        /// Values in order, one a conversion.
        args: Vec<Expr>,
    },
    /// `print(..)`: an event; `args` is the value of [`PrintWhat::Value`], else empty.
    Print {
        /// What is printed.
        print: PrintId,
        /// The printed value, if it is one.
        args: Vec<Expr>,
    },
    /// `clear(@m)`: an event; user space removes every key.
    Clear(MapId),
    /// `zero(@m)`: an event; user space sets every value to its start.
    Zero(MapId),
    /// `delete(@m, key)`, at once, in the kernel. Of a map without keys (a scalar one; `sema` makes a [`Self::Clear`] of
    /// any other) it takes the value away, so that it counts as never assigned.
    Delete {
        /// Which map.
        map: MapId,
        /// One expression a key part; empty for a map without keys.
        key: Vec<Expr>,
    },
    /// `exit()` or `exit(code)`: an event; the rest of the body does not run.
    Exit {
        /// The program's exit code, an integer.
        code: Option<Expr>,
    },
    /// An expression for its effect (`@x++`).
    Expr(Expr),
}

/// A map.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Its name without the `@`; empty for the map called `@`.
    pub name: String,
    /// Types of the key parts; empty for a map without keys.
    pub key: Vec<Type>,
    /// What it holds.
    pub value: MapValue,
    /// Keys it can hold; 1 for a map without keys.
    pub max_entries: u32,
    /// The unit of its values or samples where the script names one (`us(..)`, `ms(..)`): for table headers
    /// only, the numbers are already in it.
    pub unit: Option<Unit>,
    /// Its first mention in the source.
    pub span: Span,
}

/// The unit of a number, for headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// How it is written after a number or in a header.
    pub fn suffix(self) -> &'static str {
        match self {
            Unit::Ns => "ns",
            Unit::Us => "us",
            Unit::Ms => "ms",
            Unit::S => "s",
            Unit::Bytes => "bytes",
        }
    }
}

/// What a map holds.
#[derive(Debug, Clone, PartialEq)]
pub enum MapValue {
    /// One value, assigned.
    Scalar(Type),
    /// Statistics of samples, kept per CPU.
    Aggregate(Aggregation),
}

/// The statistics an aggregating map keeps.
#[derive(Debug, Clone, PartialEq)]
pub enum Aggregation {
    /// Number of samples.
    Count,
    /// Their sum.
    Sum {
        /// Whether samples are signed.
        signed: bool,
    },
    /// Their mean.
    Avg {
        /// Whether samples are signed.
        signed: bool,
    },
    /// The smallest.
    Min {
        /// Whether samples are signed.
        signed: bool,
    },
    /// The largest.
    Max {
        /// Whether samples are signed.
        signed: bool,
    },
    /// Count, mean and total.
    Stats {
        /// Whether samples are signed.
        signed: bool,
    },
    /// Power-of-two histogram, each power split into `2^bits` linear parts.
    Hist {
        /// 0 to 5.
        bits: u8,
    },
    /// Linear histogram.
    Lhist {
        /// Lower end of the first bucket.
        min: i64,
        /// Upper end of the last bucket.
        max: i64,
        /// Width of a bucket, at least 1.
        step: u64,
    },
    /// Count, mean, standard deviation, minimum, percentiles, maximum of signed samples.
    Summary {
        /// Percentiles to print, in thousandths of a percent, ascending (25 000 is the 25th).
        percentiles: Vec<u32>,
    },
}

/// A `printf` format, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    /// Text and conversions in order.
    pub pieces: Vec<Piece>,
    /// Types of the arguments, one a conversion.
    pub args: Vec<Type>,
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
}

/// What a `print` call prints.
#[derive(Debug, Clone, PartialEq)]
pub struct Print {
    /// The thing printed.
    pub what: PrintWhat,
    /// Only the largest `top` entries; 0 is all.
    pub top: u32,
    /// Values are divided by this (counts of histograms too); at least 1.
    pub div: u64,
}

/// What a `print` call prints.
#[derive(Debug, Clone, PartialEq)]
pub enum PrintWhat {
    /// A whole map.
    Map(MapId),
    /// One value of this type, carried by the event.
    Value(Type),
}
