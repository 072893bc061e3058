//! SIGTERM and Ctrl-C as a future.

use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use smol::channel::Receiver;

use crate::Failure;

/// Signals this soon after the first are of the same request: a process
/// manager that stops a group may send several, and to parents and children.
const SAME_REQUEST: Duration = Duration::from_millis(200);

/// Ready at the first SIGTERM or SIGINT. One that comes later ends the process
/// at once, for a person who does not want to wait.
pub(crate) struct Stop(Receiver<()>);

impl Stop {
    /// Takes over the two signals.
    pub(crate) fn install() -> Result<Self, Failure> {
        let mut signals = Signals::new([SIGTERM, SIGINT])
            .map_err(|error| format!("cannot watch for signals: {error}"))?;
        let (sender, receiver) = smol::channel::bounded(1);
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let mut pending = signals.forever();
                pending.next();
                let first = Instant::now();
                drop(sender);
                while first.elapsed() < SAME_REQUEST {
                    pending.next();
                }
                crate::lines::say("hetsync: stopped at once by a second signal");
                crate::lines::flush();
                std::process::exit(1);
            })?;
        Ok(Self(receiver))
    }

    /// Whether it has come.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits for it. May be called any number of times.
    pub(crate) async fn requested(&self) {
        // Nothing is ever sent: the channel closing is the signal.
        let _ = self.0.recv().await;
    }
}

impl Clone for Stop {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
