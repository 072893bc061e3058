//! Macros of the script: what stands in their bodies, put where they are used.
//!
//! A use becomes a block with the macro's statements in it, which is then checked where it stands. Names are kept apart: a
//! `$` variable of a macro's body is the macro's own unless it is a parameter, and a map must be one. What is given for a
//! plain name is put in as it is written, so it is worked out as often as the body mentions it.
//!
//! No macro's body uses the macro itself, at once or by way of others, so every use comes to an end; what is given for a parameter
//! may well use the same macro.
//!
//! Bounds: how high the bodies of uses inside uses stand together, and how much text all uses put in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::checker::{Checker, Typed};
use super::hir::Stmt;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;
use crate::syntax::ast::{
    self, Block, Else, Expr, ExprKind, ForOver, Macro, MacroParamKind, Operand,
};

/// The macros of a script by name, and what their uses have cost so far.
#[derive(Debug, Default)]
pub(super) struct Macros<'a> {
    known: BTreeMap<&'a str, &'a Macro>,
    /// Those that cannot be put in, which has been told.
    endless: BTreeSet<&'a str>,
    /// How high the bodies being put in stand together.
    height: u16,
    uses: u32,
    text: usize,
}

/// Finds the macros of a script; mistakes.
pub(super) fn find(script: &ast::Script) -> (Macros<'_>, Vec<Diagnostic>) {
    let mut macros = Macros::default();
    let mut told = Vec::new();
    for item in &script.macros {
        let name = item.name.text.as_str();
        if let Some(first) = macros.known.get(name) {
            told.push(
                Diagnostic::error(
                    "E0243",
                    item.name.span,
                    format!("the macro `{name}` is defined twice"),
                )
                .with_label("once more")
                .with_place(first.name.span, "the first one"),
            );
            continue;
        }
        if super::names::is_function(name) {
            told.push(
                Diagnostic::error(
                    "E0243",
                    item.name.span,
                    format!("there is a function `{name}` already"),
                )
                .with_label("the name is taken")
                .with_help("give the macro another name"),
            );
            continue;
        }
        macros.known.insert(name, item);
    }
    told.extend(macros.find_endless());
    (macros, told)
}

impl Macros<'_> {
    /// Macros that use themselves; one message for each circle.
    fn find_endless(&mut self) -> Vec<Diagnostic> {
        let calls: BTreeMap<&str, Vec<(String, Span)>> = (self.known.iter())
            .map(|(name, item)| (*name, calls(item)))
            .collect();
        let mut told = Vec::new();
        for (&name, item) in &self.known {
            // What the body reaches, with the use in the body it is reached by.
            let mut reached: BTreeMap<&str, Span> = BTreeMap::new();
            let mut next: Vec<(&str, Option<Span>)> = vec![(name, None)];
            while let Some((at, by)) = next.pop() {
                for (called, span) in calls.get(at).into_iter().flatten() {
                    let by = by.unwrap_or(*span);
                    if self.known.contains_key(called.as_str())
                        && reached.insert(called, by).is_none()
                    {
                        next.push((called, Some(by)));
                    }
                }
            }
            let Some(&span) = reached.get(name) else {
                continue;
            };
            let circle = reached.keys().any(|other| self.endless.contains(other));
            self.endless.insert(name);
            if !circle {
                told.push(
                    Diagnostic::error("E0244", span, format!("the macro `{name}` uses itself"))
                        .with_label("comes back to it")
                        .with_place(item.name.span, "this macro")
                        .with_help(
                            "macros are written out before the script runs; a loop can repeat something",
                        ),
                );
            }
        }
        told
    }
}

/// What a macro's body calls.
fn calls(item: &Macro) -> Vec<(String, Span)> {
    let mut put = Put::nothing(item, "");
    put.block(&mut item.body.clone());
    put.calls
}

impl<'a> Checker<'a> {
    /// Whether a call uses a macro.
    pub(super) fn is_macro(&self, name: &str) -> bool {
        self.macros.known.contains_key(name)
    }

