//! The checked script: what `sema` makes and everything after it reads.
//!
//! Every name is resolved, every expression has a type, every aggregation is
//! known by kind. Two engines give it meaning and must agree: the interpreter in
//! [`crate::interp`] walks it directly, and [`crate::ir`] lowers it to eBPF.
//!
//! # Semantics both engines implement
//!
//! * Words are 64 bits and operators on them wrap at 64; a narrower integer, an enum or a `bool` is
//!   kept extended to the whole word, and only [`ExprKind::Cast`], [`ExprKind::Read`] and [`ExprKind::Part`] narrow. `x / 0` is 0 and `x % 0` is `x`
//!   (the eBPF machine's rule); `i64::MIN / -1` wraps, its remainder is 0. Signed
//!   division truncates toward zero. Shift counts are taken modulo 64; a
//!   signed `>>` keeps the sign. Comparisons and logical operators give 0 or 1.
//! * [`ExprKind::Logical`] and [`ExprKind::Ternary`] evaluate only the side they need.
//!   Operands are evaluated left to right; a statement's key before its value.
//! * A string value of capacity `n` is `n` bytes, zero from its first NUL to its end; a longer
//!   one is cut to `n - 1` bytes when it is put into a smaller place.
//!   Equality of strings is equality after zero-extension to the longer capacity.
//! * A value put into a place whose type differs in the capacity of strings alone is cut or extended part by part; nothing
//!   else is converted there.
//! * Reading a map's missing key gives zeros and does not create the key.
//! * A `$` variable that was never assigned on this path is zeros.
//! * Memory that cannot be read is zeros: all of the value, or of a string all of it.

use crate::span::Span;

pub use super::shown::{Function, Shown, StackForm, StackMode};
pub use super::types::{Enumeration, Field, Record, RecordId, RecordName, Space, Type};

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

/// Index into [`Program::loops`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoopId(pub u32);

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
    /// The loops of all bodies, in order.
    pub loops: Vec<Loop>,
    /// What the script says of itself.
    pub config: Config,
}

/// The settings of `config = { .. }` that change what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Config {
    /// Keys each map with keys can hold, unless it is declared otherwise.
    pub max_keys: Option<u32>,
    /// Whether maps are not printed at the end.
    pub hide_maps: bool,
    /// Pages of 4096 bytes of the events' ring buffer: a power of two.
    pub ring_pages: Option<u32>,
}

/// A loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loop {
    /// Rounds after which it is cut, which counts as a loss; where none is given, the compiler chooses what the kernel's
    /// verifier can follow.
    pub most: Option<u32>,
    /// Its head in the source.
    pub span: Span,
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
    /// On entry to a kernel function, by fentry.
    Fentry {
        /// The function's symbol.
        function: String,
        /// How many arguments it has; 0 where the kernel's types are not known.
        args: u8,
    },
    /// On return from a kernel function, by fexit.
    Fexit {
        /// The function's symbol.
        function: String,
        /// How many arguments it has; 0 where the kernel's types are not known.
        args: u8,
    },
    /// A tracepoint, with its record.
    Tracepoint {
        /// Its category, e.g. `tcp`.
        category: String,
        /// Its name in the category.
        name: String,
    },
    /// A tracepoint, with the arguments the kernel calls it with.
    RawTracepoint {
        /// Its name.
        name: String,
    },
    /// Samples on every CPU: `profile`, `software`, `hardware`.
    Sampled(Sampling),
    /// On entry to a function of a program or library, or at any of its instructions.
    Uprobe {
        /// The file.
        path: String,
        /// Where in the file the instruction is.
        offset: u64,
    },
    /// On return from a function of a program or library.
    Uretprobe {
        /// The file.
        path: String,
        /// Where in the file the function begins.
        offset: u64,
    },
}

impl PointKind {
    /// Whether the script itself asks for fentry or fexit.
    pub fn is_trampoline(&self) -> bool {
        matches!(self, PointKind::Fentry { .. } | PointKind::Fexit { .. })
    }
}

