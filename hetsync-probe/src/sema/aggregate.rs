//! The statistics a map can keep, and the maps of the finished program.

use super::checker::{Checker, Typed};
use super::config::Declared;
use super::expr::int;
use super::hir::{self, Aggregation, MapValue};
use super::operator::integers;
use super::shape::Shape;
use super::tables::Value;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast;
use crate::{layout, limits};

/// Percentiles of `summary()` unless the script names others, in thousandths of a percent.
const DEFAULT_PERCENTILES: [u32; 3] = [25_000, 50_000, 75_000];
/// Most percentiles of one `summary()`.
const MAX_PERCENTILES: usize = 32;
/// Bits of a `cdf()` unless the script names others: its shares are told at every quarter of a power of two.
const CDF_BITS: u8 = 2;
/// Most bits of a `hist()`.
const MAX_HIST_BITS: i64 = 5;

/// Whether this function makes a map keep statistics.
pub(super) fn is_name(function: &str) -> bool {
    matches!(
        function,
        "count"
            | "sum"
            | "avg"
            | "min"
            | "max"
            | "stats"
            | "hist"
            | "lhist"
            | "cdf"
            | "slo"
            | "rate"
            | "summary"
    )
}

/// Whether what an aggregation keeps is one number.
pub(super) fn is_word(aggregation: &Aggregation) -> bool {
    matches!(
        aggregation,
        Aggregation::Count
            | Aggregation::Sum { .. }
            | Aggregation::Avg { .. }
            | Aggregation::Min { .. }
            | Aggregation::Max { .. }
    )
}

/// The function behind an aggregation.
pub(super) fn name(aggregation: &Aggregation) -> &'static str {
    match aggregation {
        Aggregation::Count => "count",
        Aggregation::Sum { .. } => "sum",
        Aggregation::Avg { .. } => "avg",
        Aggregation::Min { .. } => "min",
        Aggregation::Max { .. } => "max",
        Aggregation::Stats { .. } => "stats",
        Aggregation::Hist { .. } => "hist",
        Aggregation::Cdf { .. } => "cdf",
        Aggregation::Slo { .. } => "slo",
        Aggregation::Rate { .. } => "rate",
        Aggregation::Lhist { .. } => "lhist",
        Aggregation::Summary { .. } => "summary",
    }
}

fn usage(function: &str) -> (&'static str, usize, usize) {
    match function {
        "count" => ("count()", 0, 0),
        "hist" => ("hist(n) or hist(n, bits)", 1, 2),
        "cdf" => ("cdf(n) or cdf(n, bits)", 1, 2),
        "slo" => ("slo(n, limit)", 2, 2),
        "lhist" => ("lhist(n, min, max, step)", 4, 4),
        "summary" => (
            "summary(n) or summary(n, percentile, ..)",
            1,
            1 + MAX_PERCENTILES,
        ),
        "rate" => ("rate() or rate(n)", 0, 1),
        "sum" => ("sum(n)", 1, 1),
        "avg" => ("avg(n)", 1, 1),
        "min" => ("min(n)", 1, 1),
        "max" => ("max(n)", 1, 1),
        _ => ("stats(n)", 1, 1),
    }
}

