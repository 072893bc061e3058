//! The top level: probes, definitions, declarations, macros.

use super::{INDENT, Printer};
use crate::span::Span;
use crate::syntax::ast::{Config, Macro, MacroParamKind, MapDecl, Probe, Script, TypeDef};

/// Anything that stands at the top level.
#[derive(Clone, Copy)]
enum Item<'a> {
    Type(&'a TypeDef),
    Config(&'a Config),
    Map(&'a MapDecl),
    Macro(&'a Macro),
    Probe(&'a Probe),
}

impl Item<'_> {
    fn span(self) -> Span {
        match self {
            Item::Type(item) => item.span,
            Item::Config(item) => item.span,
            Item::Map(item) => item.span,
            Item::Macro(item) => item.span,
            Item::Probe(item) => item.span,
        }
    }

    /// Where the first thing begins that prints its own comments.
    fn own_comments(self) -> u32 {
        match self {
            Item::Type(item) => {
                super::ctype::body(&item.ty).map_or(item.span.end, |body| body.start)
            }
            Item::Config(item) => item.body.start,
            Item::Map(item) => item.span.end,
            Item::Macro(item) => item.body.span.start,
            Item::Probe(item) => item.body.span.start,
        }
    }
}

impl Printer<'_> {
    /// Everything in a script, in the order it was written in.
    pub(super) fn items(&mut self, script: &Script) {
        let mut items: Vec<Item<'_>> = Vec::new();
        items.extend(script.types.iter().map(Item::Type));
        items.extend(script.configs.iter().map(Item::Config));
        items.extend(script.maps.iter().map(Item::Map));
        items.extend(script.macros.iter().map(Item::Macro));
        items.extend(script.probes.iter().map(Item::Probe));
        items.sort_by_key(|item| item.span().start);
        for item in items {
            self.item(item);
        }
    }

    fn item(&mut self, item: Item<'_>) {
        let start = item.span().start as usize;
        if matches!(item, Item::Probe(_) | Item::Macro(_)) {
            self.set_apart(start);
        }
        self.comments_before(item.own_comments() as usize);
        self.gap(start);
        match item {
            Item::Type(item) => self.type_def(item),
            Item::Config(item) => self.config(item),
            Item::Map(item) => {
                let args = self.list(&item.args);
                let text = format!("let @{} = {}({args});", item.name.text, item.kind.text);
                self.out.push_str(&text);
            }
            Item::Macro(item) => self.macro_def(item),
            Item::Probe(item) => self.probe(item),
        }
        self.end_line(item.span().end as usize);
    }

    /// Probes and macros stand apart, also when a comment belongs to the second.
    fn set_apart(&mut self, start: usize) {
        if self.fresh {
            return;
        }
        let no_comment = self
            .comments
            .first()
            .is_none_or(|next| next.span.start as usize >= start);
        if no_comment || self.out.ends_with("}\n") {
            self.out.push('\n');
            self.fresh = true;
        }
    }

    fn probe(&mut self, probe: &Probe) {
        let points: Vec<&str> = probe
            .points
            .iter()
            .map(|point| point.text.as_str())
            .collect();
        self.out.push_str(&points.join(",\n"));
        if let Some(predicate) = &probe.predicate {
            let predicate = self.expr(predicate);
            self.out.push_str(" /");
            self.out.push_str(&predicate);
            self.out.push('/');
        }
        self.out.push(' ');
        self.block(&probe.body);
    }

    fn config(&mut self, config: &Config) {
        self.out.push_str("config = ");
        self.braces(config.body, config.settings.is_empty(), |this| {
            for setting in &config.settings {
                this.comments_before(setting.span.end as usize);
                this.gap(setting.span.start as usize);
                let value = this.expr(&setting.value);
                this.indent();
                this.out
                    .push_str(&format!("{} = {value};", setting.key.text));
                this.end_line(setting.span.end as usize);
            }
        });
    }

    fn macro_def(&mut self, item: &Macro) {
        let params: Vec<String> = item
            .params
            .iter()
            .map(|param| {
                let sigil = match param.kind {
                    MacroParamKind::Variable => "$",
                    MacroParamKind::Map => "@",
                    MacroParamKind::Value => "",
                };
                format!("{sigil}{}", param.name.text)
            })
            .collect();
        let head = format!("macro {}({}) ", item.name.text, params.join(", "));
        self.out.push_str(&head);
        self.block(&item.body);
    }

    /// Braces and what `inner` prints between them, up to the closing brace.
    pub(super) fn braces(&mut self, span: Span, empty: bool, inner: impl FnOnce(&mut Self)) {
        let close = (span.end as usize).saturating_sub(1);
        let has_comment = self
            .comments
            .first()
            .is_some_and(|next| (next.span.start as usize) < close);
        if empty && !has_comment {
            self.out.push_str("{}");
            return;
        }
        self.out.push('{');
        self.depth += 1;
        self.end_line(span.start as usize + 1);
        self.fresh = true;
        inner(self);
        self.comments_before(close);
        self.depth -= 1;
        self.fresh = false;
        self.indent();
        self.out.push('}');
    }

    pub(super) fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n(INDENT, self.depth));
    }
}
