//! SIGTERM and Ctrl-C as a future.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use smol::channel::Receiver;

use crate::Failure;

/// Ready at the first SIGTERM or SIGINT. A second one ends the process at
/// once, for a person who does not want to wait.
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
                drop(sender);
                pending.next();
                crate::lines::say("hetsync: stopped at once by a second signal");
                crate::lines::flush();
                std::process::exit(1);
            })?;
        Ok(Self(receiver))
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