    /// Names of macros, for suggestions.
    pub(super) fn macro_names(&self) -> Vec<&'a str> {
        self.macros.known.keys().copied().collect()
    }

    /// A use of a macro where a value is wanted.
    pub(super) fn macro_value(&mut self, name: &str, args: &[Expr], span: Span) -> Option<Typed> {
        self.put_in(name, args, span, |this, block| {
            this.block_value(&block, span)
        })
    }

    /// A use of a macro as a statement: its value, if it has one, is not needed.
    pub(super) fn macro_statement(
        &mut self,
        name: &str,
        args: &[Expr],
        span: Span,
    ) -> Option<Vec<Stmt>> {
        self.put_in(name, args, span, |this, block| {
            this.scoped(|this| {
                let mut stmts = this.statements(&block.stmts);
                if let Some(value) = block.value {
                    let before = this.diagnostics.len();
                    let span = value.span;
                    let kind = ast::StmtKind::Expr(*value);
                    stmts.extend(this.statements(&[ast::Stmt { kind, span }]));
                    // Who uses the macro as a statement does not want its value.
                    let mut at = 0;
                    this.diagnostics.retain(|told| {
                        at += 1;
                        at <= before || told.code != "W0003"
                    });
                }
                Some(stmts)
            })
        })
    }

    fn put_in<T>(
        &mut self,
        name: &str,
        args: &[Expr],
        span: Span,
        check: impl FnOnce(&mut Self, Block) -> Option<T>,
    ) -> Option<T> {
        let item = *self.macros.known.get(name)?;
        let usage = usage(item);
        let params = item.params.len();
        self.arguments(name, args, params..=params, &usage, span)?;
        if self.macros.endless.contains(name) {
            return None;
        }
        self.macros.uses += 1;
        let mark = format!("#{}", self.macros.uses);
        let mut put = match Put::new(item, args, &mark) {
            Ok(put) => put,
            Err(wrong) => return self.fail(*wrong),
        };
        let mut block = item.body.clone();
        put.block(&mut block);
        let (unknown_map, text) = (put.unknown_map.take(), put.text);
        if let Some((map, at)) = unknown_map {
            return self.fail(
                Diagnostic::error(
                    "E0245",
                    at,
                    format!("the macro `{name}` uses the map `@{map}`, which is not given to it"),
                )
                .with_label("not a parameter")
                .with_place(item.name.span, "this macro")
                .with_help(format!("add `@{map}` to the macro's parameters")),
            );
        }
        self.macros.text += text;
        let outer = self.macros.height;
        let height = outer.saturating_add(block.height());
        if height > limits::MACRO_HEIGHT || self.macros.text > limits::SOURCE_BYTES {
            let too = match self.macros.text > limits::SOURCE_BYTES {
                true => format!("put in more than {} bytes", limits::SOURCE_BYTES),
                false => "nest too deeply in one another".into(),
            };
            return self.fail(
                Diagnostic::error("E0510", span, format!("the script's macros {too}"))
                    .with_label("this use goes over the limit")
                    .with_help("keep what is used several times in a variable"),
            );
        }
        let before = self.diagnostics.len();
        self.macros.height = height;
        let result = check(self, block);
        self.macros.height = outer;
        for told in &mut self.diagnostics[before..] {
            told.forget(&mark);
            if !told.secondary.iter().any(|(place, _)| *place == span) {
                told.secondary
                    .push((span, format!("in this use of `{name}`")));
            }
        }
        result
    }
}

fn usage(item: &Macro) -> String {
    let params = item.params.iter().map(|param| match param.kind {
        MacroParamKind::Variable => format!("${}", param.name.text),
        MacroParamKind::Map => format!("@{}", param.name.text),
        MacroParamKind::Value => param.name.text.clone(),
    });
    let params: Vec<String> = params.collect();
    format!("{}({})", item.name.text, params.join(", "))
}

/// Puts what is given for the parameters into a macro's body.
struct Put<'a> {
    values: HashMap<&'a str, &'a Expr>,
    variables: HashMap<&'a str, &'a str>,
    maps: HashMap<&'a str, &'a str>,
    /// Stands behind the names of the macro's own variables.
    mark: &'a str,
    /// A map that is no parameter, and its place.
    unknown_map: Option<(String, Span)>,
    /// Bytes of script put in.
    text: usize,
    /// What the body calls.
    calls: Vec<(String, Span)>,
}

impl<'a> Put<'a> {
    fn nothing(item: &'a Macro, mark: &'a str) -> Self {
        Put {
            values: HashMap::new(),
            variables: HashMap::new(),
            maps: HashMap::new(),
            mark,
            unknown_map: None,
            text: item.body.span.range().len(),
            calls: Vec::new(),
        }
    }

