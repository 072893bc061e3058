//! Faults put into the machine on purpose, in its own tests only: the
//! simulated schedules must find each of them. Outside of tests none is
//! ever there, and the questions compile to nothing.

use super::Machine;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Planted {
    /// A late gradient is taken as one of the open round.
    LateAsFresh,
    /// A late gradient is not multiplied by its weight.
    Unweighted,
    /// Whoever is in a round gets its result twice.
    AnswersTwice,
    /// Those who are behind get the result as well.
    AnswersAll,
    /// The gradient of a lost connection stays in the round.
    KeepsTheLost,
    /// Each gradient starts the deadline anew.
    TimerRestarts,
    /// A second gradient for a round is added too.
    AddsDuplicates,
    /// A mean divides by the number of gradients, be they weighted or not.
    WrongDivisor,
    /// Late gradients go into every round from then on.
    KeepsTheCarried,
    /// Gradients are added from the last connection to the first.
    WrongOrder,
    /// A round is not looked at again when somebody leaves.
    IgnoresDepartures,
    /// Two rounds have the same number.
    NumberTwice,
    /// NaN is let through.
    TakesNan,
    /// A late gradient is not answered.
    LeavesLateWaiting,
    /// Buffers are kept for ever.
    Hoards,
}

impl Machine {
    #[cfg(test)]
    pub(crate) fn plant(&mut self, fault: Planted) {
        self.planted = Some(fault);
    }

    #[cfg(test)]
    pub(super) fn errs(&self, fault: Planted) -> bool {
        self.planted == Some(fault)
    }

    #[cfg(not(test))]
    pub(super) const fn errs(&self, _: Planted) -> bool {
        false
    }

    /// Buffers that are held and in nobody's use.
    #[cfg(test)]
    pub(crate) fn buffers_held(&self) -> usize {
        self.spare_buffers.len() + self.retired.len() + self.round.carried.len()
    }
}
