//! What instructions are made with: widths of memory, operators, comparisons.

/// Bytes of a memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// 1
    B,
    /// 2
    H,
    /// 4
    W,
    /// 8
    D,
}

impl Width {
    /// How many bytes.
    pub fn bytes(self) -> usize {
        match self {
            Width::B => 1,
            Width::H => 2,
            Width::W => 4,
            Width::D => 8,
        }
    }
}

/// Two-operand arithmetic, 64 bits, wrapping. Division is unsigned, by 0 it gives 0, the remainder by 0 is the dividend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Alu {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Sar,
}

impl Alu {
    /// Whether the operands can change places.
    pub fn commutes(self) -> bool {
        matches!(self, Alu::Add | Alu::Mul | Alu::And | Alu::Or | Alu::Xor)
    }
}

/// One-operand arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unary {
    /// Two's complement.
    Neg,
    /// The low 32 bits.
    Low32,
    /// The same number, as one the verifier takes for a plain integer: fentry arguments of pointer type.
    Launder,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Cond {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    SLt,
    SLe,
    SGt,
    SGe,
}

impl Cond {
    /// The comparison that holds exactly where this one does not.
    pub fn inverse(self) -> Self {
        match self {
            Cond::Eq => Cond::Ne,
            Cond::Ne => Cond::Eq,
            Cond::Lt => Cond::Ge,
            Cond::Ge => Cond::Lt,
            Cond::Le => Cond::Gt,
            Cond::Gt => Cond::Le,
            Cond::SLt => Cond::SGe,
            Cond::SGe => Cond::SLt,
            Cond::SLe => Cond::SGt,
            Cond::SGt => Cond::SLe,
        }
    }

    /// The comparison with the sides changed over.
    pub fn swapped(self) -> Self {
        match self {
            Cond::Eq | Cond::Ne => self,
            Cond::Lt => Cond::Gt,
            Cond::Gt => Cond::Lt,
            Cond::Le => Cond::Ge,
            Cond::Ge => Cond::Le,
            Cond::SLt => Cond::SGt,
            Cond::SGt => Cond::SLt,
            Cond::SLe => Cond::SGe,
            Cond::SGe => Cond::SLe,
        }
    }

    /// Whether it holds of two numbers.
    pub fn holds(self, lhs: i64, rhs: i64) -> bool {
        let (l, r) = (lhs as u64, rhs as u64);
        match self {
            Cond::Eq => l == r,
            Cond::Ne => l != r,
            Cond::Lt => l < r,
            Cond::Le => l <= r,
            Cond::Gt => l > r,
            Cond::Ge => l >= r,
            Cond::SLt => lhs < rhs,
            Cond::SLe => lhs <= rhs,
            Cond::SGt => lhs > rhs,
            Cond::SGe => lhs >= rhs,
        }
    }
}

/// Whether a constant can stand in an instruction.
pub fn fits_imm(value: i64) -> bool {
    i32::try_from(value).is_ok()
}
