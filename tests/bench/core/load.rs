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
    /// No faster than a network of 1 Gbit/s for each worker would bring it:
    /// 64 KiB at a time on a fixed schedule, with `TCP_NODELAY`.
    Paced,
}

/// Bytes that come at once from a worker that is paced, and how long a
/// network of 1 Gbit/s takes for them.
const PACE: (usize, Duration) = (65_536, Duration::from_nanos(524_288));

pub(crate) struct Outcome {
    pub(crate) rounds_per_s: f64,
    /// The round that 99 of 100 stay below.
    pub(crate) p99_ms: f64,
    /// Processor time of the server's thread per round.
    pub(crate) server_us: f64,
}

/// What one of the workers saw.
pub(crate) struct Load {
    /// How long each round took, ascending, those of the warm-up left out.
    rounds: Vec<Duration>,
    /// All of them, with the warm-up.
    served: usize,
}

impl Load {
    /// The figures, given the processor time of the server's thread.
    pub(crate) fn outcome(self, used: Duration) -> Outcome {
        let rounds = self.rounds;
        let seconds = rounds.iter().sum::<Duration>().as_secs_f64();
        let p99 = rounds[(rounds.len() * 99 / 100).min(rounds.len() - 1)];
        Outcome {
            rounds_per_s: rounds.len() as f64 / seconds,
            p99_ms: p99.as_secs_f64() * 1e3,
            server_us: used.as_secs_f64() * 1e6 / self.served as f64,
        }
    }
}

struct Worker {
    stream: TcpStream,
    writes: Writes,
    scratch: Vec<u8>,
}

/// Rounds for about `time`, at least three, with all the workers.
pub(crate) fn run(address: SocketAddr, floats: usize, writes: Writes, time: Duration) -> Load {
    // Rounds before the stop watch starts; one of the long ones is enough.
    let warm_up = if floats > 1_000_000 { 1 } else { 3 };
    let frame = v0::encode(&vec![1.0; floats]);
    // The server keeps the workers in lockstep, so none is more than one
    // round away from the first, which names the last round ahead of time.
    let last = AtomicUsize::new(usize::MAX);
    let connect = |_| {
        let stream = TcpStream::connect(address).expect("the server is there");
        let nodelay = writes != Writes::Apart;
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
    let served = rounds.len() + warm_up;
    rounds.sort_unstable();
    Load { rounds, served }
}

impl Worker {
    fn round(&mut self, frame: &[u8]) {
        self.send(frame);
        self.receive(frame.len());
    }

    fn send(&mut self, frame: &[u8]) {
        let written = match self.writes {
            Writes::Whole => self.stream.write_all(frame),
            Writes::Apart => {
                let (header, payload) = frame.split_at(v0::HEADER_BYTES);
                let header = self.stream.write_all(header);
                header.and_then(|()| self.stream.write_all(payload))
            }
            Writes::Paced => {
                let (header, payload) = frame.split_at(v0::HEADER_BYTES);
                let begun = Instant::now();
                let mut written = self.stream.write_all(header);
                for (part, number) in payload.chunks(PACE.0).zip(1..) {
                    let due = begun + PACE.1 * number;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    written = written.and_then(|()| self.stream.write_all(part));
                }
                written
            }
        };
        written.expect("the server reads");
    }

    fn receive(&mut self, mut missing: usize) {
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
