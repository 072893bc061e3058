//! The checked script as text: maps with their types, then every body, each operation with its type. An operator that
//! depends on signedness carries a `u` where it is unsigned.

use std::fmt::Write;

use super::aggregate;
use super::hir::{
    Aggregation, BinaryOp, Expr, ExprKind, Format, LoopHead, Map, MapId, MapValue, Piece, Place,
    PointKind, PrintWhat, Probe, Program, Space, Stmt, StmtKind, UnaryOp,
};
use super::names::builtin_name;

/// A text form of a checked script, for `--emit types`.
pub fn dump(program: &Program) -> String {
    let mut dump = Dump {
        program,
        probe: None,
        out: String::new(),
    };
    for map in &program.maps {
        let _ = writeln!(dump.out, "map {}", describe_map(map));
    }
    for probe in &program.probes {
        dump.out.push('\n');
        dump.probe(probe);
    }
    dump.out
}

fn describe_map(map: &Map) -> String {
    let key: Vec<String> = map.key.iter().map(|ty| ty.to_string()).collect();
    let mut text = format!("@{}", map.name);
    if !key.is_empty() {
        let _ = write!(text, "[{}; {} keys]", key.join(", "), map.max_entries);
    }
    match &map.value {
        MapValue::Scalar(ty) => {
            let _ = write!(text, ": {ty}");
        }
        MapValue::Aggregate(aggregation) => {
            let _ = write!(text, ": {}", describe_aggregation(aggregation));
        }
    }
    if let Some(unit) = map.unit {
        let _ = write!(text, " in {}", unit.suffix());
    }
    text
}

fn describe_aggregation(aggregation: &Aggregation) -> String {
    let name = aggregate::name(aggregation);
    match aggregation {
        Aggregation::Count => "count()".into(),
        Aggregation::Sum { signed }
        | Aggregation::Avg { signed }
        | Aggregation::Min { signed }
        | Aggregation::Max { signed }
        | Aggregation::Rate { signed }
        | Aggregation::Stats { signed } => {
            format!("{name}({})", if *signed { "int64" } else { "uint64" })
        }
        Aggregation::Hist { bits } => format!("hist({bits} bits)"),
        Aggregation::Cdf { bits } => format!("cdf({bits} bits)"),
        Aggregation::Slo { limit } => format!("slo(up to {limit})"),
        Aggregation::Lhist { min, max, step } => format!("lhist({min}..{max} by {step})"),
        Aggregation::Summary { percentiles } => {
            let percentiles: Vec<String> = percentiles
                .iter()
                .map(|p| format!("{}%", *p as f64 / 1000.0))
                .collect();
            format!("summary({})", percentiles.join(" "))
        }
    }
}

struct Dump<'a> {
    program: &'a Program,
    probe: Option<&'a Probe>,
    out: String,
}

impl<'a> Dump<'a> {
    fn line(&mut self, depth: usize, text: &str) {
        self.out.extend(std::iter::repeat_n("  ", depth));
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn probe(&mut self, probe: &'a Probe) {
        self.probe = Some(probe);
        for point in &probe.points {
            let name = self
                .program
                .names
                .get(point.probe_name.0 as usize)
                .map_or("?", String::as_str);
            let period = match point.kind {
                PointKind::Interval { period_ns } => format!(" ({period_ns} ns)"),
                _ => String::new(),
            };
            self.line(0, &format!("probe {name}{period}"));
        }
        for local in &probe.locals {
            self.line(1, &format!("let ${}: {}", local.name, local.ty));
        }
        if let Some(predicate) = &probe.predicate {
            let predicate = self.expr(predicate);
            self.line(1, &format!("where {predicate}"));
        }
        self.block(1, &probe.body);
    }

    fn block(&mut self, depth: usize, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(depth, stmt);
        }
    }

