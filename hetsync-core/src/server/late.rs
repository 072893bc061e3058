//! What becomes of a gradient whose round has closed without it.
//!
//! Its sender is handed the newest result at once in any case, and is in
//! step again. The gradient itself may go into the round that is open, with
//! a weight that depends on how old it is. It never opens a round, is not
//! counted among those that came in time, and is told of in the report of
//! the round that it went into.

use std::str::FromStr;

/// The rule for late gradients.
///
/// ```
/// use hetsync_core::server::Late;
///
/// let late: Late = "decay".parse()?;
/// assert_eq!(late.weight(1), Some(0.5));
/// let late: Late = "decay(0.9)".parse()?;
/// assert_eq!(late.weight(2), Some(0.9 * 0.9));
/// assert_eq!(Late::Drop.weight(1), None);
/// # Ok::<(), hetsync_core::server::ParseLateError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Late {
    /// It goes into no round.
    #[default]
    Drop,
    /// It goes into the next round to close, in full.
    NextRound,
    /// It goes into the next round to close, multiplied by `1 / (1 + age)`;
    /// the age is the number of rounds that closed without it.
    Inverse,
    /// It goes into the next round to close, multiplied by this number, from
    /// 0 to 1, to the power of its age.
    Power(f32),
}

impl Late {
    /// The weight of a gradient that missed `age` rounds; `None` if it goes
    /// into no round.
    pub fn weight(self, age: u64) -> Option<f32> {
        let weight = match self {
            Self::Drop => return None,
            Self::NextRound => 1.0,
            Self::Inverse => 1.0 / (1.0 + age as f32),
            Self::Power(base) => base.powi(i32::try_from(age).unwrap_or(i32::MAX)),
        };
        // A subnormal weight is no help to anybody and slow to multiply by.
        (weight >= f32::MIN_POSITIVE).then_some(weight.min(1.0))
    }
}

/// Why a text is no rule for late gradients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no rule for late gradients: write drop, next_round, decay (for 1/(1+age)) or decay(L) (for L to the power of the age, L from 0 to 1)"
)]
pub struct ParseLateError(String);

impl FromStr for Late {
    type Err = ParseLateError;

    fn from_str(text: &str) -> Result<Self, ParseLateError> {
        let refuse = || ParseLateError(text.chars().take(40).collect());
        match text.trim() {
            "drop" => Ok(Self::Drop),
            "next_round" => Ok(Self::NextRound),
            "decay" => Ok(Self::Inverse),
            other => {
                let inner = other
                    .strip_prefix("decay(")
                    .and_then(|t| t.strip_suffix(')'));
                let base: f32 = inner
                    .ok_or_else(refuse)?
                    .trim()
                    .parse()
                    .map_err(|_| refuse())?;
                match (0.0..=1.0).contains(&base) {
                    true => Ok(Self::Power(base)),
                    false => Err(refuse()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fall_with_age_and_end_at_nothing() {
        assert_eq!(Late::NextRound.weight(1000), Some(1.0));
        assert_eq!(Late::Inverse.weight(3), Some(0.25));
        assert_eq!(Late::Power(0.5).weight(3), Some(0.125));
        assert_eq!(Late::Power(0.5).weight(u64::MAX), None);
        assert_eq!(Late::Power(0.0).weight(1), None);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "keep",
            "decay()",
            "decay(1.5)",
            "decay(-0.1)",
            "decay(nan)",
            "decay(0.5",
        ] {
            assert!(text.parse::<Late>().is_err(), "{text} was taken");
        }
    }
}
