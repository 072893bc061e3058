//! Every script in `probe-scripts/`: what it must have counted after events whose truth is known.

use crate::bench::{Bench, Left, Part};
use hetsync_probe::interp::Firing;
use hetsync_probe::layout::{
    self, EventKind, SIGN, SUMMARY_BITS, SUMMARY_HEADER_WORDS, summary_word,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../probe-scripts");

/// The scripts with a test below.
const TESTED: [&str; 6] = [
    "accept",
    "retransmit",
    "rounds",
    "tcp_bytes",
    "tcp_recvmsg",
    "tcp_sendmsg",
];

#[test]
fn every_shipped_script_has_a_test() {
    let mut shipped: Vec<String> = std::fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".hp").map(String::from))
        .collect();
    shipped.sort();
    assert_eq!(shipped, TESTED);
}

fn bench(name: &str) -> Bench {
    let script = std::fs::read_to_string(format!("{FOLDER}/{name}.hp")).unwrap();
    Bench::new(&script.replace("usdt:hetsync:", &format!("usdt:{MARKED}:")))
}

/// A program with the markers of the server and nothing else.
const MARKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/markers/hetsync");

#[test]
fn rounds_counts_what_was_gathered_answered_and_sent() {
    let mut bench = bench("rounds");
    let server = thread(7, "hetsync-server");
    let mark = |bench: &mut Bench, name: &str, after_ns: u64, args: [u64; 3]| {
        let name = format!("usdt:{MARKED}:hetsync:{name}");
        let mut firing = server.clone();
        firing.args[..3].copy_from_slice(&args);
        bench.fire(&name, after_ns, firing);
    };
    // Another thread's calls are nobody's answers.
    call(&mut bench, "tcp_sendmsg", &thread(8, "other"), 9000, 1);
    for round in 0..3 {
        mark(&mut bench, "round_open", 10_000, [round, 1, 0]);
        // The second one closes without somebody.
        let missing = u64::from(round == 1);
        mark(&mut bench, "round_close", 50_000, [round, 4 - missing, 4]);
        for _ in 0..2 {
            call(&mut bench, "tcp_sendmsg", &server, 3000, 100);
        }
    }
    let left = bench.run();
    let total = |map: &str| -> u64 {
        let words = (0..2).filter_map(|cpu| left.word(map, &[], cpu, 0));
        words.sum()
    };
    assert_eq!((total("rounds"), total("short")), (3, 1));
    // Two calls of 3 us, each a microsecond after what was before.
    assert_eq!(summary(&left, "gather", &[]), (3, 150, 50, 50));
    assert_eq!(summary(&left, "answer", &[]), (2, 16, 8, 8));
    assert_eq!(summary(&left, "send", &[]), (2, 12, 6, 6));
}

fn thread(tid: u32, comm: &str) -> Firing {
    Firing {
        tid,
        cpu: tid % 2,
        ..Firing::default()
    }
    .by(comm)
}

/// A call of `function` that takes `ns` and returns `retval`.
fn call(bench: &mut Bench, function: &str, thread: &Firing, ns: u64, retval: i64) {
    bench.fire(&format!("kprobe:{function}"), 1000, thread.clone());
    let back = Firing {
        retval: retval as u64,
        ..thread.clone()
    };
    bench.fire(&format!("kretprobe:{function}"), ns, back);
}

/// A `summary`'s value at a key, over all CPUs: count, sum, least, most.
fn summary(left: &Left<'_>, map: &str, key: &[Part<'_>]) -> (u64, u64, i64, i64) {
    let word = |cpu, index| left.word(map, key, cpu, index).expect("the key is there");
    let both = |index| (word(0, index), word(1, index));
    let add = |(a, b): (u64, u64)| a + b;
    let most = |(a, b): (u64, u64)| a.max(b);
    (
        add(both(summary_word::N)),
        add(both(summary_word::SUM_LOW)),
        (!most(both(summary_word::MIN)) ^ SIGN) as i64,
        (most(both(summary_word::MAX)) ^ SIGN) as i64,
    )
}

/// How often a `summary` has seen a sample's bucket, over all CPUs.
fn summary_bucket(left: &Left<'_>, map: &str, key: &[Part<'_>], sample: i64) -> u64 {
    let bucket = layout::hist_bucket(sample, SUMMARY_BITS);
    (0..2)
        .filter_map(|cpu| left.word(map, key, cpu, SUMMARY_HEADER_WORDS + bucket / 2))
        .map(|pair| {
            if bucket.is_multiple_of(2) {
                pair & 0xffff_ffff
            } else {
                pair >> 32
            }
        })
        .sum()
}

/// How often a `hist` without keys has seen a sample's bucket, over all CPUs.
fn hist(left: &Left<'_>, map: &str, sample: i64) -> u64 {
    let bucket = layout::hist_bucket(sample, 0);
    (0..2)
        .filter_map(|cpu| left.word(map, &[], cpu, bucket))
        .sum()
}

