//! Statements of a checked script, and what its `print` calls print.

use super::{Expr, FormatId, LocalId, LoopId, MapId, Place, PrintId, Type};
use crate::span::Span;

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
        /// Which map; its value is [`MapValue::Aggregate`](super::MapValue::Aggregate).
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
    /// `for $kv : @m { .. }`: the body for each entry that the map has, in no order; of what is put in meanwhile it may see some.
    /// The variable is the key and the value that the entry had when its round began; a statistic is what it is then of all
    /// CPUs together. A `$` variable of the body keeps its value from round to round.
    Each {
        /// Which map; it has keys, and its values are words or scalars.
        map: MapId,
        /// A tuple of the key (a tuple itself where it has several parts) and the value.
        local: LocalId,
        /// What is repeated.
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
    /// The loop goes on while this is not 0. When a round more than [`super::Loop::most`] is due, the loop is cut before it is asked.
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
