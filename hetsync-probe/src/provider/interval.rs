//! `interval:UNIT:N` or `interval:5s`: every so often, on one CPU.

use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::sema::hir::{Builtin, PointKind};
use crate::syntax;

pub(super) static INTERVAL: Provider = Provider {
    name: "interval",
    aliases: &["i"],
    usage: "interval:5s or interval:100ms or interval:s:5 or interval:hz:10",
    filtered_by_pid: false,
    allows: |builtin| !matches!(builtin, Builtin::Arg(_) | Builtin::Retval | Builtin::Func),
    expand,
};

const NS_PER_S: u64 = 1_000_000_000;

fn expand(request: &Request<'_>) -> Result<Vec<Point>, Diagnostic> {
    let period_ns = match request.parts.as_slice() {
        [(duration, span)] => {
            let is_plain = duration.bytes().all(|b| b.is_ascii_digit() || b == b'_');
            if is_plain {
                return Err(malformed(request, *span, duration, "it has no unit"));
            }
            syntax::integer(duration)
                .map_err(|problem| malformed(request, *span, duration, &problem))?
        }
        [(unit, unit_span), (count, span)] => {
            let count = syntax::integer(count)
                .map_err(|problem| malformed(request, *span, count, &problem))?;
            let scaled = |ns: u64| count.checked_mul(ns);
            match unit.as_str() {
                "s" => scaled(NS_PER_S),
                "ms" => scaled(1_000_000),
                "us" => scaled(1_000),
                "ns" => scaled(1),
                "hz" if count == 0 => None,
                "hz" => Some(NS_PER_S / count),
                _ => {
                    return Err(malformed(
                        request,
                        *unit_span,
                        unit,
                        "the units are s, ms, us, ns and hz",
                    ));
                }
            }
            .unwrap_or(0)
        }
        _ => return Err(request.malformed(request.span, "an interval needs a period")),
    };
    if period_ns == 0 {
        return Err(Diagnostic::error(
            "E0208",
            request.span,
            "the period is not between 1 ns and 584 years",
        )
        .with_help(request.provider.help()));
    }
    let written: Vec<&str> = request
        .parts
        .iter()
        .map(|(text, _)| text.as_str())
        .collect();
    Ok(vec![Point {
        kind: PointKind::Interval { period_ns },
        probe_name: format!("interval:{}", written.join(":")),
        func_name: None,
    }])
}

fn malformed(
    request: &Request<'_>,
    span: crate::span::Span,
    text: &str,
    problem: &str,
) -> Diagnostic {
    Diagnostic::error("E0208", span, format!("`{text}` is no period: {problem}"))
        .with_help(request.provider.help())
}
