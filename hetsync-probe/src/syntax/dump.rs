//! The tree as text, without places: one line a statement, operators in front of their operands. Two scripts with the
//! same dump mean the same.

use std::fmt::Write;

use super::ast::{Block, Else, Expr, ExprKind, Script, Stmt, StmtKind};

/// A text form of a script's tree, for `--emit ast`.
pub fn dump(script: &Script) -> String {
    let mut out = String::new();
    for probe in &script.probes {
        let points: Vec<&str> = probe
            .points
            .iter()
            .map(|point| point.text.as_str())
            .collect();
        line(&mut out, 0, &format!("probe {}", points.join(", ")));
        if let Some(predicate) = &probe.predicate {
            line(&mut out, 1, &format!("where {}", expr(predicate)));
        }
        block(&mut out, 1, &probe.body);
    }
    out
}

fn line(out: &mut String, depth: usize, text: &str) {
    out.extend(std::iter::repeat_n("  ", depth));
    out.push_str(text);
    out.push('\n');
}

fn block(out: &mut String, depth: usize, block: &Block) {
    for stmt in &block.stmts {
        statement(out, depth, stmt);
    }
}

fn statement(out: &mut String, depth: usize, stmt: &Stmt) {
    match &stmt.kind {
        StmtKind::Assign { target, op, value } => {
            let op = op.map_or("", |op| op.symbol());
            line(
                out,
                depth,
                &format!("({op}= {} {})", expr(target), expr(value)),
            );
        }
        StmtKind::If {
            cond,
            then,
            otherwise,
        } => {
            line(out, depth, &format!("if {}", expr(cond)));
            block(out, depth + 1, then);
            match otherwise {
                None => {}
                Some(Else::Block(inner)) => {
                    line(out, depth, "else");
                    block(out, depth + 1, inner);
                }
                Some(Else::If(stmt)) => {
                    line(out, depth, "else");
                    statement(out, depth + 1, stmt);
                }
            }
        }
        StmtKind::Block(inner) => {
            line(out, depth, "block");
            block(out, depth + 1, inner);
        }
        StmtKind::Expr(value) => line(out, depth, &expr(value)),
    }
}

fn list(parts: &[Expr]) -> String {
    let parts: Vec<String> = parts.iter().map(expr).collect();
    parts.join(", ")
}

fn expr(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Decimal(thousandths) => {
            format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
        }
        ExprKind::Str(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        ExprKind::Name(name) => name.clone(),
        ExprKind::Variable(name) => format!("${name}"),
        ExprKind::Positional(number) => format!("${number}"),
        ExprKind::ParamCount => "$#".into(),
        ExprKind::Map { name, key, .. } => {
            let mut text = format!("@{name}");
            if let Some(key) = key {
                let _ = write!(text, "[{}]", list(key));
            }
            text
        }
        ExprKind::Call { name, args, .. } => format!("{name}({})", list(args)),
        ExprKind::Unary(op, operand) => format!("({} {})", op.symbol(), expr(operand)),
        ExprKind::Binary { op, lhs, rhs, .. } => {
            format!("({} {} {})", op.symbol(), expr(lhs), expr(rhs))
        }
        ExprKind::Ternary {
            cond,
            then,
            otherwise,
        } => {
            format!("(?: {} {} {})", expr(cond), expr(then), expr(otherwise))
        }
        ExprKind::Increment {
            target,
            delta,
            postfix,
        } => {
            let symbol = if *delta > 0 { "++" } else { "--" };
            match postfix {
                true => format!("(post{symbol} {})", expr(target)),
                false => format!("(pre{symbol} {})", expr(target)),
            }
        }
        ExprKind::Cast { ty, value, .. } => format!("(cast {ty} {})", expr(value)),
        ExprKind::Tuple(parts) => format!("(tuple {})", list(parts)),
        ExprKind::Paren(inner) => format!("(paren {})", expr(inner)),
    }
}
