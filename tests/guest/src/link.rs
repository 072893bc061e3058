//! Our end of the agent's port: sends requests and hands each answer to
//! whoever waits for it.
//!
//! Two threads serve it, one per direction, and end when the port closes. No
//! call here blocks longer than its deadline, whatever the guest does.

use std::{
    collections::HashMap,
    io::{BufReader, Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::Instant,
};

use crate::wire::{Frame, Kind, MAX_BODY, read_frame, write_frame};

/// Who waits for which answers; `None` when the port has closed.
type Waiting = Arc<Mutex<Option<HashMap<u32, Sender<Frame>>>>>;

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// The deadline passed.
    Late,
    /// The port closed: the guest is gone.
    Closed,
}

pub(crate) struct Link {
    outgoing: Sender<(Kind, u32, Vec<u8>)>,
    waiting: Waiting,
    next_id: AtomicU32,
}

impl Link {
    /// Serves a port until it closes. The agent's first word, when it is
    /// ready, comes in the conversation that is returned.
    pub(crate) fn new(
        input: impl Read + Send + 'static,
        mut output: impl Write + Send + 'static,
    ) -> (Self, Conversation) {
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (outgoing, requests) = mpsc::channel::<(Kind, u32, Vec<u8>)>();
        thread::spawn(move || {
            for (kind, id, body) in requests {
                if write_frame(&mut output, kind, id, &body)
                    .and_then(|()| output.flush())
                    .is_err()
                {
                    return;
                }
            }
        });
        let link = Link {
            outgoing,
            waiting: waiting.clone(),
            next_id: AtomicU32::new(0),
        };
        // The first id is 0, which the agent's first word has; and its place
        // must be there before anything is read.
        let ready = link.open();
        let routes = waiting;
        thread::spawn(move || {
            let mut input = BufReader::with_capacity(MAX_BODY + 16, input);
            while let Ok(Some(frame)) = read_frame(&mut input) {
                let routes = routes.lock().expect("no holder panics");
                if let Some(waiter) = routes.as_ref().and_then(|routes| routes.get(&frame.id)) {
                    // Whoever asked may have stopped listening.
                    let _ = waiter.send(frame);
                }
            }
            // Dropping the senders wakes every waiter.
            *routes.lock().expect("no holder panics") = None;
        });
        (link, ready)
    }

    /// A new conversation.
    pub(crate) fn open(&self) -> Conversation {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = mpsc::channel();
        if let Some(routes) = self.waiting.lock().expect("no holder panics").as_mut() {
            routes.insert(id, sender);
        }
        Conversation {
            id,
            outgoing: self.outgoing.clone(),
            waiting: self.waiting.clone(),
            answers,
        }
    }
}

/// The frames about one command or one file.
pub(crate) struct Conversation {
    id: u32,
    outgoing: Sender<(Kind, u32, Vec<u8>)>,
    waiting: Waiting,
    answers: Receiver<Frame>,
}

impl Conversation {
    /// Sends a request; if the port has closed, the answer says so.
    pub(crate) fn send(&self, kind: Kind, body: Vec<u8>) {
        let _ = self.outgoing.send((kind, self.id, body));
    }

    /// The next answer.
    pub(crate) fn receive(&self, deadline: Instant) -> Result<Frame, Silence> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.answers
            .recv_timeout(left)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => Silence::Late,
                RecvTimeoutError::Disconnected => Silence::Closed,
            })
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if let Ok(mut waiting) = self.waiting.lock()
            && let Some(routes) = waiting.as_mut()
        {
            routes.remove(&self.id);
        }
    }
}
