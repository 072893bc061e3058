//! The lines about rounds that have not closed: while one stands open for
//! long, and when the server stops.

use std::fmt::Write as _;

use hetsync_core::Time;
use hetsync_core::net::Notice;
use hetsync_core::server::OpenRound;

use super::{Level, Log};

impl<W: FnMut(&str)> Log<W> {
    /// Tells of an open round.
    pub(super) fn standing(&mut self, now: Time, notice: &Notice) {
        match notice {
            Notice::Waiting { job, open } => {
                let age = now - open.opened;
                let mut text = format!(
                    "round {} has been open for {age}: {}",
                    open.round,
                    self.who_is_in(open)
                );
                let _ = match open.closes {
                    None => write!(text, "; nothing but they can close it"),
                    Some(at) => write!(text, "; looked at again in {} at the latest", at - now),
                };
                self.say_of(now, job, Level::Normal, &text);
            }
            Notice::Stopping { open, .. } if open.is_empty() => {
                self.say(now, Level::Normal, "stopping");
            }
            Notice::Stopping { open, grace } => {
                for (job, open) in open {
                    let text = format!(
                        "stopping: round {} has {grace} to close (--grace): {}",
                        open.round,
                        self.who_is_in(open)
                    );
                    self.say_of(now, job, Level::Normal, &text);
                }
            }
            Notice::Unfinished { job, open } => {
                let text = format!(
                    "round {} abandoned, the grace is over: {}. Its gradients are in no result",
                    open.round,
                    self.who_is_in(open)
                );
                self.say_of(now, job, Level::Normal, &text);
            }
            _ => {}
        }
    }

    fn who_is_in(&self, open: &OpenRound) -> String {
        let who = self.names_and_absent(&open.awaited, open.absent);
        match who.is_empty() {
            true => format!("{} in", open.gradients),
            false => format!("{} in, waits for {who}", open.gradients),
        }
    }
}
