//! What names mean: variables in scope, built-ins, parameters.

use super::checker::{Checker, Typed};
use super::ctypes::pointer;
use super::derived;
use super::expr::int;
use super::functions;
use super::hir::{Builtin, ExprKind, Shown, Type};
use super::names;
use super::shape::Shape;
use crate::diagnostic::{Diagnostic, suggest};
use crate::limits;
use crate::span::Span;
use crate::syntax;

impl Checker<'_> {
    /// A variable that is used must have been assigned in this block or one around it; one that an ended block assigned
    /// without `let` is of the whole body, as it was before bpftrace 0.22.
    pub(super) fn used_local(&mut self, name: &str, span: Span) -> Option<usize> {
        if let Some(index) = self.lookup(name) {
            return Some(index);
        }
        let mut earlier = self.declared.iter().rev();
        if let Some(&(_, earlier, assigned)) = earlier.find(|(known, ..)| known == name) {
            if assigned {
                self.widen(name, span);
                return None;
            }
            let diagnostic =
                Diagnostic::error("E0213", span, format!("`${name}` does not exist here"))
                    .with_label("used outside of its block")
                    .with_place(earlier, "declared here, in a block that has ended")
                    .with_help(format!("declare it before that block: `let ${name};`"));
            return self.fail(diagnostic);
        }
        let in_scope = self
            .scopes
            .iter()
            .flat_map(|scope| scope.keys())
            .map(String::as_str);
        let near = suggest::nearest(name, in_scope).map(str::to_owned);
        let diagnostic = Diagnostic::error(
            "E0212",
            span,
            format!("`${name}` is used before anything is assigned to it"),
        )
        .with_label("not assigned yet");
        self.fail(match near {
            Some(near) => diagnostic.with_help(format!("did you mean `${near}`?")),
            None => diagnostic.with_help(
                "variables belong to one probe; use a map (`@name`) to pass a value to another",
            ),
        })
    }

    /// A bare name: a built-in.
    pub(super) fn name(&mut self, name: &str, span: Span) -> Option<Typed> {
        let derived = match name {
            "username" => {
                let uid = Typed::new(
                    ExprKind::Builtin(Builtin::Uid),
                    names::builtin_shape(Builtin::Uid),
                    span,
                );
                Some(functions::as_shown(uid, Shown::User, span))
            }
            _ => self.stack_name(name, span),
        };
        if derived.is_some() {
            return derived;
        }
        if let Some(derived) = self.derived(name, span) {
            return derived;
        }
        if let Some(argument) = self.marker_argument(name, span) {
            return argument;
        }
        let Some(builtin) = names::builtin(name) else {
            if let Some((value, of)) = self.types.constant(name) {
                let kind = ExprKind::Int(value as u64);
                let shape = match of {
                    Some(of) => Shape::Is(Type::Enum(of)),
                    None => Shape::Flexible,
                };
                return Some(Typed::new(kind, shape, span));
            }
            return self.unknown_name(name, span);
        };
        let written = self.written.clone();
        if let Some(outside) = written
            .iter()
            .find(|written| !(written.provider.allows)(builtin))
        {
            let diagnostic = Diagnostic::error(
                "E0211",
                span,
                format!(
                    "`{name}` has no meaning in `{}` probes",
                    outside.provider.name
                ),
            )
            .with_label("not available here")
            .with_place(
                outside.span,
                format!("because of this `{}`", outside.provider.name),
            );
            return self.fail(match builtin {
                Builtin::Arg(_) => diagnostic
                    .with_help("arguments are seen on entry: keep them in a map in a `kprobe`"),
                Builtin::Retval => {
                    diagnostic.with_help("the return value is seen in a `kretprobe`")
                }
                _ => {
                    diagnostic.with_help("it is the function a kprobe or kretprobe is attached to")
                }
            });
        }
        if builtin == Builtin::Retval
            && let Some(typed) = self.typed_retval(span)
        {
            return Some(typed);
        }
        let kind = self.builtin_kind(builtin);
        Some(Typed::new(kind, self.builtin_shape(builtin), span))
    }

    fn builtin_shape(&mut self, builtin: Builtin) -> Shape {
        let mut task = || self.types.find_record("struct", "task_struct");
        match builtin {
            Builtin::Curtask => Shape::Is(pointer(task().unwrap_or(Type::Void))),
            builtin => names::builtin_shape(builtin),
        }
    }

    /// The name that was most likely meant. After many mistakes nobody reads it, and looking takes time.
    pub(super) fn suggestion<'n>(
        &self,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        if self.diagnostics.len() > limits::DIAGNOSTICS {
            return None;
        }
        suggest::nearest(name, known)
    }

    fn unknown_name<T>(&mut self, name: &str, span: Span) -> Option<T> {
        let is_argument = name
            .strip_prefix("arg")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if is_argument {
            return self.fail(
                Diagnostic::error("E0209", span, format!("there is no `{name}`"))
                    .with_label("unknown name")
                    .with_help(
                        "arguments are `arg0` to `arg5`, which come in registers; those on the stack are `sarg0` and on",
                    ),
            );
        }
        if names::LATER_BUILTINS.contains(&name) {
            return self.fail(
                Diagnostic::error("E0210", span, format!("`{name}` is not supported yet"))
                    .with_label("not supported yet"),
            );
        }
        if names::is_function(name) || names::LATER_FUNCTIONS.contains(&name) {
            return self.fail(
                Diagnostic::error("E0209", span, format!("`{name}` is a function"))
                    .with_label("not called")
                    .with_help(format!("call it: `{name}(..)`")),
            );
        }
        let known = names::BUILTINS
            .iter()
            .chain(&names::LATER_BUILTINS)
            .chain(&derived::NAMES)
            .copied();
        let diagnostic =
            Diagnostic::error("E0209", span, format!("there is nothing called `{name}`"))
                .with_label("unknown name");
        let as_variable = format!("did you mean the variable `${name}`?");
        self.fail(if self.lookup(name).is_some() {
            diagnostic.with_help(as_variable)
        } else {
            match self.suggestion(name, known) {
                Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
                None => diagnostic.with_help(
                    "variables start with `$`, maps with `@`, strings stand in double quotes",
                ),
            }
        })
    }

    /// `$1` as a number; one that was not given is 0, as in bpftrace.
    pub(super) fn positional(&mut self, number: u32, span: Span) -> Option<Typed> {
        let Some(text) = self.parameter(number) else {
            return Some(int(0, span));
        };
        match syntax::signed_integer(&text) {
            Some((negative, value)) => Some(self.written_number(negative, value, span)),
            None => {
                let shown: String = text.chars().take(40).collect();
                self.fail(
                    Diagnostic::error(
                        "E0216",
                        span,
                        format!("`${number}` is used as a number, and `{shown}` was given"),
                    )
                    .with_label("not a number")
                    .with_help(format!("for its text write `str(${number})`")),
                )
            }
        }
    }
    /// An integer that was given as text.
    pub(super) fn written_number(&self, negative: bool, value: u64, span: Span) -> Typed {
        match (negative, value) {
            (false, value) => int(value, span),
            (true, 0) => int(0, span),
            (true, value) => {
                let kind = ExprKind::Int(value.wrapping_neg());
                Typed::new(kind, Shape::SIGNED, span)
            }
        }
    }
}
