//! Over the entries of a map: `for $kv : @m { .. }` and `len(@m)`.

use super::aggregate;
use super::checker::Checker;
use super::hir::{self, ExprKind, Function, LocalId, MapId, StmtKind};
use super::shape::{Join, Shape};
use super::tables::Value;
use crate::diagnostic::Diagnostic;
use crate::limits;
use crate::span::Span;
use crate::syntax::ast;

impl Checker<'_> {
    /// `for $kv : @m { .. }`: a tuple of key and value in each round; a key of several parts is a tuple itself.
    pub(super) fn for_map(
        &mut self,
        name: &ast::Ident,
        over: &ast::Expr,
        body: &ast::Block,
    ) -> Option<StmtKind> {
        let entries = self.entries_of(over);
        if self.over_maps >= limits::EACH_DEPTH {
            self.report(
                Diagnostic::error(
                    "E0531",
                    name.span.to(over.span),
                    format!(
                        "loops over maps stand at most {} deep in one another",
                        limits::EACH_DEPTH
                    ),
                )
                .with_label("one too many")
                .with_help("each takes its part of a program's 512 bytes of stack"),
            );
        }
        self.refuse_second(name);
        self.scoped(|this| {
            let index = this.declare(&name.text, name.span);
            if let Some((_, entry)) = &entries {
                let local = this.local(index);
                // What the body puts into the variable may have made it wider in an earlier round of checking.
                local.shape = match local.shape.join(entry) {
                    Join::Fits(joined) | Join::Mixed(joined) => joined,
                    Join::Mismatch => entry.clone(),
                };
            }
            this.over_maps += 1;
            let body = this.loop_body(body);
            this.over_maps -= 1;
            Some(StmtKind::Each {
                map: entries?.0,
                local: LocalId(index as u32),
                body,
            })
        })
    }

    /// The map a loop goes over, and what its entries are.
    fn entries_of(&mut self, over: &ast::Expr) -> Option<(MapId, Shape)> {
        let ast::ExprKind::Map {
            name,
            name_span,
            key: None,
        } = &over.bare().kind
        else {
            return self.fail(
                Diagnostic::error("E0404", over.span, "`for` goes over a range or a whole map")
                    .with_label("neither of them")
                    .with_help("write `for $i : 0..10 { .. }` or `for $kv : @map { .. }`"),
            );
        };
        let map = self.tables.map(name, *name_span);
        self.used_map(map, *name_span);
        let info = &self.tables.maps[map];
        let key = match &info.key {
            None => Shape::Unknown,
            Some(key) => match &key.parts[..] {
                [] => {
                    let diagnostic = Diagnostic::error(
                        "E0302",
                        over.span,
                        format!("`@{name}` has no keys to go over"),
                    )
                    .with_label("one value")
                    .with_place(key.span, "used without a key")
                    .with_help(format!("its value is `@{name}`"));
                    return self.fail(diagnostic);
                }
                [(only, _)] => only.clone(),
                parts => Shape::Tuple(parts.iter().map(|(shape, _)| shape.clone()).collect()),
            },
        };
        let value = match &info.value {
            None => Shape::Unknown,
            Some((Value::Scalar(shape), _)) => shape.clone(),
            Some((Value::Aggregate(aggregation, samples), _))
                if aggregate::is_word(aggregation) =>
            {
                word_shape(aggregation, samples)
            }
            Some((Value::Aggregate(aggregation, _), first)) => {
                let was = aggregate::name(aggregation);
                let diagnostic = Diagnostic::error(
                    "E0309",
                    over.span,
                    format!("`@{name}` keeps statistics that are not one value, so a loop cannot go over them"),
                )
                .with_label("gone over here")
                .with_place(*first, format!("samples of `{was}()`"))
                .with_help(format!(
                    "`print(@{name})` shows them; counts, sums, means and extremes can be gone over"
                ));
                return self.fail(diagnostic);
            }
        };
        Some((MapId(map as u32), Shape::Tuple([key, value].into())))
    }

    /// `len(@m)`: how many keys a map has.
    pub(super) fn map_length(&mut self, arg: &ast::Expr, span: Span) -> Option<hir::Expr> {
        let ast::ExprKind::Map {
            name,
            name_span,
            key: None,
        } = &arg.bare().kind
        else {
            return self.fail(
                Diagnostic::error("E0404", span, "`len()` takes a whole map")
                    .with_label("not a map")
                    .with_help(
                        "the bytes of a string are `strlen(..)`, those of an object `sizeof(..)`",
                    ),
            );
        };
        let map = self.tables.map(name, *name_span);
        self.used_map(map, *name_span);
        let single = matches!(&self.tables.maps[map].key, Some(key) if key.parts.is_empty());
        let kind = match single {
            // The kernel's array of one value has one, assigned or not.
            true => ExprKind::Int(1),
            false => ExprKind::Call {
                function: Function::Entries(MapId(map as u32)),
                args: Vec::new(),
            },
        };
        Some(hir::Expr {
            kind,
            ty: hir::Type::INT,
            span,
        })
    }
}

/// The shape of a statistic read as a word.
pub(super) fn word_shape(aggregation: &hir::Aggregation, samples: &Shape) -> Shape {
    match (aggregation, samples) {
        (_, Shape::Unknown) => Shape::Unknown,
        (hir::Aggregation::Count, _) => Shape::SIGNED,
        (_, samples) if samples.is_signed() => Shape::SIGNED,
        _ => Shape::UNSIGNED,
    }
}
