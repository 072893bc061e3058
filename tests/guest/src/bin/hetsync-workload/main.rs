//! Traffic whose truth is known in advance, for tests and benchmarks of the profiler.
//!
//! Every mode prints what it did as `key=value` words on one line when it is done. Traffic stays on loopback.
//!
//! ```text
//! hetsync-workload sends N [SIZE|cycle|spread]   N calls of send(2) from a thread named `sender`
//! hetsync-workload accepts N              N threads blocked in accept(2) at once, then released
//! hetsync-workload sleeps N MS            N sleeps of MS milliseconds from a thread named `sleeper`
//! hetsync-workload flows                  TCP connections of every kind, see `flows.rs`; changes the network
//! hetsync-workload marks N [wait]         passes each marker of `marks.rs` N times; once it is sent a line
//! hetsync-workload under N COMMAND..      N sends while COMMAND traces them: what it costs
//! ```
//!
//! `under` starts COMMAND, waits until it says that it is attached (see `is_attached`), sends, runs
//! `$HETSYNC_MEANWHILE` if that is set, and ends COMMAND with SIGINT.

mod flows;
mod marks;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: hetsync-workload sends N [SIZE|cycle|spread] | accepts N | sleeps N MS | flows | marks N [wait] | under N COMMAND..";
const MOST_THREADS: usize = 512;
/// The largest send: what a socket's buffers surely hold.
const MOST_BYTES: usize = 16 << 10;
/// Send sizes of `cycle`, one after the other: known bytes, several powers of two.
const CYCLE: [usize; 8] = [1, 7, 64, 100, 512, 1000, 1448, 4000];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["sends", n] => sends(n, "64"),
        ["sends", n, size] => sends(n, size),
        ["accepts", n] => accepts(n),
        ["sleeps", n, ms] => sleeps(n, ms),
        ["flows"] => flows::flows(),
        ["marks", n] => marks::marks(n),
        ["marks", n, "wait"] => (std::io::stdin().read_line(&mut String::new()))
            .map_err(Into::into)
            .and_then(|_| marks::marks(n)),
        ["under", n, program, arguments @ ..] => under(n, program, arguments),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hetsync-workload: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// `n` sizes spread evenly over the powers of two up to [`MOST_BYTES`], the same ones every time.
fn spread(n: usize) -> Vec<usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let bits = u64::from(MOST_BYTES.ilog2());
    let size = |_| {
        let below = 1 << (1 + next() % bits);
        1 + (next() % below) as usize
    };
    (0..n).map(size).collect()
}

