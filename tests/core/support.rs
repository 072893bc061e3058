//! A server in this process, and plain blocking peers that speak to it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hetsync_core::Payload;
use hetsync_core::net::{Builder, Notice, Server, listen};
use hetsync_core::server::Event;
use hetsync_core::stats::Stats;
use hetsync_core::wire::v0;

/// No test waits longer than this for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a server told, in a form that can be kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Event(Event),
    Disconnected(u64, String),
    TurnedAway,
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    told: Receiver<Told>,
    stop: Option<smol::channel::Sender<()>>,
    running: Option<JoinHandle<Stats>>,
}

impl TestServer {
    pub(crate) fn start(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let (tell, told): (Sender<Told>, _) = channel();
        let builder = configure(Server::builder()).observer(move |_, notice| {
            let told = match notice {
                Notice::Machine { event, .. } => Told::Event(event.clone()),
                Notice::Disconnected { conn, why } => Told::Disconnected(conn.0, why.to_string()),
                Notice::TurnedAway { .. } => Told::TurnedAway,
                _ => return,
            };
            // A test that has seen enough no longer listens.
            let _ = tell.send(told);
        });
        let listener = listen(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = listener.get_ref().local_addr().expect("its address");
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let running = std::thread::spawn(move || {
            let stopped = async move {
                let _ = stopped.recv().await;
            };
            smol::block_on(builder.build().run(listener, stopped)).expect("server failed")
        });
        Self {
            address,
            told,
            stop: Some(stop),
            running: Some(running),
        }
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.address).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        Peer { stream }
    }

    /// A new connection that is on the roster when this returns, so that
    /// numbers follow the order of these calls.
    pub(crate) fn join(&self) -> Peer {
        let peer = self.connect();
        self.wait(|told| matches!(told, Told::Event(Event::Joined { .. })));
        peer
    }

    /// Waits until the server tells what is looked for; the rest is passed.
    pub(crate) fn wait(&self, is_it: impl Fn(&Told) -> bool) -> Told {
        let mut passed = Vec::new();
        loop {
            match self.told.recv_timeout(PATIENCE) {
                Ok(told) if is_it(&told) => return told,
                Ok(told) => passed.push(told),
                Err(_) => panic!("the server never told it, only {passed:#?}"),
            }
        }
    }

    /// Stops the server and returns what it counted.
    pub(crate) fn stop(mut self) -> Stats {
        self.stop.take();
        let running = self.running.take().expect("stopped once");
        running.join().expect("the server panicked")
    }
}

/// A worker with nothing of the library in its way.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
}

impl Peer {
    pub(crate) fn send(&mut self, floats: &[f32]) {
        self.raw(&v0::encode(floats));
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("write");
    }

    pub(crate) fn receive(&mut self) -> Vec<f32> {
        let mut header = [0; v0::HEADER_BYTES];
        self.stream.read_exact(&mut header).expect("a reply");
        let mut bytes = vec![0; u64::from_be_bytes(header) as usize];
        self.stream.read_exact(&mut bytes).expect("a whole reply");
        Payload::from_bytes(bytes).expect("floats").to_floats()
    }

    pub(crate) fn submit(&mut self, floats: &[f32]) -> Vec<f32> {
        self.send(floats);
        self.receive()
    }

    /// Whether the server has ended this connection, without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Whether nothing has come for this peer so far.
    pub(crate) fn has_nothing(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("nonblocking");
        let outcome = self.stream.read(&mut [0]);
        self.stream.set_nonblocking(false).expect("blocking");
        matches!(outcome, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Ends the connection with a reset instead of an orderly close.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))
            .expect("linger");
    }
}

/// Closed rounds, as a filter for [`TestServer::wait`].
pub(crate) fn is_closed_round(told: &Told) -> bool {
    matches!(told, Told::Event(Event::Closed(_)))
}
