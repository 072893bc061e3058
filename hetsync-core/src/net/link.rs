//! A connection as a stream of bytes: a socket, with TLS on it or without.
//!
//! Without TLS each call is the system call that it stands for, behind one
//! test of a pointer. What is said of waiting holds for both: a call that
//! would block says so, and the socket's readiness wakes whoever waits.
//!
//! Invariants: bytes that TLS has decrypted and nobody has read count as
//! readable. What TLS has encrypted and the socket has not taken is little
//! (its buffer is capped) and goes out before anything else.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_io::Async;

use super::socket;
use super::tls::{Session, Step};

#[derive(Debug)]
pub(super) struct Link {
    stream: Async<TcpStream>,
    tls: Option<Box<Mutex<Session>>>,
}

impl Link {
    pub(super) fn new(stream: Async<TcpStream>, tls: Option<Session>) -> Self {
        let tls = tls.map(|session| Box::new(Mutex::new(session)));
        Self { stream, tls }
    }

    /// For options, and for what the kernel knows of the connection.
    pub(super) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    fn tls(&self) -> Option<MutexGuard<'_, Session>> {
        let session = self.tls.as_ref()?;
        Some(session.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Agrees on keys with the peer, if there is TLS.
    pub(super) async fn greet(&self) -> io::Result<()> {
        loop {
            let step = match self.tls() {
                None => return Ok(()),
                Some(mut session) => session.greet(self.socket())?,
            };
            match step {
                Step::Done => return Ok(()),
                Step::Read => self.stream.readable().await?,
                Step::Write => self.stream.writable().await?,
            }
        }
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_ready = self
            .tls()
            .is_some_and(|mut session| session.has_plaintext());
        match is_ready {
            true => Poll::Ready(Ok(())),
            false => self.stream.poll_readable(cx),
        }
    }

    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_writable(cx)
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.tls() {
            None => self.socket().read(buffer),
            Some(mut session) => session.read(self.socket(), buffer),
        }
    }

    pub(super) fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if self.is_tls() {
            let first = buffers.iter_mut().find(|buffer| !buffer.is_empty());
            return first.map_or(Ok(0), |buffer| self.read(buffer));
        }
        self.socket().read_vectored(buffers)
    }

    /// The next byte, which stays where it is; `None` at the end.
    pub(super) fn peek(&self) -> io::Result<Option<u8>> {
        match self.tls() {
            None => self.peek_socket(),
            Some(mut session) => session.peek(self.socket()),
        }
    }

    fn peek_socket(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let count = self.socket().peek(&mut first)?;
        Ok((count > 0).then_some(first[0]))
    }

    /// The same, of what lies under TLS, once there is something.
    pub(super) async fn first_of_socket(&self) -> io::Result<Option<u8>> {
        self.stream.read_with(|_| self.peek_socket()).await
    }

    /// The next byte, once there is one.
    pub(super) async fn first(&self) -> io::Result<Option<u8>> {
        self.stream.read_with(|_| self.peek()).await
    }

    /// Reads once there is something.
    pub(super) async fn read_some(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read_with(|_| self.read(buffer)).await
    }

    /// The same into two buffers, one after the other.
    pub(super) async fn read_both(&self, a: &mut [u8], b: &mut [u8]) -> io::Result<usize> {
        let read = |_: &TcpStream| {
            self.read_vectored(&mut [IoSliceMut::new(&mut *a), IoSliceMut::new(&mut *b)])
        };
        let mut read = read;
        self.stream.read_with(|stream| read(stream)).await
    }

    pub(super) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.tls() {
            None => socket::send(self.socket(), slices),
            Some(mut session) => session.send(self.socket(), slices),
        }
    }

    /// Gives the socket what TLS still holds of what was sent.
    pub(super) fn flush(&self) -> io::Result<()> {
        match self.tls() {
            None => Ok(()),
            Some(mut session) => session.flush(self.socket()),
        }
    }

    /// Sends head and body as one.
    pub(super) async fn send_all(&self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < head.len() + body.len() {
            let rest_of_head = &head[written.min(head.len())..];
            let rest_of_body = &body[written.saturating_sub(head.len())..];
            let slices = [IoSlice::new(rest_of_head), IoSlice::new(rest_of_body)];
            written += self.stream.write_with(|_| self.send(&slices)).await?;
        }
        if self.is_tls() {
            self.stream.write_with(|_| self.flush()).await?;
        }
        Ok(())
    }

    /// Tells a peer that does not speak TLS why it is turned away, and reads
    /// what it still sends: bytes that nobody reads are answered with a
    /// reset, which would take the words away again.
    pub(super) async fn turn_away(&self, words: &[u8]) -> io::Result<()> {
        socket::send(self.socket(), &[IoSlice::new(words)])?;
        self.socket().shutdown(Shutdown::Write)?;
        let mut scratch = [0; 4096];
        while self.stream.read_with(|mut s| s.read(&mut scratch)).await? > 0 {}
        Ok(())
    }

    /// Nothing more will be sent.
    pub(super) fn finish(&self) -> io::Result<()> {
        if let Some(mut session) = self.tls() {
            session.goodbye(self.socket());
        }
        self.socket().shutdown(Shutdown::Write)
    }
}