    fn new(item: &'a Macro, args: &'a [Expr], mark: &'a str) -> Result<Self, Box<Diagnostic>> {
        let mut put = Self::nothing(item, mark);
        for (param, arg) in item.params.iter().zip(args) {
            let name = param.name.text.as_str();
            let wanted = match (param.kind, &arg.bare().kind) {
                (MacroParamKind::Value, _) => {
                    put.values.insert(name, arg);
                    continue;
                }
                (MacroParamKind::Variable, ExprKind::Variable(variable)) => {
                    put.variables.insert(name, variable);
                    continue;
                }
                (
                    MacroParamKind::Map,
                    ExprKind::Map {
                        name: map,
                        key: None,
                        ..
                    },
                ) => {
                    put.maps.insert(name, map);
                    continue;
                }
                (MacroParamKind::Variable, _) => "a variable",
                (MacroParamKind::Map, _) => "a map without a key",
            };
            let message = format!("the macro `{}` takes {wanted} here", item.name.text);
            return Err(Box::new(
                Diagnostic::error("E0415", arg.span, message)
                    .with_label(format!("not {wanted}"))
                    .with_place(param.name.span, "this parameter"),
            ));
        }
        Ok(put)
    }

    fn block(&mut self, block: &mut Block) {
        for stmt in &mut block.stmts {
            self.stmt(stmt);
        }
        if let Some(value) = &mut block.value {
            self.expr(value);
        }
    }

    fn stmt(&mut self, stmt: &mut ast::Stmt) {
        use ast::StmtKind as Kind;
        match &mut stmt.kind {
            Kind::Assign { target, value, .. } => {
                self.expr(target);
                self.expr(value);
            }
            Kind::Let { name, value, .. } => {
                self.variable(&mut name.text);
                self.exprs(value);
            }
            Kind::If {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond);
                self.block(then);
                match otherwise {
                    Some(Else::Block(block)) => self.block(block),
                    Some(Else::If(stmt)) => self.stmt(stmt),
                    None => {}
                }
            }
            Kind::While { cond: head, body } | Kind::Unroll { count: head, body } => {
                self.expr(head);
                self.block(body);
            }
            Kind::For {
                name, over, body, ..
            } => {
                self.variable(&mut name.text);
                match over {
                    ForOver::Map(map) => self.expr(map),
                    ForOver::Range { start, end } => self.exprs([start, end]),
                }
                self.block(body);
            }
            Kind::Return(value) => self.exprs(value),
            Kind::Block(block) => self.block(block),
            Kind::Discard(value) | Kind::Expr(value) => self.expr(value),
            Kind::Break | Kind::Continue => {}
        }
    }

    fn exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e mut Expr>) {
        exprs.into_iter().for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            ExprKind::Name(name) => {
                if let Some(value) = self.values.get(name.as_str()) {
                    self.text += value.span.range().len();
                    expr.kind = ExprKind::Paren(Box::new((*value).clone()));
                }
            }
            ExprKind::Variable(name) => self.variable(name),
            ExprKind::Map {
                name,
                name_span,
                key,
            } => {
                match self.maps.get(name.as_str()) {
                    Some(given) => *name = (*given).to_owned(),
                    None => {
                        self.unknown_map.get_or_insert((name.clone(), *name_span));
                    }
                }
                self.exprs(key.iter_mut().flatten());
            }
            ExprKind::Call {
                name,
                name_span,
                args,
            } => {
                self.calls.push((name.clone(), *name_span));
                self.exprs(args);
            }
            ExprKind::Tuple(parts) => self.exprs(parts),
            ExprKind::Unary(_, part)
            | ExprKind::Paren(part)
            | ExprKind::Comptime(part)
            | ExprKind::Increment { target: part, .. }
            | ExprKind::Field { base: part, .. }
            | ExprKind::Element { base: part, .. }
            | ExprKind::Cast { value: part, .. } => self.expr(part),
            ExprKind::Binary { lhs, rhs, .. }
            | ExprKind::Index {
                base: lhs,
                index: rhs,
            }
            | ExprKind::In {
                value: lhs,
                within: rhs,
            } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            ExprKind::Ternary {
                cond,
                then,
                otherwise,
            } => {
                self.expr(cond);
                self.exprs(then.as_deref_mut());
                self.expr(otherwise);
            }
            ExprKind::Sizeof(of) | ExprKind::Offsetof { of, .. } => {
                if let Operand::Expr(of) = &mut **of {
                    self.expr(of);
                }
            }
            ExprKind::Block(block) => self.block(block),
            ExprKind::Int(_)
            | ExprKind::Decimal(_)
            | ExprKind::Str(_)
            | ExprKind::Bool(_)
            | ExprKind::Positional(_)
            | ExprKind::ParamCount
            | ExprKind::Type(_) => {}
        }
        // What was put in may be higher than the name that stood there.
        let kind = std::mem::replace(&mut expr.kind, ExprKind::ParamCount);
        *expr = Expr::new(kind, expr.span);
    }

    /// A variable: the one that was given, or the macro's own.
    fn variable(&mut self, name: &mut String) {
        match self.variables.get(name.as_str()) {
            Some(given) => *name = (*given).to_owned(),
            None => name.push_str(self.mark),
        }
    }
}
