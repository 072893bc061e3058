//! Rules as text, for command lines and configuration files.
//!
//! ```text
//! rule = sum | mean | weighted_mean | median
//!      | trimmed_mean(K) | trimmed_mean(PART/WHOLE)
//!      | krum(F) | multi_krum(F, M) | clip(NORM, rule)
//! ```

use std::fmt;
use std::str::FromStr;

use super::{Aggregate, Clip, Krum, Mean, Median, Sum, Trim, TrimmedMean, WeightedMean};
use crate::text::{ParseRuleError, Parser, check_depth, share};

/// A rule in its textual form.
///
/// ```
/// use hetsync_core::aggregate::{Aggregate, Combine};
///
/// let rule: Combine = "clip(10, trimmed_mean(1))".parse()?;
/// assert_eq!(rule.least(), 3);
/// let mut out = [0; 4];
/// let inputs = [1.0_f32, 2.0, 50.0, -7.0].map(f32::to_le_bytes);
/// let inputs: Vec<&[u8]> = inputs.iter().map(|input| &input[..]).collect();
/// let reduced = rule.rule().reduce(&inputs, &mut out);
/// assert_eq!(f32::from_le_bytes(out), 1.5);
/// assert_eq!(reduced.clipped, 1);
///
/// let wrong = "clip(10, medain)".parse::<Combine>().unwrap_err();
/// assert!(wrong.to_string().starts_with(
///     "in `clip(10, medain)` at character 10: no rule is called `medain`"
/// ));
/// # Ok::<(), hetsync_core::aggregate::ParseRuleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Combine(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Sum,
    Mean,
    WeightedMean,
    Median,
    Trimmed(Trim),
    Krum(usize),
    MultiKrum(usize, usize),
    Clip(f64, Box<Form>),
}

impl Combine {
    /// The rule itself.
    pub fn rule(&self) -> Box<dyn Aggregate> {
        self.0.rule()
    }

    /// With fewer gradients than this the rule cannot do what it is for.
    pub fn least(&self) -> usize {
        self.rule().least()
    }
}

/// The sum.
impl Default for Combine {
    fn default() -> Self {
        Self(Form::Sum)
    }
}

impl Form {
    fn rule(&self) -> Box<dyn Aggregate> {
        match self {
            Self::Sum => Box::new(Sum),
            Self::Mean => Box::new(Mean),
            Self::WeightedMean => Box::new(WeightedMean),
            Self::Median => Box::new(Median),
            Self::Trimmed(trim) => Box::new(TrimmedMean::new(*trim)),
            Self::Krum(f) => Box::new(Krum::new(*f)),
            Self::MultiKrum(f, m) => Box::new(Krum::multi(*f, *m)),
            Self::Clip(bound, inner) => Box::new(Clip::of(*bound, inner.rule())),
        }
    }
}

impl fmt::Display for Combine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum => write!(to, "sum"),
            Self::Mean => write!(to, "mean"),
            Self::WeightedMean => write!(to, "weighted_mean"),
            Self::Median => write!(to, "median"),
            Self::Trimmed(Trim::Count(k)) => write!(to, "trimmed_mean({k})"),
            Self::Trimmed(Trim::Share(part, whole)) => write!(to, "trimmed_mean({part}/{whole})"),
            Self::Krum(f) => write!(to, "krum({f})"),
            Self::MultiKrum(f, m) => write!(to, "multi_krum({f}, {m})"),
            Self::Clip(bound, inner) => write!(to, "clip({bound}, {inner})"),
        }
    }
}

impl FromStr for Combine {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, ParseRuleError> {
        Parser::whole(text, |parser| form(parser, 0)).map(Self)
    }
}

const RULES: &str = "sum, mean, weighted_mean, median, trimmed_mean, krum, multi_krum and clip";

fn form(parser: &mut Parser<'_>, depth: usize) -> Result<Form, String> {
    check_depth(depth)?;
    let name = parser.word();
    parser.take(name);
    match name {
        "sum" => return Ok(Form::Sum),
        "mean" => return Ok(Form::Mean),
        // A norm is a gradient's own, not that of its weight.
        "weighted_mean" if depth > 0 => {
            return Err(
                "weighted_mean has no place in clip, which would shorten what it has multiplied"
                    .into(),
            );
        }
        "weighted_mean" => return Ok(Form::WeightedMean),
        "median" => return Ok(Form::Median),
        "trimmed_mean" => parser.expect('(', "and how many to cut off, as in trimmed_mean(1)")?,
        "krum" => parser.expect('(', "and how many to withstand, as in krum(1)")?,
        "multi_krum" => parser.expect('(', "and two numbers, as in multi_krum(1, 3)")?,
        "clip" => parser.expect('(', "and a norm and a rule, as in clip(10, mean)")?,
        _ => return Err(parser.unknown(name, RULES)),
    }
    let form = match name {
        "trimmed_mean" => Form::Trimmed(trim(parser)?),
        "krum" => Form::Krum(gradients(parser)?),
        "multi_krum" => {
            let f = gradients(parser)?;
            parser.expect(
                ',',
                "and how many to take the mean of, as in multi_krum(1, 3)",
            )?;
            let m = parser.word();
            match gradients(parser)? {
                0 => return Err(format!("expected at least 1 gradient to use, not {m}")),
                m => Form::MultiKrum(f, m),
            }
        }
        _ => {
            let bound = bound(parser)?;
            parser.expect(',', "and a rule, as in clip(10, mean)")?;
            Form::Clip(bound, Box::new(self::form(parser, depth + 1)?))
        }
    };
    parser.expect(')', &format!("at the end of `{name}`"))?;
    Ok(form)
}

