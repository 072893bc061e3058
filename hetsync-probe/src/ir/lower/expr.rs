//! Expressions whose value is a word.

use super::super::{Alu, Arg, Cond, Op, Unary, V, Val, simplify};
use super::Lowerer;
use crate::codegen::insn::helper;
use crate::sema::hir::{BinaryOp, Builtin, Expr, ExprKind, Place, Type, UnaryOp};

impl<'a> Lowerer<'a> {
    /// The value of an expression that is a word.
    pub(super) fn value(&mut self, expr: &'a Expr) -> Val {
        let outer = std::mem::replace(&mut self.b.span, expr.span);
        let value = self.value_inner(expr);
        self.b.span = outer;
        value
    }

    fn value_inner(&mut self, expr: &'a Expr) -> Val {
        match &expr.kind {
            ExprKind::Int(bits) => Val::Imm(*bits as i64),
            ExprKind::Builtin(builtin) => self.builtin(*builtin),
            ExprKind::Local(id) => self.local(*id),
            ExprKind::MapGet { map, key } => self.get_word(*map, key),
            ExprKind::Statistic { map, key } => self.statistic(*map, key),
            ExprKind::Unary(op, inner) => {
                let value = self.value(inner);
                match op {
                    UnaryOp::Neg => self.b.unary(Unary::Neg, value),
                    UnaryOp::BitNot => self.b.alu(Alu::Xor, value, Val::Imm(-1)),
                    UnaryOp::Not => self.b.set(Cond::Eq, value, Val::Imm(0)),
                }
            }
            ExprKind::Binary {
                op,
                signed,
                lhs,
                rhs,
            } => {
                let l = self.value(lhs);
                let r = self.value(rhs);
                self.binary(*op, *signed, l, r)
            }
            ExprKind::Logical { .. } | ExprKind::Compare { .. } => self.truth(expr),
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => self.ternary(cond, then, otherwise),
            ExprKind::Increment {
                place,
                delta,
                postfix,
            } => match place {
                Place::Local(id) => {
                    let before = self.local(*id);
                    let after = self.b.alu(Alu::Add, before, Val::Imm(*delta));
                    self.set_local(*id, after);
                    if *postfix { before } else { after }
                }
                Place::Map { map, key } => self.increment_map(*map, key, *delta, Some(*postfix)),
            },
            ExprKind::Part { of, offset, .. } => self.part_word(of, *offset, &expr.ty),
            ExprKind::Read {
                address,
                bytes,
                space,
            } => {
                let address = self.value(address);
                self.read_word(address, *bytes as usize, *space, &expr.ty)
            }
            ExprKind::Context { offset, bytes } => self.record_word(*offset, *bytes, &expr.ty),
            ExprKind::Cast(of) => {
                let value = self.value(of);
                match expr.ty {
                    Type::Bool => self.b.set(Cond::Ne, value, Val::Imm(0)),
                    _ => self.extend(value, &expr.ty),
                }
            }
            ExprKind::Call { function, args } => self.call_word(function, args),
            ExprKind::Block { body, value } => {
                self.statements(body);
                self.value(value)
            }
            ExprKind::Str(_) | ExprKind::Tuple(_) => unreachable!("bytes where a word is wanted"),
        }
    }

    /// The low bytes of a word as a value of this type.
    pub(super) fn extend(&mut self, value: Val, ty: &Type) -> Val {
        let bytes = ty.memory_size();
        if bytes >= 8 {
            return value;
        }
        if ty.is_signed() {
            let unused = Val::Imm(64 - 8 * bytes as i64);
            let up = self.b.alu(Alu::Shl, value, unused);
            return self.b.alu(Alu::Sar, up, unused);
        }
        match bytes {
            1 => self.b.alu(Alu::And, value, Val::Imm(0xff)),
            2 => self.b.alu(Alu::And, value, Val::Imm(0xffff)),
            _ => self.b.unary(Unary::Low32, value),
        }
    }

    fn binary(&mut self, op: BinaryOp, signed: bool, l: Val, r: Val) -> Val {
        if let Some(cond) = comparison(op, signed) {
            return self.b.set(cond, l, r);
        }
        let alu = match op {
            BinaryOp::Div | BinaryOp::Mod if signed => {
                let remainder = op == BinaryOp::Mod;
                return simplify::signed_division(&mut self.b, remainder, l, r);
            }
            BinaryOp::Sub => Alu::Sub,
            BinaryOp::Mul => Alu::Mul,
            BinaryOp::Div => Alu::Div,
            BinaryOp::Mod => Alu::Mod,
            BinaryOp::And => Alu::And,
            BinaryOp::Or => Alu::Or,
            BinaryOp::Xor => Alu::Xor,
            BinaryOp::Shl => Alu::Shl,
            BinaryOp::Shr if signed => Alu::Sar,
            BinaryOp::Shr => Alu::Shr,
            _ => Alu::Add,
        };
        self.b.alu(alu, l, r)
    }

