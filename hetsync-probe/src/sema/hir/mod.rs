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

mod expr;
mod format;
mod map;
mod probe;
mod stmt;

use crate::span::Span;

pub use self::expr::{BinaryOp, Builtin, Expr, ExprKind, Place, UnaryOp};
pub use self::format::{Conversion, ConversionKind, Format, Piece, TextUse};
pub use self::map::{Aggregation, Map, MapValue, Unit};
pub use self::probe::{AttachPoint, Local, PointKind, Probe, Sampling};
pub use self::stmt::{LoopHead, Print, PrintWhat, Stmt, StmtKind};
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
    /// How stacks are written that do not say it themselves.
    pub stack_mode: StackMode,
    /// What becomes of attach points that do not exist.
    pub missing: Missing,
    /// Whether names of C++ and Rust functions stay as they are in symbol tables.
    pub mangled: bool,
}

/// What becomes of an attach point that does not exist on a kernel or in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// It is left out with a warning where its probe has others, and is an error where it has none.
    #[default]
    Warn,
    /// It is an error.
    Error,
    /// It is left out with a warning, a whole probe too.
    WarnAlways,
    /// It is left out.
    Ignore,
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
