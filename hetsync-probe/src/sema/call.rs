//! Calls of functions: those that are statements, and those that have a value.

use std::ops::RangeInclusive;

use super::aggregate;
use super::checker::{Checker, Typed};
use super::expr::int;
use super::hir::{self, BinaryOp, MapId, Print, PrintId, PrintWhat, StmtKind};
use super::tables::Value;
use super::{functions, names, operator};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast;

impl Checker<'_> {
    /// Checks the number of arguments.
    pub(super) fn arguments(
        &mut self,
        function: &str,
        args: &[ast::Expr],
        allowed: RangeInclusive<usize>,
        usage: &str,
        span: Span,
    ) -> Option<()> {
        if allowed.contains(&args.len()) {
            return Some(());
        }
        let wanted = match (*allowed.start(), *allowed.end()) {
            (0, 0) => "no arguments".into(),
            (1, 1) => "one argument".into(),
            (0, 1) => "at most one argument".into(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        self.fail(
            Diagnostic::error(
                "E0401",
                span,
                format!("`{function}()` takes {wanted}, not {}", args.len()),
            )
            .with_help(format!("it is written {}", quoted(usage))),
        )
    }

    /// A call as a statement. None: this function is no statement, so the call is an expression.
    pub(super) fn call_statement(
        &mut self,
        name: &str,
        name_span: Span,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<Option<StmtKind>> {
        Some(match name {
            "printf" => self.formatted(hir::TextUse::Print, args, span),
            "print" => self.print(args, span),
            "clear" => self.whole_map(name, args, span).map(StmtKind::Clear),
            "zero" => self.whole_map(name, args, span).map(StmtKind::Zero),
            "delete" => self.delete(args, span),
            "exit" => self.exit(args, span),
            "assert" => self.assert(args, span),
            "fail" => self.refuse(args, span),
            _ if aggregate::is_name(name) => self.fail(unassigned(name, name_span)),
            _ => return self.output(name, args, span),
        })
    }

    /// A call where a value is wanted.
    pub(super) fn call_value(
        &mut self,
        name: &str,
        name_span: Span,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<Typed> {
        if self.is_macro(name) {
            return self.macro_value(name, args, span);
        }
        if let Some((unit, divisor)) = names::unit(name) {
            self.arguments(name, args, 1..=1, &format!("{name}(n)"), span)?;
            let value = self.integer(&args[0], &format!("`{name}()`"))?;
            let mut converted = match divisor {
                1 => value,
                _ => operator::integers(BinaryOp::Div, value, int(divisor, span), span),
            };
            converted.unit = Some(unit);
            return Some(converted);
        }
        if let Some(row) = functions::find(name) {
            return self.function(row, args, span);
        }
        if aggregate::is_name(name) {
            return self.fail(unassigned(name, name_span));
        }
        if name == "delete" {
            return self.delete_value(args, span);
        }
        if names::is_function(name) {
            return self.fail(
                Diagnostic::error("E0313", span, format!("`{name}()` has no value"))
                    .with_label("used as a value")
                    .with_help("write it as a statement of its own"),
            );
        }
        if matches!(name, "cidr" | "port") {
            return self.fail(
                Diagnostic::error("E0417", name_span, format!("`{name}()` stands behind `in`"))
                    .with_label("looked for in nothing")
                    .with_help(format!("write `value in {name}(..)`")),
            );
        }
        let later = names::LATER_FUNCTIONS.contains(&name);
        self.fail(if later {
            Diagnostic::error(
                "E0210",
                name_span,
                format!("`{name}()` is not supported yet"),
            )
            .with_label("not supported yet")
        } else {
            let mut known = self.macro_names();
            known.extend(names::FUNCTIONS.iter().map(|name| -> &str { name }));
            known.extend(names::LATER_FUNCTIONS.iter().map(|name| -> &str { name }));
            known.extend(functions::names().map(|name| -> &str { name }));
            let diagnostic =
                Diagnostic::error("E0215", name_span, format!("there is no function `{name}`"))
                    .with_label("unknown function");
            match self.suggestion(name, known.into_iter().filter(|known| known.len() > 2)) {
                Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
                None => diagnostic.with_help("the functions are listed in the language reference"),
            }
        })
    }

    /// The one argument of `clear` and `zero`.
    fn whole_map(&mut self, function: &str, args: &[ast::Expr], span: Span) -> Option<MapId> {
        self.arguments(function, args, 1..=1, &format!("{function}(@map)"), span)?;
        let map = self.map_argument(function, &args[0])?;
        self.used_map(map, args[0].span)
            .then_some(MapId(map as u32))
    }

    /// An argument that must be a map without a key.
    pub(super) fn map_argument(&mut self, function: &str, arg: &ast::Expr) -> Option<usize> {
        match &arg.bare().kind {
            ast::ExprKind::Map {
                name,
                name_span,
                key: None,
            } => Some(self.tables.map(name, *name_span)),
            ast::ExprKind::Map { .. } => self.fail(
                Diagnostic::error(
                    "E0404",
                    arg.span,
                    format!("`{function}()` takes a whole map"),
                )
                .with_label("one key of a map")
                .with_help("for one key use `delete(@map, key)`"),
            ),
            _ => self.fail(
                Diagnostic::error("E0404", arg.span, format!("`{function}()` takes a map"))
                    .with_label("not a map")
                    .with_help(match function {
                        "delete" => "write `delete(@map, key)`".into(),
                        _ => format!("write `{function}(@map)`"),
                    }),
            ),
        }
    }

    fn exit(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        self.arguments("exit", args, 0..=1, "exit() or exit(code)", span)?;
        self.may_end("exit()", span)?;
        let code = match args.first() {
            None => None,
            Some(code) => Some(self.integer(code, "`exit()`")?.expr),
        };
        Some(StmtKind::Exit { code })
    }

    /// `assert(condition, "message")`: where it does not hold, the message is told and the run ends with status 1.
    fn assert(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        let usage = "assert(condition, \"message\")";
        let most = 2 + crate::limits::PRINTF_ARGS;
        self.arguments("assert", args, 2..=most, usage, span)?;
        self.may_end("assert()", span)?;
        let cond = self.condition(&args[0]);
        let told = self.formatted(hir::TextUse::Error, &args[1..], span);
        let one = int(1, span).expr;
        let stmt = |kind| hir::Stmt { kind, span };
        Some(StmtKind::If {
            cond: cond?,
            then: Vec::new(),
            otherwise: vec![stmt(told?), stmt(StmtKind::Exit { code: Some(one) })],
        })
    }

    /// `fail("message")`: a script that comes here cannot run; for branches of `if comptime`.
    fn refuse(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        self.arguments("fail", args, 1..=1, "fail(\"message\")", span)?;
        let message = match &args[0].bare().kind {
            ast::ExprKind::Str(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => "`fail()`".into(),
        };
        self.fail(
            Diagnostic::error("E0416", span, message)
                .with_label("the script says that it cannot run here"),
        )
    }

    /// `print(@m, top, div)` or `print(value)`.
    fn print(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        self.arguments(
            "print",
            args,
            1..=3,
            "print(@map) or print(@map, top, div) or print(value)",
            span,
        )?;
        let (what, values) = match &args[0].bare().kind {
            ast::ExprKind::Map {
                name,
                name_span,
                key: None,
            } => {
                let map = self.tables.map(name, *name_span);
                self.used_map(map, *name_span).then_some(())?;
                (PrintWhat::Map(MapId(map as u32)), Vec::new())
            }
            ast::ExprKind::Map {
                name,
                name_span,
                key: key @ Some(_),
            } => {
                let map = self.tables.map(name, *name_span);
                match self.tables.maps[map].value {
                    Some((Value::Aggregate(..), _)) => {
                        let key = self.key(map, key.as_deref(), args[0].span)?;
                        (PrintWhat::Entry(MapId(map as u32)), key)
                    }
                    _ => {
                        let value = self.expr(&args[0])?;
                        (PrintWhat::Value(value.expr.ty.clone()), vec![value.expr])
                    }
                }
            }
            _ => {
                let value = self.expr(&args[0])?;
                if let Some(extra) = args.get(1) {
                    return self.fail(
                        Diagnostic::error(
                            "E0404",
                            extra.span,
                            "only a map can be printed with `top` and `div`",
                        )
                        .with_label("not for a single value")
                        .with_place(args[0].span, "not a map"),
                    );
                }
                (PrintWhat::Value(value.expr.ty.clone()), vec![value.expr])
            }
        };
        let top = self.print_limit(args.get(1), "top", 0, i64::from(u32::MAX))?;
        let div = self.print_limit(args.get(2), "div", 1, i64::MAX)?;
        let print = Print {
            what,
            top: top as u32,
            div: div as u64,
        };
        let id = PrintId(self.program.prints.len() as u32);
        self.program.prints.push(print);
        Some(StmtKind::Print {
            print: id,
            args: values,
        })
    }

    fn print_limit(
        &mut self,
        arg: Option<&ast::Expr>,
        what: &str,
        least: i64,
        most: i64,
    ) -> Option<i64> {
        let Some(arg) = arg else {
            return Some(least);
        };
        let value = self.constant(arg, &format!("`{what}` of `print()`"))?;
        if (least..=most).contains(&value) {
            return Some(value);
        }
        self.fail(
            Diagnostic::error(
                "E0403",
                arg.span,
                format!("`{what}` of `print()` is at least {least}, not {value}"),
            )
            .with_help("it is written `print(@map, top, div)`"),
        )
    }
}

/// A statistic that goes nowhere.
fn unassigned(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(
        "E0311",
        span,
        format!("`{name}()` must be assigned to a map"),
    )
    .with_label("gives no value")
    .with_help(format!("write `@ = {name}(..);`"))
}

/// Spellings with ` or ` between them, each in quotes.
pub(super) fn quoted(spellings: &str) -> String {
    format!("`{}`", spellings.replace(" or ", "` or `"))
}
