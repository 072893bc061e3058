//! Parameters of a script by name: `getopt("name", default, "what it is")`, given as `--name=value` behind the script's name.

use super::super::checker::{Checker, Typed};
use super::super::hir::{ExprKind, Type};
use super::super::shape::Shape;
use super::{Call, Row};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax;

pub(super) const ROWS: &[Row] = &[Row {
    name: "getopt",
    args: 1..=3,
    usage: "getopt(\"name\") or getopt(\"name\", default) or getopt(\"name\", default, \"what it is\")",
    check: getopt,
}];

/// What stands before the name of a parameter that has one.
const MARK: &str = "--";

/// The parameters without a name, `$1` first.
pub(in super::super) fn positional(params: &[String]) -> impl Iterator<Item = &String> {
    params.iter().filter(|param| !param.starts_with(MARK))
}

impl Checker<'_> {
    /// A parameter without a name.
    pub(in super::super) fn parameter(&self, number: u32) -> Option<String> {
        let at = (number as usize).checked_sub(1)?;
        positional(&self.options.params).nth(at).cloned()
    }

    /// Parameters that are given by name and asked for nowhere.
    pub(in super::super) fn refuse_unknown_parameters(&mut self) {
        let names: Vec<String> = (self.options.params.iter())
            .filter_map(|param| param.strip_prefix(MARK))
            .map(|param| param.split('=').next().unwrap_or_default().to_owned())
            .filter(|name| !self.asked.contains(name))
            .collect();
        for name in names {
            let near = self.suggestion(&name, self.asked.iter().map(String::as_str));
            let help = match near {
                Some(near) => format!("did you mean `--{near}`?"),
                None if self.asked.is_empty() => "it has no `getopt()`".into(),
                None => format!("it takes `--{}`", self.asked.join("`, `--")),
            };
            self.report(
                Diagnostic::error(
                    "E0246",
                    Span::default(),
                    format!("the script takes no parameter `--{name}`"),
                )
                .with_help(help),
            );
        }
    }
}

fn getopt(this: &mut Checker<'_>, call: &Call<'_>) -> Option<Typed> {
    let name = this.literal(call, 0, "the name")?;
    if call.args.len() > 2 {
        this.literal(call, 2, "the description")?;
    }
    let default = match call.args.get(1) {
        Some(default) => this.expr(default)?,
        None => truth(false, call.span),
    };
    if !matches!(default.expr.kind, ExprKind::Int(_) | ExprKind::Str(_)) {
        return this.fail(
            Diagnostic::error(
                "E0402",
                default.span(),
                "the default of `getopt()` must be known before the script runs",
            )
            .with_label("not a constant")
            .with_help("write a number, a text, `true` or `false`"),
        );
    }
    let value = (this.options.params.iter()).find_map(|param| {
        let given = param.strip_prefix(MARK)?.strip_prefix(&*name)?;
        match given.strip_prefix('=') {
            Some(value) => Some(Some(value.to_owned())),
            None => given.is_empty().then_some(None),
        }
    });
    if !this.asked.contains(&name) {
        this.asked.push(name.clone());
    }
    let Some(value) = value else {
        return Some(default);
    };
    let is_truth = default.shape == Shape::Is(Type::Bool);
    match (&default.expr.kind, value.as_deref()) {
        (ExprKind::Int(_), None | Some("true")) if is_truth => Some(truth(true, call.span)),
        (ExprKind::Int(_), Some("false")) if is_truth => Some(truth(false, call.span)),
        (ExprKind::Str(_), Some(text)) => this.string(text.as_bytes(), call.span),
        (ExprKind::Int(_), Some(text)) if !is_truth => match syntax::signed_integer(text) {
            Some((negative, value)) => Some(this.written_number(negative, value, call.span)),
            None => this.unfit_parameter(&name, "a number", text, call.span),
        },
        (ExprKind::Int(_), given) if is_truth => {
            let given = given.unwrap_or_default();
            this.unfit_parameter(&name, "`true` or `false`", given, call.span)
        }
        (_, given) => {
            let wanted = match default.expr.kind {
                ExprKind::Int(_) => "a number",
                _ => "a text",
            };
            this.unfit_parameter(&name, wanted, given.unwrap_or_default(), call.span)
        }
    }
}

impl Checker<'_> {
    fn unfit_parameter<T>(
        &mut self,
        name: &str,
        wanted: &str,
        given: &str,
        span: Span,
    ) -> Option<T> {
        let shown: String = given.chars().take(40).collect();
        let message = match shown.is_empty() {
            true => format!("`--{name}` wants {wanted}, and none was given"),
            false => format!("`--{name}` wants {wanted}, and `{shown}` was given"),
        };
        self.fail(
            Diagnostic::error("E0216", span, message)
                .with_label("of this type by its default")
                .with_help(format!("give it as `--{name}=value`")),
        )
    }
}

fn truth(truth: bool, span: Span) -> Typed {
    Typed::new(ExprKind::Int(u64::from(truth)), Shape::Is(Type::Bool), span)
}