    fn stmt(&mut self, depth: usize, stmt: &Stmt) {
        let text = match &stmt.kind {
            StmtKind::Assign { place, value } => {
                format!("{} = {}", self.place(place), self.expr(value))
            }
            StmtKind::Aggregate { map, key, sample } => {
                let sample = sample
                    .as_ref()
                    .map_or(String::new(), |sample| format!(" {}", self.expr(sample)));
                format!("{} <-{sample}", self.map(*map, key))
            }
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                let cond = self.expr(cond);
                self.line(depth, &format!("if {cond}"));
                self.block(depth + 1, then);
                if !otherwise.is_empty() {
                    self.line(depth, "else");
                    self.block(depth + 1, otherwise);
                }
                return;
            }
            StmtKind::Loop { head, body, .. } => {
                let head = match head {
                    LoopHead::While(cond) => format!("while {}", self.expr(cond)),
                    LoopHead::Range { local, start, end } => {
                        let (start, end) = (self.expr(start), self.expr(end));
                        format!("for {} : {start}..{end}", self.local(local.0))
                    }
                };
                self.line(depth, &head);
                self.block(depth + 1, body);
                return;
            }
            StmtKind::Each { map, local, body } => {
                let head = format!("for {} : {}", self.local(local.0), self.map(*map, &[]));
                self.line(depth, &head);
                self.block(depth + 1, body);
                return;
            }
            StmtKind::Unroll { count, body } => {
                self.line(depth, &format!("unroll {count}"));
                self.block(depth + 1, body);
                return;
            }
            StmtKind::Break => "break".into(),
            StmtKind::Continue => "continue".into(),
            StmtKind::Return(None) => "return".into(),
            StmtKind::Return(Some(value)) => format!("return {}", self.expr(value)),
            StmtKind::Printf { format, args } => {
                let spelled = self
                    .program
                    .formats
                    .get(format.0 as usize)
                    .map_or(String::new(), describe_format);
                let word = self.program.formats.get(format.0 as usize);
                let word = word.map_or("printf", |format| format.use_as.name());
                format!("{word} {spelled} {}", self.list(args))
                    .trim_end()
                    .to_owned()
            }
            StmtKind::Print { print, args } => {
                let print = &self.program.prints[print.0 as usize];
                let what = match &print.what {
                    PrintWhat::Map(map) => self.map(*map, &[]),
                    PrintWhat::Value(_) => self.list(args),
                    PrintWhat::Entry(map) => self.map(*map, args),
                };
                format!("print {what} top {} div {}", print.top, print.div)
            }
            StmtKind::Clear(map) => format!("clear {}", self.map(*map, &[])),
            StmtKind::Zero(map) => format!("zero {}", self.map(*map, &[])),
            StmtKind::Delete { map, key } => format!("delete {}", self.map(*map, key)),
            StmtKind::Exit { code: None } => "exit".into(),
            StmtKind::Exit { code: Some(code) } => format!("exit {}", self.expr(code)),
            StmtKind::Expr(expr) => self.expr(expr),
        };
        self.line(depth, &text);
    }

    fn place(&self, place: &Place) -> String {
        match place {
            Place::Local(id) => self.local(id.0),
            Place::Map { map, key } => self.map(*map, key),
        }
    }

    fn local(&self, index: u32) -> String {
        let local = self
            .probe
            .and_then(|probe| probe.locals.get(index as usize));
        format!("${}", local.map_or("?", |local| local.name.as_str()))
    }

    fn map(&self, map: MapId, key: &[Expr]) -> String {
        let name = self
            .program
            .maps
            .get(map.0 as usize)
            .map_or("?", |map| map.name.as_str());
        if key.is_empty() {
            return format!("@{name}");
        }
        format!("@{name}[{}]", self.list(key))
    }

    fn list(&self, exprs: &[Expr]) -> String {
        let exprs: Vec<String> = exprs.iter().map(|expr| self.expr(expr)).collect();
        exprs.join(", ")
    }

    fn expr(&self, expr: &Expr) -> String {
        let text = match &expr.kind {
            ExprKind::Int(bits) if expr.ty == super::hir::Type::INT => {
                return (*bits as i64).to_string();
            }
            ExprKind::Int(bits) => return bits.to_string(),
            ExprKind::Str(bytes) => format!("\"{}\"", bytes.escape_ascii()),
            ExprKind::Builtin(builtin) => return builtin_name(*builtin),
            ExprKind::Local(id) => return self.local(id.0),
            ExprKind::MapGet { map, key } => return self.map(*map, key),
            ExprKind::Statistic { map, key } => format!("now {}", self.map(*map, key)),
            ExprKind::Tuple(parts) => format!("({})", self.list(parts)),
            ExprKind::Part { of, offset, bytes } => {
                format!("{}+{offset}..{bytes}", self.expr(of))
            }
            ExprKind::Read {
                address,
                bytes,
                space,
            } => {
                let space = match space {
                    Space::Kernel => "kernel",
                    Space::User => "user",
                };
                format!("read {bytes} {space} {}", self.expr(address))
            }
            ExprKind::Context { offset, bytes } => format!("args+{offset}..{bytes}"),
            ExprKind::Call { function, args } => {
                format!("{}({})", function.name(), self.list(args))
            }
            ExprKind::Cast(of) => format!("cast {}", self.expr(of)),
            ExprKind::Unary(op, operand) => {
                let symbol = match op {
                    UnaryOp::Neg => "-",
                    UnaryOp::BitNot => "~",
                    UnaryOp::Not => "!",
                };
                format!("({symbol}{})", self.expr(operand))
            }
            ExprKind::Binary {
                op,
                signed,
                lhs,
                rhs,
            } => {
                format!(
                    "({} {} {})",
                    self.expr(lhs),
                    symbol(*op, *signed),
                    self.expr(rhs)
                )
            }
            ExprKind::Compare { equal, lhs, rhs } => {
                let symbol = if *equal { "==" } else { "!=" };
                format!("({} {symbol} {})", self.expr(lhs), self.expr(rhs))
            }
            ExprKind::Logical { and, lhs, rhs } => {
                let symbol = if *and { "&&" } else { "||" };
                format!("({} {symbol} {})", self.expr(lhs), self.expr(rhs))
            }
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                format!(
                    "({} ? {} : {})",
                    self.expr(cond),
                    self.expr(then),
                    self.expr(otherwise)
                )
            }
            ExprKind::Block { body, value } => {
                let mut inner = Dump {
                    program: self.program,
                    probe: self.probe,
                    out: String::new(),
                };
                inner.block(0, body);
                let lines: Vec<&str> = inner.out.lines().map(str::trim_start).collect();
                format!("{{ {}; {} }}", lines.join("; "), self.expr(value))
            }
            ExprKind::Increment {
                place,
                delta,
                postfix,
            } => {
                let symbol = if *delta > 0 { "++" } else { "--" };
                let place = self.place(place);
                if *postfix {
                    format!("({place}{symbol})")
                } else {
                    format!("({symbol}{place})")
                }
            }
        };
        format!("{text}:{}", expr.ty)
    }
}

fn symbol(op: BinaryOp, signed: bool) -> String {
    let symbol = match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Mod => "%",
        BinaryOp::And => "&",
        BinaryOp::Or => "|",
        BinaryOp::Xor => "^",
        BinaryOp::Shl => "<<",
        BinaryOp::Shr => ">>",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
    };
    let sign_matters = matches!(
        op,
        BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Shr
            | BinaryOp::Lt
            | BinaryOp::Le
            | BinaryOp::Gt
            | BinaryOp::Ge
    );
    format!("{symbol}{}", if sign_matters && !signed { "u" } else { "" })
}

fn describe_format(format: &Format) -> String {
    let mut args = format.args.iter();
    let pieces = format.pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.escape_debug().to_string(),
        Piece::Conversion(conversion) => {
            let ty = args.next().map_or("?".into(), super::hir::Type::to_string);
            format!("{{{:?} {ty}}}", conversion.kind)
        }
    });
    format!("\"{}\"", pieces.collect::<String>())
}
