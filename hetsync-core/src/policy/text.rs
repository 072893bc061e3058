//! Rules as text, for command lines and configuration files.
//!
//! ```text
//! rule = strict | replay | deadline | deadline(TIME)
//!      | quorum(N) | quorum(N/M) | quorum(.., grace=TIME) | staleness(N)
//!      | first_of(rule, ..) | all_of(rule, ..)
//!      | floor(TIME, rule) | ceiling(TIME, rule) | warm_up(N, rule)
//! ```

use std::fmt;
use std::str::FromStr;

use super::{
    AllOf, Deadline, Enough, FirstOf, Floor, Policy, Quorum, Replay, Staleness, Strict, WarmUp,
};
use crate::text::{ParseRuleError, Parser, check_depth, share};
use crate::time::Span;

/// The deadline of a `deadline` that names none.
const DEADLINE: Span = Span::from_secs(2);

/// A rule in its textual form, from which policies are made.
///
/// ```
/// use hetsync_core::policy::{Policy, Rule};
///
/// let rule: Rule = "first_of(deadline(2s), quorum(3/4, grace=50ms))".parse()?;
/// assert_eq!(rule.policy().name(), "first_of");
/// let wrong = "quorum(5/4)".parse::<Rule>().unwrap_err();
/// assert_eq!(
///     wrong.to_string(),
///     "in `quorum(5/4)` at character 8: a share is from 0 to 1, as in 3/4"
/// );
/// # Ok::<(), hetsync_core::policy::ParseRuleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// [`Strict`].
    Strict,
    /// [`Replay`].
    Replay,
    /// [`Deadline`]; two seconds if it does not say.
    Deadline(Option<Span>),
    /// [`Quorum`].
    Quorum(Enough, Span),
    /// [`Staleness`].
    Staleness(u64),
    /// [`FirstOf`].
    FirstOf(Vec<Rule>),
    /// [`AllOf`].
    AllOf(Vec<Rule>),
    /// [`Floor`].
    Floor(Span, Box<Rule>),
    /// The rule or a deadline, whichever is first.
    Ceiling(Span, Box<Rule>),
    /// [`WarmUp`].
    WarmUp(u64, Box<Rule>),
}

impl Rule {
    /// A policy that keeps this rule and knows nothing yet.
    pub fn policy(&self) -> Box<dyn Policy> {
        let all = |rules: &[Self]| rules.iter().map(Self::policy).collect();
        match self {
            Self::Strict => Box::new(Strict),
            Self::Replay => Box::new(Replay::new()),
            Self::Deadline(span) => Box::new(Deadline::new(span.unwrap_or(DEADLINE))),
            Self::Quorum(enough, grace) => Box::new(Quorum::new(*enough, *grace)),
            Self::Staleness(bound) => Box::new(Staleness::new(*bound)),
            Self::FirstOf(rules) => Box::new(FirstOf::new(all(rules))),
            Self::AllOf(rules) => Box::new(AllOf::new(all(rules))),
            Self::Floor(span, rule) => Box::new(Floor::new(*span, rule.policy())),
            Self::Ceiling(span, rule) => {
                let deadline = Box::new(Deadline::new(*span));
                Box::new(FirstOf::new(vec![rule.policy(), deadline]))
            }
            Self::WarmUp(rounds, rule) => Box::new(WarmUp::new(*rounds, rule.policy())),
        }
    }

