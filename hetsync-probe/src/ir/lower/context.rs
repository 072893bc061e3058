//! What a program finds in its context: arguments and return values.

use super::super::{Address, Alu, Arg, Op, Unary, Val, Width};
use super::Lowerer;
use crate::codegen::insn::helper;
use crate::image::{Cookie, ProgramKind};
use crate::sema::hir::{Builtin, Expr, Space, Type};

/// Where `struct pt_regs` keeps what probes read: one table an architecture (arch/x86/include/asm/ptrace.h).
#[cfg(not(target_arch = "aarch64"))]
mod registers {
    /// Offsets of the arguments passed in registers (di, si, dx, cx, r8, r9).
    pub(super) const ARGS: &[i32] = &[112, 104, 96, 88, 72, 64];
    /// Offset of the return value (ax).
    pub(super) const RETURN: i32 = 80;
    /// Offset of the stack pointer (sp).
    pub(super) const STACK: i32 = 152;
    /// Bytes between the stack pointer on entry and the first argument passed in memory: the return address.
    pub(super) const STACK_ARGS: i32 = 8;
}

/// The same for 64-bit Arm, whose programs see `struct user_pt_regs` (arch/arm64/include/uapi/asm/ptrace.h).
#[cfg(target_arch = "aarch64")]
mod registers {
    pub(super) const ARGS: &[i32] = &[0, 8, 16, 24, 32, 40, 48, 56];
    pub(super) const RETURN: i32 = 0;
    pub(super) const STACK: i32 = 248;
    pub(super) const STACK_ARGS: i32 = 0;
}

impl<'a> Lowerer<'a> {
    /// Argument `n` of the function.
    pub(super) fn argument(&mut self, n: u8) -> Val {
        match self.cx.kind {
            ProgramKind::Kprobe { .. }
            | ProgramKind::KprobeMulti {
                on_return: false, ..
            }
            | ProgramKind::Uprobe { .. } => match registers::ARGS.get(usize::from(n)) {
                Some(&offset) => self.context_word(offset),
                None => self.stack_argument(n),
            },
            // The verifier lets these be read as plain numbers.
            ProgramKind::RawTracepoint { .. } => self.context_word(8 * i32::from(n)),
            ProgramKind::Fentry { function, args } | ProgramKind::Fexit { function, args } => {
                if n >= *args {
                    let message =
                        format!("`arg{n}` does not exist: `{function}` has {args} arguments");
                    self.unavailable(message);
                    return Val::Imm(0);
                }
                self.typed_word(8 * i32::from(n), (self.cx.arg_bytes)(n))
            }
            ProgramKind::Kretprobe { .. }
            | ProgramKind::KprobeMulti { .. }
            | ProgramKind::Joined
            | ProgramKind::Run
            | ProgramKind::Tracepoint { .. }
            | ProgramKind::Sampled(_)
            | ProgramKind::Uretprobe { .. } => self.not_here(&format!("arg{n}"), "a kprobe"),
        }
    }

    /// The return value of the function.
    pub(super) fn return_value(&mut self) -> Val {
        match self.cx.kind {
            ProgramKind::Kretprobe { .. }
            | ProgramKind::KprobeMulti {
                on_return: true, ..
            }
            | ProgramKind::Uretprobe { .. } => self.context_word(registers::RETURN),
            ProgramKind::Fexit { args, .. } => self.typed_word(8 * i32::from(*args), 8),
            _ => self.not_here("retval", "a kretprobe"),
        }
    }

    /// A register of what was interrupted.
    pub(super) fn register(&mut self, offset: u16) -> Val {
        match self.cx.kind {
            ProgramKind::Kprobe { .. }
            | ProgramKind::Kretprobe { .. }
            | ProgramKind::KprobeMulti { .. }
            | ProgramKind::Uprobe { .. }
            | ProgramKind::Uretprobe { .. }
            | ProgramKind::Sampled(_) => self.context_word(i32::from(offset)),
            _ => self.not_here("reg", "kprobes, uprobes and samples"),
        }
    }

    /// International Atomic Time.
    pub(super) fn atomic_time(&mut self) -> Val {
        if !self.cx.tai_clock {
            self.unavailable(
                "`nsecs(tai)` needs Linux 6.1 or later; `nsecs(sw_tai)` is the same but for what clocks are set meanwhile"
                    .into(),
            );
            return Val::Imm(0);
        }
        Val::Reg(self.b.call(helper::KTIME_GET_TAI_NS, vec![]))
    }