impl Checker<'_> {
    /// An aggregating call: what it keeps, and its sample.
    pub(super) fn aggregation(
        &mut self,
        function: &str,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<(Aggregation, Option<Typed>)> {
        let (usage, least, most) = usage(function);
        self.arguments(function, args, least..=most, usage, span)?;
        let Some((sample, rest)) = args.split_first() else {
            let signed = false;
            return Some(match function {
                "rate" => (Aggregation::Rate { signed }, Some(int(1, span))),
                _ => (Aggregation::Count, None),
            });
        };
        let sample = self
            .integer(sample, &format!("`{function}()`"))
            .map(numeric);
        let signed = false;
        let aggregation = match function {
            "sum" => Aggregation::Sum { signed },
            "avg" => Aggregation::Avg { signed },
            "min" => Aggregation::Min { signed },
            "max" => Aggregation::Max { signed },
            "stats" => Aggregation::Stats { signed },
            "rate" => Aggregation::Rate { signed },
            "slo" => {
                let limit = self.constant(&rest[0], "the limit of `slo()`")?;
                return Some((
                    Aggregation::Slo { limit },
                    Some(self.within_limit(sample?, limit)),
                ));
            }
            "cdf" => Aggregation::Cdf {
                bits: self.bits_of(function, rest)?.unwrap_or(CDF_BITS),
            },
            "hist" => Aggregation::Hist {
                bits: self.bits_of(function, rest)?.unwrap_or(0),
            },
            "lhist" => self.lhist(rest, span)?,
            _ => self.summary(rest)?,
        };
        Some((aggregation, Some(sample?)))
    }

    /// 1 for a sample that is at most the limit, else 0.
    fn within_limit(&mut self, sample: Typed, limit: i64) -> Typed {
        let (unit, span) = (sample.unit, sample.span());
        let limit = self.written_number(limit < 0, limit.unsigned_abs(), span);
        Typed {
            unit,
            ..numeric(integers(hir::BinaryOp::Le, sample, limit, span))
        }
    }

    /// The bits of a histogram, if they are given.
    fn bits_of(&mut self, function: &str, args: &[ast::Expr]) -> Option<Option<u8>> {
        let Some(arg) = args.first() else {
            return Some(None);
        };
        match self.constant(arg, &format!("the bits of `{function}()`"))? {
            bits @ 0..=MAX_HIST_BITS => Some(Some(bits as u8)),
            bits => self.fail(
                Diagnostic::error(
                    "E0403",
                    arg.span,
                    format!("`{function}()` has 0 to {MAX_HIST_BITS} bits, not {bits}"),
                )
                .with_help("each power of two is split into 2^bits buckets"),
            ),
        }
    }

    fn lhist(&mut self, args: &[ast::Expr], span: Span) -> Option<Aggregation> {
        let mut numbers = args
            .iter()
            .map(|arg| self.constant(arg, "a limit of `lhist()`"));
        let (min, max, step) = (numbers.next()??, numbers.next()??, numbers.next()??);
        if step <= 0 || min >= max {
            return self.fail(
                Diagnostic::error(
                    "E0403",
                    span,
                    "`lhist()` needs min below max and a step of at least 1",
                )
                .with_label(format!("min {min}, max {max}, step {step}"))
                .with_help("it is written `lhist(n, min, max, step)`"),
            );
        }
        let step = step as u64;
        let buckets = max.wrapping_sub(min) as u64 / step;
        if buckets > limits::LHIST_BUCKETS {
            return self.fail(
                Diagnostic::error(
                    "E0506",
                    span,
                    format!(
                        "this `lhist()` has {buckets} buckets; the limit is {}",
                        limits::LHIST_BUCKETS
                    ),
                )
                .with_help("use a wider step, or `hist()`"),
            );
        }
        Some(Aggregation::Lhist { min, max, step })
    }

    fn summary(&mut self, args: &[ast::Expr]) -> Option<Aggregation> {
        let mut percentiles = Vec::new();
        for arg in args {
            let thousandths = match &arg.bare().kind {
                ast::ExprKind::Decimal(thousandths) => *thousandths,
                _ => {
                    let percent = self.constant(arg, "a percentile")?;
                    u64::try_from(percent).unwrap_or(0).saturating_mul(1000)
                }
            };
            if !(1..100_000).contains(&thousandths) {
                return self.fail(
                    Diagnostic::error(
                        "E0409",
                        arg.span,
                        "a percentile lies between 0 and 100, both excluded",
                    )
                    .with_help("e.g. `summary(n, 50, 99, 99.9)`; min and max are always shown"),
                );
            }
            percentiles.push(thousandths as u32);
        }
        if percentiles.is_empty() {
            percentiles.extend(DEFAULT_PERCENTILES);
        }
        percentiles.sort_unstable();
        percentiles.dedup();
        Some(Aggregation::Summary { percentiles })
    }

    /// Keys of a map that does not say how many.
    fn max_keys(&self) -> u32 {
        match (self.options.max_keys, self.program.config.max_keys) {
            (0, Some(keys)) => keys,
            (0, None) => limits::DEFAULT_MAX_KEYS,
            (keys, _) => keys,
        }
    }

    /// Writes the maps learnt into the program, and checks them against the limits.
    pub(super) fn finish_maps(&mut self) {
        let infos = std::mem::take(&mut self.tables.maps);
        for info in &infos {
            let key: Vec<hir::Type> = info
                .key
                .iter()
                .flat_map(|key| &key.parts)
                .map(|(shape, _)| shape.ty())
                .collect();
            let value = match &info.value {
                Some((Value::Scalar(shape), _)) => MapValue::Scalar(shape.ty()),
                Some((Value::Aggregate(aggregation, shape), _)) => {
                    MapValue::Aggregate(with_sign(aggregation, shape))
                }
                // Reported where it is used.
                None => MapValue::Scalar(hir::Type::INT),
            };
            let declared = self.map_kinds.get(&info.name);
            let misfit = declared.and_then(|it| it.misfit(&info.name, !key.is_empty(), &value));
            let map = hir::Map {
                name: info.name.clone(),
                max_entries: match declared {
                    _ if key.is_empty() => 1,
                    Some(declared) => declared.max_entries,
                    None => self.max_keys(),
                },
                lru: declared.is_some_and(Declared::is_lru),
                key,
                value,
                unit: info.unit.get(),
                span: info.span,
            };
            self.diagnostics.extend(misfit);
            let bytes = layout::key_size(&map);
            if bytes > limits::KEY_BYTES {
                self.report(
                    Diagnostic::error(
                        "E0503",
                        info.span,
                        format!(
                            "the key of `@{}` has {bytes} bytes; the limit is {}",
                            map.name,
                            limits::KEY_BYTES
                        ),
                    )
                    .with_help("use fewer parts, or shorter strings"),
                );
            }
            self.program.maps.push(map);
        }
        if let Some(over) = infos.get(limits::MAPS) {
            let message = format!(
                "the script has {} maps; the limit is {}",
                infos.len(),
                limits::MAPS
            );
            let diagnostic = Diagnostic::error("E0501", over.span, message)
                .with_label("one too many")
                .with_help("use one map with a key instead of many maps");
            self.report(diagnostic);
        }
        self.tables.maps = infos;
    }
}

/// A truth value or a constant of an enum as the number that is sampled.
fn numeric(sample: Typed) -> Typed {
    match sample.shape {
        Shape::Is(hir::Type::Bool | hir::Type::Enum(_)) => Typed {
            shape: Shape::SIGNED,
            ..sample
        },
        _ => sample,
    }
}

/// The aggregation for samples of a shape.
fn with_sign(aggregation: &Aggregation, shape: &Shape) -> Aggregation {
    let signed = shape.is_signed();
    match aggregation {
        Aggregation::Sum { .. } => Aggregation::Sum { signed },
        Aggregation::Avg { .. } => Aggregation::Avg { signed },
        Aggregation::Min { .. } => Aggregation::Min { signed },
        Aggregation::Max { .. } => Aggregation::Max { signed },
        Aggregation::Stats { .. } => Aggregation::Stats { signed },
        Aggregation::Rate { .. } => Aggregation::Rate { signed },
        other => other.clone(),
    }
}