    /// The rule with `span` for every deadline that names none.
    pub fn with_deadline(self, span: Span) -> Self {
        let all = |rules: Vec<Self>| rules.into_iter().map(|r| r.with_deadline(span)).collect();
        let inner = |rule: Box<Self>| Box::new(rule.with_deadline(span));
        match self {
            Self::Deadline(None) => Self::Deadline(Some(span)),
            Self::FirstOf(rules) => Self::FirstOf(all(rules)),
            Self::AllOf(rules) => Self::AllOf(all(rules)),
            Self::Floor(at, rule) => Self::Floor(at, inner(rule)),
            Self::Ceiling(at, rule) => Self::Ceiling(at, inner(rule)),
            Self::WarmUp(rounds, rule) => Self::WarmUp(rounds, inner(rule)),
            other => other,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, name: &str, rules: &[Self]| {
            let rules: Vec<String> = rules.iter().map(Self::to_string).collect();
            write!(f, "{name}({})", rules.join(", "))
        };
        match self {
            Self::Strict => write!(f, "strict"),
            Self::Replay => write!(f, "replay"),
            Self::Deadline(None) => write!(f, "deadline"),
            Self::Deadline(Some(span)) => write!(f, "deadline({})", short(*span)),
            Self::Quorum(enough, grace) => {
                match enough {
                    Enough::Count(count) => write!(f, "quorum({count}")?,
                    Enough::Share(part, whole) => write!(f, "quorum({part}/{whole}")?,
                }
                match *grace {
                    Span::ZERO => write!(f, ")"),
                    grace => write!(f, ", grace={})", short(grace)),
                }
            }
            Self::Staleness(bound) => write!(f, "staleness({bound})"),
            Self::FirstOf(rules) => list(f, "first_of", rules),
            Self::AllOf(rules) => list(f, "all_of", rules),
            Self::Floor(span, rule) => write!(f, "floor({}, {rule})", short(*span)),
            Self::Ceiling(span, rule) => write!(f, "ceiling({}, {rule})", short(*span)),
            Self::WarmUp(rounds, rule) => write!(f, "warm_up({rounds}, {rule})"),
        }
    }
}

/// In the largest unit that divides it, so that it reads back the same.
fn short(span: Span) -> String {
    let nanos = span.as_nanos();
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "us")];
    let fits = units.iter().find(|(unit, _)| nanos.is_multiple_of(*unit));
    let (unit, name) = fits.copied().unwrap_or((1, "ns"));
    format!("{}{name}", nanos / unit)
}

impl FromStr for Rule {
    type Err = ParseRuleError;

    fn from_str(text: &str) -> Result<Self, ParseRuleError> {
        Parser::whole(text, |parser| parser.rule(0))
    }
}

const RULES: &str =
    "strict, deadline, quorum, replay, staleness, first_of, all_of, floor, ceiling and warm_up";

