//! What each instruction asks of its registers. The allocator obeys it, the checker tests it, emission relies on it.

use crate::ir::{Alu, Arg, Op, Term, V, Val};

/// An instruction's operands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// Registers read, in order.
    pub uses: Vec<Use>,
    /// Temporaries: distinct from each other, from the result and from operands read late.
    pub temps: usize,
    /// Whether R0 to R5 are lost (a call): the result is in R0.
    pub is_call: bool,
    /// The register the result appears in, if only one will do.
    pub result: Option<u8>,
}

/// A register read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Which value.
    pub v: V,
    /// Still read after the result or a temporary was written, so it cannot share their register.
    pub late: bool,
    /// The register it must be in.
    pub fixed: Option<u8>,
}

/// The shape of an instruction.
pub fn shape(op: &Op) -> Shape {
    let mut shape = Shape::default();
    let early = |v: V| Use {
        v,
        late: false,
        fixed: None,
    };
    let late = |v: V| Use {
        v,
        late: true,
        fixed: None,
    };
    match op {
        Op::Context => shape.result = Some(1),
        // `dst = a; dst op= b` writes the result before it reads b; operands that may change places do not mind.
        Op::Alu(alu, a, b) => {
            shape.uses.push(early(*a));
            if let Val::Reg(b) = b {
                shape.uses.push(if is_swappable(*alu) {
                    early(*b)
                } else {
                    late(*b)
                });
            }
        }
        // `dst = 1; if a cc b skip; dst = 0`
        Op::Set(_, a, b) => {
            shape.uses.push(late(*a));
            if let Val::Reg(b) = b {
                shape.uses.push(late(*b));
            }
        }
        Op::AtomicAdd(..) => {
            // With a result: `dst = v; dst = fetch_add([base], dst)`.
            op.uses(|v| shape.uses.push(late(v)));
        }
        Op::LogLinear { .. } => {
            op.uses(|v| shape.uses.push(early(v)));
            shape.temps = 1;
        }
        // `t = index; t &= most; t <<= k; dst = map; dst += t`
        Op::Part { index, .. } => {
            shape.uses.push(early(*index));
            shape.temps = 1;
        }
        // `t = index; t &= most; t <<= k; t += base; u = [t]; u += 1; [t] = u`
        Op::BucketAdd { base, index, .. } => {
            shape.uses.push(late(*base));
            shape.uses.push(early(*index));
            shape.temps = 2;
        }
        Op::Call(_, args) => {
            for (i, arg) in args.iter().enumerate() {
                if let Arg::Reg(v, _) = arg {
                    shape.uses.push(Use {
                        v: *v,
                        late: false,
                        fixed: Some(i as u8 + 1),
                    });
                }
            }
            shape.is_call = true;
            shape.result = Some(0);
        }
        _ => op.uses(|v| shape.uses.push(early(v))),
    }
    shape
}

/// Whether `dst = a op b` can be made from `b op= a`.
fn is_swappable(alu: Alu) -> bool {
    alu.commutes()
}

/// The registers a terminator reads itself (arguments of a jump are moves).
pub fn term_uses(term: &Term) -> Vec<V> {
    let mut uses = Vec::new();
    if let Term::Branch { .. } = term {
        term.uses(|v| uses.push(v));
    }
    uses
}
