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
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Scratch {
    /// Bytes of the largest entry.
    pub(super) bytes: u32,
    /// One for each program that needs any.
    pub(super) entries: u32,
}

/// A program's functions, itself first, placed.
pub(super) struct Placed {
    pub(super) parts: Vec<Part>,
}

/// A function with registers and a frame.
pub(super) struct Part {
    pub(super) function: Function,
    pub(super) allocated: Allocated,
    pub(super) frame: frame::Frame,
    /// Rounds chosen for the function's loops.
    pub(super) limits: Vec<u32>,
}

/// What the kernel rounds the stack of a function to.
const STACK_ROUNDS: u32 = 32;
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
        let mut functions = lower_with(program, point, kind, options, locals_in_memory)?;
        check_size(&functions, span)?;
        let given = |id: hir::LoopId| program.loops[id.0 as usize].most;
        let limits: Vec<Vec<u32>> = (functions.iter_mut())
            .map(|function| ir::limits::choose(function, &given, options.shorter_loops))
            .collect();
        largest = largest_objects(&functions);
        // Those that call one another share the stack; the kernel rounds what each takes up.
        let depth = functions.iter().map(|f| f.depth).max().unwrap_or(0);
        let most = limits::STACK_BYTES as u32 / (depth + 1) / STACK_ROUNDS * STACK_ROUNDS;
        // How much of the stack objects may take; the rest is for spilled values.
        for budget in [None, Some(384), Some(256), Some(128), Some(16)] {
            let mut taken = *scratch;
            let parts: Result<Vec<Part>, frame::TooLarge> = (functions.iter().zip(&limits))
                .map(|(function, limits)| {
                    let part = place(function, (budget, most), &options.pool, &mut taken)?;
                    let limits = limits.clone();
                    Ok(Part { limits, ..part })
                })
                .collect();
            match parts {
                Ok(parts) => {
                    *scratch = taken;
                    return Ok(Placed { parts });
                }
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
fn check_size(functions: &[Function], span: Span) -> Result<(), Vec<Diagnostic>> {
    let blocks = functions.iter().flat_map(|function| &function.blocks);
    let count: usize = blocks.map(|b| b.insts.len()).sum();
    let most = limits::INSTRUCTIONS;
    if count <= most {
        return Ok(());
    }
    let what = format!("at least {count} instructions of at most {most}");
    Err(vec![*too_large(&what, span)])
}

/// Chooses registers and a frame of at most `most` bytes, objects above `budget` bytes of stack in scratch.
fn place(
    function: &Function,
    (budget, most): (Option<u32>, u32),
    pool: &Pool,
    scratch: &mut Scratch,
) -> Result<Part, frame::TooLarge> {
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
    let frame = frame::layout(&function, &allocated, most)?;
    if bytes > 0 {
        scratch.entries += 1;
        scratch.bytes = scratch.bytes.max(bytes);
    }
    Ok(Part {
        function,
        allocated,
        frame,
        limits: Vec::new(),
    })
}

/// The largest objects by name and size, for people.
fn largest_objects(functions: &[Function]) -> String {
    let slots = functions.iter().flat_map(|function| &function.slots);
    let mut sizes: Vec<(u32, &str)> = slots.map(|slot| (slot.size, slot.what.as_str())).collect();
    sizes.sort_by(|a, b| b.cmp(a));
    sizes.dedup();
    let named: Vec<String> = (sizes.iter().take(5))
        .map(|(size, what)| format!("{what}: {size} bytes"))
        .collect();
    named.join(", ")
}
