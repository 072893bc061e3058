//! `--policy` and `--deadline` together: one rule, and no flag that says
//! nothing.

use hetsync_core::Span;
use hetsync_core::policy::Rule;

/// The rule that rounds close by.
pub(crate) fn rule(policy: Option<&Rule>, deadline: Option<Span>) -> Result<Rule, String> {
    let (policy, span) = match (policy, deadline) {
        (None, None) => return Ok(Rule::Replay),
        (None, Some(span)) => return Ok(Rule::Deadline(Some(span))),
        (Some(rule), None) => return Ok(rule.clone()),
        (Some(Rule::Replay), Some(span)) => {
            return Ok(Rule::Ceiling(span, Box::new(Rule::Replay)));
        }
        (Some(rule), Some(span)) => (rule, span),
    };
    let rule = policy.clone().with_deadline(span);
    match rule == *policy {
        false => Ok(rule),
        true if matches!(policy, Rule::Deadline(_)) => Err(format!(
            "--policy '{policy}' names its time, so --deadline would say nothing; leave one of the two out"
        )),
        true => Err(format!(
            "--policy '{policy}' has no deadline that --deadline could set; leave it out, or say --policy 'first_of({policy}, deadline)' to close rounds by whichever comes first"
        )),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_deadline_is_taken_in_or_refused() {
        let rule = |policy: &str, deadline: &str| {
            let policy = policy.parse().unwrap();
            let deadline = deadline.parse().unwrap();
            super::rule(Some(&policy), Some(deadline)).map(|rule| rule.to_string())
        };
        assert_eq!(rule("replay", "1s").unwrap(), "ceiling(1s, replay)");
        assert_eq!(rule("deadline", "1s").unwrap(), "deadline(1s)");
        assert_eq!(
            rule("first_of(quorum(3/4), deadline)", "3s").unwrap(),
            "first_of(quorum(3/4), deadline(3s))"
        );
        for policy in ["strict", "quorum(3/4)", "deadline(1s)", "staleness(2)"] {
            assert!(rule(policy, "3s").is_err(), "{policy}");
        }
    }
}
