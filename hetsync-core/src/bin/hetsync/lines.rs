//! Lines to standard error that never hold up whoever has something to say.
//!
//! Rounds are closed on the thread that also logs, so a log that is slow,
//! full or closed must not be felt there: lines go through a bounded queue
//! to a thread that does nothing but write them. Lines that find the queue
//! full are dropped and counted; what cannot be written is given up.
//!
//! Invariants: `say` neither blocks on the writing nor panics; lines that
//! are written keep their order; each gap is marked with its size.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Lines that may wait: seconds of a talkative log, less than a megabyte.
const MOST_LINES: usize = 4096;

/// How long the end of the process waits for lines that are not out yet.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Puts a line on standard error, soon.
pub(crate) fn say(line: impl Into<String>) {
    stderr().say(line.into());
}

/// Waits for the lines that were said, but not for a reader that is stuck.
pub(crate) fn flush() {
    stderr().flush(LAST_WORDS);
}

fn stderr() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| Lines::start(std::io::stderr(), MOST_LINES))
}

struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<String>,
    limit: usize,
    /// Since the last line that was taken.
    dropped: u64,
    is_writing: bool,
}

impl Lines {
    fn start(out: impl Write + Send + 'static, limit: usize) -> Self {
        let shared = Arc::new(Shared::default());
        lock(&shared.state).limit = limit;
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log".into());
        if thread.spawn(move || write_all(&writer, out)).is_err() {
            // No thread, no log: better than no rounds.
            lock(&shared.state).limit = 0;
        }
        Self(shared)
    }

    fn say(&self, mut line: String) {
        line.push('\n');
        let mut state = lock(&self.0.state);
        if state.waiting.len() < state.limit {
            if state.dropped > 0 {
                line.insert_str(0, &gap(state.dropped));
                state.dropped = 0;
            }
            state.waiting.push_back(line);
        } else {
            state.dropped += 1;
        }
        self.0.changed.notify_all();
    }

    fn flush(&self, patience: Duration) {
        let state = lock(&self.0.state);
        let is_busy = |state: &mut State| {
            state.limit > 0 && (state.is_writing || state.dropped > 0 || !state.waiting.is_empty())
        };
        // Whether it is done or out of patience, there is nothing more to do.
        drop(self.0.changed.wait_timeout_while(state, patience, is_busy));
    }
}

fn gap(dropped: u64) -> String {
    format!("hetsync: {dropped} lines dropped: nobody read them in time\n")
}

fn write_all(shared: &Shared, mut out: impl Write) {
    loop {
        let mut state = lock(&shared.state);
        state.is_writing = false;
        let line = loop {
            if let Some(line) = state.waiting.pop_front() {
                break line;
            }
            if state.dropped > 0 {
                break gap(std::mem::take(&mut state.dropped));
            }
            shared.changed.notify_all();
            state = shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        };
        state.is_writing = true;
        drop(state);
        // A log that cannot be written has nobody to be reported to.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// Lines are whole or not there, so poison means nothing.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that takes a line for each permission it is given.
    struct Gate(Receiver<()>, Sender<String>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.1.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_queue_drops_lines_and_says_how_many() {
        let (open, gate) = channel();
        let (tell, told) = channel();
        let lines = Lines::start(Gate(gate, tell), 2);
        for number in 0..10 {
            lines.say(number.to_string());
        }
        // Neither of these waits for the reader.
        lines.flush(Duration::ZERO);
        (0..20).for_each(|_| open.send(()).unwrap());
        lines.flush(Duration::from_secs(20));
        let text: Vec<String> = told.try_iter().collect();
        let written = text.iter().filter(|line| !line.contains("dropped"));
        let kept = written.count();
        assert!((2..=3).contains(&kept), "{text:?}");
        let marks = text.concat();
        let wanted = format!("{} lines dropped", 10 - kept);
        assert!(marks.contains(&wanted), "{text:?}");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_no_failure() {
        let (open, gate) = channel::<()>();
        drop(open);
        let lines = Lines::start(Gate(gate, channel().0), 100);
        for _ in 0..1000 {
            lines.say("unheard".into());
        }
        lines.flush(Duration::from_secs(20));
        assert!(lock(&lines.0.state).waiting.is_empty());
    }
}
