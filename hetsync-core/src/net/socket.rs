//! Socket options and the two calls that std does not offer in the form
//! needed. All through rustix, so there is no `unsafe` here.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use async_io::Async;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{SendAncillaryBuffer, SendFlags, sockopt};

/// Connections that may wait to be accepted. std asks for 128; when a whole
/// cluster starts at once, every connection past that waits a second for
/// its SYN to be sent again.
const BACKLOG: i32 = 4096;

/// Binds a listener for [`Server::run`](super::Server::run).
///
/// # Errors
/// Whatever the system says: address in use, not permitted, and so on.
pub fn listen(address: SocketAddr) -> io::Result<Async<TcpListener>> {
    let listener = Async::<TcpListener>::bind(address)?;
    // Listening again on the same socket only sets its backlog.
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Options of a connection that was just accepted or opened.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A peer that lost power sends no FIN. It is found out within about a
    // minute, while the idle limit may be far longer than that.
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

/// Acknowledges what has been received now instead of in 40 ms.
///
/// A client that writes header and payload apart, without `TCP_NODELAY`,
/// is held back by its own kernel (Nagle) until the header is acknowledged.
/// The option does not last (tcp(7)), so it is set again for each such read.
pub(super) fn acknowledge_now(stream: &TcpStream) {
    // It is a hint: where it cannot be set, the peer is slow as before.
    let _ = sockopt::set_tcp_quickack(stream, true);
}

/// How far a peer has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Open,
    /// It sends no more, and may still read.
    HalfClosed,
    Lost,
}

/// Whether the peer has ended its side, even behind bytes not yet read.
pub(super) fn end_of(stream: &TcpStream) -> End {
    let mut asked = [PollFd::new(stream, PollFlags::RDHUP)];
    // Without an answer the connection is taken to be as it was.
    let _ = rustix::event::poll(&mut asked, Some(&Timespec::default()));
    let seen = asked[0].revents();
    if seen.intersects(PollFlags::ERR | PollFlags::HUP) {
        End::Lost
    } else if seen.contains(PollFlags::RDHUP) {
        End::HalfClosed
    } else {
        End::Open
    }
}

/// Sends from several slices in one call, without ever raising SIGPIPE:
/// std's vectored write would, in a host program that has not ignored it.
pub(super) fn send(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut control = SendAncillaryBuffer::default();
    let sent = rustix::net::sendmsg(stream, slices, &mut control, SendFlags::NOSIGNAL)?;
    Ok(sent)
}
