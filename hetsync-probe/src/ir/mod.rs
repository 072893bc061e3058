//! The intermediate representation: one function an attach point, in SSA form over 64-bit virtual
//! registers, close to what eBPF can do and free of its register file.
//!
//! ```text
//! hir::Program --lower--> Function --cleanup--> Function --codegen--> image::Program
//! ```
//!
//! What it is not: it knows no physical registers, no stack offsets, no file descriptors and no ELF.
//!
//! # Invariants ([`verify::verify`] checks them)
//!
//! * Every register is defined once, and its definition dominates every use.
//! * A block ends in one [`Term`]; an edge has an argument for each parameter of its block.
//! * Only [`Term::Jump`] carries arguments: edges of a branch go to blocks without parameters.
//! * A loop has one way in: an edge back goes to a block that dominates where it comes from.
//! * Immediates in arithmetic, comparisons and stores fit 32 bits, sign-extended; wider ones are [`Op::Const`].
//! * Context, record and map pointers are never the operand of arithmetic other than `+ immediate`.

pub mod build;
pub mod cleanup;
mod graph;
pub mod limits;
pub mod lower;
mod operator;
pub mod simplify;
mod text;
pub mod verify;

use crate::sema::hir;
use crate::span::Span;

pub use lower::{Context, lower};
pub use operator::{Alu, Cond, Unary, Width, fits_imm};
pub(crate) use text::helper_name;

/// A virtual register: one SSA value of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct V(pub u32);

/// Index into [`Function::blocks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// Index into [`Function::slots`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// A register or a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Val {
    /// The value of a register.
    Reg(V),
    /// A constant.
    Imm(i64),
}

/// One program before register allocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Blocks; the first is the entry and has no parameters.
    pub blocks: Vec<Block>,
    /// Objects in memory that the program owns: keys, strings, values to store.
    pub slots: Vec<Slot>,
    /// How many virtual registers there are.
    pub registers: u32,
    /// The branches that end loops after so many rounds.
    pub limits: Vec<Limit>,
    /// How many loops over maps its code is the body of, one inside another; 0 for the program itself. A body is a function of
    /// its own, which the kernel calls for each entry: see [`lower`](mod@lower).
    pub depth: u32,
    /// Bytes of [`MapRef::Shared`] that it and the bodies in it use; said by the program itself.
    pub shared: u32,
}

/// A branch on the number of a loop's rounds: `branch.lt rounds, most -> go on, else stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The block it ends, the loop's header.
    pub header: BlockId,
    /// Which loop of the script.
    pub id: hir::LoopId,
}

/// An object of the program's own in memory: on the stack, or in per-CPU scratch where the stack is too small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Bytes, a multiple of 8 after layout.
    pub size: u32,
    /// What it holds, for messages: `key of @start`, `$name`.
    pub what: String,
    /// Whether it has to lie on the stack: where pointers are kept in it.
    pub on_stack: bool,
}

/// Straight-line code.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Values passed in by every edge that comes here.
    pub params: Vec<V>,
    /// The instructions.
    pub insts: Vec<Inst>,
    /// How it ends.
    pub term: Term,
    /// Place in the script of the terminator.
    pub span: Span,
    /// Rarely reached (a full map, the first sample of a key): laid out last, spilled first.
    pub cold: bool,
}

/// An instruction.
#[derive(Debug, Clone, PartialEq)]
pub struct Inst {
    /// The register it defines.
    pub dst: Option<V>,
    /// What it does.
    pub op: Op,
    /// Its place in the script.
    pub span: Span,
}

/// Where a block goes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// To one block.
    Jump(Edge),
    /// To one of two.
    Branch {
        /// The comparison.
        cond: Cond,
        /// Its left side.
        lhs: V,
        /// Its right side.
        rhs: Val,
        /// Where it holds.
        then: BlockId,
        /// Where it does not.
        otherwise: BlockId,
    },
    /// The program ends (and returns 0).
    Exit,
}

