//! A checked script in one line a statement, for failing cases.

use hetsync_probe::sema::hir::*;

/// A whole program.
pub(crate) fn program(program: &Program) -> String {
    let mut text = String::new();
    for map in &program.maps {
        let Map {
            name, key, value, ..
        } = map;
        text += &format!("@{name}: {key:?} -> {value:?}, {} keys\n", map.max_entries);
    }
    for probe in &program.probes {
        let shown = Shown { program, probe };
        let kinds: Vec<String> = probe
            .points
            .iter()
            .map(|p| format!("{:?}", p.kind))
            .collect();
        text += &kinds.join(", ");
        for (i, local) in probe.locals.iter().enumerate() {
            text += &format!(" ${i}: {:?}", local.ty);
        }
        if let Some(predicate) = &probe.predicate {
            text += &format!("\n/{}/", shown.expr(predicate));
        }
        text += "\n";
        shown.block(&probe.body, 1, &mut text);
    }
    text
}

struct Shown<'a> {
    program: &'a Program,
    probe: &'a Probe,
}

impl Shown<'_> {
    fn block(&self, block: &[Stmt], depth: usize, text: &mut String) {
        for stmt in block {
            *text += &"  ".repeat(depth);
            match &stmt.kind {
                StmtKind::Assign { place, value } => {
                    *text += &format!("{} = {}", self.place(place), self.expr(value));
                }
                StmtKind::Aggregate { map, key, sample } => {
                    let sample = sample.as_ref().map(|sample| self.expr(sample));
                    *text += &format!("{} <- {}", self.map(*map, key), sample.unwrap_or_default());
                }
                StmtKind::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    *text += &format!("if {}\n", self.expr(cond));
                    self.block(then, depth + 1, text);
                    *text += &format!("{}else", "  ".repeat(depth));
                    if !otherwise.is_empty() {
                        *text += "\n";
                        self.block(otherwise, depth + 1, text);
                        continue;
                    }
                }
                StmtKind::Printf { args, .. } => *text += &format!("printf({})", self.list(args)),
                StmtKind::Print { args, .. } => *text += &format!("print({})", self.list(args)),
                StmtKind::Delete { map, key } => {
                    *text += &format!("delete {}", self.map(*map, key));
                }
                StmtKind::Exit { code } => {
                    let code = code.as_ref().map(|code| self.expr(code));
                    *text += &format!("exit({})", code.unwrap_or_default());
                }
                StmtKind::Expr(expr) => *text += &self.expr(expr),
                other => *text += &format!("{other:?}"),
            }
            *text += "\n";
        }
    }

    fn map(&self, map: MapId, key: &[Expr]) -> String {
        format!(
            "@{}[{}]",
            self.program.maps[map.0 as usize].name,
            self.list(key)
        )
    }

    fn list(&self, exprs: &[Expr]) -> String {
        let shown: Vec<String> = exprs.iter().map(|expr| self.expr(expr)).collect();
        shown.join(", ")
    }

    fn place(&self, place: &Place) -> String {
        match place {
            Place::Local(local) => {
                format!("${}:{:?}", local.0, self.probe.locals[local.0 as usize].ty)
            }
            Place::Map { map, key } => self.map(*map, key),
        }
    }

    fn expr(&self, expr: &Expr) -> String {
        let width = match expr.ty {
            Type::Str { capacity } => format!(":{capacity}"),
            _ => String::new(),
        };
        let text = match &expr.kind {
            ExprKind::Int(n) => format!("{}", *n as i64),
            ExprKind::Str(text) => format!("{:?}", String::from_utf8_lossy(text)),
            ExprKind::Builtin(builtin) => format!("{builtin:?}"),
            ExprKind::Local(local) => format!("${}", local.0),
            ExprKind::MapGet { map, key } => self.map(*map, key),
            ExprKind::Unary(op, inner) => format!("{op:?}({})", self.expr(inner)),
            ExprKind::Binary {
                op,
                signed,
                lhs,
                rhs,
            } => {
                let sign = if *signed { "s" } else { "u" };
                format!("({} {op:?}.{sign} {})", self.expr(lhs), self.expr(rhs))
            }
            ExprKind::StrCompare { equal, lhs, rhs } => {
                let op = if *equal { "==" } else { "!=" };
                format!("({} {op} {})", self.expr(lhs), self.expr(rhs))
            }
            ExprKind::Logical { and, lhs, rhs } => {
                let op = if *and { "&&" } else { "||" };
                format!("({} {op} {})", self.expr(lhs), self.expr(rhs))
            }
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                let arms = (self.expr(then), self.expr(otherwise));
                format!("({} ? {} : {})", self.expr(cond), arms.0, arms.1)
            }
            ExprKind::Increment {
                place,
                delta,
                postfix,
            } => {
                let when = if *postfix { "post" } else { "pre" };
                format!("{when}{delta:+}({})", self.place(place))
            }
        };
        text + &width
    }
}
