//! What systemd and a service speak of: sockets that it has opened, that the
//! server is ready, stops, and is alive. Nothing of it where no systemd asks.
//!
//! Invariant: the sign of life is sent from the server's own thread, and
//! only while its state can be read, so one that is stuck sends none.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use hetsync_core::net::{Handle, Notice};
use hetsync_core::stats::Stats;
use smol::{Async, Timer};

use crate::Failure;

/// A socket that connections come to.
pub(crate) type Listener = Async<TcpListener>;

/// Sockets that were opened for this process: for workers, and for metrics.
pub(crate) fn listeners() -> Result<(Option<Listener>, Option<Listener>), Failure> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut take = |index: usize| -> Result<Option<Listener>, Failure> {
        if index >= passed.len() {
            return Ok(None);
        }
        let listener = passed.take_tcp_listener(index);
        let wrong = |error| format!("socket {index} that was passed by LISTEN_FDS: {error}");
        Ok(listener.map_err(wrong)?.map(Async::new).transpose()?)
    };
    Ok((take(0)?, take(1)?))
}

/// Tells what concerns the service.
pub(crate) fn notice(notice: &Notice) {
    match notice {
        Notice::Listening { .. } => tell("READY=1"),
        Notice::Stopping { .. } => tell("STOPPING=1"),
        _ => {}
    }
}

/// Says again and again that the server is alive, if that is asked for. Never
/// ends.
pub(crate) async fn keep_alive(handle: Handle) -> io::Result<Stats> {
    let period = std::env::var("WATCHDOG_USEC")
        .ok()
        .and_then(|usec| usec.parse().ok());
    let Some(period) = period.filter(|usec| *usec > 0).map(Duration::from_micros) else {
        return smol::future::pending().await;
    };
    loop {
        // A server that does not run yet has nothing to be stuck in.
        handle.snapshot();
        tell("WATCHDOG=1");
        Timer::after(period / 3).await;
    }
}

/// A service that cannot be heard goes on.
fn tell(word: &str) {
    if let Some(name) = std::env::var_os("NOTIFY_SOCKET") {
        let _ = send(&name, word);
    }
}

fn send(name: &OsString, word: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    socket.set_nonblocking(true)?;
    socket.send_to_addr(word.as_bytes(), &address).map(drop)
}