/// More than any server has, and far from where sums of them overflow.
const MOST_GRADIENTS: usize = 1_000_000;

fn gradients(parser: &mut Parser<'_>) -> Result<usize, String> {
    let what = format!("a number of gradients, from 0 to {MOST_GRADIENTS}");
    let text = parser.word();
    let number = text.parse().ok().filter(|number| *number <= MOST_GRADIENTS);
    let number = number.ok_or_else(|| format!("expected {what}"))?;
    parser.take(text);
    Ok(number)
}

fn trim(parser: &mut Parser<'_>) -> Result<Trim, String> {
    let text = parser.word();
    let Some((part, whole)) = text.split_once('/') else {
        return gradients(parser).map(Trim::Count);
    };
    match share(part, whole) {
        Some((part, whole)) if u64::from(part) * 2 < u64::from(whole) => {
            parser.take(text);
            Ok(Trim::Share(part, whole))
        }
        _ => Err("a share cut off at either end is from 0 to below 1/2, as in 1/4".into()),
    }
}

fn bound(parser: &mut Parser<'_>) -> Result<f64, String> {
    let what = "a norm above 0, as in clip(10, mean)";
    let text = parser.word();
    let bound = text.parse().ok().filter(|bound| Clip::allows(*bound));
    let bound = bound.ok_or_else(|| format!("expected {what}"))?;
    parser.take(text);
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_as_they_print() {
        for (text, name, least) in [
            ("sum", "sum", 1),
            ("mean", "mean", 1),
            ("weighted_mean", "weighted_mean", 1),
            ("median", "median", 1),
            ("trimmed_mean(2)", "trimmed_mean", 5),
            ("trimmed_mean(1/4)", "trimmed_mean", 1),
            ("krum(1)", "krum", 5),
            ("multi_krum(1, 2)", "multi_krum", 5),
            ("multi_krum(1, 7)", "multi_krum", 10),
            ("clip(0.5, clip(10, krum(2)))", "clip", 7),
        ] {
            let rule: Combine = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(rule.to_string(), text);
            assert_eq!((rule.rule().name(), rule.least()), (name, least));
        }
        let spaced: Combine = " clip ( 1e1 , multi_krum ( 1 , 2 ) ) ".parse().unwrap();
        assert_eq!(spaced.to_string(), "clip(10, multi_krum(1, 2))");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_how_it_is_mended() {
        let deep = format!("{}sum{}", "clip(1, ".repeat(20), ")".repeat(20));
        for (text, at, part) in [
            (
                "",
                1,
                "no rule is called ``; there are sum, mean, weighted_mean, median",
            ),
            ("average", 1, "no rule is called `average`"),
            ("trimmed_mean", 13, "as in trimmed_mean(1)"),
            ("trimmed_mean()", 14, "a number of gradients"),
            ("trimmed_mean(1/2)", 14, "below 1/2, as in 1/4"),
            ("trimmed_mean(1/0)", 14, "below 1/2, as in 1/4"),
            ("trimmed_mean(-1)", 14, "a number of gradients"),
            ("krum(99999999999999999999)", 6, "from 0 to 1000000"),
            ("krum(1", 7, "expected `)` at the end of `krum`"),
            ("krum(1, 2)", 7, "expected `)` at the end of `krum`"),
            ("multi_krum(1)", 13, "as in multi_krum(1, 3)"),
            ("multi_krum(1, 0)", 16, "at least 1"),
            ("clip(mean)", 6, "a norm above 0"),
            ("clip(0, mean)", 6, "a norm above 0"),
            ("clip(inf, mean)", 6, "a norm above 0"),
            ("clip(nan, mean)", 6, "a norm above 0"),
            ("clip(10, weighted_mean)", 23, "no place in clip"),
            ("clip(10)", 8, "and a rule, as in clip(10, mean)"),
            ("clip(10, medain)", 10, "`medain`"),
            ("sum mean", 1, "`sum mean`"),
            ("sum)", 4, "nothing after"),
            (&deep, 72, "no deeper"),
        ] {
            let error = text.parse::<Combine>().expect_err(text);
            assert!(error.what.contains(part), "{text}: {error}");
            assert_eq!(error.at, at, "{text}: {error}");
        }
    }
}
