//! A rule for comparison, not for use: an adaptive timer as TCP has one.
//!
//! It learns only from gradients that came in time, so each deadline that
//! cuts somebody off makes the next one shorter. It shows why the shipped
//! rule remembers the late ones.

use crate::policy::{Observation, Outcome, Policy, RoundView, Verdict};
use crate::time::{Span, Time};

/// Closes a round at the smoothed mean of the arrivals, counted from the
/// round's first, and four times their smoothed deviation.
#[derive(Debug, Default)]
pub struct Ewma {
    mean: f64,
    deviation: f64,
    opened: Option<Time>,
    knows: bool,
}

impl Policy for Ewma {
    fn name(&self) -> &'static str {
        "ewma"
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        self.opened = Some(round.opened);
        let wait = match self.knows {
            true => self.mean + 4.0 * self.deviation,
            false => 2e9,
        };
        let due = round.opened + Span::from_nanos(wait as u64);
        if round.awaited == 0 {
            Verdict::Close(Outcome::Full)
        } else if now >= due {
            Verdict::Close(Outcome::Deadline)
        } else {
            Verdict::WaitUntil(due)
        }
    }

    fn observe(&mut self, now: Time, seen: &Observation) {
        match seen {
            Observation::Sent { .. } => self.opened = None,
            Observation::Came { missed: 0, .. } => {
                let after = self.opened.map_or(Span::ZERO, |opened| now - opened);
                let after = after.as_nanos() as f64;
                // The gains of RFC 6298.
                self.deviation += ((after - self.mean).abs() - self.deviation) / 4.0;
                self.mean += (after - self.mean) / 8.0;
                self.knows |= self.opened.is_some();
            }
            _ => {}
        }
    }
}
