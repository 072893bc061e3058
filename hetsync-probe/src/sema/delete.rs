//! `delete()`: of a key, of a map without keys, as a statement and as a value.

use super::checker::{Checker, Typed};
use super::hir::{self, ExprKind, Function, MapId, StmtKind, Type};
use super::shape::Shape;
use super::tables::Value;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast;

impl Checker<'_> {
    /// `delete(@m, key)`, and the older `delete(@m[key])`.
    pub(super) fn delete(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        self.arguments("delete", args, 1..=2, "delete(@map, key)", span)?;
        let ast::ExprKind::Map {
            name,
            name_span,
            key,
        } = &args[0].bare().kind
        else {
            return self.map_argument("delete", &args[0]).and(None);
        };
        let map = self.tables.map(name, *name_span);
        let key = match (key, args.get(1)) {
            (Some(key), None) => &key[..],
            (None, Some(key)) => std::slice::from_ref(key),
            (Some(_), Some(extra)) => {
                return self.fail(
                    Diagnostic::error("E0404", extra.span, "the key is given twice")
                        .with_label("once more here")
                        .with_place(args[0].span, "here already")
                        .with_help("write `delete(@map, key)`"),
                );
            }
            (None, None) => return self.reset(map, name, args[0].span, span),
        };
        let key = self.key(map, Some(key), span);
        self.used_map(map, *name_span);
        Some(StmtKind::Delete {
            map: MapId(map as u32),
            key: key?,
        })
    }

    /// `delete(@m, key)` as a value: whether the key was there. Looked up first and then deleted, so of two programs that
    /// delete a key at the same moment both may be told that it was there.
    pub(super) fn delete_value(&mut self, args: &[ast::Expr], span: Span) -> Option<Typed> {
        let stmt = self.delete(args, span)?;
        let (map, key) = match stmt {
            StmtKind::Delete { map, ref key } if !key.is_empty() => (map, key.clone()),
            _ => {
                return self.fail(
                    Diagnostic::error("E0313", span, "`delete()` of a whole map has no value")
                        .with_label("used as a value")
                        .with_help("write it as a statement of its own"),
                );
            }
        };
        if let Some(part) = key.iter().find(|part| part.has_effect()) {
            return self.fail(
                Diagnostic::error(
                    "E0313",
                    span,
                    "`delete()` whose key changes something has no value",
                )
                .with_label("used as a value")
                .with_place(part.span, "evaluated once to look and once to delete")
                .with_help("put the key into a variable first"),
            );
        }
        // No script can write such a name, so it hides nothing.
        let was_there = self.declare("delete()", span);
        self.local(was_there).shape = Shape::Is(Type::Bool);
        let typed = |kind| hir::Expr {
            kind,
            ty: Type::Bool,
            span,
        };
        let local = hir::LocalId(was_there as u32);
        let found = typed(ExprKind::Call {
            function: Function::HasKey(map),
            args: key,
        });
        let look = StmtKind::Assign {
            place: hir::Place::Local(local),
            value: found,
        };
        let body = [look, stmt].map(|kind| hir::Stmt { kind, span }).into();
        let kind = ExprKind::Block {
            body,
            value: Box::new(typed(ExprKind::Local(local))),
        };
        Some(Typed::new(kind, Shape::Is(Type::Bool), span))
    }

    /// `delete(@m)`: a map without keys as if it had never been assigned.
    fn reset(&mut self, map: usize, name: &str, map_span: Span, span: Span) -> Option<StmtKind> {
        if !self.used_map(map, map_span) {
            return None;
        }
        let info = &self.tables.maps[map];
        if info.key.as_ref().is_some_and(|key| !key.parts.is_empty()) {
            return self.fail(
                Diagnostic::error(
                    "E0408",
                    span,
                    format!("`delete()` of `@{name}` needs the key to delete"),
                )
                .with_label("no key")
                .with_help(format!(
                    "write `delete(@{name}, key)`; `clear(@{name})` removes every key"
                )),
            );
        }
        let map_id = MapId(map as u32);
        Some(match info.value {
            // Each CPU has a part of it, so only user space can.
            Some((Value::Aggregate(..), _)) => StmtKind::Clear(map_id),
            _ => StmtKind::Delete {
                map: map_id,
                key: Vec::new(),
            },
        })
    }
}
