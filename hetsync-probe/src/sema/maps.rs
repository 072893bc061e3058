//! The use of maps: their keys, what is put in, and that something is.

use super::checker::{Checker, Typed};
use super::hir;
use super::shape::{Join, Shape};
use super::tables::{KeyInfo, Value};
use crate::diagnostic::{Diagnostic, suggest};
use crate::span::Span;
use crate::syntax::ast;

impl Checker<'_> {
    /// Lowers a map's key and joins it with the key's shapes so far. `span` is the whole mention.
    pub(super) fn key(
        &mut self,
        map: usize,
        key: Option<&[ast::Expr]>,
        span: Span,
    ) -> Option<Vec<hir::Expr>> {
        let parts = match key {
            None => &[][..],
            Some([only]) => match &only.bare().kind {
                ast::ExprKind::Tuple(parts) => parts,
                _ => std::slice::from_ref(only),
            },
            Some(parts) => parts,
        };
        let lowered: Vec<Option<Typed>> = parts.iter().map(|part| self.expr(part)).collect();
        let mut lowered: Vec<Typed> = lowered.into_iter().collect::<Option<_>>()?;
        // A tuple is as many parts, so that `@m[$t]` and `@m[1, 2]` are one key.
        if let [only] = &lowered[..]
            && let Some(parts) = parts_of(only)
        {
            lowered = parts;
        }
        for part in &mut lowered {
            part.shape = part.shape.in_key();
        }
        let info = &mut self.tables.maps[map];
        let known = info.key.get_or_insert_with(|| KeyInfo {
            parts: lowered
                .iter()
                .map(|part| (Shape::Unknown, part.span()))
                .collect(),
            span,
        });
        if known.parts.len() != lowered.len() {
            let (before, name) = (describe_key(known.parts.len()), info.name.clone());
            let diagnostic = Diagnostic::error(
                "E0302",
                span,
                format!(
                    "`@{name}` is used with {} here and with {before} before",
                    describe_key(lowered.len())
                ),
            )
            .with_label(describe_key(lowered.len()))
            .with_place(known.span, before)
            .with_help("a map has the same number of key parts everywhere");
            return self.fail(diagnostic);
        }
        let mut problem = None;
        let mut types = Vec::new();
        for ((shape, seen), part) in known.parts.iter_mut().zip(&lowered) {
            match shape.join(&part.shape) {
                Join::Fits(joined) => {
                    if *shape == Shape::Unknown {
                        *seen = part.span();
                    }
                    *shape = joined;
                }
                // Equal bits are the same key.
                Join::Mixed(joined) => *shape = joined,
                Join::Mismatch => {
                    problem = Some((shape.clone(), *seen, part.shape.clone(), part.span()))
                }
            }
            types.push(shape.ty());
        }
        if let Some((was, seen, is, at)) = problem {
            let name = info.name.clone();
            let diagnostic = Diagnostic::error(
                "E0303",
                at,
                format!(
                    "the key of `@{name}` is {} here and {} before",
                    is.describe(),
                    was.describe()
                ),
            )
            .with_label(is.describe())
            .with_place(seen, was.describe());
            return self.fail(diagnostic);
        }
        Some(
            lowered
                .into_iter()
                .zip(types)
                .map(|(part, ty)| part.into_type(&ty))
                .collect(),
        )
    }

    /// Takes note that a map gets plain values of a shape.
    pub(super) fn assign_scalar(&mut self, map: usize, value: &Typed, span: Span) -> Option<()> {
        let info = &mut self.tables.maps[map];
        let name = info.name.clone();
        let Some((held, first)) = &mut info.value else {
            info.value = Some((Value::Scalar(value.shape.clone()), span));
            info.unit.add(value.unit, &value.shape);
            return Some(());
        };
        let first = *first;
        match held {
            Value::Aggregate(aggregation, _) => {
                let was = super::aggregate::name(aggregation);
                let diagnostic = Diagnostic::error(
                    "E0310",
                    span,
                    format!("`@{name}` gets a plain value here and `{was}()` samples elsewhere"),
                )
                .with_label("a plain value")
                .with_place(first, format!("samples of `{was}()`"))
                .with_help("use two maps");
                self.fail(diagnostic)
            }
            Value::Scalar(shape) => match shape.join(&value.shape) {
                Join::Fits(joined) => {
                    *shape = joined;
                    info.unit.add(value.unit, &value.shape);
                    Some(())
                }
                Join::Mixed(joined) => {
                    *shape = joined;
                    self.report(mixed_signs(&format!("@{name}"), span, first, &value.shape));
                    Some(())
                }
                Join::Mismatch => {
                    let was = shape.describe();
                    let is = value.shape.describe();
                    let diagnostic = Diagnostic::error(
                        "E0301",
                        value.span(),
                        format!("`@{name}` gets {is} here and {was} elsewhere"),
                    )
                    .with_label(is)
                    .with_place(first, was)
                    .with_help("a map holds values of one type");
                    self.fail(diagnostic)
                }
            },
        }
    }

    /// A map that is used must be assigned somewhere in the script.
    pub(super) fn used_map(&mut self, map: usize, span: Span) -> bool {
        if self.tables.maps[map].value.is_some() {
            return true;
        }
        if !self.complained.contains(&map) {
            self.complained.push(map);
            let name = self.tables.maps[map].name.clone();
            let assigned = self
                .tables
                .maps
                .iter()
                .filter(|other| other.value.is_some());
            let near = suggest::nearest(&name, assigned.map(|other| other.name.as_str()));
            let diagnostic = Diagnostic::error(
                "E0214",
                span,
                format!("nothing is ever assigned to the map `@{name}`"),
            )
            .with_label("never assigned");
            let help = match near {
                Some(near) => format!("did you mean `@{near}`?"),
                None => "assign it in some probe of the script".into(),
            };
            self.report(diagnostic.with_help(help));
        }
        false
    }
}