/// What makes a CPU take a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// So many times a second of its time.
    Hz(u64),
    /// After so many nanoseconds of its time.
    PeriodNs(u64),
    /// After so many events.
    Events {
        /// Counted by the processor, not by the kernel.
        hardware: bool,
        /// Which (`PERF_COUNT_*` of include/uapi/linux/perf_event.h).
        event: u64,
        /// How many.
        count: u64,
    },
}

/// An expression with its type and its place.
///
/// The signedness in a 64-bit integer's `ty` says how the *reader* of the value takes it and may differ from what
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
        /// One expression a key part, of the map's key types but for the capacity of strings.
        key: Vec<Expr>,
    },
    /// Values side by side; `ty` is [`Type::Tuple`] with as many parts, of which strings may be longer than here.
    Tuple(Vec<Expr>),
    /// A piece of a value that is bytes: a part of a tuple, a member of a record, an element of an array.
    Part {
        /// The whole.
        of: Box<Expr>,
        /// Bytes from its start.
        offset: u32,
        /// Bytes taken: for a string those looked at for its NUL, else the memory size of the type.
        bytes: u32,
    },
    /// An object in memory: an integer of its own width, a string up to its NUL, a record as it is.
    Read {
        /// Its address, a word.
        address: Box<Expr>,
        /// Bytes read: for a string at most this many, else the memory size of the type.
        bytes: u32,
        /// Whose memory.
        space: Space,
    },
    /// An object in the record that a tracepoint fires with, as [`ExprKind::Read`] of it.
    Context {
        /// Bytes from the record's start.
        offset: u32,
        /// Bytes read: for a string at most this many, else the memory size of the type.
        bytes: u32,
    },
    /// What a function computes.
    Call {
        /// Which one.
        function: Function,
        /// Its arguments.
        args: Vec<Expr>,
    },
    /// A word made a value of this expression's type: cut to its width and extended, or for `bool` compared with 0.
    Cast(Box<Expr>),
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
    /// `==` or `!=` of two strings, of a [`Type::Name`] and a string or name, or of two other values that are bytes and
    /// whose types differ in the capacity of strings alone.
    Compare {
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
    /// `cond ? then : otherwise`; both arms have the expression's type, but strings in an arm
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
    /// The address of what the probe fires with: of a tracepoint its record.
    Context,
    /// The address of the kernel's description of the current thread.
    Curtask,
    /// Id of the current user.
    Uid,
    /// Id of the current user's group.
    Gid,
    /// Id of the current thread's cgroup (version 2).
    Cgroup,
    /// A random number of 32 bits.
    Rand,
    /// Number of possible CPUs.
    Ncpus,
    /// The kernel's count of ticks.
    Jiffies,
    /// Number of the CPU's memory node.
    Numaid,
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
    /// `while (cond) { .. }` or `for $i : a..b { .. }`. A `$` variable of its body keeps its value from round to round.
    Loop {
        /// Which loop.
        id: LoopId,
        /// What each round begins with.
        head: LoopHead,
        /// What it repeats.
        body: Vec<Stmt>,
    },
    /// `unroll (n) { .. }`: the body so many times in a row. It is no loop to [`Self::Break`] and [`Self::Continue`].
    Unroll {
        /// How many times.
        count: u32,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// `break`: the innermost loop ends.
    Break,
    /// `continue`: the innermost loop's next round begins.
    Continue,
    /// `return` or `return e`: the body ends; the value is worked out and not used.
    Return(Option<Expr>),
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

/// What each round of a loop begins with.
#[derive(Debug, Clone, PartialEq)]
pub enum LoopHead {
    /// The loop goes on while this is not 0. When a round more than [`Loop::most`] is due, the loop is cut before it is asked.
    While(Expr),
    /// The variable is `start` in the first round and one more in each further one, up to and without `end`, signed. Both are
    /// worked out once, `start` first; what a round does to the variable is forgotten in the next.
    Range {
        /// The variable, an integer.
        local: LocalId,
        /// The first number.
        start: Expr,
        /// The number behind the last.
        end: Expr,
    },
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
    /// Whether a full map drops the key not used for longest, rather than refuse a new one.
    pub lru: bool,
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
    /// What a map holds at a key carried by the event.
    Entry(MapId),
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