    /// 1 where the condition holds, else 0.
    fn truth(&mut self, expr: &'a Expr) -> Val {
        let yes = self.b.block();
        let no = self.b.block();
        let join = self.b.block();
        let result = self.b.var(Val::Imm(0));
        self.condition(expr, yes, no);
        self.b.start(yes);
        self.b.set_var(result, Val::Imm(1));
        self.b.jump(join);
        self.b.start(no);
        self.b.set_var(result, Val::Imm(0));
        self.b.jump(join);
        self.b.start(join);
        self.b.pop(result)
    }

    fn ternary(&mut self, cond: &'a Expr, then: &'a Expr, otherwise: &'a Expr) -> Val {
        let blocks = [self.b.block(), self.b.block()];
        let join = self.b.block();
        let result = self.b.var(Val::Imm(0));
        self.condition(cond, blocks[0], blocks[1]);
        for (block, arm) in blocks.into_iter().zip([then, otherwise]) {
            self.b.start(block);
            let value = self.value(arm);
            self.b.set_var(result, value);
            self.b.jump(join);
        }
        self.b.start(join);
        self.b.pop(result)
    }

    fn builtin(&mut self, builtin: Builtin) -> Val {
        match builtin {
            // One call gives both; the process in the upper half.
            Builtin::Pid => {
                let both = self.pid_tgid();
                self.b.alu(Alu::Shr, Val::Reg(both), Val::Imm(32))
            }
            Builtin::Tid => {
                let both = self.pid_tgid();
                self.b.unary(Unary::Low32, Val::Reg(both))
            }
            Builtin::Nsecs => Val::Reg(self.b.call(helper::KTIME_GET_BOOT_NS, vec![])),
            Builtin::Elapsed => {
                let now = self.b.call(helper::KTIME_GET_BOOT_NS, vec![]);
                let start = self.b.value(Op::StartNs);
                self.b.alu(Alu::Sub, Val::Reg(now), Val::Reg(start))
            }
            Builtin::Cpu => Val::Reg(self.b.pure(call(helper::GET_SMP_PROCESSOR_ID))),
            Builtin::Context => Val::Reg(self.b.context()),
            Builtin::Curtask => Val::Reg(self.b.pure(call(helper::GET_CURRENT_TASK))),
            Builtin::Uid => {
                let both = self.asked(helper::GET_CURRENT_UID_GID);
                self.b.unary(Unary::Low32, both)
            }
            Builtin::Gid => {
                let both = self.asked(helper::GET_CURRENT_UID_GID);
                self.b.alu(Alu::Shr, both, Val::Imm(32))
            }
            Builtin::Cgroup => self.asked(helper::GET_CURRENT_CGROUP_ID),
            Builtin::Numaid => self.asked(helper::GET_NUMA_NODE_ID),
            Builtin::Monotonic => Val::Reg(self.b.call(helper::KTIME_GET_NS, vec![])),
            Builtin::Tai => self.atomic_time(),
            Builtin::Register(offset) => self.register(offset),
            Builtin::Rand => Val::Reg(self.b.call(helper::GET_PRANDOM_U32, vec![])),
            Builtin::Jiffies => Val::Reg(self.b.call(helper::JIFFIES64, vec![])),
            Builtin::Ncpus => Val::Imm(i64::from(self.cx.cpus)),
            Builtin::Func | Builtin::Probe => self.point_name(builtin),
            Builtin::Arg(n) => self.argument(n),
            Builtin::Retval => self.return_value(),
            Builtin::Comm => unreachable!("bytes where a word is wanted"),
        }
    }

    pub(super) fn pid_tgid(&mut self) -> V {
        self.b.pure(call(helper::GET_CURRENT_PID_TGID))
    }
}

/// A call without arguments.
fn call(helper: i32) -> Op {
    Op::Call(helper, Vec::<Arg>::new())
}

/// The comparison behind an operator, if it is one.
pub(super) fn comparison(op: BinaryOp, signed: bool) -> Option<Cond> {
    Some(match (op, signed) {
        (BinaryOp::Eq, _) => Cond::Eq,
        (BinaryOp::Ne, _) => Cond::Ne,
        (BinaryOp::Lt, false) => Cond::Lt,
        (BinaryOp::Le, false) => Cond::Le,
        (BinaryOp::Gt, false) => Cond::Gt,
        (BinaryOp::Ge, false) => Cond::Ge,
        (BinaryOp::Lt, true) => Cond::SLt,
        (BinaryOp::Le, true) => Cond::SLe,
        (BinaryOp::Gt, true) => Cond::SGt,
        (BinaryOp::Ge, true) => Cond::SGe,
        _ => return None,
    })
}
