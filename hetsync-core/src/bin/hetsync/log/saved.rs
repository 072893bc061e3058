//! Lines about checkpoints.

use hetsync_core::Time;
use hetsync_core::checkpoint::Saved;
use hetsync_core::net::Notice;

use super::{Level, Log};

impl<W: FnMut(&str)> Log<W> {
    /// A notice that is about a checkpoint; others are left alone.
    pub(super) fn checkpoint(&mut self, now: Time, notice: &Notice) {
        match notice {
            Notice::Restored { job, file, next } => {
                let text = format!("goes on with round {next}, from {file}");
                self.say_of(now, job, Level::Normal, &text);
            }
            Notice::CheckpointRefused { job, file, why } => {
                let text = format!("{file} is not used: it {why}");
                self.say_of(now, job, Level::Quiet, &text);
            }
            Notice::Checkpointed {
                job,
                next,
                saved,
                took,
            } => {
                let Saved { name, bytes } = saved;
                let text = format!("saved before round {next} in {name}: {bytes} bytes, {took}");
                self.say_of(now, job, Level::Verbose, &text);
            }
            Notice::CheckpointFailed { job, error } => {
                let text = format!(
                    "cannot be saved: {error}. It goes on, and a restart would lose what came since"
                );
                self.say_of(now, job, Level::Quiet, &text);
            }
            _ => {}
        }
    }
}
