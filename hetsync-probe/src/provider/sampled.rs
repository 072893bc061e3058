//! `profile`, `software`, `hardware`: samples on every CPU, by time or by events counted.

use super::{Point, Provider, Request};
use crate::diagnostic::{Diagnostic, suggest};
use crate::sema::hir::{Builtin, PointKind, Sampling};
use crate::span::Span;
use crate::syntax;

pub(super) static PROFILE: Provider = Provider {
    name: "profile",
    aliases: &["p"],
    usage: "profile:hz:99 or profile:10ms or profile:ms:10",
    filtered_by_pid: true,
    allows,
    expand: profile,
};

pub(super) static SOFTWARE: Provider = Provider {
    name: "software",
    aliases: &["s"],
    usage: "software:EVENT:COUNT or software:EVENT",
    filtered_by_pid: true,
    allows,
    expand: |request| counter(request, &SOFTWARE_EVENTS, false),
};

pub(super) static HARDWARE: Provider = Provider {
    name: "hardware",
    aliases: &["h"],
    usage: "hardware:EVENT:COUNT or hardware:EVENT",
    filtered_by_pid: true,
    allows,
    expand: |request| counter(request, &HARDWARE_EVENTS, true),
};

/// An event that can be counted: its names, its number in include/uapi/linux/perf_event.h, and after how many of it a
/// sample is taken unless the script says so.
#[derive(Debug)]
pub(crate) struct Event {
    /// Its name, then a shorter one.
    pub(crate) names: &'static [&'static str],
    number: u64,
    count: u64,
}

const fn event(names: &'static [&'static str], number: u64, count: u64) -> Event {
    Event {
        names,
        number,
        count,
    }
}

/// What the kernel counts.
pub(crate) static SOFTWARE_EVENTS: [Event; 11] = [
    event(&["alignment-faults"], 7, 1),
    event(&["bpf-output"], 10, 1),
    event(&["context-switches", "cs"], 3, 1000),
    event(&["cpu-clock", "cpu"], 0, 1_000_000),
    event(&["cpu-migrations"], 4, 1),
    event(&["dummy"], 9, 1),
    event(&["emulation-faults"], 8, 1),
    event(&["major-faults"], 6, 1),
    event(&["minor-faults"], 5, 100),
    event(&["page-faults", "faults"], 2, 100),
    event(&["task-clock"], 1, 1),
];

/// What processors count.
pub(crate) static HARDWARE_EVENTS: [Event; 10] = [
    event(&["backend-stalls"], 8, 1_000_000),
    event(&["branch-instructions", "branches"], 4, 100_000),
    event(&["branch-misses"], 5, 100_000),
    event(&["bus-cycles"], 6, 100_000),
    event(&["cache-misses"], 3, 1_000_000),
    event(&["cache-references"], 2, 1_000_000),
    event(&["cpu-cycles", "cycles"], 0, 1_000_000),
    event(&["frontend-stalls"], 7, 1_000_000),
    event(&["instructions"], 1, 1_000_000),
    event(&["ref-cycles"], 9, 1_000_000),
];

const NS_PER_S: u64 = 1_000_000_000;

fn allows(builtin: Builtin) -> bool {
    !matches!(builtin, Builtin::Arg(_) | Builtin::Retval | Builtin::Func)
}

fn profile(request: &Request<'_>) -> Result<Vec<Point>, Diagnostic> {
    let sampling = match request.parts.as_slice() {
        [(duration, span)] => {
            if duration.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
                return Err(not_a_period(request, *span, duration, "it has no unit"));
            }
            Sampling::PeriodNs(number(request, duration, *span)?)
        }
        [(unit, unit_span), (count, span)] => {
            let count = number(request, count, *span)?;
            // A period too long to count is refused below, as is 0.
            let scaled = |ns: u64| Sampling::PeriodNs(count.checked_mul(ns).unwrap_or(0));
            match unit.as_str() {
                "hz" => Sampling::Hz(count),
                "s" => scaled(NS_PER_S),
                "ms" => scaled(1_000_000),
                "us" => scaled(1_000),
                _ => {
                    let problem = "the units are hz, s, ms and us";
                    return Err(not_a_period(request, *unit_span, unit, problem));
                }
            }
        }
        _ => return Err(request.malformed(request.span, "a profile needs a rate or a period")),
    };
    if matches!(sampling, Sampling::Hz(0) | Sampling::PeriodNs(0)) {
        return Err(Diagnostic::error(
            "E0208",
            request.span,
            "the period is not between 1 ns and 584 years",
        )
        .with_help(request.provider.help()));
    }
    Ok(point(request, sampling))
}

fn counter(
    request: &Request<'_>,
    events: &'static [Event],
    hardware: bool,
) -> Result<Vec<Point>, Diagnostic> {
    let (name, span, count) = match request.parts.as_slice() {
        [(name, span)] => (name, *span, None),
        [(name, span), (count, count_span)] if !count.is_empty() => {
            (name, *span, Some(number(request, count, *count_span)?))
        }
        [(name, span), _] => (name, *span, None),
        _ => return Err(request.malformed(request.span, "an event has a name and a count")),
    };
    let known = |event: &&Event| event.names.contains(&name.as_str());
    let Some(event) = events.iter().find(known) else {
        let names = || events.iter().flat_map(|event| event.names).copied();
        let kind = request.provider.name;
        let diagnostic =
            Diagnostic::error("E0203", span, format!("there is no {kind} event `{name}`"))
                .with_label("unknown event");
        return Err(match suggest::nearest(name, names()) {
            Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
            None => diagnostic.with_help(format!(
                "{kind} events: {}",
                names().collect::<Vec<_>>().join(", ")
            )),
        });
    };
    let count = count.unwrap_or(event.count);
    if count == 0 {
        return Err(request.malformed(request.span, "a sample is taken after at least 1 event"));
    }
    Ok(point(
        request,
        Sampling::Events {
            hardware,
            event: event.number,
            count,
        },
    ))
}

fn number(request: &Request<'_>, text: &str, span: Span) -> Result<u64, Diagnostic> {
    syntax::integer(text).map_err(|problem| not_a_period(request, span, text, &problem))
}

fn not_a_period(request: &Request<'_>, span: Span, text: &str, problem: &str) -> Diagnostic {
    Diagnostic::error("E0208", span, format!("`{text}` is no period: {problem}"))
        .with_help(request.provider.help())
}

fn point(request: &Request<'_>, sampling: Sampling) -> Vec<Point> {
    let written: Vec<&str> = request
        .parts
        .iter()
        .map(|(text, _)| text.as_str())
        .collect();
    vec![Point {
        kind: PointKind::Sampled(sampling),
        probe_name: format!("{}:{}", request.provider.name, written.join(":")),
        func_name: None,
    }]
}
