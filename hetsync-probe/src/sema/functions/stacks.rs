//! Stacks of calls and symbols of addresses.

use super::super::checker::{Checker, Typed};
use super::super::hir::{Function, Shown, StackForm, StackMode, Type};
use super::super::shape::Shape;
use super::{Call, Row, as_shown, computed};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast;

/// Most frames of a stack (the kernel's `PERF_MAX_STACK_DEPTH`), which are kept unless the script asks for fewer.
const MAX_FRAMES: u16 = 127;

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "kstack",
        args: 0..=2,
        usage: "kstack or kstack(frames) or kstack(mode) or kstack(mode, frames)",
        check: |this, call| called(this, call, false),
    },
    Row {
        name: "ustack",
        args: 0..=2,
        usage: "ustack or ustack(frames) or ustack(mode) or ustack(mode, frames)",
        check: |this, call| called(this, call, true),
    },
    Row {
        name: "ksym",
        args: 1..=1,
        usage: "ksym(address)",
        check: |this, call| symbol(this, call, false),
    },
    Row {
        name: "usym",
        args: 1..=1,
        usage: "usym(address)",
        check: |this, call| symbol(this, call, true),
    },
];

/// The current stack.
pub(in super::super) fn stack(form: StackForm, user: bool, span: Span) -> Typed {
    let number = computed(
        Function::Stack {
            frames: form.frames,
            user,
        },
        Vec::new(),
        Type::INT,
        span,
    );
    if user {
        let ty = Type::Shown(Shown::UserStack(form));
        return computed(Function::InProcess, vec![number.expr], ty, span);
    }
    as_shown(number, Shown::KernelStack(form), span)
}

impl Checker<'_> {
    /// The stack a bare name stands for.
    pub(in super::super) fn stack_name(&self, name: &str, span: Span) -> Option<Typed> {
        let user = match name {
            "kstack" => false,
            "ustack" => true,
            _ => return None,
        };
        let form = StackForm {
            frames: MAX_FRAMES,
            mode: self.program.config.stack_mode,
        };
        Some(stack(form, user, span))
    }
}

fn called(this: &mut Checker<'_>, call: &Call<'_>, user: bool) -> Option<Typed> {
    let mut form = StackForm {
        frames: MAX_FRAMES,
        mode: this.program.config.stack_mode,
    };
    for (at, arg) in call.args.iter().enumerate() {
        match &arg.bare().kind {
            ast::ExprKind::Name(name) if at == 0 => {
                let Some(mode) = StackMode::named(name) else {
                    return this.fail(
                        Diagnostic::error(
                            "E0413",
                            arg.span,
                            format!("there is no form of stacks called `{name}`"),
                        )
                        .with_label("unknown form")
                        .with_help("the forms are `bpftrace`, `perf` and `raw`"),
                    );
                };
                form.mode = mode;
            }
            _ => {
                let frames = this.constant(arg, &format!("the depth of `{}()`", call.name))?;
                if !(1..=i64::from(MAX_FRAMES)).contains(&frames) {
                    return this.fail(
                        Diagnostic::error(
                            "E0403",
                            arg.span,
                            format!("a stack has 1 to {MAX_FRAMES} frames, not {frames}"),
                        )
                        .with_label("out of range"),
                    );
                }
                form.frames = frames as u16;
            }
        }
    }
    Some(stack(form, user, call.span))
}

fn symbol(this: &mut Checker<'_>, call: &Call<'_>, user: bool) -> Option<Typed> {
    let address = this.expr(&call.args[0])?;
    if !address.shape.is_condition() || matches!(address.shape, Shape::Is(Type::Bool)) {
        return this.unfit(call, &address, "an address");
    }
    Some(match user {
        false => as_shown(address, Shown::KernelAddress, call.span),
        true => computed(
            Function::InProcess,
            vec![address.expr],
            Type::Shown(Shown::UserAddress),
            call.span,
        ),
    })
}
