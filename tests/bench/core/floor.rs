//! The floor: reads four frames, writes four, and nothing else; or adds
//! them up as well, in the order of the workers.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use hetsync_core::wire::v0::HEADER_BYTES;

use crate::poll::{self, Poll};
use crate::{Running, WORKERS};

pub(crate) fn start(floats: usize, sums: bool) -> Running {
    poll::start(move |streams| serve(streams, HEADER_BYTES + 4 * floats, sums))
}

struct Worker {
    stream: TcpStream,
    frame: Vec<u8>,
    filled: usize,
    written: usize,
}

fn serve(streams: Vec<TcpStream>, frame_bytes: usize, sums: bool) {
    let mut poll = Poll::new(&streams);
    let mut workers: Vec<Worker> = streams
        .into_iter()
        .map(|stream| {
            stream.set_nodelay(true).expect("nodelay");
            Worker {
                stream,
                frame: vec![0; frame_bytes],
                filled: 0,
                written: frame_bytes,
            }
        })
        .collect();
    let mut sum = vec![0; frame_bytes];
    loop {
        let mut leaving = false;
        for index in poll.wait(None) {
            let worker = &mut workers[index];
            if worker.written < frame_bytes {
                let reply = if sums { &sum } else { &worker.frame };
                if write(&mut worker.stream, reply, &mut worker.written) {
                    poll.watch_room(&worker.stream, index, false);
                }
                continue;
            }
            match worker.stream.read(&mut worker.frame[worker.filled..]) {
                Ok(0) => leaving = true,
                Ok(count) => worker.filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("a worker failed: {error}"),
            }
        }
        // Whoever is done first must not cost the others their last reply.
        if leaving && workers.iter().all(|worker| worker.written == frame_bytes) {
            return;
        }
        if workers.iter().all(|worker| worker.filled == frame_bytes) {
            if sums {
                add(&workers, &mut sum);
            }
            for (index, worker) in workers.iter_mut().enumerate() {
                worker.filled = 0;
                worker.written = 0;
                let reply = if sums { &sum } else { &worker.frame };
                if !write(&mut worker.stream, reply, &mut worker.written) {
                    poll.watch_room(&worker.stream, index, true);
                }
            }
        }
    }
}

/// Writes what the socket takes; true once all is written.
fn write(stream: &mut TcpStream, reply: &[u8], written: &mut usize) -> bool {
    while *written < reply.len() {
        match stream.write(&reply[*written..]) {
            Ok(count) => *written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => panic!("a worker failed: {error}"),
        }
    }
    true
}

fn add(workers: &[Worker], sum: &mut [u8]) {
    let (header, body) = sum.split_at_mut(HEADER_BYTES);
    header.copy_from_slice(&workers[0].frame[..HEADER_BYTES]);
    let part = |index: usize| workers[index].frame[HEADER_BYTES..].as_chunks::<4>().0;
    let [a, b, c, d]: [&[[u8; 4]]; WORKERS] = std::array::from_fn(part);
    let out = body.as_chunks_mut::<4>().0;
    let n = out.len();
    let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
    let float = |words: &[[u8; 4]], at: usize| f32::from_le_bytes(words[at]);
    for (at, out) in out.iter_mut().enumerate() {
        *out = (float(a, at) + float(b, at) + float(c, at) + float(d, at)).to_le_bytes();
    }
}
