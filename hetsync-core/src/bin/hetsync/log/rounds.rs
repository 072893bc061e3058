//! The lines about rounds that have closed: one for each that is out of the
//! ordinary, and one a second for all the others.

use std::fmt::Write as _;

use hetsync_core::policy::{Explanation, Forecast, Outcome};
use hetsync_core::server::attribution::TRIFLE;
use hetsync_core::server::{Bill, Charge, RoundReport};
use hetsync_core::stats::Histogram;
use hetsync_core::{Span, Time};

use super::{Level, Log, NAMES};

/// Lines of the summary are at least this far apart.
const SUMMARY_EVERY: Span = Span::from_secs(1);

/// Rounds that closed full, not yet told.
pub(super) struct EvenRounds {
    first: RoundReport,
    last: RoundReport,
    since: Time,
    until: Time,
    /// Those that closed because everyone had come.
    full: u64,
    gradients: usize,
    durations: Histogram,
}

impl<W: FnMut(&str)> Log<W> {
    pub(super) fn closed(&mut self, now: Time, report: &RoundReport) {
        for (conn, _) in &report.arrivals {
            self.silent.remove(conn);
        }
        if self.level == Level::Quiet && report.saturated == 0 {
            return;
        }
        let on_purpose = report.why.rule == "replay";
        let is_even = (report.outcome == Outcome::Full || on_purpose)
            && report.saturated == 0
            && self.level < Level::Verbose;
        if !is_even {
            let text = self.describe(report);
            let level = match report.saturated {
                0 => Level::Normal,
                _ => Level::Quiet,
            };
            self.say(now, level, &text);
            return;
        }
        // Another set of workers deserves another line.
        let changed = self.even.as_ref().is_some_and(|even| {
            let same_in = even.last.arrivals.len() == report.arrivals.len();
            let same_rule = even.last.instead == report.instead;
            !same_rule || !on_purpose && (!same_in || even.last.overdue != report.overdue)
        });
        if changed {
            self.tell_even_rounds(now);
        }
        let even = self.even.get_or_insert_with(|| EvenRounds {
            first: report.clone(),
            last: report.clone(),
            since: now,
            until: now,
            full: 0,
            gradients: 0,
            durations: Histogram::default(),
        });
        even.full += u64::from(report.outcome == Outcome::Full);
        even.gradients += report.arrivals.len();
        even.durations.record(report.lasted);
        even.until = now;
        even.last = report.clone();
        // The very first round is told at once: it shows that all is well.
        if report.round.0 == 0 || now - even.since >= SUMMARY_EVERY {
            self.tell_even_rounds(now);
        }
    }

    /// One line for one round.
    fn describe(&self, report: &RoundReport) -> String {
        let came = report.arrivals.len();
        let mut text = format!("round {} closed {}", report.round, how(report.outcome));
        let _ = match report.lasted {
            // A lone worker's gradient opens and closes the round.
            Span::ZERO => write!(text, " at once, {came} in"),
            lasted => write!(text, " after {lasted}, {came} in"),
        };
        if !report.missed.is_empty() || report.absent > 0 {
            let who = self.names_and_absent(&report.missed, report.absent);
            let _ = write!(text, "; left out: {who}");
        }
        if !report.overdue.is_empty() {
            let _ = write!(text, "; not waited for: {}", self.names(&report.overdue));
        }
        if !report.late.is_empty() {
            let late = report.late.iter();
            let late: Vec<String> = late
                .take(NAMES)
                .map(|late| format!("{} of round {} at {:.3}", late.conn, late.of, late.weight))
                .collect();
            let _ = write!(text, "; late ones used: {}", late.join(", "));
        }
        reduction(&mut text, report);
        if self.level == Level::Verbose || report.outcome == Outcome::Deadline {
            self.tell_bill(&mut text, &report.bill);
        }
        if self.level == Level::Verbose {
            explain(&mut text, &report.why);
        }
        if report.saturated > 0 {
            let _ = write!(
                text,
                "; {} elements of the result left the range of f32 and were clamped",
                report.saturated
            );
        }
        text
    }

    /// Who kept the others waiting, if it is worth telling.
    fn tell_bill(&self, text: &mut String, bill: &Bill) {
        let worth = |charge: &&Charge| {
            let all = bill.wait.as_nanos();
            charge.cost >= TRIFLE && charge.cost.as_nanos() >= all / 10
        };
        let charges = bill.charges.iter().filter(worth).take(NAMES);
        let charges: Vec<String> = charges
            .map(|charge| {
                let why = match charge.cause {
                    Some(cause) => format!(" ({cause})"),
                    None => String::new(),
                };
                format!("{} cost {}{why}", self.name(charge.conn), charge.cost)
            })
            .collect();
        if !charges.is_empty() {
            let _ = write!(text, "; waited {}: {}", bill.wait, charges.join(", "));
        }
    }

    /// One line for all the even rounds since the last such line.
    pub(super) fn tell_even_rounds(&mut self, now: Time) {
        let Some(even) = self.even.take() else {
            return;
        };
        let count = even.durations.count();
        if count == 1 {
            let text = self.describe(&even.last);
            self.line(now, &text);
            return;
        }
        let median = match even.durations.quantile(0.5).unwrap_or_default() {
            Span::ZERO => String::new(),
            median => format!(", median {median}"),
        };
        let took = (even.until - even.since).as_secs_f64();
        let how = match even.full == count {
            true => format!("full, {} in", even.last.arrivals.len()),
            false => format!(
                "by replay, {} of {count} full, {:.1} in on average",
                even.full,
                even.gradients as f64 / count as f64
            ),
        };
        let mut text = format!(
            "rounds {} to {} closed {how}, {:.1} rounds/s{median}",
            even.first.round,
            even.last.round,
            (count - 1) as f64 / took.max(1e-9),
        );
        if !even.last.overdue.is_empty() {
            let names = self.names(&even.last.overdue);
            let _ = write!(text, "; not waited for: {names}");
        }
        reduction(&mut text, &even.last);
        self.line(now, &text);
    }
}

fn how(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Full => "full",
        Outcome::Deadline => "by its deadline",
        Outcome::Quorum => "with enough",
    }
}

/// What became of the gradients, if anything out of the ordinary did.
fn reduction(text: &mut String, report: &RoundReport) {
    if report.clipped > 0 {
        let _ = write!(text, "; {} shortened", report.clipped);
    }
    if let Some(instead) = report.instead {
        let _ = write!(text, "; too few for the rule, {instead} used instead");
    }
}

/// The rule's account, behind a round's line.
fn explain(text: &mut String, why: &Explanation) {
    let _ = write!(text, "; {}", why.rule);
    match (why.longest, why.enough) {
        (None, None) => {}
        (Some(span), None) => {
            let _ = write!(text, " would wait {span}");
        }
        (None, Some(enough)) => {
            let _ = write!(text, " wants {enough}");
        }
        (Some(span), Some(enough)) => {
            let _ = write!(text, " wants {enough} or would wait {span}");
        }
    }
    let mut tell = |what: &str, forecast: Option<Forecast>, says_wait: bool| {
        let Some(forecast) = forecast else { return };
        let _ = write!(text, ", {what} ");
        if says_wait {
            let _ = write!(text, "({}) ", forecast.wait);
        }
        let _ = write!(text, "{:.1} a round", forecast.gradients);
        if let Some(rate) = forecast.useful_per_s {
            let _ = write!(text, " and {rate:.1} useful/s");
        }
    };
    tell("expects", why.expected, false);
    tell("shorter", why.shorter, true);
    tell("longer", why.longer, true);
}
