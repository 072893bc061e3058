//! The conditions of `#if`: integers, C's operators, `defined`, and macros. What is no macro is 0, as in C.

use super::expand::{Macros, Trouble};
use super::map::Map;
use super::pieces::{Kind, Pieces};
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, UnaryOp};
use crate::syntax::grammar::Grammar;

/// Names whose values only headers of a certain kernel know: to take them as 0 would be a silent difference.
const OF_THE_KERNEL: [&str; 2] = ["LINUX_VERSION_CODE", "KERNEL_VERSION"];

/// The value of a condition.
pub(super) fn value(text: &str, macros: &mut Macros) -> Result<i64, Trouble> {
    let text = with_defined(text, macros)?;
    let text = macros.expand_all(&text)?;
    let map = Map::default();
    let grammar = Grammar::new(&text, &map);
    let start = grammar.space(&text);
    match grammar.expr(start) {
        Ok(("", expr)) => eval(&expr),
        _ => Err(Trouble::Wrong("this condition cannot be read".into())),
    }
}

/// The text with 1 or 0 for each `defined(NAME)` and `defined NAME`.
fn with_defined(text: &str, macros: &Macros) -> Result<String, Trouble> {
    let mut out = String::new();
    let mut pieces = Pieces::new(text, &mut false)
        .map(|(kind, start, len)| (kind, &text[start..start + len]))
        .collect::<Vec<_>>()
        .into_iter();
    while let Some((kind, piece)) = pieces.next() {
        if kind != Kind::Name || piece != "defined" {
            out.push_str(piece);
            continue;
        }
        let mut next = || pieces.find(|(_, piece)| !piece.trim().is_empty());
        let malformed = || Trouble::Wrong("`defined` needs a name".into());
        let name = match next() {
            Some((_, "(")) => {
                let name = next();
                if next().map(|(_, piece)| piece) != Some(")") {
                    return Err(malformed());
                }
                name
            }
            other => other,
        };
        match name {
            Some((Kind::Name, name)) => out.push_str(if macros.has(name) { " 1 " } else { " 0 " }),
            _ => return Err(malformed()),
        }
    }
    Ok(out)
}

fn eval(expr: &Expr) -> Result<i64, Trouble> {
    let truth = |value: bool| Ok(i64::from(value));
    match &expr.kind {
        ExprKind::Int(value) => Ok(*value as i64),
        ExprKind::Bool(value) => truth(*value),
        ExprKind::Paren(inner) => eval(inner),
        ExprKind::Name(name) | ExprKind::Call { name, .. }
            if OF_THE_KERNEL.contains(&name.as_str()) =>
        {
            Err(Trouble::Unsupported(format!("`{name}` in a condition is")))
        }
        ExprKind::Name(_) => Ok(0),
        ExprKind::Unary(op, operand) => {
            let value = eval(operand)?;
            match op {
                UnaryOp::Neg => Ok(value.wrapping_neg()),
                UnaryOp::BitNot => Ok(!value),
                UnaryOp::Not => truth(value == 0),
                UnaryOp::Deref | UnaryOp::AddressOf => Err(unreadable()),
            }
        }
        ExprKind::Binary { op, lhs, rhs, .. } => match op {
            BinaryOp::LogicalAnd => truth(eval(lhs)? != 0 && eval(rhs)? != 0),
            BinaryOp::LogicalOr => truth(eval(lhs)? != 0 || eval(rhs)? != 0),
            _ => binary(*op, eval(lhs)?, eval(rhs)?),
        },
        ExprKind::Ternary {
            cond,
            then: Some(then),
            otherwise,
        } => eval(if eval(cond)? != 0 { then } else { otherwise }),
        _ => Err(unreadable()),
    }
}

fn unreadable() -> Trouble {
    Trouble::Wrong("only integers, names and operators can stand in this condition".into())
}

fn binary(op: BinaryOp, a: i64, b: i64) -> Result<i64, Trouble> {
    let by_zero = || Trouble::Wrong("this condition divides by zero".into());
    Ok(match op {
        BinaryOp::LogicalOr => i64::from(a != 0 || b != 0),
        BinaryOp::LogicalAnd => i64::from(a != 0 && b != 0),
        BinaryOp::Or => a | b,
        BinaryOp::Xor => a ^ b,
        BinaryOp::And => a & b,
        BinaryOp::Eq => i64::from(a == b),
        BinaryOp::Ne => i64::from(a != b),
        BinaryOp::Lt => i64::from(a < b),
        BinaryOp::Le => i64::from(a <= b),
        BinaryOp::Gt => i64::from(a > b),
        BinaryOp::Ge => i64::from(a >= b),
        BinaryOp::Shl => a.wrapping_shl(b as u32),
        BinaryOp::Shr => a.wrapping_shr(b as u32),
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Sub => a.wrapping_sub(b),
        BinaryOp::Mul => a.wrapping_mul(b),
        BinaryOp::Div if b == 0 => return Err(by_zero()),
        BinaryOp::Mod if b == 0 => return Err(by_zero()),
        BinaryOp::Div => a.wrapping_div(b),
        BinaryOp::Mod => a.wrapping_rem(b),
    })
}
