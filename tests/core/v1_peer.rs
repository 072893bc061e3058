//! A worker of protocol 1 with nothing of the library's client in its way.

use std::io::{Read, Write};

use hetsync_core::wire::v1::message::{
    CatchUp, Heartbeat, Hello, Join, Leave, Push, Result as ResultMessage, Tensor, Welcome,
};
use hetsync_core::wire::v1::{self, Decoder, ErrorCode, Item, Limits, Message};

use crate::support::{Peer, TestServer};

const LIMITS: Limits = Limits {
    message_bytes: 1 << 20,
    tensor_bytes: 1 << 24,
};

pub(crate) struct NewPeer {
    pub(crate) peer: Peer,
    decoder: Decoder,
    items: std::collections::VecDeque<Item>,
}

impl NewPeer {
    /// Connected, and nothing said.
    pub(crate) fn connect(server: &TestServer) -> Self {
        Self {
            peer: server.connect(),
            decoder: Decoder::new(LIMITS),
            items: std::collections::VecDeque::new(),
        }
    }

    /// Has joined the default job from its beginning.
    pub(crate) fn join(server: &TestServer, name: &str) -> Self {
        Self::rejoin(server, name, None, 0).0
    }

    pub(crate) fn rejoin(
        server: &TestServer,
        name: &str,
        next: Option<u64>,
        epoch: u64,
    ) -> (Self, Welcome, CatchUp) {
        Self::join_job(server, "", name, next, epoch)
    }

    pub(crate) fn join_job(
        server: &TestServer,
        job: &str,
        name: &str,
        next: Option<u64>,
        epoch: u64,
    ) -> (Self, Welcome, CatchUp) {
        let mut peer = Self::connect(server);
        peer.say(&hello(job, name, b""));
        let Message::Welcome(welcome) = peer.hear() else {
            panic!("no welcome");
        };
        peer.say(&Message::Join(Join { next, epoch }));
        let catch_up = peer.caught_up();
        (peer, welcome, catch_up)
    }

    pub(crate) fn say(&mut self, message: &Message) {
        self.peer.raw(&v1::encode(message));
    }

    pub(crate) fn push(&mut self, round: u64, floats: &[f32]) {
        self.peer.raw(&push(round, Vec::new(), floats));
    }

    /// The next thing that comes; tensors are asked for apart.
    fn item(&mut self) -> Option<Item> {
        let mut bytes = [0; 4096];
        while self.items.is_empty() {
            let count = self.peer.stream.read(&mut bytes).expect("a frame");
            if count == 0 {
                assert!(self.decoder.at_start(), "closed within a frame");
                return None;
            }
            let items = self.decoder.push(&bytes[..count]).expect("a good frame");
            self.items.extend(items);
        }
        self.items.pop_front()
    }

    pub(crate) fn hear(&mut self) -> Message {
        match self.item() {
            Some(Item::Head(head)) => head.message,
            other => panic!("{other:?} instead of a frame"),
        }
    }

    pub(crate) fn caught_up(&mut self) -> CatchUp {
        match self.hear() {
            Message::CatchUp(catch_up) => catch_up,
            other => panic!("{other:?} instead of a catch-up"),
        }
    }

    pub(crate) fn result(&mut self) -> (ResultMessage, Vec<f32>) {
        match (self.hear(), self.item()) {
            (Message::Result(result), Some(Item::Tensors(payload))) => {
                (result, payload.to_floats())
            }
            other => panic!("{other:?} instead of a result"),
        }
    }

    pub(crate) fn beat(&mut self, nonce: u64) -> u64 {
        self.say(&Message::Heartbeat(Heartbeat { nonce, round: 0 }));
        match self.hear() {
            Message::Heartbeat(beat) if beat.nonce == nonce => beat.round,
            other => panic!("{other:?} instead of a heartbeat"),
        }
    }

    /// What the server says last, and that it closes the connection then.
    pub(crate) fn farewell(&mut self) -> (ErrorCode, String) {
        let Message::Error(error) = self.hear() else {
            panic!("no error");
        };
        assert!(self.item().is_none(), "an error is the last frame");
        (error.code(), error.text)
    }

    pub(crate) fn leave(mut self) {
        self.say(&Message::Leave(Leave {}));
        assert!(self.item().is_none(), "a leave is answered by a close");
    }

    /// Ends as a process that is killed does.
    pub(crate) fn reset(self) {
        self.peer.reset();
    }

    /// Sends these bytes, and no error if nobody wants them.
    pub(crate) fn try_raw(&mut self, bytes: &[u8]) {
        let _ = self.peer.stream.write_all(bytes);
    }
}

pub(crate) fn hello(job: &str, worker: &str, token: &[u8]) -> Message {
    Message::Hello(Hello {
        job: job.into(),
        worker: worker.into(),
        token: token.to_vec(),
        heartbeat_ms: 0,
    })
}

pub(crate) fn push(round: u64, tensors: Vec<Tensor>, floats: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = floats
        .iter()
        .flat_map(|float| float.to_le_bytes())
        .collect();
    v1::encode_with_tensors(
        &Message::Push(Push {
            round,
            tensors,
            weight: 0.0,
        }),
        &bytes,
    )
}
