//! The tree as text, without places: one line a statement, operators in front of their operands. Two scripts with the
//! same dump mean the same.

mod ctype;

use std::fmt::Write;

use super::ast::{
    Block, Else, Expr, ExprKind, ForOver, MacroParamKind, Operand, Script, Stmt, StmtKind,
};

/// A text form of a script's tree, for `--emit ast`.
pub fn dump(script: &Script) -> String {
    let mut out = String::new();
    for include in &script.includes {
        line(&mut out, 0, &format!("include {}", include.path));
    }
    for item in &script.types {
        let what = if item.typedef { "typedef" } else { "type" };
        line(
            &mut out,
            0,
            &format!("{what} {}", ctype::declared(&item.ty, &item.names)),
        );
        ctype::body(&mut out, 1, &item.ty);
    }
    for config in &script.configs {
        line(&mut out, 0, "config");
        for setting in &config.settings {
            let text = format!("{} = {}", setting.key.text, expr(&setting.value));
            line(&mut out, 1, &text);
        }
    }
    for map in &script.maps {
        let text = format!(
            "map @{} {}({})",
            map.name.text,
            map.kind.text,
            list(&map.args)
        );
        line(&mut out, 0, &text);
    }
    for found in &script.macros {
        let params: Vec<String> = found
            .params
            .iter()
            .map(|param| match param.kind {
                MacroParamKind::Variable => format!("${}", param.name.text),
                MacroParamKind::Map => format!("@{}", param.name.text),
                MacroParamKind::Value => param.name.text.clone(),
            })
            .collect();
        line(
            &mut out,
            0,
            &format!("macro {}({})", found.name.text, params.join(", ")),
        );
        block(&mut out, 1, &found.body);
    }
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
    if let Some(value) = &block.value {
        line(out, depth, &format!("value {}", expr(value)));
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
        StmtKind::While { cond, body } => {
            line(out, depth, &format!("while {}", expr(cond)));
            block(out, depth + 1, body);
        }
        StmtKind::Unroll { count, body } => {
            line(out, depth, &format!("unroll {}", expr(count)));
            block(out, depth + 1, body);
        }
        StmtKind::For {
            name, over, body, ..
        } => {
            let over = match over {
                ForOver::Map(map) => expr(map),
                ForOver::Range { start, end } => format!("(.. {} {})", expr(start), expr(end)),
            };
            line(out, depth, &format!("for ${} {over}", name.text));
            block(out, depth + 1, body);
        }
        StmtKind::Let { name, ty, value } => {
            let mut text = format!("let ${}", name.text);
            if let Some(ty) = ty {
                let _ = write!(text, " : {}", ctype::name(ty));
            }
            if let Some(value) = value {
                let _ = write!(text, " = {}", expr(value));
            }
            line(out, depth, &text);
        }
        StmtKind::Discard(value) => line(out, depth, &format!("discard {}", expr(value))),
        StmtKind::Break => line(out, depth, "break"),
        StmtKind::Continue => line(out, depth, "continue"),
        StmtKind::Return(None) => line(out, depth, "return"),
        StmtKind::Return(Some(value)) => line(out, depth, &format!("return {}", expr(value))),
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

fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Type(ty) => format!("(type {})", ctype::name(ty)),
        Operand::Expr(value) => expr(value),
    }
}

fn expr(value: &Expr) -> String {
    match &value.kind {
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Decimal(thousandths) => {
            format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
        }
        ExprKind::Str(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        ExprKind::Bool(value) => value.to_string(),
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
            let then = then.as_ref().map_or("-".into(), |then| expr(then));
            format!("(?: {} {then} {})", expr(cond), expr(otherwise))
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
        ExprKind::In { value, within } => format!("(in {} {})", expr(value), expr(within)),
        ExprKind::Cast { ty, value } => format!("(cast {} {})", ctype::name(ty), expr(value)),
        ExprKind::Field { base, name, .. } => format!("(. {} {})", expr(base), name.text),
        ExprKind::Element { base, index, .. } => format!("(. {} {index})", expr(base)),
        ExprKind::Index { base, index } => format!("(index {} {})", expr(base), expr(index)),
        ExprKind::Sizeof(of) => format!("(sizeof {})", operand(of)),
        ExprKind::Offsetof { of, path } => {
            let path: Vec<&str> = path.iter().map(|field| field.text.as_str()).collect();
            format!("(offsetof {} {})", operand(of), path.join("."))
        }
        ExprKind::Type(ty) => format!("(type {})", ctype::name(ty)),
        ExprKind::Comptime(value) => format!("(comptime {})", expr(value)),
        ExprKind::Block(inner) => {
            let mut text = String::new();
            block(&mut text, 0, inner);
            let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
            format!("{{{}}}", lines.join("; "))
        }
        ExprKind::Tuple(parts) => format!("(tuple {})", list(parts)),
        ExprKind::Paren(inner) => format!("(paren {})", expr(inner)),
    }
}
