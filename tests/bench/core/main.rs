//! Rounds per second of the server, as ratios to a floor.
//!
//! The floor is the least that any server of protocol 0 can do: an epoll
//! loop that reads four payloads and writes four replies, with no timer, no
//! check and no sum. Absolute figures of a shared machine swing two- to
//! threefold, so each measurement stands between two of the floor, and what
//! is reported is the median of the ratios.
//!
//! `cargo bench -p hetsync-core --bench core -- [--quick] [--json FILE]`

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

/// Workers of every server here.
const WORKERS: usize = 4;

/// A server under measurement: its address, and a thread that ends when the
/// last worker has left.
struct Running {
    address: SocketAddr,
    thread: std::thread::JoinHandle<()>,
}

/// A server that can be started, and how its workers write.
struct Peer {
    name: &'static str,
    start: fn(usize) -> Running,
    writes: Writes,
    /// Longest gradient for which it ends within reason.
    max_floats: usize,
}

const FLOOR: Peer = Peer {
    name: "floor: bare epoll loop",
    start: |floats| floor::start(floats, false),
    writes: Writes::Whole,
    max_floats: usize::MAX,
};

const PEERS: [Peer; 4] = [
    Peer {
        name: "floor that also sums",
        start: |floats| floor::start(floats, true),
        writes: Writes::Whole,
        max_floats: usize::MAX,
    },
    Peer {
        name: "hetsync",
        start: ours::start,
        writes: Writes::Whole,
        max_floats: usize::MAX,
    },
    Peer {
        name: "hetsync, old workers (two writes)",
        start: ours::start,
        writes: Writes::Apart,
        max_floats: usize::MAX,
    },
    Peer {
        name: "original (two writes)",
        start: original::start,
        writes: Writes::Apart,
        max_floats: 1_000_000,
    },
];

/// Length of the gradients, seconds per measurement, repeats.
const SIZES: [(usize, f64, usize); 3] = [(10, 0.5, 5), (1_000_000, 1.0, 5), (25_000_000, 3.0, 5)];

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
    for peer in PEERS.iter().filter(|peer| peer.max_floats < usize::MAX) {
        let (name, most) = (peer.name, peer.max_floats);
        println!(
            "\n{name} is not measured above {most} floats: it zeroes all that is missing at each read."
        );
    }
    if let Some(path) = json {
        std::fs::write(path, table.json()).expect("cannot write the JSON file");
    }
}

/// All peers at one length. In each repeat the peers come in another order,
/// and each stands between two measurements of the floor.
fn measure_size(table: &mut Table, floats: usize, time: Duration, repeats: usize) {
    let peers: Vec<&Peer> = PEERS
        .iter()
        .filter(|peer| floats <= peer.max_floats)
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
            let floor_rate = (before.rounds_per_s + after.rounds_per_s) / 2.0;
            let floor_p99 = (before.p99_ms + after.p99_ms) / 2.0;
            rows[turn].add(&peer, floor_rate, floor_p99);
            floor_row.add(&before, floor_rate, floor_p99);
            before = after;
        }
    }
    table.add(floor_row);
    rows.into_iter().for_each(|row| table.add(row));
}

/// One server, its workers, one measurement.
fn once(peer: &Peer, floats: usize, time: Duration) -> load::Outcome {
    let running = (peer.start)(floats);
    let outcome = load::run(running.address, floats, peer.writes, time);
    running.thread.join().expect("the server failed");
    outcome
}
