//! Makes a failing schedule short: what can be left out is left out.

use super::world::{self, Failure};
use super::{Disturbance, Setup};
use crate::server::Planted;

/// The shortest schedule that was found to fail, and its failure.
pub(super) fn shorten(
    setup: &Setup,
    mut disturbances: Vec<Disturbance>,
    planted: Option<Planted>,
) -> (Vec<Disturbance>, Option<Failure>) {
    let mut failure = world::run(setup, &disturbances, planted).err();
    let mut size = disturbances.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let before = disturbances.len();
        while at < disturbances.len() {
            let mut fewer = disturbances.clone();
            let end = (at + size).min(fewer.len());
            let left_out: u64 = fewer.drain(at..end).map(|d| d.after).sum();
            // The others stay at their times.
            if let Some(next) = fewer.get_mut(at) {
                next.after += left_out;
            }
            match world::run(setup, &fewer, planted) {
                Err(found) => {
                    disturbances = fewer;
                    failure = Some(found);
                }
                Ok(()) => at += size,
            }
        }
        if size == 1 && disturbances.len() == before {
            return (disturbances, failure);
        }
        size = (size / 2).max(1);
    }
}

/// It, in words.
pub(super) fn shortest(setup: &Setup, disturbances: Vec<Disturbance>) -> String {
    let (short, failure) = shorten(setup, disturbances, None);
    let mut text = format!("{setup:?}\n");
    for disturbance in &short {
        text.push_str(&format!("  {disturbance:?}\n"));
    }
    if let Some(failure) = failure {
        let from = failure.trace.len().saturating_sub(60);
        for line in &failure.trace[from..] {
            text.push_str(&format!("    {line}\n"));
        }
        text.push_str(&failure.what);
    }
    text
}
