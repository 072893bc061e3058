//! Arithmetic identities: constants folded, division and remainder by constants reduced to shifts, masks and unsigned
//! division. Everything here is local and keeps the values of [`crate::sema::hir`]'s semantics bit for bit.

use super::build::Builder;
use super::{Alu, Cond, Op, Unary, V, Val, Width};

/// The result of an operation on constants.
pub fn fold(op: Alu, a: i64, b: i64) -> i64 {
    let shift = (b & 63) as u32;
    match op {
        Alu::Add => a.wrapping_add(b),
        Alu::Sub => a.wrapping_sub(b),
        Alu::Mul => a.wrapping_mul(b),
        Alu::Div if b == 0 => 0,
        Alu::Div => (a as u64 / b as u64) as i64,
        Alu::Mod if b == 0 => a,
        Alu::Mod => (a as u64 % b as u64) as i64,
        Alu::And => a & b,
        Alu::Or => a | b,
        Alu::Xor => a ^ b,
        Alu::Shl => a << shift,
        Alu::Shr => ((a as u64) >> shift) as i64,
        Alu::Sar => a >> shift,
    }
}

/// `lhs op rhs`, in the cheapest way known.
pub fn alu(b: &mut Builder, op: Alu, lhs: Val, rhs: Val) -> Val {
    let (lhs, rhs) = match (lhs, rhs) {
        (Val::Imm(x), Val::Imm(y)) => return Val::Imm(fold(op, x, y)),
        (Val::Imm(_), Val::Reg(_)) if op.commutes() => (rhs, lhs),
        _ => (lhs, rhs),
    };
    if lhs == rhs {
        match op {
            Alu::Sub | Alu::Xor => return Val::Imm(0),
            Alu::And | Alu::Or => return lhs,
            _ => {}
        }
    }
    match (lhs, rhs) {
        (Val::Imm(0), Val::Reg(_)) if op == Alu::Sub => return b.unary(Unary::Neg, rhs),
        (Val::Imm(0), Val::Reg(_)) if !matches!(op, Alu::Add | Alu::Or | Alu::Xor) => {
            return Val::Imm(0);
        }
        (Val::Reg(v), Val::Imm(n)) => {
            if let Some(simpler) = by_constant(b, op, v, n) {
                return simpler;
            }
        }
        _ => {}
    }
    let lhs = b.reg(lhs);
    let rhs = b.operand(rhs);
    Val::Reg(b.pure(Op::Alu(op, lhs, rhs)))
}

/// `v op n`, where something better than the instruction itself is known.
fn by_constant(b: &mut Builder, op: Alu, v: V, n: i64) -> Option<Val> {
    let same = Some(Val::Reg(v));
    let power = (n as u64).is_power_of_two().then(|| n.trailing_zeros());
    match (op, n) {
        (Alu::Add | Alu::Sub | Alu::Or | Alu::Xor, 0) => same,
        (Alu::Mul | Alu::Div, 1) => same,
        (Alu::And, -1) | (Alu::Mod, 0) => same,
        (Alu::Mul | Alu::And | Alu::Div, 0) | (Alu::Mod, 1) => Some(Val::Imm(0)),
        (Alu::Or, -1) => Some(Val::Imm(-1)),
        (Alu::Xor, -1) if matches!(b.def(v), Some(Op::Alu(Alu::Xor, _, Val::Imm(-1)))) => {
            match b.def(v) {
                Some(Op::Alu(_, inner, _)) => Some(Val::Reg(*inner)),
                _ => None,
            }
        }
        (Alu::Shl | Alu::Shr | Alu::Sar, _) if n & 63 == 0 => same,
        (Alu::Shl | Alu::Shr | Alu::Sar, _) if !(0..64).contains(&n) => {
            Some(alu(b, op, Val::Reg(v), Val::Imm(n & 63)))
        }
        (Alu::Sub, _) if n != i64::MIN => Some(alu(b, Alu::Add, Val::Reg(v), Val::Imm(-n))),
        (Alu::Add, _) => match b.def(v) {
            Some(&Op::Alu(Alu::Add, inner, Val::Imm(m))) => {
                let sum = Val::Imm(m.wrapping_add(n));
                Some(alu(b, Alu::Add, Val::Reg(inner), sum))
            }
            _ => None,
        },
        (Alu::Mul, _) => {
            let power = power?;
            Some(alu(b, Alu::Shl, Val::Reg(v), Val::Imm(i64::from(power))))
        }
        (Alu::Div, _) => {
            let power = power?;
            Some(alu(b, Alu::Shr, Val::Reg(v), Val::Imm(i64::from(power))))
        }
        (Alu::Mod, _) => {
            power?;
            let mask = Val::Imm(n.wrapping_sub(1));
            Some(alu(b, Alu::And, Val::Reg(v), mask))
        }
        (Alu::And, 0xffff_ffff) => Some(b.unary(Unary::Low32, Val::Reg(v))),
        _ => None,
    }
}