/// A per-CPU count or the first word of such a value, over all CPUs.
fn total(left: &Left<'_>, map: &str, key: &[Part<'_>], word: usize) -> u64 {
    (0..2)
        .filter_map(|cpu| left.word(map, key, cpu, word))
        .sum()
}

/// The `end` probe clears the start times that have no return.
fn clears(left: &Left<'_>) {
    let last = left.contents.events.last().expect("an event");
    assert_eq!(last[0], EventKind::Clear as u8);
}

#[test]
fn tcp_sendmsg_measures_each_send_of_each_program() {
    let mut bench = bench("tcp_sendmsg");
    let (server, worker) = (thread(10, "hetsync"), thread(11, "hetsync-w"));
    for us in [5, 8, 300] {
        call(&mut bench, "tcp_sendmsg", &server, 1000 * us, 64);
    }
    call(&mut bench, "tcp_sendmsg", &worker, 7999, 64);
    // One send still under way at the end, one return whose entry was missed.
    bench.fire("kprobe:tcp_sendmsg", 1, thread(12, "late"));
    bench.fire("kretprobe:tcp_sendmsg", 1, thread(13, "early"));
    bench.fire("end", 1, Firing::default());
    let left = bench.run();
    let server = [Part::Text("hetsync")];
    assert_eq!(summary(&left, "latency", &server), (3, 313, 5, 300));
    assert_eq!(summary_bucket(&left, "latency", &server, 300), 1);
    let worker = [Part::Text("hetsync-w")];
    assert_eq!(summary(&left, "latency", &worker), (1, 7, 7, 7));
    assert_eq!(left.keys("latency"), 2);
    assert_eq!(
        [4, 8, 300].map(|us| hist(&left, "latency_spread", us)),
        [2, 1, 1]
    );
    assert_eq!(left.keys("start"), 1);
    clears(&left);
}

#[test]
fn tcp_recvmsg_counts_empty_receives_by_the_low_half_of_the_result() {
    let mut bench = bench("tcp_recvmsg");
    let server = thread(10, "hetsync");
    for (us, result) in [(7, 40), (9, 0), (100, -11), (20, 0xffff_fff5)] {
        call(&mut bench, "tcp_recvmsg", &server, 1000 * us, result);
    }
    bench.fire("end", 1, Firing::default());
    let left = bench.run();
    let key = [Part::Text("hetsync")];
    assert_eq!(summary(&left, "latency", &key), (4, 136, 7, 100));
    assert_eq!(total(&left, "empty", &key, 0), 3);
    assert_eq!(
        [7, 9, 20, 100].map(|us| hist(&left, "latency_spread", us)),
        [1, 1, 1, 1]
    );
    assert_eq!(left.keys("start"), 0);
    clears(&left);
}

#[test]
fn accept_separates_failures_from_waits() {
    let mut bench = bench("accept");
    let server = thread(10, "nginx");
    call(
        &mut bench,
        "inet_csk_accept",
        &server,
        83_000_000,
        -0x7000_0000_0000,
    );
    call(
        &mut bench,
        "inet_csk_accept",
        &server,
        1_999_999,
        -0x7000_0000_0000,
    );
    call(&mut bench, "inet_csk_accept", &server, 5, 0);
    bench.fire("end", 1, Firing::default());
    let left = bench.run();
    let key = [Part::Text("nginx")];
    assert_eq!(summary(&left, "wait", &key), (2, 84, 1, 83));
    assert_eq!(total(&left, "failed", &key, 0), 1);
    assert_eq!(left.keys("start"), 0);
    clears(&left);
}

#[test]
fn tcp_bytes_sums_and_spreads_the_sizes_asked_for() {
    let mut bench = bench("tcp_bytes");
    for size in [8u64, 15, 40, 1 << 20] {
        let mut firing = thread(10, "hetsync");
        firing.args[2] = size;
        bench.fire("kprobe:tcp_sendmsg", 1, firing);
    }
    let left = bench.run();
    let key = [Part::Text("hetsync")];
    assert_eq!(
        (
            total(&left, "total", &key, 0),
            total(&left, "total", &key, 1)
        ),
        (4, 63 + (1 << 20))
    );
    let buckets = [8, 40, 1 << 20].map(|size| {
        let bucket = layout::hist_bucket(size, 0);
        total(&left, "size", &key, bucket)
    });
    assert_eq!(buckets, [2, 1, 1]);
}

#[test]
fn retransmit_counts_by_the_program_on_the_cpu() {
    let mut bench = bench("retransmit");
    for comm in ["swapper/1", "hetsync", "swapper/1"] {
        bench.fire("tracepoint:tcp:tcp_retransmit_skb", 1, thread(0, comm));
    }
    let left = bench.run();
    assert_eq!(
        total(&left, "retransmits", &[Part::Text("swapper/1")], 0),
        2
    );
    assert_eq!(total(&left, "retransmits", &[Part::Text("hetsync")], 0), 1);
    assert_eq!(left.keys("retransmits"), 2);
}
