//! The stack frame: an offset for every object and spill slot, shared by those that are never alive together.
//!
//! `objects`, beside this, tells from where to where each is in use; two objects whose spans do not meet may share bytes.

use super::objects;
use super::regalloc::Allocated;
use crate::ir::Function;

/// Where objects lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// By slot: the offset from the frame pointer, negative; 0 for those never mentioned.
    pub offsets: Vec<i32>,
    /// Bytes used.
    pub size: u32,
}

/// The objects do not fit the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLarge {
    /// Bytes wanted.
    pub size: u32,
}

/// What the body of a loop over a map keeps next to the frame pointer: the addresses of key and value, and whether to stop.
pub const BODY_BYTES: u32 = 24;
/// Where, from the frame pointer.
pub const BODY_KEY: i32 = -8;
/// See [`BODY_KEY`].
pub const BODY_VALUE: i32 = -16;
/// See [`BODY_KEY`].
pub const BODY_STOP: i32 = -24;

/// Lays out the frame in at most so many bytes.
///
/// # Errors
///
/// [`TooLarge`] with the bytes that would be needed.
pub fn layout(function: &Function, allocated: &Allocated, most: u32) -> Result<Frame, TooLarge> {
    let spans = objects::spans(function, allocated);
    let sizes: Vec<u32> = allocated.slots.iter().map(|slot| slot.size).collect();
    let (starts, size) = share(&sizes, &spans);
    let kept = if function.depth > 0 { BODY_BYTES } else { 0 };
    let size = size + kept;
    if size > most {
        return Err(TooLarge { size });
    }
    // Counted down from the frame pointer.
    let offsets = (starts.iter().zip(&sizes))
        .map(|(start, size)| -((start + size + kept) as i32))
        .collect();
    Ok(Frame { offsets, size })
}

/// Gives every object with a span a start, shared where spans do not meet; also the bytes used in all.
pub(super) fn share(sizes: &[u32], spans: &[Option<(u32, u32)>]) -> (Vec<u32>, u32) {
    let mut order: Vec<(u32, u32, usize)> = (spans.iter().enumerate())
        .filter_map(|(slot, span)| span.map(|(start, end)| (start, end, slot)))
        .collect();
    // In the order they come alive; of those that do so at once the large ones first, the hardest to place.
    order.sort_by_key(|&(start, _, slot)| (start, std::cmp::Reverse(sizes[slot]), slot));
    let mut starts = vec![0; spans.len()];
    // What is alive, by place: from, to, last mention.
    let mut alive: Vec<(u32, u32, u32)> = Vec::new();
    let mut total = 0;
    for (start, end, slot) in order {
        alive.retain(|&(.., last)| last >= start);
        let mut from = 0;
        let mut at = alive.len();
        for (i, &(taken, to, _)) in alive.iter().enumerate() {
            if taken >= from + sizes[slot] {
                at = i;
                break;
            }
            from = to;
        }
        starts[slot] = from;
        alive.insert(at, (from, from + sizes[slot], end));
        total = total.max(from + sizes[slot]);
    }
    (starts, total)
}
