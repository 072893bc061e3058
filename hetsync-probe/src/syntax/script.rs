//! The script's top level: definitions, declarations, macros, and probes by way of [`super::probe`].

use super::ast::{
    Config, Expr, ExprKind, Macro, MacroParam, MacroParamKind, MapDecl, Script, Setting,
};
use super::expr::unsupported;
use super::grammar::{Fail, Grammar, Res, expected, refuse};
use super::{recover, token};
use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// What a `config` may set something to.
const CONFIG_VALUE: &str = "a number, a string or a name";

impl<'a> Grammar<'a> {
    /// The whole script.
    pub(super) fn script(self) -> (Script, Vec<Diagnostic>) {
        // Some editors put a byte order mark before the text.
        let source = self.source();
        let text = source.strip_prefix('\u{feff}').unwrap_or(source);
        let mut script = Script::default();
        let rest = self.shebang(text, &mut script);
        let mut rest = self.space(rest);
        let mut understood = true;
        while !rest.is_empty() && !self.is_hopeless() {
            match self.item(rest, &mut script) {
                Ok((after, ())) => rest = after,
                Err(nom::Err::Error(fail) | nom::Err::Failure(fail)) => {
                    understood = false;
                    rest = self.recover(rest, fail);
                }
                Err(nom::Err::Incomplete(_)) => break,
            }
        }
        if script.probes.is_empty() && understood {
            self.report(
                Diagnostic::error("E0005", Span::default(), "the script has no probes")
                    .with_help("a script is a list of probes, e.g. `kprobe:tcp_sendmsg { @[comm] = count(); }`"),
            );
        }
        script.comments = self.comments.into_inner().into_values().collect();
        let mut diagnostics = self.diagnostics.into_inner();
        diagnostics.sort_by_key(|diagnostic| diagnostic.span);
        (script, diagnostics)
    }