impl Parser<'_> {
    fn rule(&mut self, depth: usize) -> Result<Rule, String> {
        check_depth(depth)?;
        let name = self.word();
        self.take(name);
        let after = format!("after `{name}`");
        match name {
            "strict" => Ok(Rule::Strict),
            "replay" => Ok(Rule::Replay),
            "deadline" if !self.takes('(') => Ok(Rule::Deadline(None)),
            "deadline" => {
                let span = self.time()?;
                self.expect(')', "after the time")?;
                Ok(Rule::Deadline(Some(span)))
            }
            "quorum" => self.expect('(', &after).and_then(|()| self.quorum()),
            "staleness" => {
                self.expect('(', &after)?;
                let bound = self.number()?;
                self.expect(')', "after the number of rounds")?;
                Ok(Rule::Staleness(bound))
            }
            "first_of" => Ok(Rule::FirstOf(self.list(&after, depth)?)),
            "all_of" => Ok(Rule::AllOf(self.list(&after, depth)?)),
            "floor" | "ceiling" | "warm_up" => {
                self.expect('(', &after)?;
                let (mut span, mut rounds) = (Span::ZERO, 0);
                match name {
                    "warm_up" => rounds = self.number()?,
                    _ => span = self.time()?,
                }
                self.expect(',', "and a rule")?;
                let rule = Box::new(self.rule(depth + 1)?);
                self.expect(')', "after the rule")?;
                Ok(match name {
                    "floor" => Rule::Floor(span, rule),
                    "ceiling" => Rule::Ceiling(span, rule),
                    _ => Rule::WarmUp(rounds, rule),
                })
            }
            _ => Err(self.unknown(name, RULES)),
        }
    }

    fn list(&mut self, after: &str, depth: usize) -> Result<Vec<Rule>, String> {
        self.expect('(', after)?;
        let mut rules = vec![self.rule(depth + 1)?];
        while self.takes(',') {
            rules.push(self.rule(depth + 1)?);
        }
        self.expect(')', "or `,` and another rule")?;
        Ok(rules)
    }

    fn quorum(&mut self) -> Result<Rule, String> {
        let text = self.word();
        let enough = match text.split_once('/') {
            Some((part, whole)) => match share(part, whole) {
                Some((part, whole)) => Enough::Share(part, whole),
                None => return Err("a share is from 0 to 1, as in 3/4".into()),
            },
            None => match text.parse() {
                Ok(count) if count > 0 => Enough::Count(count),
                _ => return Err("expected a number of gradients, or a share as in 3/4".into()),
            },
        };
        self.take(text);
        let mut grace = Span::ZERO;
        if self.takes(',') {
            let key = self.word();
            if key != "grace" {
                return Err("expected grace=TIME".into());
            }
            self.take(key);
            self.expect('=', "after `grace`")?;
            grace = self.time()?;
        }
        self.expect(')', "at the end of the quorum")?;
        Ok(Rule::Quorum(enough, grace))
    }

    fn time(&mut self) -> Result<Span, String> {
        let text = self.word();
        let span = text.parse::<Span>().map_err(|error| error.to_string())?;
        self.take(text);
        Ok(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_back_as_they_print() {
        for text in [
            "strict",
            "replay",
            "deadline",
            "deadline(250ms)",
            "quorum(3)",
            "quorum(3/4, grace=50ms)",
            "staleness(4)",
            "first_of(deadline(2s), quorum(3/4))",
            "all_of(staleness(3), ceiling(10s, replay))",
            "floor(5ms, warm_up(10, first_of(replay, deadline)))",
        ] {
            let rule: Rule = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(rule.to_string(), text);
            assert!(!rule.policy().name().is_empty());
        }
        let spaced: Rule = " quorum ( 3 / 4 , grace = 1ms ) ".parse().unwrap();
        assert_eq!(spaced.to_string(), "quorum(3/4, grace=1ms)");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let deep = format!("{}strict{}", "all_of(".repeat(20), ")".repeat(20));
        let long = "x".repeat(2000);
        for (text, at, part) in [
            ("", 1, "no rule is called ``"),
            (
                "deadlin",
                1,
                "no rule is called `deadlin`; there are strict",
            ),
            ("first_of(deadline(2s), quorun(3))", 24, "`quorun`"),
            ("deadline(2)", 10, "`2` is no length of time"),
            ("deadline(2s", 12, "expected `)`"),
            ("quorum(0)", 8, "number of gradients"),
            ("quorum(5/4)", 8, "from 0 to 1"),
            ("quorum(3, graze=1s)", 11, "grace=TIME"),
            ("staleness(-1)", 11, "whole number"),
            ("strict strict", 1, "`strict strict`"),
            ("replay)", 7, "nothing after"),
            ("first_of()", 10, "no rule is called ``"),
            ("floor(replay, 5ms)", 7, "no length of time"),
            ("é(1)", 1, "`é`"),
            (&deep, 64, "no deeper"),
            (&long, 1, "at most 1000"),
        ] {
            let error = text.parse::<Rule>().expect_err(text);
            assert!(error.what.contains(part), "{text}: {error}");
            assert_eq!(error.at, at, "{text}: {error}");
        }
    }

    #[test]
    fn a_deadline_without_a_time_is_given_one_wherever_it_stands() {
        let rule: Rule = "all_of(staleness(1), first_of(deadline, deadline(1s)))"
            .parse()
            .unwrap();
        let text = rule.with_deadline(Span::from_millis(300)).to_string();
        assert_eq!(
            text,
            "all_of(staleness(1), first_of(deadline(300ms), deadline(1s)))"
        );
    }
}
