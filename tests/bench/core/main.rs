//! Rounds per second of the server, as ratios to a floor.
//!
//! The floor is the least that any server of protocol 0 can do: an epoll
//! loop that reads four payloads and writes four replies, with no timer, no
//! check and no sum. Absolute figures of a shared machine swing two- to
//! threefold, so each measurement stands between two of the floor, and what
//! is reported is the median of the ratios.
//!
//! Next to that stands the processor time of the server's thread per round,
//! as a ratio of the same kind: other work on the machine, which moves the
//! clock on the wall, hardly touches it.
//!
//! `cargo bench -p hetsync-core --bench core -- [--quick] [--json FILE]`
//!
//! `-- --only NAME FLOATS SECONDS` runs one server by itself, for a profiler.

mod floor;
mod load;
mod original;
mod ours;
mod poll;
mod report;

use std::net::SocketAddr;
use std::time::Duration;

use load::Writes;
use report::{Row, Table};
use rustix::time::{ClockId, clock_gettime};

/// Workers of every server here.
const WORKERS: usize = 4;

/// A server under measurement: its address, and a thread that ends when the
/// last worker has left and yields the processor time that it has used.
struct Running {
    address: SocketAddr,
    thread: std::thread::JoinHandle<Duration>,
}

impl Running {
    /// Runs `serve` on a thread of its own.
    fn new(address: SocketAddr, serve: impl FnOnce() + Send + 'static) -> Self {
        let thread = std::thread::spawn(move || {
            let used = || {
                let used = clock_gettime(ClockId::ThreadCPUTime);
                Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
            };
            let before = used();
            serve();
            used() - before
        });
        Self { address, thread }
    }
}

/// A server that can be started, how its workers write, and the lengths of
/// gradients for which it is worth measuring so.
struct Peer {
    name: &'static str,
    start: fn(usize) -> Running,
    writes: Writes,
    floats: &'static [usize],
}

const SMALL: usize = 10;
const LARGE: usize = 1_000_000;
const HUGE: usize = 25_000_000;

const FLOOR: Peer = Peer {
    name: "floor: bare epoll loop",
    start: |floats| floor::start(floats, false),
    writes: Writes::Whole,
    floats: &[SMALL, LARGE, HUGE],
};

const PEERS: [Peer; 9] = [
    Peer {
        name: "floor that also sums",
        start: |floats| floor::start(floats, true),
        writes: Writes::Whole,
        floats: &[SMALL, LARGE, HUGE],
    },
    Peer {
        name: "hetsync",
        start: |_| ours::start(true),
        writes: Writes::Whole,
        floats: &[SMALL, LARGE, HUGE],
    },
    Peer {
        name: "hetsync, old workers (two writes)",
        start: |_| ours::start(true),
        writes: Writes::Apart,
        floats: &[SMALL, LARGE, HUGE],
    },
    Peer {
        name: "the same without quick acknowledgement",
        start: |_| ours::start(false),
        writes: Writes::Apart,
        floats: &[SMALL],
    },
    // At 25 M floats it would go on for minutes.
    Peer {
        name: "original (two writes)",
        start: |_| original::start(),
        writes: Writes::Apart,
        floats: &[SMALL, LARGE],
    },
    // Its own workers never did, so this is the server by itself.
    Peer {
        name: "original, workers that write once",
        start: |_| original::start(),
        writes: Writes::Whole,
        floats: &[SMALL, LARGE],
    },
    Peer {
        name: "floor, workers at 1 Gbit/s",
        start: |floats| floor::start(floats, false),
        writes: Writes::Paced,
        floats: &[LARGE],
    },
    Peer {
        name: "hetsync, workers at 1 Gbit/s",
        start: |_| ours::start(true),
        writes: Writes::Paced,
        floats: &[LARGE],
    },
    Peer {
        name: "original, workers at 1 Gbit/s",
        start: |_| original::start(),
        writes: Writes::Paced,
        floats: &[LARGE],
    },
];

/// Length of the gradients, seconds per measurement, repeats.
const SIZES: [(usize, f64, usize); 3] = [(SMALL, 0.4, 7), (LARGE, 0.5, 9), (HUGE, 2.5, 3)];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        // `cargo test --benches` runs this too, and it is no test.
        println!("skipped: run it with `cargo bench -p hetsync-core --bench core`");
        return;
    }
    let is_quick = args.iter().any(|arg| arg == "--quick");
    let json = args
        .iter()
        .position(|arg| arg == "--json")
        .map(|at| args.get(at + 1).expect("--json needs a file"));

    if let Some(at) = args.iter().position(|arg| arg == "--only") {
        return one_alone(&args[at + 1..]);
    }
    let mut table = Table::default();
    for (floats, seconds, repeats) in SIZES {
        let (seconds, repeats) = match is_quick {
            true => (seconds / 5.0, 3),
            false => (seconds, repeats),
        };
        measure_size(
            &mut table,
            floats,
            Duration::from_secs_f64(seconds),
            repeats,
        );
    }
    print!("{table}");
    if let Some(path) = json {
        std::fs::write(path, table.json()).expect("cannot write the JSON file");
    }
}

/// One server by itself: name, floats, seconds.
fn one_alone(args: &[String]) {
    let [name, floats, seconds] = args else {
        panic!("--only needs a server's name, a length in floats and seconds");
    };
    let mut all = std::iter::once(&FLOOR).chain(&PEERS);
    let peer = all.find(|peer| peer.name == name).expect("such a server");
    let floats = floats.parse().expect("a number of floats");
    let seconds = seconds.parse().expect("a number of seconds");
    let outcome = once(peer, floats, Duration::from_secs_f64(seconds));
    println!(
        "{name}: {:.1} rounds/s, {:.1} us of the server's thread a round",
        outcome.rounds_per_s, outcome.server_us
    );
}

/// All peers at one length. In each repeat the peers come in another order,
/// and each stands between two measurements of the floor.
fn measure_size(table: &mut Table, floats: usize, time: Duration, repeats: usize) {
    let peers: Vec<&Peer> = PEERS
        .iter()
        .filter(|peer| peer.floats.contains(&floats))
        .collect();
    let mut rows: Vec<Row> = peers
        .iter()
        .map(|peer| Row::new(peer.name, floats))
        .collect();
    let mut floor_row = Row::new(FLOOR.name, floats);
    for repeat in 0..repeats {
        let mut before = once(&FLOOR, floats, time);
        for step in 0..peers.len() {
            let turn = match repeat % 2 {
                0 => (repeat + step) % peers.len(),
                _ => (repeat + peers.len() - step) % peers.len(),
            };
            eprintln!(
                "{floats} floats, repeat {} of {repeats}: {}",
                repeat + 1,
                peers[turn].name
            );
            let peer = once(peers[turn], floats, time);
            let after = once(&FLOOR, floats, time);
            let floor = load::Outcome {
                rounds_per_s: (before.rounds_per_s + after.rounds_per_s) / 2.0,
                p99_ms: (before.p99_ms + after.p99_ms) / 2.0,
                server_us: (before.server_us + after.server_us) / 2.0,
            };
            rows[turn].add(&peer, &floor);
            floor_row.add(&before, &floor);
            before = after;
        }
    }
    table.add(floor_row);
    rows.into_iter().for_each(|row| table.add(row));
}

/// One server, its workers, one measurement.
fn once(peer: &Peer, floats: usize, time: Duration) -> load::Outcome {
    let running = (peer.start)(floats);
    let load = load::run(running.address, floats, peer.writes, time);
    let used = running.thread.join().expect("the server failed");
    load.outcome(used)
}
