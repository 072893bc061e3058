//! Which parts of its context a probe body reads: what lowering to fentry and fexit depends on.

use crate::sema::hir::{Builtin, ExprKind, Function, Probe};

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
}

/// What a probe's predicate and body read.
pub(super) fn usage(probe: &Probe) -> Usage {
    let mut usage = Usage::default();
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
