//! Names that stand for something the language can say already, such as `ppid` for a member of `curtask`, and what is read
//! from the registers a probe fires with.

use super::cast::cast_word;
use super::checker::{Checker, Typed};
use super::ctypes::pointer;
use super::expr::int;
use super::hir::{self, BinaryOp, Builtin, ExprKind, Space, Type};
use super::operator::integers;
use super::registers;
use super::shape::Shape;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast::{self, Ident};

/// Kinds of probes that fire with the registers of what they interrupt.
const WITH_REGISTERS: [&str; 7] = [
    "kprobe",
    "kretprobe",
    "uprobe",
    "uretprobe",
    "profile",
    "software",
    "hardware",
];

/// The names here that can be suggested.
pub(super) const NAMES: [&str; 8] = [
    "ppid", "pcomm", "euid", "egid", "usermode", "ctx", "sarg0", "sarg1",
];

impl Checker<'_> {
    /// What such a name stands for; none if it is another's.
    pub(super) fn derived(&mut self, name: &str, span: Span) -> Option<Option<Typed>> {
        Some(match name {
            "ppid" => self.member_of_task(&["real_parent", "tgid"], Some(32), span),
            "pcomm" => self.member_of_task(&["real_parent", "comm"], None, span),
            "euid" | "egid" => self.member_of_task(&["cred", name, "val"], Some(64), span),
            "usermode" => self.usermode(span),
            "ctx" => self.context(span),
            _ => {
                let number = name.strip_prefix("sarg")?.as_bytes();
                let [digit @ b'0'..=b'9'] = number else {
                    return None;
                };
                self.stack_argument(name, digit - b'0', span)
            }
        })
    }

    /// A member of the current thread's description, as an unsigned integer of so many bits if it is one.
    fn member_of_task(&mut self, path: &[&str], bits: Option<u8>, span: Span) -> Option<Typed> {
        let task = ast::Expr::new(ast::ExprKind::Name("curtask".into()), span);
        let member = path.iter().fold(task, |base, name| {
            let text = (*name).into();
            let kind = ast::ExprKind::Field {
                base: Box::new(base),
                name: Ident { text, span },
                arrow: false,
            };
            ast::Expr::new(kind, span)
        });
        let value = self.expr(&member)?;
        Some(match bits {
            Some(bits) => {
                let signed = false;
                cast_word(Type::Int { bits, signed }, value, span)
            }
            None => value,
        })
    }

    /// A register of what the probe has interrupted.
    pub(super) fn register(&mut self, name: &str, what: &str, span: Span) -> Option<Typed> {
        self.with_registers(what, span)?;
        match registers::offset(name) {
            Some(offset) => Some(Typed::new(
                ExprKind::Builtin(Builtin::Register(offset)),
                Shape::UNSIGNED,
                span,
            )),
            None => self.fail(
                Diagnostic::error("E0413", span, format!("there is no register `{name}`"))
                    .with_label("unknown register")
                    .with_help(format!("registers are {}", registers::names())),
            ),
        }
    }

    fn with_registers(&mut self, what: &str, span: Span) -> Option<()> {
        let written = self.written.clone();
        let other = (written.iter()).find(|of| !WITH_REGISTERS.contains(&of.provider.name));
        let Some(other) = other else {
            return Some(());
        };
        let kind = other.provider.name;
        self.fail(
            Diagnostic::error(
                "E0211",
                span,
                format!("`{what}` has no meaning in `{kind}` probes"),
            )
            .with_label("not available here")
            .with_place(other.span, format!("because of this `{kind}`"))
            .with_help("it is read from the registers that kprobes, uprobes and samples fire with"),
        )
    }

    /// Whether the process itself was running, and not the kernel for it.
    fn usermode(&mut self, span: Span) -> Option<Typed> {
        let (name, mask, value) = registers::PRIVILEGE;
        let register = self.register(name, "usermode", span)?;
        let bits = integers(BinaryOp::And, register, int(mask, span), span);
        let is = integers(BinaryOp::Eq, bits, int(value, span), span);
        let (bits, signed) = (8, false);
        Some(cast_word(Type::Int { bits, signed }, is, span))
    }

    /// `ctx`: the address of the registers.
    fn context(&mut self, span: Span) -> Option<Typed> {
        self.with_registers("ctx", span)?;
        let record = self.types.find_record("struct", "pt_regs");
        let ty = pointer(record.unwrap_or(Type::Void));
        let kind = ExprKind::Builtin(Builtin::Context);
        Some(Typed::new(kind, Shape::Is(ty), span))
    }

    /// `sargN`: what stands on the stack on entry to a function, behind the address it returns to.
    fn stack_argument(&mut self, name: &str, number: u8, span: Span) -> Option<Typed> {
        let space = match self.written.iter().any(|of| of.provider.name == "uprobe") {
            true => Space::User,
            false => Space::Kernel,
        };
        let stack = self.register(registers::STACK, name, span)?;
        let past = int(registers::STACK_ARGS + 8 * u64::from(number), span);
        let address = integers(BinaryOp::Add, stack, past, span);
        let kind = ExprKind::Read {
            address: Box::new(hir::Expr {
                ty: Type::UINT,
                ..address.expr
            }),
            bytes: 8,
            space,
        };
        Some(Typed::new(kind, Shape::UNSIGNED, span))
    }
}
