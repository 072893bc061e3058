//! Expressions of a checked script: resolved, typed, with the rules of the [parent module](super).

use super::{Function, LocalId, MapId, Space, Stmt, Type};
use crate::span::Span;

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
        /// Which map; its value is [`MapValue::Scalar`](super::MapValue::Scalar).
        map: MapId,
        /// One expression a key part, of the map's key types but for the capacity of strings.
        key: Vec<Expr>,
    },
    /// What a statistic of all CPUs together is now, as a word: a count, sum, mean or extreme, 0 where the key is missing.
    Statistic {
        /// Which map; its value is [`MapValue::Aggregate`](super::MapValue::Aggregate) of such a kind.
        map: MapId,
        /// One expression a key part.
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
    /// Statements, none of which leaves them, and then the value, which is of the same type.
    Block {
        /// The statements.
        body: Vec<Stmt>,
        /// The value.
        value: Box<Expr>,
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
        /// Which map; its value is [`MapValue::Scalar`](super::MapValue::Scalar).
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
    /// Nanoseconds since boot in which the machine did not sleep.
    Monotonic,
    /// Nanoseconds of International Atomic Time since 1970.
    Tai,
    /// The register so many bytes from the start of those that the probe fires with.
    Register(u16),
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
