//! In place of [`tls`](super::tls) where the feature is off: no session can
//! be made, so nothing of it is ever run.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::TcpStream;

pub(super) const FIRST_BYTE: u8 = 0x16;

/// What a greeting waits for.
pub(super) enum Step {
    #[expect(dead_code, reason = "nobody greets")]
    Done,
    #[expect(dead_code, reason = "nobody greets")]
    Read,
    #[expect(dead_code, reason = "nobody greets")]
    Write,
}

/// There is none.
#[derive(Debug)]
pub(super) struct Session(Infallible);

impl Session {
    pub(super) fn greet(&mut self, _: &TcpStream) -> io::Result<Step> {
        match self.0 {}
    }

    pub(super) fn has_plaintext(&mut self) -> bool {
        match self.0 {}
    }

    pub(super) fn read(&mut self, _: &TcpStream, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn peek(&mut self, _: &TcpStream) -> io::Result<Option<u8>> {
        match self.0 {}
    }

    pub(super) fn send(&mut self, _: &TcpStream, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0 {}
    }

    pub(super) fn flush(&mut self, _: &TcpStream) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn goodbye(&mut self, _: &TcpStream) {
        match self.0 {}
    }
}
