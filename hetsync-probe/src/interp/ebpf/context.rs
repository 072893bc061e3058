//! What each kind of program is called with, and the bit of kernel memory behind it.

use crate::image::ProgramKind;
use crate::interp::Firing;
use crate::interp::world::KERNEL_STACK;

/// The bytes a program's context pointer leads to.
pub(super) fn context(kind: &ProgramKind, firing: &Firing) -> Vec<u8> {
    match kind {
        // A record's bytes depend on its tracepoint; here it has none.
        ProgramKind::Run | ProgramKind::Joined => Vec::new(),
        ProgramKind::Tracepoint { .. } => firing.record.clone(),
        ProgramKind::RawTracepoint { .. } => words(&traced(firing, firing.args.len() as u8)),
        ProgramKind::Kprobe { .. }
        | ProgramKind::Kretprobe { .. }
        | ProgramKind::KprobeMulti { .. }
        | ProgramKind::Uprobe { .. }
        | ProgramKind::Uretprobe { .. }
        | ProgramKind::Sampled(_) => words(&firing.registers()),
        ProgramKind::Fentry { args, .. } => words(&traced(firing, *args)),
        ProgramKind::Fexit { args, .. } => {
            let mut all = traced(firing, *args);
            all.push(firing.retval);
            words(&all)
        }
    }
}

fn traced(firing: &Firing, args: u8) -> Vec<u64> {
    let known = firing.args.len().min(args as usize);
    let mut all = firing.args[..known].to_vec();
    all.resize(args as usize, 0);
    all
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `bpf_get_func_arg`.
pub(super) fn function_argument(kind: &ProgramKind, firing: &Firing, n: u64) -> Option<u64> {
    match kind {
        ProgramKind::Fentry { args, .. } | ProgramKind::Fexit { args, .. } => {
            let n = usize::try_from(n).ok()?;
            traced(firing, *args).get(n).copied()
        }
        _ => None,
    }
}

/// Kernel memory at an address: the traced function's stack and nothing else.
pub(super) fn kernel_memory(firing: &Firing, address: u64, len: usize) -> Option<Vec<u8>> {
    let mut stack = vec![0xffff_ffff_8100_0000];
    stack.extend_from_slice(&firing.args[6..]);
    let bytes = words(&stack);
    let at = usize::try_from(address.checked_sub(KERNEL_STACK)?).ok()?;
    Some(bytes.get(at..at.checked_add(len)?)?.to_vec())
}
