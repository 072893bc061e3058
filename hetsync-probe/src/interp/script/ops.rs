//! The integer operators on bits, by the rules in [`crate::sema::hir`]. Written apart from the compiler's
//! constant folding on purpose: the two are compared.

use crate::sema::hir::{BinaryOp, UnaryOp};

/// `op x`.
pub fn unary(op: UnaryOp, x: u64) -> u64 {
    match op {
        UnaryOp::Neg => 0u64.wrapping_sub(x),
        UnaryOp::BitNot => x ^ u64::MAX,
        UnaryOp::Not => u64::from(x == 0),
    }
}

/// `x op y`; `signed` says how `/ % >> < <= > >=` take both.
pub fn binary(op: BinaryOp, signed: bool, x: u64, y: u64) -> u64 {
    let (sx, sy) = (x as i64, y as i64);
    let order = if signed { sx.cmp(&sy) } else { x.cmp(&y) };
    match op {
        BinaryOp::Add => x.wrapping_add(y),
        BinaryOp::Sub => x.wrapping_sub(y),
        BinaryOp::Mul => x.wrapping_mul(y),
        BinaryOp::Div if y == 0 => 0,
        BinaryOp::Div if signed => sx.wrapping_div(sy) as u64,
        BinaryOp::Div => x / y,
        BinaryOp::Mod if y == 0 => x,
        BinaryOp::Mod if signed => sx.wrapping_rem(sy) as u64,
        BinaryOp::Mod => x % y,
        BinaryOp::And => x & y,
        BinaryOp::Or => x | y,
        BinaryOp::Xor => x ^ y,
        BinaryOp::Shl => x.wrapping_shl(y as u32),
        BinaryOp::Shr if signed => sx.wrapping_shr(y as u32) as u64,
        BinaryOp::Shr => x.wrapping_shr(y as u32),
        BinaryOp::Eq => u64::from(x == y),
        BinaryOp::Ne => u64::from(x != y),
        BinaryOp::Lt => u64::from(order.is_lt()),
        BinaryOp::Le => u64::from(order.is_le()),
        BinaryOp::Gt => u64::from(order.is_gt()),
        BinaryOp::Ge => u64::from(order.is_ge()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_has_no_traps() {
        let min = i64::MIN as u64;
        assert_eq!(binary(BinaryOp::Div, true, min, -1i64 as u64), min);
        assert_eq!(binary(BinaryOp::Mod, true, min, -1i64 as u64), 0);
        assert_eq!(binary(BinaryOp::Div, false, 7, 0), 0);
        assert_eq!(binary(BinaryOp::Mod, true, 7, 0), 7);
        assert_eq!(binary(BinaryOp::Div, true, -7i64 as u64, 2) as i64, -3);
        assert_eq!(binary(BinaryOp::Mod, true, -7i64 as u64, 2) as i64, -1);
    }

    #[test]
    fn shift_counts_wrap_at_64() {
        assert_eq!(binary(BinaryOp::Shl, false, 1, 65), 2);
        assert_eq!(binary(BinaryOp::Shr, true, -8i64 as u64, 1) as i64, -4);
        assert_eq!(binary(BinaryOp::Shr, false, u64::MAX, 63 + (1 << 32)), 1);
    }
}
