//! A word to who waits: something is said when a call takes long.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Calls `act`; if it is not done after `limit`, calls `say` once, meanwhile, on another thread.
pub(super) fn during<T>(limit: Duration, say: impl FnOnce() + Send, act: impl FnOnce() -> T) -> T {
    let (done, waits) = channel::<()>();
    std::thread::scope(|scope| {
        // Without a thread there is nothing to say, and no reason not to act.
        let _ = std::thread::Builder::new().spawn_scoped(scope, move || {
            if waits.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                say();
            }
        });
        let result = act();
        drop(done);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_takes_long_is_told_of() {
        let (told, hears) = channel();
        let say = move || told.send(()).expect("someone listens");
        // Acting ends only once something was said.
        during(Duration::ZERO, say, || hears.recv().expect("it was said"));
        let (told, hears) = channel();
        let say = move || told.send(()).expect("someone listens");
        assert_eq!(during(Duration::MAX, say, || 7), 7);
        assert!(hears.try_recv().is_err());
    }
}
