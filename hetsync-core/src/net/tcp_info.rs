//! What the kernel knows of a TCP connection (`TCP_INFO`, tcp(7)).
//!
//! The one place of this crate with `unsafe`: no safe binding offers this
//! option. Fields that a kernel is too old for read as zero.

use std::net::TcpStream;
use std::os::fd::AsRawFd;

use crate::time::Span;

/// Bytes of `struct tcp_info` that are looked at (include/uapi/linux/tcp.h).
const BYTES: usize = 192;

/// Of one connection, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TcpInfo {
    /// Segments that were sent again.
    pub(super) retransmits: u32,
    /// Time for there and back, the shortest of the last minutes.
    pub(super) min_rtt: Span,
    /// Since data last came in, in steps of a few milliseconds.
    pub(super) last_received: Span,
    /// Bytes per second, when it was last measured.
    pub(super) delivery_rate: u64,
    /// Time in which there was something to be delivered.
    pub(super) busy: Span,
    /// Of that, the time in which the peer had no room for it.
    pub(super) peer_full: Span,
}

/// Asks the kernel; `None` if it does not say.
pub(super) fn of(stream: &TcpStream) -> Option<TcpInfo> {
    let mut bytes = [0_u8; BYTES];
    let mut length = BYTES as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `stream` is borrowed, and
    // the kernel writes at most `length` bytes into `bytes`, all of whose
    // values are valid.
    #[allow(unsafe_code)]
    let done = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (done == 0).then(|| decode(&bytes))
}

fn decode(bytes: &[u8; BYTES]) -> TcpInfo {
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
    let long = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    let micros = |count: u64| Span::from_nanos(count.saturating_mul(1_000));
    let min_rtt = match word(148) {
        // Not measured yet.
        u32::MAX => Span::ZERO,
        known => micros(known.into()),
    };
    TcpInfo {
        retransmits: word(100),
        min_rtt,
        last_received: Span::from_millis(word(52).into()),
        delivery_rate: long(160),
        busy: micros(long(168)),
        peer_full: micros(long(176)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_kernel_tells_of_a_connection_over_loopback() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        ours.write_all(&[7; 100]).unwrap();
        theirs.read_exact(&mut [0; 100]).unwrap();
        theirs.write_all(&[7]).unwrap();
        ours.read_exact(&mut [0]).unwrap();
        let info = of(&ours).expect("Linux has TCP_INFO");
        assert_eq!(info.retransmits, 0);
        assert!(info.min_rtt > Span::ZERO && info.min_rtt < Span::from_secs(10));
        assert_eq!(info.peer_full, Span::ZERO);
    }
}
