//! How a gradient changes the parameters: the rules, and their textual form.
//!
//! ```text
//! rule = sgd(RATE) | momentum(RATE[, DECAY])
//!      | adam(RATE[, FIRST_DECAY, SECOND_DECAY[, EPSILON]])
//! ```

use std::fmt;
use std::str::FromStr;

use crate::text::{ParseRuleError, Parser};

/// A rule of gradient descent, with its numbers.
///
/// With `g` the mean gradient, element by element, in f32:
///
/// | rule | state | step |
/// |---|---|---|
/// | `sgd(r)` | none | `p -= r g` |
/// | `momentum(r, d)` | `v` | `v = d v + g`, `p -= r v` |
/// | `adam(r, a, b, e)` | `m`, `v`, the step's number `t` from 1 | `m = a m + (1-a) g`, `v = b v + (1-b) g g`, `p -= r (m / (1-a^t)) / (sqrt(v / (1-b^t)) + e)` |
///
/// ```
/// use hetsync_core::server::Optimizer;
///
/// let rule: Optimizer = "adam(0.001)".parse()?;
/// assert_eq!(rule.to_string(), "adam(0.001, 0.9, 0.999, 0.00000001)");
/// assert_eq!("momentum(0.1)".parse(), Ok(Optimizer::Momentum { rate: 0.1, decay: 0.9 }));
/// # Ok::<(), hetsync_core::aggregate::ParseRuleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Plain gradient descent.
    Sgd {
        /// How far a step goes.
        rate: f32,
    },
    /// With a velocity.
    Momentum {
        /// How far a step goes.
        rate: f32,
        /// What is left of the velocity at the next step.
        decay: f32,
    },
    /// With each element's mean and mean square.
    Adam {
        /// How far a step goes.
        rate: f32,
        /// What is left of the mean at the next step.
        first_decay: f32,
        /// What is left of the mean square at the next step.
        second_decay: f32,
        /// Keeps a division by nothing away.
        epsilon: f32,
    },
}

impl Optimizer {
    /// The rule's name without its numbers.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Momentum { .. } => "momentum",
            Self::Adam { .. } => "adam",
        }
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sgd { rate } => write!(to, "sgd({rate})"),
            Self::Momentum { rate, decay } => write!(to, "momentum({rate}, {decay})"),
            Self::Adam {
                rate,
                first_decay,
                second_decay,
                epsilon,
            } => {
                write!(to, "adam({rate}, {first_decay}, {second_decay}, {epsilon})")
            }
        }
    }
}

impl FromStr for Optimizer {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, ParseRuleError> {
        Parser::whole(text, rule)
    }
}

fn rule(parser: &mut Parser<'_>) -> Result<Optimizer, String> {
    let name = parser.word();
    parser.take(name);
    if !["sgd", "momentum", "adam"].contains(&name) {
        return Err(parser.unknown(name, "sgd, momentum and adam"));
    }
    parser.expect('(', &format!("and a rate, as in {name}(0.1)"))?;
    let rate = positive(parser, "a rate above 0, as in sgd(0.1)")?;
    let rule = match name {
        "sgd" => Optimizer::Sgd { rate },
        "momentum" => {
            let decay = match parser.takes(',') {
                true => decay(parser)?,
                false => 0.9,
            };
            Optimizer::Momentum { rate, decay }
        }
        _ => {
            let (mut first_decay, mut second_decay, mut epsilon) = (0.9, 0.999, 1e-8);
            if parser.takes(',') {
                first_decay = decay(parser)?;
                parser.expect(',', "and the other decay, as in adam(0.001, 0.9, 0.999)")?;
                second_decay = decay(parser)?;
                if parser.takes(',') {
                    epsilon = positive(parser, "an epsilon above 0, as in 1e-8")?;
                }
            }
            Optimizer::Adam {
                rate,
                first_decay,
                second_decay,
                epsilon,
            }
        }
    };
    parser.expect(')', &format!("at the end of `{name}`"))?;
    Ok(rule)
}

fn positive(parser: &mut Parser<'_>, what: &str) -> Result<f32, String> {
    let text = parser.word();
    let number = text
        .parse()
        .ok()
        .filter(|number: &f32| number.is_normal() && *number > 0.0);
    let number = number.ok_or_else(|| format!("expected {what}"))?;
    parser.take(text);
    Ok(number)
}

fn decay(parser: &mut Parser<'_>) -> Result<f32, String> {
    let text = parser.word();
    let number = text
        .parse()
        .ok()
        .filter(|number| (0.0..1.0).contains(number));
    let number = number.ok_or("expected a decay from 0 to below 1, as in 0.9")?;
    parser.take(text);
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_as_they_print() {
        for text in [
            "sgd(0.5)",
            "momentum(0.1, 0)",
            "adam(0.01, 0.8, 0.99, 0.001)",
        ] {
            let rule: Optimizer = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(rule.to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, at, part) in [
            ("", 1, "there are sgd, momentum and adam"),
            ("adamw(1)", 1, "no rule is called `adamw`"),
            ("sgd", 4, "and a rate, as in sgd(0.1)"),
            ("sgd(0)", 5, "a rate above 0"),
            ("sgd(inf)", 5, "a rate above 0"),
            ("sgd(1, 2)", 6, "expected `)`"),
            ("momentum(0.1, 1)", 15, "a decay from 0 to below 1"),
            ("adam(0.1, 0.9)", 14, "and the other decay"),
            ("adam(0.1, 0.9, 0.99, 0)", 22, "an epsilon above 0"),
        ] {
            let error = text.parse::<Optimizer>().expect_err(text);
            assert!(error.what.contains(part), "{text}: {error}");
            assert_eq!(error.at, at, "{text}: {error}");
        }
    }
}
