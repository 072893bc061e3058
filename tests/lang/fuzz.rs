//! Damaged scripts from a seed: parsing, checking and formatting them neither panics nor takes long.
//!
//! By default a fixed number of cases runs, about a second's worth. `make fuzz SECONDS=1800 SEED=1` (which is
//! `HETSYNC_FUZZ_SECONDS=1800 HETSYNC_FUZZ_SEED=1 cargo test --release -p hetsync-probe --test lang fuzz`) goes on for that long. What breaks is kept in
//! `tests/data/crashes` and tried again by every later run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hetsync_probe::{sema, source::Source, syntax};

use super::kernel::Small;
use super::{files, options, top};

/// Cases of a run without a time.
const CASES: u64 = 3000;
/// No single script may take longer, in a run that is timed; without the optimiser all is slower.
const LONGEST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
/// What the process may take at most, in a run that is timed.
const MEMORY_KIB: u64 = 256 << 10;

fn parse(text: &str) {
    syntax::dump(&syntax::parse(text).0);
}

fn check(text: &str) {
    let (script, mistakes) = syntax::parse(text);
    if mistakes.is_empty() {
        let _ = sema::check(&script, &options(&Small { listed: true }));
    }
}

fn format(text: &str) {
    if let Ok(once) = syntax::format(text) {
        assert_eq!(syntax::format(&once).as_ref(), Ok(&once));
        let trees = [text, &once].map(|text| syntax::dump(&syntax::parse(text).0));
        assert_eq!(trees[0], trees[1]);
    }
}

/// All targets, on any bytes.
fn exercise(bytes: &[u8]) {
    if let Ok(source) = Source::from_bytes("fuzz.hp", bytes) {
        parse(source.text());
        check(source.text());
        format(source.text());
    }
}

/// A small generator of numbers (xorshift), so that a seed always gives the same cases.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Pieces of the language to put in.
const WORDS: [&str; 64] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    "/",
    "//",
    "/*",
    "*/",
    "\"",
    "'",
    "\\",
    "#",
    "\n#if ",
    "\n#endif\n",
    "\n#define A(x) x x\n",
    "\n#else\n",
    "A(",
    "$x",
    "@x",
    "@",
    "$",
    "$1",
    "$#",
    ".",
    "->",
    ".0",
    "..",
    "?",
    ":",
    "?:",
    "=",
    "+=",
    "==",
    "*",
    "&",
    "&&",
    "-",
    "--",
    "++",
    "!",
    "~",
    "1e9",
    "0xff",
    "5ms",
    "struct s ",
    "(struct s *)",
    "typeof(",
    "sizeof(",
    "let ",
    "if ",
    " else ",
    "for ",
    "while ",
    "unroll ",
    "macro m(",
    "config = {",
    "comptime ",
    " in ",
    "\r\n",
    "\u{e9}",
];

/// A script of the corpus, damaged a few times.
fn damaged(numbers: &mut Numbers, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[numbers.below(corpus.len())].clone();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + numbers.below(24)).min(bytes.len());
        match numbers.below(8) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let copy = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            2 => {
                let other = &corpus[numbers.below(corpus.len())];
                let from = numbers.below(other.len() + 1);
                let to = (from + numbers.below(60)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            3 => {
                // The same piece many times: depth, length, big numbers.
                let piece = WORDS[numbers.below(WORDS.len())];
                let many = piece.repeat(1 + numbers.below(300));
                bytes.splice(at..at, many.into_bytes());
            }
            4 if at < bytes.len() => bytes[at] = numbers.below(256) as u8,
            _ => {
                let piece = WORDS[numbers.below(WORDS.len())].bytes();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes.truncate(20_000);
    bytes
}

fn corpus() -> Vec<Vec<u8>> {
    let folders = ["tests/data/valid", "tests/data/invalid", "probe-scripts"];
    let mut corpus: Vec<Vec<u8>> = folders
        .iter()
        .flat_map(|folder| files(folder, "hp"))
        .map(|(_, path)| std::fs::read(path).unwrap())
        .filter(|bytes| bytes.len() < 8000)
        .collect();
    let table = std::fs::read_to_string(top().join("tests/data/peer-verdicts.tsv")).unwrap();
    let scripts = table.lines().filter_map(|line| line.splitn(5, '\t').nth(4));
    corpus.extend(scripts.map(|script| script.replace('⏎', "\n").into_bytes()));
    corpus
}

/// Most memory this process has had so far.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// In a run that is timed: a script that does not end is kept, and ends the run.
fn watch(current: &Arc<Mutex<(Instant, Vec<u8>)>>) {
    let current = Arc::clone(current);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(LONGEST);
            let Ok(held) = current.lock() else { return };
            if held.0.elapsed() > 20 * LONGEST {
                let _ = catch_unwind(|| keep(&held.1, "no end"));
                std::process::exit(1);
            }
        }
    });
}

/// Keeps what broke, and says where.
fn keep(bytes: &[u8], why: &str) -> ! {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let folder = top().join("tests/data/crashes");
    let path = folder.join(format!("{hash:016x}.hp"));
    let kept = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, bytes));
    panic!("{why}; the script is in {}: {kept:?}", path.display());
}

#[test]
fn damaged_scripts_break_nothing() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds: Option<u64> = variable("HETSYNC_FUZZ_SECONDS");
    let mut numbers = Numbers(variable("HETSYNC_FUZZ_SEED").unwrap_or(1) | 1 << 40);
    let corpus = corpus();
    let start = Instant::now();
    let current = Arc::new(Mutex::new((start, Vec::new())));
    if seconds.is_some() {
        watch(&current);
    }
    let mut cases = 0;
    loop {
        let goes_on = match seconds {
            None => cases < CASES,
            Some(seconds) => start.elapsed() < Duration::from_secs(seconds),
        };
        if !goes_on {
            break;
        }
        let bytes = damaged(&mut numbers, &corpus);
        let before = Instant::now();
        if seconds.is_some() {
            *current.lock().unwrap() = (before, bytes.clone());
        }
        if catch_unwind(AssertUnwindSafe(|| exercise(&bytes))).is_err() {
            keep(&bytes, "a panic");
        }
        if seconds.is_some() && before.elapsed() > LONGEST {
            keep(&bytes, "more than a second");
        }
        cases += 1;
    }
    if seconds.is_some() {
        println!("{cases} scripts, {} KiB at most", peak_kib());
        assert!(peak_kib() < MEMORY_KIB, "{} KiB", peak_kib());
    }
}

#[test]
fn what_broke_once_breaks_no_more() {
    for (stem, path) in files("tests/data/crashes", "hp") {
        let bytes = std::fs::read(path).unwrap();
        let broken = catch_unwind(|| exercise(&bytes)).is_err();
        assert!(!broken, "{stem}");
    }
}