/// A jump's target and what it passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The block.
    pub block: BlockId,
    /// One value a parameter.
    pub args: Vec<Val>,
}

/// A map of the image, by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MapRef {
    /// One of the script's.
    Script(hir::MapId),
    /// The ring buffer of events.
    Events,
    /// The loss counters.
    Losses,
    /// Zeros to start large values from.
    Zeros,
    /// Per-CPU room for what does not fit the stack.
    Scratch,
    /// Per-CPU room for variables that the bodies of loops over maps have in common with what is around them.
    Shared,
    /// The front of one of the script's maps ([`crate::layout::front`]).
    Front(hir::MapId),
    /// The values of several of the script's maps, of which this is the first ([`crate::plan::groups`]).
    Group(hir::MapId),
    /// Stacks of calls, of at most this many frames each.
    Stacks(u16),
    /// The word that stops every probe once it is not 0.
    Gate,
}

/// Memory: a base and a constant distance in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    /// What the distance is counted from.
    pub base: Base,
    /// Bytes.
    pub offset: i32,
}

/// What an address is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Base {
    /// A pointer in a register.
    Reg(V),
    /// The start of an object of the program's own.
    Slot(SlotId),
}

/// An argument of a helper call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arg {
    /// A constant.
    Imm(i64),
    /// A register plus a constant.
    Reg(V, i32),
    /// The address of an object plus a constant.
    Slot(SlotId, i32),
    /// A map.
    Map(MapRef),
    /// The address of an array's one value.
    MapValue(MapRef),
    /// Another function of the program, by its index.
    Function(u32),
}

/// What an instruction does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Op {
    /// The context pointer; the first instruction of the entry or absent.
    Context,
    /// In the body of a loop over a map: the address of the entry's key, or of its value.
    Entry {
        /// Whether of its key.
        key: bool,
    },
    /// In the body of a loop over a map: once this round is over, there is no further one.
    Stop,
    /// A constant.
    Const(i64),
    /// The time of loading, [`crate::image::RelocationKind::StartNs`].
    StartNs,
    /// The address of an array's one value, plus bytes.
    MapValue(MapRef, u32),
    /// The address of part `index` modulo `count` (a power of two) of an array's one value, each `2^shift` bytes.
    Part {
        /// The array.
        map: MapRef,
        /// Which part.
        index: V,
        /// How many there are.
        count: u32,
        /// Bytes of one, as a power of two.
        shift: u8,
    },
    /// The address of an object of the program's own, plus bytes.
    SlotAddress(SlotId, i32),
    /// Arithmetic.
    Alu(Alu, V, Val),
    /// Arithmetic.
    Unary(Unary, V),
    /// 1 where the comparison holds, else 0.
    Set(Cond, V, Val),
    /// Reads memory, zero-extended.
    Load(Width, Address),
    /// Writes memory.
    Store(Width, Address, Val),
    /// Adds to 8 bytes of shared memory, atomically; with a destination, also gives what was there before.
    AtomicAdd(Address, V),
    /// A helper call; arguments in order, at most 5.
    Call(i32, Vec<Arg>),
    /// [`crate::layout::log_linear`] of a number below `2^width`.
    LogLinear {
        /// The number.
        value: V,
        /// Linear parts of a power, as a power of two.
        bits: u8,
        /// Bits the number is known to fit.
        width: u8,
    },
    /// Adds 1 to counter `index` modulo `limit` of a value in a map. Lowering rules out an `index` from `limit` on; the
    /// remainder is there for the kernel's verifier. (A comparison would not do: on a path that cannot happen
    /// the verifier may know of the number two things that exclude each other, and then makes of them one
    /// that lies beyond both.)
    BucketAdd {
        /// The value.
        base: V,
        /// Bytes from there to counter 0.
        offset: i32,
        /// Which counter.
        index: V,
        /// How many there are, a power of two.
        limit: u32,
        /// Bytes of a counter: 8 wraps, 4 stays at its largest number.
        width: Width,
    },
    /// Inserted by register allocation only: puts a register into a spill slot.
    Spill(SlotId, V),
    /// Inserted by register allocation only: takes a register from a spill slot.
    Reload(SlotId),
}