/// Signed division (`remainder` false) or remainder, truncating toward zero, without a signed divide instruction,
/// which instruction set v3 lacks: signs are taken off, put back after.
pub fn signed_division(b: &mut Builder, remainder: bool, lhs: Val, rhs: Val) -> Val {
    let unsigned = if remainder { Alu::Mod } else { Alu::Div };
    match (lhs, rhs) {
        (_, Val::Imm(0)) => return if remainder { lhs } else { Val::Imm(0) },
        (Val::Imm(x), Val::Imm(y)) => {
            let value = if remainder {
                x.wrapping_rem(y)
            } else {
                x.wrapping_div(y)
            };
            return Val::Imm(value);
        }
        _ => {}
    }
    if is_not_negative(b, lhs) && is_not_negative(b, rhs) {
        return b.alu(unsigned, lhs, rhs);
    }
    if let Val::Imm(n) = rhs
        && n > 0
        && (n as u64).is_power_of_two()
    {
        return by_power_of_two(b, remainder, lhs, n);
    }
    let (lhs_sign, lhs_abs) = magnitude(b, lhs);
    let (rhs_sign, rhs_abs) = magnitude(b, rhs);
    let value = b.alu(unsigned, lhs_abs, rhs_abs);
    // A remainder has the dividend's sign, a quotient the product of both.
    let sign = if remainder {
        lhs_sign
    } else {
        b.alu(Alu::Xor, lhs_sign, rhs_sign)
    };
    with_sign(b, value, sign)
}

/// `x / 2^k` rounds toward zero when negative `x` first get `2^k - 1` added.
fn by_power_of_two(b: &mut Builder, remainder: bool, lhs: Val, n: i64) -> Val {
    let power = n.trailing_zeros();
    if power == 0 {
        return if remainder { Val::Imm(0) } else { lhs };
    }
    let sign = b.alu(Alu::Sar, lhs, Val::Imm(63));
    let add = b.alu(Alu::Shr, sign, Val::Imm(i64::from(64 - power)));
    let raised = b.alu(Alu::Add, lhs, add);
    let quotient = b.alu(Alu::Sar, raised, Val::Imm(i64::from(power)));
    if !remainder {
        return quotient;
    }
    let back = b.alu(Alu::Shl, quotient, Val::Imm(i64::from(power)));
    b.alu(Alu::Sub, lhs, back)
}

/// The sign (0 or -1) and the absolute value (2^63 for the most negative number, read unsigned).
pub fn magnitude(b: &mut Builder, value: Val) -> (Val, Val) {
    if is_not_negative(b, value) {
        return (Val::Imm(0), value);
    }
    let sign = b.alu(Alu::Sar, value, Val::Imm(63));
    (sign, with_sign(b, value, sign))
}

/// Negates where `sign` is -1, keeps where it is 0.
fn with_sign(b: &mut Builder, value: Val, sign: Val) -> Val {
    match sign {
        Val::Imm(0) => value,
        Val::Imm(_) => b.unary(Unary::Neg, value),
        Val::Reg(_) => {
            let flipped = b.alu(Alu::Xor, value, sign);
            b.alu(Alu::Sub, flipped, sign)
        }
    }
}

/// Whether a value is known to be at least 0 when read as signed.
pub fn is_not_negative(b: &Builder, value: Val) -> bool {
    let v = match value {
        Val::Imm(n) => return n >= 0,
        Val::Reg(v) => v,
    };
    match b.def(v) {
        Some(Op::Alu(Alu::Shr, _, Val::Imm(n))) => *n > 0,
        Some(Op::Alu(Alu::And, _, Val::Imm(n))) => *n >= 0,
        // The divisor is at least 2, else it would have been folded; one read as "negative" gives 0 or 1.
        Some(Op::Alu(Alu::Div, _, Val::Imm(_))) => true,
        Some(Op::Unary(Unary::Low32, _) | Op::Set(..) | Op::LogLinear { .. }) => true,
        Some(Op::Load(width, _)) => *width != Width::D,
        _ => false,
    }
}

/// A comparison after folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Its outcome.
    Known(bool),
    /// What is left to be compared.
    Test(Cond, V, Val),
}

/// Folds a comparison.
pub fn condition(b: &mut Builder, cond: Cond, lhs: Val, rhs: Val) -> Condition {
    let (cond, v, rhs) = match (lhs, rhs) {
        (Val::Imm(x), Val::Imm(y)) => return Condition::Known(cond.holds(x, y)),
        (Val::Imm(_), Val::Reg(v)) => (cond.swapped(), v, lhs),
        (Val::Reg(v), _) => (cond, v, rhs),
    };
    if rhs == Val::Reg(v) {
        return Condition::Known(cond.holds(0, 0));
    }
    match (cond, rhs) {
        (Cond::Lt, Val::Imm(0)) => return Condition::Known(false),
        (Cond::Ge, Val::Imm(0)) => return Condition::Known(true),
        (Cond::Ne, Val::Imm(0)) => {
            if let Some(&Op::Set(inner, lhs, rhs)) = b.def(v) {
                return Condition::Test(inner, lhs, rhs);
            }
        }
        (Cond::Eq, Val::Imm(0)) => {
            if let Some(&Op::Set(inner, lhs, rhs)) = b.def(v) {
                return Condition::Test(inner.inverse(), lhs, rhs);
            }
        }
        _ => {}
    }
    let rhs = b.operand(rhs);
    Condition::Test(cond, v, rhs)
}
