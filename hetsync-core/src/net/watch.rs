//! Rounds that stand open for long: when to speak of each, so that a server
//! that waits for somebody does not do it in silence.
//!
//! Invariant: a round is told of at most once in each doubling of its age,
//! up to [`LONGEST`].

use std::collections::HashMap;

use crate::Name;
use crate::server::{OpenRound, RoundId};
use crate::time::{Span, Time};

/// A round is told of when it has stood open for so long.
const FIRST: Span = Span::from_secs(5);
/// And at least so often after that.
const LONGEST: Span = Span::from_secs(600);

/// What was told of which job.
#[derive(Debug, Default)]
pub(super) struct Watch {
    next: HashMap<Name, (RoundId, Time)>,
}

impl Watch {
    /// Those of the open rounds that are to be told of now.
    pub(super) fn due(
        &mut self,
        now: Time,
        mut open: Vec<(Name, OpenRound)>,
    ) -> Vec<(Name, OpenRound)> {
        self.next
            .retain(|job, _| open.iter().any(|(name, _)| name == job));
        open.retain(|(job, round)| {
            let age = now - round.opened;
            let told = self.next.get(job).filter(|(of, _)| *of == round.round);
            let next = told.map_or(round.opened + FIRST, |(_, next)| *next);
            if now < next {
                return false;
            }
            self.next
                .insert(job.clone(), (round.round, now + age.min(LONGEST)));
            true
        });
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(number: u64, opened: Time) -> Vec<(Name, OpenRound)> {
        let round = OpenRound {
            round: RoundId(number),
            opened,
            closes: None,
            gradients: 1,
            awaited: Vec::new(),
            absent: 1,
        };
        vec![(Name::default(), round)]
    }

    #[test]
    fn a_round_is_told_of_ever_more_rarely() {
        let mut watch = Watch::default();
        let start = Time::ZERO + Span::from_secs(100);
        let mut told = Vec::new();
        for second in 0..4000 {
            let now = start + Span::from_secs(second);
            if !watch.due(now, open(3, start)).is_empty() {
                told.push(second);
            }
        }
        assert_eq!(
            told,
            [
                5, 10, 20, 40, 80, 160, 320, 640, 1240, 1840, 2440, 3040, 3640
            ]
        );
    }

    #[test]
    fn the_next_round_begins_anew() {
        let mut watch = Watch::default();
        let at = |second| Time::ZERO + Span::from_secs(second);
        assert_eq!(watch.due(at(50), open(0, at(0))).len(), 1);
        assert!(watch.due(at(52), open(1, at(48))).is_empty());
        assert!(watch.due(at(52), Vec::new()).is_empty());
        assert_eq!(watch.due(at(53), open(1, at(48))).len(), 1);
    }
}