/// `n` calls of send(2) on one connection. The same thread reads what it sent, which loopback has delivered by then, so no
/// scheduling is part of a send's time.
fn sends(n: &str, size: &str) -> Outcome {
    let n: usize = n.parse()?;
    let sizes: Vec<usize> = match size {
        "cycle" => CYCLE.to_vec(),
        "spread" => spread(n),
        _ => vec![size.parse()?],
    };
    let most = sizes.iter().copied().max().unwrap_or(0);
    if most > MOST_BYTES {
        return Err(format!("at most {MOST_BYTES} bytes a send").into());
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    stream.set_nodelay(true)?;
    let (mut peer, _) = listener.accept()?;
    let (from, to) = (stream.local_addr()?.port(), peer.local_addr()?.port());
    let sender = thread::Builder::new()
        .name("sender".into())
        .spawn(move || -> Outcome {
            let payload = vec![7u8; most];
            let mut sink = vec![0u8; most];
            let begun = Instant::now();
            let mut bytes = 0u64;
            for i in 0..n {
                let size = sizes[i % sizes.len()];
                // One write is one send: a short write would change the count, so it is an error here.
                let written = stream.write(&payload[..size])?;
                if written != size {
                    return Err(format!("send {i}: {written} of {size} bytes").into());
                }
                peer.read_exact(&mut sink[..size])?;
                bytes += size as u64;
            }
            let ns = begun.elapsed().as_nanos();
            println!(
                "sends={n} bytes={bytes} ns={ns} ns_per_send={} from={from} to={to}",
                ns / n.max(1) as u128
            );
            Ok(())
        })?;
    sender.join().map_err(|_| "the sender panicked")?
}

/// `n` threads that all sit in accept(2) before the first connection comes.
fn accepts(n: &str) -> Outcome {
    let n: usize = n.parse()?;
    if n > MOST_THREADS {
        return Err(format!("at most {MOST_THREADS} threads").into());
    }
    let listener = Arc::new(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    let address = listener.local_addr()?;
    let threads: Vec<_> = (0..n)
        .map(|_| {
            let listener = Arc::clone(&listener);
            thread::Builder::new()
                .name("acceptor".into())
                .spawn(move || listener.accept().map(drop))
        })
        .collect::<Result<_, _>>()?;
    let all_blocked = (0..1000).any(|_| {
        let blocked = blocked_in_accept();
        if blocked < n {
            thread::sleep(Duration::from_millis(20));
        }
        blocked == n
    });
    if !all_blocked {
        return Err(format!("only {} of {n} threads reached accept", blocked_in_accept()).into());
    }
    let connections: Vec<_> = (0..n)
        .map(|_| TcpStream::connect(address))
        .collect::<Result<_, _>>()?;
    for thread in threads {
        thread.join().map_err(|_| "an acceptor panicked")??;
    }
    drop(connections);
    println!("accepts={n}");
    Ok(())
}

/// How many threads of this process sleep in accept(2), by the number of the system call they are in. (Their wait
/// channel would say it too, but 5.10 shows none.)
fn blocked_in_accept() -> usize {
    // accept and accept4 on x86-64; on aarch64 (202 and 242) and others the numbers differ.
    let numbers: &[&str] = if cfg!(target_arch = "x86_64") {
        &["43", "288"]
    } else {
        &["202", "242"]
    };
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return 0;
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("syscall")).ok())
        .filter(|syscall| {
            syscall
                .split(' ')
                .next()
                .is_some_and(|number| numbers.contains(&number))
        })
        .count()
}

fn sleeps(n: &str, ms: &str) -> Outcome {
    let (n, ms): (usize, u64) = (n.parse()?, ms.parse()?);
    let sleeper = thread::Builder::new()
        .name("sleeper".into())
        .spawn(move || {
            for _ in 0..n {
                thread::sleep(Duration::from_millis(ms));
            }
        })?;
    sleeper.join().map_err(|_| "the sleeper panicked")?;
    println!("sleeps={n} ms={ms}");
    Ok(())
}

/// Sends under a tracing program, with the figures of both on one line: `start_ns` from its start until it says it
/// is attached, `rss_kib` its peak resident memory, `exit_ns` from starting `kill` with SIGINT to its end.
fn under(n: &str, program: &str, arguments: &[&str]) -> Outcome {
    let begun = Instant::now();
    let mut tracer = Command::new(program)
        .args(arguments)
        .env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1")
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let stdout = tracer.stdout.take().ok_or("no pipe")?;
    let mut lines = BufReader::new(stdout).lines();
    let attached = lines
        .by_ref()
        .any(|line| line.is_ok_and(|line| is_attached(&line)));
    let start_ns = begun.elapsed().as_nanos();
    if !attached {
        let status = tracer.wait()?;
        return Err(format!("{program} ended with {status} before it was attached").into());
    }
    // Whatever else it prints must not fill the pipe.
    let rest = thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    let outcome = sends(n, "64");
    if let Some(command) = std::env::var_os("HETSYNC_MEANWHILE") {
        Command::new("sh").arg("-c").arg(command).status()?;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", tracer.id()))?;
    let rss_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next())
        .unwrap_or("0")
        .to_owned();
    let told = Instant::now();
    Command::new("kill")
        .arg("-INT")
        .arg(tracer.id().to_string())
        .status()?;
    let ended = tracer.wait()?;
    let exit_ns = told.elapsed().as_nanos();
    rest.join().map_err(|_| "the reader panicked")?;
    println!("start_ns={start_ns} rss_kib={rss_kib} exit_ns={exit_ns}");
    if !ended.success() {
        return Err(format!("{program} ended with {ended}").into());
    }
    outcome
}

/// bpftrace and hetsync-probe name the variable that asks for the line; our C program says how long it took.
fn is_attached(line: &str) -> bool {
    line.contains("PROBES_ATTACHED") || line.starts_with("attached ns=")
}
