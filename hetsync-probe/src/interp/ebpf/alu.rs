//! Arithmetic and comparisons on numbers, by the eBPF instruction set document.

use crate::codegen::insn::op;

/// `dst op src` of 64 bits, or of 32 bits with a zero upper half. `None` for an unknown operation.
pub(super) fn arithmetic(operation: u8, wide: bool, dst: u64, src: u64) -> Option<u64> {
    if wide {
        arithmetic64(operation, dst, src)
    } else {
        arithmetic32(operation, dst as u32, src as u32).map(u64::from)
    }
}

fn arithmetic64(operation: u8, x: u64, y: u64) -> Option<u64> {
    Some(match operation {
        op::ADD => x.wrapping_add(y),
        op::SUB => x.wrapping_sub(y),
        op::MUL => x.wrapping_mul(y),
        op::DIV => x.checked_div(y).unwrap_or(0),
        op::MOD => x.checked_rem(y).unwrap_or(x),
        op::OR => x | y,
        op::AND => x & y,
        op::XOR => x ^ y,
        op::LSH => x.wrapping_shl(y as u32),
        op::RSH => x.wrapping_shr(y as u32),
        op::ARSH => (x as i64).wrapping_shr(y as u32) as u64,
        op::NEG => x.wrapping_neg(),
        op::MOV => y,
        _ => return None,
    })
}

fn arithmetic32(operation: u8, x: u32, y: u32) -> Option<u32> {
    Some(match operation {
        op::ADD => x.wrapping_add(y),
        op::SUB => x.wrapping_sub(y),
        op::MUL => x.wrapping_mul(y),
        op::DIV => x.checked_div(y).unwrap_or(0),
        op::MOD => x.checked_rem(y).unwrap_or(x),
        op::OR => x | y,
        op::AND => x & y,
        op::XOR => x ^ y,
        op::LSH => x.wrapping_shl(y),
        op::RSH => x.wrapping_shr(y),
        op::ARSH => (x as i32).wrapping_shr(y) as u32,
        op::NEG => x.wrapping_neg(),
        op::MOV => y,
        _ => return None,
    })
}

/// The byte-order instruction: `bits` low bits to little (`big` false) or big end, the rest cleared.
pub(super) fn byte_order(big: bool, bits: i32, x: u64) -> Option<u64> {
    Some(match (bits, big) {
        (16, false) => u64::from(x as u16),
        (32, false) => u64::from(x as u32),
        (64, false) => x,
        (16, true) => u64::from((x as u16).swap_bytes()),
        (32, true) => u64::from((x as u32).swap_bytes()),
        (64, true) => x.swap_bytes(),
        _ => return None,
    })
}

/// Whether a conditional jump is taken. `None` for an unknown operation.
pub(super) fn compare(operation: u8, wide: bool, dst: u64, src: u64) -> Option<bool> {
    let (x, y) = if wide {
        (dst, src)
    } else {
        (u64::from(dst as u32), u64::from(src as u32))
    };
    let (sx, sy) = if wide {
        (x as i64, y as i64)
    } else {
        (i64::from(x as i32), i64::from(y as i32))
    };
    Some(match operation {
        op::JEQ => x == y,
        op::JNE => x != y,
        op::JGT => x > y,
        op::JGE => x >= y,
        op::JLT => x < y,
        op::JLE => x <= y,
        op::JSET => x & y != 0,
        op::JSGT => sx > sy,
        op::JSGE => sx >= sy,
        op::JSLT => sx < sy,
        op::JSLE => sx <= sy,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_32_bit_operation_clears_the_upper_half() {
        assert_eq!(arithmetic(op::MOD, false, u64::MAX, 0), Some(0xffff_ffff));
        assert_eq!(arithmetic(op::DIV, false, u64::MAX, 1 << 32), Some(0));
        assert_eq!(
            arithmetic(op::ARSH, false, 0x8000_0000, 31),
            Some(0xffff_ffff)
        );
    }

    #[test]
    fn narrow_comparisons_see_the_low_half_only() {
        assert_eq!(compare(op::JSLT, false, 0xffff_ffff, 0), Some(true));
        assert_eq!(compare(op::JSLT, true, 0xffff_ffff, 0), Some(false));
        assert_eq!(compare(op::JEQ, false, 1 << 32, 0), Some(true));
    }
}
