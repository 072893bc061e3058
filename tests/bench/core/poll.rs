//! What the two epoll servers share: accepting the workers, waiting.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::{Running, WORKERS};

/// Starts `serve` with the workers' connections on a thread of its own.
pub(crate) fn start(serve: impl FnOnce(Vec<TcpStream>) + Send + 'static) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    Running::new(address, move || {
        let accept = |_| listener.accept().expect("a worker").0;
        serve((0..WORKERS).map(accept).collect());
    })
}

pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    /// Watches all streams for bytes to read, under their index.
    pub(crate) fn new(streams: &[TcpStream]) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
        for (index, stream) in streams.iter().enumerate() {
            stream.set_nonblocking(true).expect("nonblocking");
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, stream, data, epoll::EventFlags::IN).expect("watch");
        }
        let events = Vec::with_capacity(WORKERS);
        Self { epoll, events }
    }

    /// Watches one stream for room to write besides, or no longer.
    pub(crate) fn watch_room(&self, stream: &TcpStream, index: usize, wanted: bool) {
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, wanted);
        let data = epoll::EventData::new_u64(index as u64);
        epoll::modify(&self.epoll, stream, data, flags).expect("watch");
    }

    /// The streams that are ready; none if the time is up.
    pub(crate) fn wait(&mut self, timeout_s: Option<i64>) -> Vec<usize> {
        let timeout = timeout_s.map(|tv_sec| Timespec { tv_sec, tv_nsec: 0 });
        self.events.clear();
        let room = spare_capacity(&mut self.events);
        epoll::wait(&self.epoll, room, timeout.as_ref()).expect("wait");
        self.events
            .iter()
            .map(|event| event.data.u64() as usize)
            .collect()
    }
}
