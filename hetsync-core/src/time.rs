//! Moments and lengths of time, in nanoseconds.
//!
//! Nothing here reads a clock: a [`Time`] is whatever its caller says it
//! is. The socket shell counts from its own start; a test counts from zero
//! and jumps. Two times are comparable only if one clock made them both.
//!
//! Arithmetic saturates. A span of `u64::MAX` nanoseconds is 584 years, so
//! saturation is a guard against hostile input, not something a run meets.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;
use std::time::Duration;

/// A moment: nanoseconds since an epoch that the caller chose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

/// A length of time in nanoseconds, never negative.
///
/// ```
/// use hetsync_core::time::{Span, Time};
///
/// let deadline: Span = "1.5s".parse()?;
/// assert_eq!(deadline, Span::from_millis(1500));
/// assert_eq!(Time::ZERO + deadline - Time::from_nanos(500), Span::from_nanos(1_499_999_500));
/// assert_eq!(deadline.to_string(), "1.500 s");
/// # Ok::<(), hetsync_core::time::ParseSpanError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

impl Time {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);

    /// The moment `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// A span of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds, as a float for rates and charts.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Duration::from_nanos(span.0)
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Span> for Time {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Sub<Time> for Time {
    type Output = Span;
    fn sub(self, earlier: Time) -> Span {
        self.since(earlier)
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Span) {
        *self = *self + other;
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t+{}", Span(self.0))
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A figure a person can read: three decimals, in the largest unit that
/// keeps the number at or above one.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, per_unit) = match self.0 {
            0..1_000 => return write!(f, "{} ns", self.0),
            1_000..1_000_000 => ("us", 1e3),
            1_000_000..1_000_000_000 => ("ms", 1e6),
            _ => ("s", 1e9),
        };
        write!(f, "{:.3} {unit}", self.0 as f64 / per_unit)
    }
}

/// Why a text is no span of time, with its first 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSpanError {
    /// It has another form.
    #[error(
        "`{0}` is no length of time: write a number and a unit of ns, us, ms, s, m or h, as in 250ms or 1.5s"
    )]
    Form(String),
    /// It has the form, and its value does not fit.
    #[error("`{0}` is too long: the longest time is 5000000h, some 570 years")]
    TooLong(String),
    /// It has the form, and its value is below zero.
    #[error("`{0}` is below zero; a time cannot be")]
    Negative(String),
}

/// The longest span that a text can name: 5,000,000 hours.
const LONGEST_NS: f64 = 1.8e19;

impl FromStr for Span {
    type Err = ParseSpanError;

    fn from_str(text: &str) -> Result<Self, ParseSpanError> {
        let shown = || text.chars().take(40).collect();
        let refuse = || ParseSpanError::Form(shown());
        let trimmed = text.trim();
        let unit_at = trimmed
            .find(|c: char| c.is_ascii_alphabetic())
            .ok_or_else(refuse)?;
        let (number, unit) = trimmed.split_at(unit_at);
        let nanos_per_unit = match unit {
            "ns" => 1.0,
            "us" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" | "min" => 60e9,
            "h" => 3600e9,
            _ => return Err(refuse()),
        };
        let number: f64 = number.trim().parse().map_err(|_| refuse())?;
        let nanos = number * nanos_per_unit;
        // A float cast saturates, so say no before it hides a mistake.
        if nanos.is_nan() {
            return Err(refuse());
        } else if nanos < 0.0 {
            return Err(ParseSpanError::Negative(shown()));
        } else if nanos > LONGEST_NS {
            return Err(ParseSpanError::TooLong(shown()));
        }
        Ok(Self(nanos.round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_parse_and_print() {
        for (text, nanos) in [
            ("2s", 2_000_000_000),
            ("100ms", 100_000_000),
            ("1.5 ms", 1_500_000),
            ("0s", 0),
            ("7ns", 7),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
        ] {
            assert_eq!(text.parse::<Span>(), Ok(Span::from_nanos(nanos)), "{text}");
        }
        assert_eq!(Span::from_nanos(999).to_string(), "999 ns");
        assert_eq!(Span::from_nanos(2_500).to_string(), "2.500 us");
        assert_eq!(Span::from_millis(40).to_string(), "40.000 ms");
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "2", "s", "-1s", "1e300s", "nans", "2 parsecs", "1s2"] {
            assert!(text.parse::<Span>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn what_is_too_long_or_below_zero_is_called_so() {
        assert!("5000000h".parse::<Span>().is_ok());
        for text in ["5000001h", "99999999999999999999s"] {
            let refused = text.parse::<Span>();
            let expected = ParseSpanError::TooLong(text.into());
            assert_eq!(refused, Err(expected));
        }
        let refused = "-1s".parse::<Span>();
        assert_eq!(refused, Err(ParseSpanError::Negative("-1s".into())));
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Time::from_nanos(u64::MAX);
        assert_eq!(end + Span::from_secs(1), end);
        assert_eq!(Time::ZERO - end, Span::ZERO);
    }
}