    /// The number of a socket. The verifier lets the kernel be asked only about an argument of the probe itself, whose type it
    /// knows: not about an address that was read from memory.
    pub(super) fn socket_cookie(&mut self, socket: &'a Expr) -> Val {
        let socket = self.value(socket);
        if !self.cx.socket_cookie {
            self.unavailable(
                "`socket_cookie()` needs Linux 5.12 or later, with BTF; `sk.__sk_common.skc_cookie.counter` is the same number, or 0                  while nobody has asked for it"
                    .into(),
            );
            return Val::Imm(0);
        }
        let known = match (self.cx.kind, socket) {
            (ProgramKind::Fentry { .. } | ProgramKind::Fexit { .. }, Val::Reg(v)) => {
                match self.b.def(v) {
                    Some(Op::Unary(Unary::Launder, pointer)) => Some(*pointer),
                    _ => None,
                }
            }
            _ => None,
        };
        let Some(pointer) = known else {
            self.unavailable(
                "`socket_cookie()` takes an argument of the function itself, in `fentry`, `fexit`, or a `kprobe` that becomes one;                  of other sockets `sk.__sk_common.skc_cookie.counter` is the same number, or 0 while nobody has asked for it"
                    .into(),
            );
            return Val::Imm(0);
        };
        Val::Reg(
            self.b
                .call(helper::GET_SOCKET_COOKIE, vec![Arg::Reg(pointer, 0)]),
        )
    }

    /// The name of the function, or of the probe.
    pub(super) fn point_name(&mut self, builtin: Builtin) -> Val {
        let point = &self.cx.program.probes[self.cx.probe].points[self.cx.point];
        let (name, shift) = match builtin {
            Builtin::Probe => (point.probe_name, Cookie::PROBE_SHIFT),
            _ => (point.func_name, 0),
        };
        if !matches!(self.cx.kind, ProgramKind::KprobeMulti { .. }) {
            return Val::Imm(i64::from(name.0));
        }
        let context = Arg::Reg(self.b.context(), 0);
        let cookie = Op::Call(helper::GET_ATTACH_COOKIE, vec![context]);
        let cookie = Val::Reg(self.b.pure(cookie));
        match shift {
            0 => self.b.unary(Unary::Low32, cookie),
            _ => self.b.alu(Alu::Shr, cookie, Val::Imm(i64::from(shift))),
        }
    }

    fn not_here(&mut self, name: &str, there: &str) -> Val {
        let message = format!("`{name}` is not available here, only in {there}");
        self.unavailable(message);
        Val::Imm(0)
    }

    /// A word of `struct pt_regs`, which does not change while the program runs.
    fn context_word(&mut self, offset: i32) -> Val {
        let address = Address::reg(self.b.context()).plus(offset);
        Val::Reg(self.b.pure(Op::Load(Width::D, address)))
    }

    /// A word of the argument array of fentry and fexit. The verifier types it by BTF: a pointer it would not
    /// let us compare, print or store as a number (and a later kernel may refuse more),
    /// so pointers become plain numbers by negating twice, which leaves the verifier an unknown scalar. (Going through
    /// the stack does not: it keeps the type of spilled pointers. A helper such as `bpf_get_func_arg` costs a call and is missing on 5.10.)
    ///
    /// Up to 6.5 the trampoline saves only the low `bytes` of an argument, so no more of it is kept.
    fn typed_word(&mut self, offset: i32, bytes: u8) -> Val {
        let address = Address::reg(self.b.context()).plus(offset);
        let word = Val::Reg(self.b.pure(Op::Load(Width::D, address)));
        match bytes {
            1 => self.b.alu(Alu::And, word, Val::Imm(0xff)),
            2 => self.b.alu(Alu::And, word, Val::Imm(0xffff)),
            4 => self.b.unary(Unary::Low32, word),
            _ => self.b.unary(Unary::Launder, word),
        }
    }

    /// A word of a type in the record of a tracepoint.
    pub(super) fn record_word(&mut self, offset: u32, bytes: u32, ty: &Type) -> Val {
        let at = Address::reg(self.b.context()).plus(offset as i32);
        let aligned = offset.is_multiple_of(bytes.max(1));
        let width = match bytes {
            1 => Width::B,
            2 => Width::H,
            4 => Width::W,
            _ => Width::D,
        };
        // Loads from the context are at multiples of their size.
        if !aligned {
            let source = self.b.alu(
                Alu::Add,
                Val::Reg(self.b.context()),
                Val::Imm(i64::from(offset)),
            );
            return self.read_word(source, bytes as usize, Space::Kernel, ty);
        }
        let word = Val::Reg(self.b.pure(Op::Load(width, at)));
        match ty.is_signed() {
            true => self.extend(word, ty),
            false => word,
        }
    }

    /// An argument passed on the probed function's stack.
    fn stack_argument(&mut self, n: u8) -> Val {
        let past = i32::from(n) - registers::ARGS.len() as i32;
        let stack = self.context_word(registers::STACK);
        let from = Val::Imm(i64::from(registers::STACK_ARGS + 8 * past));
        let address = self.b.alu(Alu::Add, stack, from);
        let slot = self.b.slot(8, format!("arg{n}"));
        // A failed read leaves zeros: the helper clears its target then.
        self.b.store(Width::D, Address::slot(slot), Val::Imm(0));
        let source = self.b.reg(address);
        let read = match self.cx.kind {
            ProgramKind::Uprobe { .. } => helper::PROBE_READ_USER,
            _ => helper::PROBE_READ_KERNEL,
        };
        self.b.call_only(
            read,
            vec![Arg::Slot(slot, 0), Arg::Imm(8), Arg::Reg(source, 0)],
        );
        self.b.load(Width::D, Address::slot(slot))
    }
}
