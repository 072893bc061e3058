//! Makes a program fit registers and stack: the quick way first, then with more and more of it in per-CPU scratch.

use super::regalloc::{self, Allocated, Pool};
use super::{Options, frame, lower_with, scratch, too_large};
use crate::diagnostic::Diagnostic;
use crate::image::ProgramKind;
use crate::ir::{self, Function};
use crate::limits;
use crate::sema::hir;
use crate::span::Span;

/// Scratch needed by the programs compiled so far.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Bytes of the largest entry.
    pub(super) bytes: u32,
    /// One for each program that needs any.
    pub(super) entries: u32,
}

/// A function with registers and a frame.
pub(super) struct Placed {
    pub(super) function: Function,
    pub(super) allocated: Allocated,
    pub(super) frame: frame::Frame,
    /// Rounds chosen for the function's loops.
    pub(super) limits: Vec<u32>,
}

/// Most bytes of a per-CPU value (the kernel's `PCPU_MIN_UNIT_SIZE`).
const SCRATCH_BYTES: u32 = 32 << 10;

/// Lowers an attach point and gives it registers and a frame.
pub(super) fn fit(
    program: &hir::Program,
    point: (usize, usize),
    kind: &ProgramKind,
    options: &Options<'_>,
    scratch: &mut Scratch,
) -> Result<Placed, Vec<Diagnostic>> {
    let span = program.probes[point.0].span;
    let mut needed = 0;
    let mut largest = String::new();
    for locals_in_memory in [false, true] {
        let mut function = lower_with(program, point, kind, options, locals_in_memory)?;
        check_size(&function, span)?;
        let given = |id: hir::LoopId| program.loops[id.0 as usize].most;
        let limits = ir::limits::choose(&mut function, &given, options.shorter_loops);
        largest = largest_objects(&function);
        // How much of the stack objects may take; the rest is for spilled values.
        for budget in [None, Some(384), Some(256), Some(128), Some(16)] {
            match place(&function, budget, &options.pool, scratch) {
                Ok(placed) => return Ok(Placed { limits, ..placed }),
                Err(frame::TooLarge { size }) => needed = size,
            }
        }
    }
    let message = format!(
        "this probe needs {needed} bytes of memory at once; a program has {} of stack and {SCRATCH_BYTES} of scratch",
        limits::STACK_BYTES
    );
    Err(vec![
        Diagnostic::error("E0508", span, message)
            .with_label("too much is in use at the same time")
            .with_help(format!("the largest objects are {largest}")),
    ])
}

/// Refuses what cannot become few enough instructions before time is spent on it.
fn check_size(function: &Function, span: Span) -> Result<(), Vec<Diagnostic>> {
    let count: usize = function.blocks.iter().map(|b| b.insts.len()).sum();
    let most = limits::INSTRUCTIONS;
    if count <= most {
        return Ok(());
    }
    let what = format!("at least {count} instructions of at most {most}");
    Err(vec![*too_large(&what, span)])
}

/// Chooses registers and a frame, objects above `budget` bytes of stack in scratch.
fn place(
    function: &Function,
    budget: Option<u32>,
    pool: &Pool,
    scratch: &mut Scratch,
) -> Result<Placed, frame::TooLarge> {
    let mut function = function.clone();
    let bytes = match budget {
        Some(budget) => scratch::move_out(&mut function, budget, scratch.entries),
        None => 0,
    };
    if bytes > SCRATCH_BYTES {
        return Err(frame::TooLarge { size: bytes });
    }
    let allocated = match regalloc::allocate(&function, pool) {
        Ok(allocated) => allocated,
        Err(error) => unreachable!("{error}"),
    };
    // Cheap beside the allocation itself, so not only in debug builds.
    if let Err(what) = regalloc::checker::check(&function, &allocated) {
        panic!("broken register allocation: {what}\n{function}");
    }
    let frame = frame::layout(&function, &allocated)?;
    if bytes > 0 {
        scratch.entries += 1;
        scratch.bytes = scratch.bytes.max(bytes);
    }
    Ok(Placed {
        function,
        allocated,
        frame,
        limits: Vec::new(),
    })
}

/// The largest objects by name and size, for people.
fn largest_objects(function: &Function) -> String {
    let mut sizes: Vec<(u32, &str)> = (function.slots.iter())
        .map(|slot| (slot.size, slot.what.as_str()))
        .collect();
    sizes.sort_by(|a, b| b.cmp(a));
    sizes.dedup();
    let named: Vec<String> = (sizes.iter().take(5))
        .map(|(size, what)| format!("{what}: {size} bytes"))
        .collect();
    named.join(", ")
}