    /// Where to go on after a mistake that no statement has caught.
    fn recover(&self, rest: &'a str, fail: Fail) -> &'a str {
        // What a mistake before this has left over.
        if rest.starts_with(['}', ';']) && !self.diagnostics.borrow().is_empty() {
            return self.space(&rest[1..]);
        }
        let stopped = self.report_fail(fail);
        let stopped = if stopped.len() < rest.len() {
            stopped
        } else {
            rest
        };
        self.space(recover::probe(stopped))
    }

    fn shebang(&self, input: &'a str, script: &mut Script) -> &'a str {
        if !input.starts_with("#!") {
            return input;
        }
        let end = input.find('\n').unwrap_or(input.len());
        let line = input[..end].trim_end();
        script.shebang = Some(self.span(input, &input[line.len()..]));
        &input[end..]
    }

    /// One thing of the top level, put where it belongs.
    fn item(&self, input: &'a str, script: &mut Script) -> Res<'a, ()> {
        let Ok((behind, word)) = token::identifier(input) else {
            return expected(input, "a probe");
        };
        let span = self.span(input, behind);
        // The slashes of an attach point are no comment, so white space is skipped only behind what starts none.
        let rest = match word {
            "struct" | "union" | "enum" | "typedef" | "config" | "let" | "macro" | "import"
            | "fn" => self.space(behind),
            _ => behind,
        };
        let early = matches!(word, "struct" | "union" | "enum" | "typedef" | "config");
        if early && let Some(first) = script.probes.first() {
            self.report(
                Diagnostic::error(
                    "E0101",
                    span,
                    format!("`{word}` stands before the first probe"),
                )
                .with_label("too late")
                .with_place(first.span, "the first probe")
                .with_help("put it at the top of the script"),
            );
        }
        match word {
            "struct" | "union" | "enum" | "typedef" => {
                let (rest, definition) = self.type_def(input)?;
                script.types.push(definition);
                Ok((rest, ()))
            }
            "config" => {
                let (rest, config) = self.config(rest, span)?;
                script.configs.push(config);
                Ok((rest, ()))
            }
            "let" => {
                let (rest, map) = self.map_decl(rest, span)?;
                script.maps.push(map);
                Ok((rest, ()))
            }
            "macro" => {
                let (rest, found) = self.macro_def(rest, span)?;
                script.macros.push(found);
                Ok((rest, ()))
            }
            "import" => refuse(rest, unsupported("`import` is", span)),
            "fn" => refuse(rest, unsupported("a function (`fn`) is", span)),
            _ => {
                let (rest, probe) = self.probe(input)?;
                script.probes.push(probe);
                Ok((rest, ()))
            }
        }
    }

    /// Behind `config`.
    fn config(&self, input: &'a str, word: Span) -> Res<'a, Config> {
        let (rest, _) = self.symbol("=", input)?;
        let (mut rest, open) = self.symbol("{", rest)?;
        let mut settings = Vec::new();
        loop {
            if let Ok((after, _)) = self.symbol(";", rest) {
                rest = after;
                continue;
            }
            if self.is_next("}", rest) || rest.is_empty() {
                break;
            }
            let (after, key) = self.ident(rest, "the name of a setting")?;
            let (after, _) = self.symbol("=", after)?;
            let at = after;
            let (after, value) = self.unary(after)?;
            if !is_config_value(&value) {
                return expected(at, CONFIG_VALUE);
            }
            let span = key.span.to(value.span);
            settings.push(Setting { key, value, span });
            rest = after;
            if !self.is_next("}", rest) {
                (rest, _) = self.close(";", open, rest)?;
            }
        }
        let (rest, close) = self.close("}", open, rest)?;
        let rest = self.symbol(";", rest).map_or(rest, |(rest, _)| rest);
        let span = word.to(close);
        let body = open.to(close);
        Ok((
            rest,
            Config {
                settings,
                body,
                span,
            },
        ))
    }

    /// Behind `let`.
    fn map_decl(&self, input: &'a str, word: Span) -> Res<'a, MapDecl> {
        if !input.starts_with('@') {
            return expected(input, "a map");
        }
        let (rest, name) = self.sigil(input)?;
        let (rest, _) = self.symbol("=", rest)?;
        let (rest, kind) = self.ident(rest, "the kind of the map")?;
        let (rest, open) = self.symbol("(", rest)?;
        let (rest, args) = self.list(rest)?;
        let (rest, close) = self.close(")", open, rest)?;
        let (rest, _) = self.symbol(";", rest)?;
        let span = word.to(close);
        Ok((
            rest,
            MapDecl {
                name,
                kind,
                args,
                span,
            },
        ))
    }

    /// Behind `macro`.
    fn macro_def(&self, input: &'a str, word: Span) -> Res<'a, Macro> {
        let (rest, name) = self.ident(input, "the macro's name")?;
        let (mut rest, open) = self.symbol("(", rest)?;
        let mut params = Vec::new();
        while !self.is_next(")", rest) {
            let kind = match rest.as_bytes().first() {
                Some(b'$') => MacroParamKind::Variable,
                Some(b'@') => MacroParamKind::Map,
                _ => MacroParamKind::Value,
            };
            let (after, name) = match kind {
                MacroParamKind::Value => self.ident(rest, "a parameter")?,
                _ => self.sigil(rest)?,
            };
            params.push(MacroParam { kind, name });
            rest = after;
            match self.symbol(",", rest) {
                Ok((after, _)) => rest = after,
                Err(_) => break,
            }
        }
        let (rest, _) = self.close(")", open, rest)?;
        let (rest, body) = self.value_block(rest)?;
        let span = word.to(body.span);
        Ok((
            rest,
            Macro {
                name,
                params,
                body,
                span,
            },
        ))
    }
}

/// Whether an expression can be the value of a setting.
fn is_config_value(value: &Expr) -> bool {
    match &value.kind {
        ExprKind::Int(_) | ExprKind::Str(_) | ExprKind::Bool(_) | ExprKind::Name(_) => true,
        ExprKind::Unary(_, operand) => matches!(operand.kind, ExprKind::Int(_)),
        _ => false,
    }
}