/// The parts of a tuple that changes nothing when it is evaluated more than once.
fn parts_of(whole: &Typed) -> Option<Vec<Typed>> {
    let Shape::Tuple(shapes) = &whole.shape else {
        return None;
    };
    if let hir::ExprKind::Tuple(parts) = &whole.expr.kind {
        let parts = parts.iter().zip(shapes.iter());
        return Some(
            parts
                .map(|(part, shape)| Typed {
                    expr: part.clone(),
                    shape: shape.clone(),
                    unit: None,
                })
                .collect(),
        );
    }
    if whole.expr.has_effect() {
        return None;
    }
    let mut offset = 0;
    let part = |shape: &Shape| {
        let bytes = shape.ty().size() as u32;
        let kind = hir::ExprKind::Part {
            of: Box::new(whole.expr.clone()),
            offset,
            bytes,
        };
        offset += bytes;
        Typed::new(kind, shape.clone(), whole.span())
    };
    Some(shapes.iter().map(part).collect())
}

fn describe_key(parts: usize) -> String {
    match parts {
        0 => "no key".into(),
        1 => "a key of one part".into(),
        n => format!("a key of {n} parts"),
    }
}

/// A place that gets signed and unsigned values.
pub(super) fn mixed_signs(place: &str, span: Span, first: Span, is: &Shape) -> Diagnostic {
    let (now, before) = if is.is_signed() {
        ("signed", "unsigned")
    } else {
        ("unsigned", "signed")
    };
    Diagnostic::warning(
        "W0002",
        span,
        format!("`{place}` gets {now} integers here and {before} ones elsewhere"),
    )
    .with_label(format!("{now} value"))
    .with_place(first, format!("{before} value"))
    .with_help(format!(
        "cast one of them, e.g. `({}64)..`",
        if is.is_signed() { "uint" } else { "int" }
    ))
}
