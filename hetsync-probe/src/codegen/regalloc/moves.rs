//! Moves that happen all at once, in an order that does it one by one.

use super::{Loc, Source, Step};

/// Orders parallel moves: every source is read before any target is written. `temp` is a place that holds nothing now and
/// is no source or target; `passing` is a register for copies between spill slots, with a slot to save it in if it is in use.
pub(super) fn sequence(
    moves: &[(Loc, Source)],
    mut temp: impl FnMut() -> Loc,
    mut passing: impl FnMut() -> (u8, Option<Loc>),
) -> Vec<Step> {
    let mut pending: Vec<(Loc, Source)> = moves
        .iter()
        .copied()
        .filter(|(to, from)| *from != Source::Loc(*to))
        .collect();
    let mut steps = Vec::new();
    let mut emit = |to: Loc, from: Source| {
        let (Loc::Spill(_), Source::Loc(Loc::Spill(_))) = (to, from) else {
            steps.push(Step::Move { to, from });
            return;
        };
        let (register, saved) = passing();
        let register = Loc::Reg(register);
        let step = |to, from| Step::Move {
            to,
            from: Source::Loc(from),
        };
        if let Some(saved) = saved {
            steps.push(step(saved, register));
        }
        steps.push(Step::Move { to: register, from });
        steps.push(step(to, register));
        if let Some(saved) = saved {
            steps.push(step(register, saved));
        }
    };
    while !pending.is_empty() {
        let ready = pending.iter().position(|(to, _)| {
            let from = Source::Loc(*to);
            !pending.iter().any(|(_, other)| *other == from)
        });
        match ready {
            Some(i) => {
                let (to, from) = pending.remove(i);
                emit(to, from);
            }
            None => {
                // Only cycles are left: taking one value aside opens this one.
                let aside = temp();
                emit(aside, pending[0].1);
                pending[0].1 = Source::Loc(aside);
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::SlotId;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn loc(n: u32) -> Loc {
        if n < 6 {
            Loc::Reg(n as u8)
        } else {
            Loc::Spill(SlotId(n))
        }
    }

    proptest! {
        #[test]
        fn any_moves_end_as_if_made_at_once(sources in proptest::collection::vec(0u32..14, 0..10)) {
            // Target i gets source sources[i]; places 0..6 are registers, 6..10 slots, above that constants.
            let moves: Vec<(Loc, Source)> = sources.iter().enumerate().map(|(i, &s)| {
                let from = if s < 10 { Source::Loc(loc(s)) } else { Source::Imm(i64::from(s)) };
                (loc(i as u32), from)
            }).collect();
            let before: BTreeMap<Loc, i64> = (0..10).map(|i| (loc(i), i64::from(i))).collect();
            let mut temps = 100;
            let steps = sequence(
                &moves,
                || { temps += 1; Loc::Spill(SlotId(temps)) },
                || (0, Some(Loc::Spill(SlotId(99)))),
            );
            let mut state = before.clone();
            for step in steps {
                let Step::Move { to, from } = step else { unreachable!() };
                prop_assert!(!matches!((to, from), (Loc::Spill(_), Source::Loc(Loc::Spill(_)))));
                let value = match from {
                    Source::Imm(n) => n,
                    Source::Loc(loc) => state[&loc],
                };
                state.insert(to, value);
            }
            for i in 0..10u32 {
                let expected = match sources.get(i as usize) {
                    Some(&s) => i64::from(s),
                    None => i64::from(i),
                };
                prop_assert_eq!(state[&loc(i)], expected);
            }
        }
    }
}
