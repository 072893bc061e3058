//! Which parts of its context a probe body reads: what lowering to fentry and fexit depends on.

use crate::sema::hir::{Builtin, ExprKind, Function, Probe, StmtKind};

/// What a body reads of its context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    /// Arguments read: one more than the highest `argN`, 0 for none.
    pub(super) args: u8,
    /// Whether `retval` is read.
    pub(super) retval: bool,
    /// Whether the stack of calls is asked for: behind a trampoline it would begin in the program itself.
    pub(super) stack: bool,
    /// Whether the address of the context is asked for, which a trampoline has another one of.
    pub(super) context: bool,
    /// Whether entries of a map are gone over or counted.
    pub(super) each: bool,
}

/// What a probe's predicate and body read.
pub(super) fn usage(probe: &Probe) -> Usage {
    let mut usage = Usage {
        each: goes_over_maps(probe),
        ..Usage::default()
    };
    probe.each_expr(&mut |expr| match &expr.kind {
        ExprKind::Call {
            function: Function::Stack { .. },
            ..
        } => usage.stack = true,
        ExprKind::Builtin(Builtin::Context | Builtin::Register(_)) => usage.context = true,
        ExprKind::Builtin(Builtin::Arg(n)) => usage.args = usage.args.max(n.saturating_add(1)),
        ExprKind::Builtin(Builtin::Retval) => usage.retval = true,
        _ => {}
    });
    usage
}

/// Whether a probe goes over the entries of a map, or counts them.
pub(super) fn goes_over_maps(probe: &Probe) -> bool {
    let mut found = false;
    probe.each_stmt(&mut |stmt| found |= matches!(stmt.kind, StmtKind::Each { .. }));
    probe.each_expr(&mut |expr| {
        found |= matches!(
            expr.kind,
            ExprKind::Call {
                function: Function::Entries(_),
                ..
            }
        );
    });
    found
}
