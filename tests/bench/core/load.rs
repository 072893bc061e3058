//! The workers: a thread for each, as they are apart in real life.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hetsync_core::wire::v0;

use crate::WORKERS;

/// How a worker sends a frame.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Writes {
    /// Header and payload in one write, with `TCP_NODELAY`.
    Whole,
    /// Header and payload in two writes without it, as old workers do.
    Apart,
}

pub(crate) struct Outcome {
    pub(crate) rounds_per_s: f64,
    /// The round that 99 of 100 stay below.
    pub(crate) p99_ms: f64,
}

struct Worker {
    stream: TcpStream,
    writes: Writes,
    scratch: Vec<u8>,
}

/// Rounds for about `time`, at least three, with all the workers.
pub(crate) fn run(address: SocketAddr, floats: usize, writes: Writes, time: Duration) -> Outcome {
    // Rounds before the stop watch starts; one of the long ones is enough.
    let warm_up = if floats > 1_000_000 { 1 } else { 3 };
    let frame = v0::encode(&vec![1.0; floats]);
    // The server keeps the workers in lockstep, so none is more than one
    // round away from the first, which names the last round ahead of time.
    let last = AtomicUsize::new(usize::MAX);
    let connect = |_| {
        let stream = TcpStream::connect(address).expect("the server is there");
        let nodelay = writes == Writes::Whole;
        stream.set_nodelay(nodelay).expect("nodelay");
        Worker {
            stream,
            writes,
            scratch: vec![0; frame.len().min(1 << 20)],
        }
    };
    let mut workers: Vec<Worker> = (0..WORKERS).map(connect).collect();
    let mut first = workers.pop().expect("there are four");
    let mut rounds = Vec::new();
    let mut started = Instant::now();
    std::thread::scope(|scope| {
        for mut worker in workers {
            let (frame, last) = (&frame, &last);
            scope.spawn(move || {
                (0..)
                    .take_while(|round| *round <= last.load(Ordering::Acquire))
                    .for_each(|_| worker.round(frame));
            });
        }
        for round in 0.. {
            if round == warm_up {
                started = Instant::now();
            }
            if round > last.load(Ordering::Relaxed) {
                break;
            }
            let begun = Instant::now();
            first.round(&frame);
            if round >= warm_up {
                rounds.push(begun.elapsed());
                let is_enough = started.elapsed() >= time && rounds.len() >= 2;
                if is_enough && last.load(Ordering::Relaxed) == usize::MAX {
                    last.store(round + 2, Ordering::Release);
                }
            }
        }
    });
    let seconds = rounds.iter().sum::<Duration>().as_secs_f64();
    rounds.sort_unstable();
    let p99 = rounds[(rounds.len() * 99 / 100).min(rounds.len() - 1)];
    Outcome {
        rounds_per_s: rounds.len() as f64 / seconds,
        p99_ms: p99.as_secs_f64() * 1e3,
    }
}

impl Worker {
    fn round(&mut self, frame: &[u8]) {
        let written = match self.writes {
            Writes::Whole => self.stream.write_all(frame),
            Writes::Apart => {
                let (header, payload) = frame.split_at(v0::HEADER_BYTES);
                let header = self.stream.write_all(header);
                header.and_then(|()| self.stream.write_all(payload))
            }
        };
        written.expect("the server reads");
        let mut missing = frame.len();
        while missing > 0 {
            let part = missing.min(self.scratch.len());
            let count = self
                .stream
                .read(&mut self.scratch[..part])
                .expect("a reply");
            assert!(count > 0, "the server hung up");
            missing -= count;
        }
    }
}
