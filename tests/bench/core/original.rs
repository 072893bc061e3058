//! The behaviour of the original server, written anew from its description,
//! which says of it:
//! - it watches its sockets with epoll from one thread, and its timer of two
//!   seconds runs only while nothing happens;
//! - each read of a payload sets aside and zeroes all that is still missing;
//! - it adds a gradient to the sum when it is whole, one after another,
//!   answers every connected socket with the sum, and zeroes the sum;
//! - header and payload of a reply are two writes, without `TCP_NODELAY`.
//!
//! Where the description is silent, this takes what costs least: buffers of
//! the system's default sizes; a loop that the compiler makes vectors of; a
//! sum that is sent from where it lies.
//!
//! One thing is better than there: a reply that the socket does not take at
//! once is waited for instead of lost, as no round would end otherwise.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use hetsync_core::wire::v0::HEADER_BYTES;

use crate::poll::{self, Poll};
use crate::{Running, WORKERS};

pub(crate) fn start() -> Running {
    poll::start(serve)
}

#[derive(Default)]
struct Gradient {
    header: Vec<u8>,
    payload: Vec<u8>,
}

fn serve(mut streams: Vec<TcpStream>) {
    let mut poll = Poll::new(&streams);
    let mut gradients: Vec<Gradient> = streams.iter().map(|_| Gradient::default()).collect();
    // Floats as they lie in memory, which are sent as they are.
    let mut sum: Vec<[u8; 4]> = Vec::new();
    let mut arrived = 0;
    loop {
        let ready = poll.wait(Some(2));
        let is_idle = ready.is_empty();
        for index in ready {
            match read(&mut streams[index], &mut gradients[index]) {
                Some(true) => {
                    let payload = std::mem::take(&mut gradients[index]).payload;
                    sum.resize(payload.len() / 4, [0; 4]);
                    for (sum, word) in sum.iter_mut().zip(payload.as_chunks::<4>().0) {
                        let added = f32::from_le_bytes(*sum) + f32::from_le_bytes(*word);
                        *sum = added.to_le_bytes();
                    }
                    arrived += 1;
                }
                Some(false) => {}
                None => return,
            }
        }
        if arrived >= WORKERS || (is_idle && arrived > 0) {
            let bytes = sum.as_flattened();
            for stream in &mut streams {
                stream.set_nonblocking(false).expect("blocking");
                let header = (bytes.len() as u64).to_be_bytes();
                let sent = stream.write_all(&header);
                if sent.and_then(|()| stream.write_all(bytes)).is_err() {
                    return;
                }
                stream.set_nonblocking(true).expect("nonblocking");
            }
            sum.fill([0; 4]);
            arrived = 0;
        }
    }
}

/// One read. Whether the gradient is whole; `None` if the worker has left.
fn read(stream: &mut TcpStream, gradient: &mut Gradient) -> Option<bool> {
    let is_header = gradient.header.len() < HEADER_BYTES;
    let missing = match is_header {
        true => HEADER_BYTES - gradient.header.len(),
        false => announced(gradient) - gradient.payload.len(),
    };
    // Not `vec![0; missing]`, which takes pages that the system has zeroed
    // where it can; the original writes its zeroes.
    let mut part = Vec::with_capacity(missing);
    part.resize(missing, std::hint::black_box(0));
    match stream.read(&mut part) {
        Ok(0) => return None,
        Ok(count) if is_header => gradient.header.extend_from_slice(&part[..count]),
        Ok(count) => gradient.payload.extend_from_slice(&part[..count]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(_) => return None,
    }
    let is_headed = gradient.header.len() == HEADER_BYTES;
    Some(is_headed && gradient.payload.len() == announced(gradient))
}

fn announced(gradient: &Gradient) -> usize {
    let header = gradient.header.first_chunk().expect("a whole header");
    u64::from_be_bytes(*header) as usize
}