impl Op {
    /// Whether it may be left out when its value is not used.
    pub fn is_removable(&self) -> bool {
        use crate::codegen::insn::helper;
        match self {
            Op::Stop | Op::Store(..) | Op::AtomicAdd(..) | Op::BucketAdd { .. } | Op::Spill(..) => {
                false
            }
            Op::Call(helper, _) => matches!(
                *helper,
                helper::MAP_LOOKUP_ELEM
                    | helper::GET_CURRENT_PID_TGID
                    | helper::GET_SMP_PROCESSOR_ID
                    | helper::GET_CURRENT_TASK
                    | helper::KTIME_GET_BOOT_NS
            ),
            _ => true,
        }
    }

    /// Calls `f` with every register read.
    pub fn uses(&self, mut f: impl FnMut(V)) {
        self.clone().uses_mut(|v| f(*v));
    }

    /// Calls `f` with every register read, in the order instructions list them.
    pub fn uses_mut(&mut self, mut f: impl FnMut(&mut V)) {
        fn val(v: &mut Val, f: &mut impl FnMut(&mut V)) {
            if let Val::Reg(v) = v {
                f(v);
            }
        }
        fn address(address: &mut Address, f: &mut impl FnMut(&mut V)) {
            if let Base::Reg(v) = &mut address.base {
                f(v);
            }
        }
        match self {
            Op::Context | Op::Const(_) | Op::StartNs | Op::MapValue(..) => {}
            Op::Entry { .. } | Op::Stop => {}
            Op::SlotAddress(..) | Op::Reload(_) => {}
            Op::Alu(_, a, b) | Op::Set(_, a, b) => {
                f(a);
                val(b, &mut f);
            }
            Op::Unary(_, a) | Op::LogLinear { value: a, .. } | Op::Spill(_, a) => f(a),
            Op::Part { index, .. } => f(index),
            Op::Load(_, a) => address(a, &mut f),
            Op::Store(_, a, v) => {
                address(a, &mut f);
                val(v, &mut f);
            }
            Op::AtomicAdd(a, v) => {
                address(a, &mut f);
                f(v);
            }
            Op::Call(_, args) => {
                for arg in args {
                    if let Arg::Reg(v, _) = arg {
                        f(v);
                    }
                }
            }
            Op::BucketAdd { base, index, .. } => {
                f(base);
                f(index);
            }
        }
    }
}

impl Term {
    /// The blocks it may go to, in order.
    pub fn successors(&self) -> impl Iterator<Item = BlockId> + use<> {
        let (a, b) = match self {
            Term::Jump(edge) => (Some(edge.block), None),
            Term::Branch {
                then, otherwise, ..
            } => (Some(*then), Some(*otherwise)),
            Term::Exit => (None, None),
        };
        a.into_iter().chain(b)
    }

    /// Calls `f` with every register read, arguments of edges included.
    pub fn uses(&self, mut f: impl FnMut(V)) {
        self.clone().uses_mut(|v| f(*v));
    }

    /// Calls `f` with every register read, arguments of edges included.
    pub fn uses_mut(&mut self, mut f: impl FnMut(&mut V)) {
        match self {
            Term::Jump(edge) => {
                for arg in &mut edge.args {
                    if let Val::Reg(v) = arg {
                        f(v);
                    }
                }
            }
            Term::Branch { lhs, rhs, .. } => {
                f(lhs);
                if let Val::Reg(v) = rhs {
                    f(v);
                }
            }
            Term::Exit => {}
        }
    }
}

impl Function {
    /// A block.
    pub fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id.0 as usize]
    }

    /// A block.
    pub fn block_mut(&mut self, id: BlockId) -> &mut Block {
        &mut self.blocks[id.0 as usize]
    }

    /// A register that is not used yet.
    pub fn fresh(&mut self) -> V {
        self.registers += 1;
        V(self.registers - 1)
    }
}
