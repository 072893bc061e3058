//! The frames that pass between the host and the agent in the guest.
//!
//! One virtio-serial port carries everything, in both directions: a frame is
//! `kind: u8, id: u32, length: u32` (big-endian) and `length` bytes. The `id`
//! names the command or the file it belongs to, so several can be under way
//! at once. Nothing here knows of processes or of QEMU.
//!
//! This file is compiled into the library and, by the build script, into the
//! static agent: it must use nothing but the standard library.

use std::io::{self, Read, Write};

/// The port's name; the agent finds the device by it.
pub(crate) const PORT_NAME: &str = "org.hetsync.guest.0";

/// The longest body of one frame in bytes; longer data is cut into several.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// To the guest: run this text with `/bin/sh -c`.
    Run = 1,
    /// To the guest: send this signal (one byte) to the command's process group.
    Signal = 2,
    /// To the guest: create a file; mode as `u32`, then the path.
    Put = 3,
    /// To the guest: the next bytes of that file.
    PutData = 4,
    /// To the guest: the file is complete.
    PutEnd = 5,
    /// To the guest: send the file at this path.
    Get = 6,
    /// To the guest: power off.
    Shutdown = 7,
    /// To the host: user space is up; seconds since boot as text.
    Ready = 16,
    /// To the host: bytes of the command's standard output.
    Stdout = 17,
    /// To the host: bytes of the command's standard error.
    Stderr = 18,
    /// To the host: the command ended; its status as `i32`, 128 + n after signal n.
    Exit = 19,
    /// To the host: the file was written, or sent to its end.
    Done = 20,
    /// To the host: the next bytes of the file asked for.
    Data = 21,
    /// To the host: it could not be done; the reason as text.
    Failed = 22,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        use Kind::*;
        let all = [
            Run, Signal, Put, PutData, PutEnd, Get, Shutdown, Ready, Stdout, Stderr, Exit, Done,
            Data, Failed,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame as read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) id: u32,
    pub(crate) body: Vec<u8>,
}

/// Writes one frame; the body must not be longer than [`MAX_BODY`].
pub(crate) fn write_frame(
    port: &mut impl Write,
    kind: Kind,
    id: u32,
    body: &[u8],
) -> io::Result<()> {
    assert!(body.len() <= MAX_BODY, "the caller cuts long data");
    // One buffer and one write: a frame then costs one exit to the host.
    let mut frame = Vec::with_capacity(9 + body.len());
    frame.push(kind as u8);
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(body);
    port.write_all(&frame)
}

/// Reads one frame; `None` at a clean end of the stream.
pub(crate) fn read_frame(port: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut kind = [0; 1];
    if port.read(&mut kind)? == 0 {
        return Ok(None);
    }
    let mut head = [0; 8];
    port.read_exact(&mut head)?;
    let id = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
    let Some(kind) = Kind::from_byte(kind[0]) else {
        return Err(io::Error::other(format!("unknown frame kind {}", kind[0])));
    };
    if length > MAX_BODY {
        return Err(io::Error::other(format!(
            "a frame of {length} bytes; the limit is {MAX_BODY}"
        )));
    }
    let mut body = vec![0; length];
    port.read_exact(&mut body)?;
    Ok(Some(Frame { kind, id, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were_written() {
        let mut bytes = Vec::new();
        let all: Vec<u8> = (0..=255).collect();
        write_frame(&mut bytes, Kind::Run, 7, b"echo hello").unwrap();
        write_frame(&mut bytes, Kind::Stdout, u32::MAX, &all).unwrap();
        write_frame(&mut bytes, Kind::Shutdown, 0, b"").unwrap();
        let mut port = bytes.as_slice();
        let first = read_frame(&mut port).unwrap().unwrap();
        assert_eq!((first.kind, first.id), (Kind::Run, 7));
        assert_eq!(first.body, b"echo hello");
        let second = read_frame(&mut port).unwrap().unwrap();
        assert_eq!((second.kind, second.id), (Kind::Stdout, u32::MAX));
        assert_eq!(second.body, all);
        assert_eq!(read_frame(&mut port).unwrap().unwrap().kind, Kind::Shutdown);
        assert_eq!(read_frame(&mut port).unwrap(), None);
    }

    #[test]
    fn a_long_or_unknown_or_cut_frame_is_refused() {
        let long = [1, 0, 0, 0, 1, 0, 1, 0, 1];
        assert!(read_frame(&mut long.as_slice()).is_err());
        let unknown = [99, 0, 0, 0, 1, 0, 0, 0, 0];
        assert!(read_frame(&mut unknown.as_slice()).is_err());
        let cut = [1, 0, 0, 0, 1, 0, 0, 0, 4, b'a'];
        assert!(read_frame(&mut cut.as_slice()).is_err());
    }
}
