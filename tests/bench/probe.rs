//! What a traced send costs: our profiler, bpftrace, and C with libbpf by hand.
//!
//! Two guests of the same kernel. In the first, with two processors and a real clock, each tool is timed from its start until it
//! is attached, and its memory read. In the second, with one processor whose clock counts instructions, the sends are
//! timed: what is added to them there repeats within about one percent, however busy the machine is.
//!
//! ```text
//! bench-probe [--rounds 5] [--sends 3912] [KERNEL..]
//! ```
//!
//! Every round runs every tool once, in an order that turns by one each round; figures are medians over the
//! rounds. `added` is a send's time under the tool less its time under none. Prints a table and its ratios and
//! writes both to `target/bench/probe-KERNEL.md` and `.json`.
//!
//! Expects the release builds of our programs and the C peer under `target/bench` (`tests/bench.sh` makes them).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use hetsync_guest::{Guest, Kernel, Options, Result};
use serde::Serialize;

/// The longest one tool may take from start to end; bpftrace emulated on a busy machine needs some of it.
const LIMIT: Duration = Duration::from_secs(240);

/// Measures what a traced send costs under our profiler, bpftrace and C.
#[derive(Debug, Parser)]
struct Args {
    /// Repetitions; figures are their medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Sends of one measurement.
    #[arg(long, default_value_t = 3912, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    sends: u32,
    /// Kernels to measure on.
    #[arg(default_values = ["6.1"])]
    kernels: Vec<Kernel>,
}

/// A tool, and the command that traces with it.
struct Tool {
    name: &'static str,
    command: &'static str,
    /// Which tool it is held against, and the most its cost per send may be of that.
    against: &'static [(&'static str, f64)],
}

const BPFTRACE: &str = "bpftrace, kprobes";
const BPFTRACE_FENTRY: &str = "bpftrace, fentry/fexit";
const C: &str = "C, kprobes";
const C_FENTRY: &str = "C, fentry/fexit";
const OURS: &str = "hetsync-probe";
const HIST: &str = "hist alone";
const SUMMARY: &str = "summary alone";
const PRINTF: &str = "printf alone";
const OURS_KPROBE: &str = "hetsync-probe --no-lower";

const TOOLS: &[Tool] = &[
    Tool {
        name: OURS,
        command: "hetsync-probe run /root/latency.hp",
        against: &[(C_FENTRY, 1.1)],
    },
    Tool {
        name: OURS_KPROBE,
        command: "hetsync-probe run --no-lower /root/latency.hp",
        against: &[(BPFTRACE, 0.6), (C, 1.1)],
    },
    Tool {
        name: BPFTRACE,
        command: "bpftrace /root/latency.bt",
        against: &[],
    },
    Tool {
        name: BPFTRACE_FENTRY,
        command: "bpftrace /root/latency-fentry.bt",
        against: &[],
    },
    Tool {
        name: HIST,
        command: "hetsync-probe run -e 'kprobe:tcp_sendmsg { @[comm] = hist(arg2); }'",
        against: &[],
    },
    Tool {
        name: SUMMARY,
        command: "hetsync-probe run -e 'kprobe:tcp_sendmsg { @[comm] = summary(arg2); }'",
        against: &[(HIST, SUMMARY_GOAL)],
    },
    Tool {
        name: PRINTF,
        command: "hetsync-probe run -o /dev/null -e 'kprobe:tcp_sendmsg { printf(\"%d %s\\n\", arg2, comm); }'",
        against: &[],
    },
    Tool {
        name: C,
        command: "latency /root/kprobe.o",
        against: &[],
    },
    Tool {
        name: C_FENTRY,
        command: "latency /root/fentry.o",
        against: &[],
    },
];

/// What the tool before has left to the kernel to tidy up is done by then.
const SETTLE: &str = "sleep 2;";

/// Most of bpftrace's start-up time and memory that ours may take.
const START_GOAL: f64 = 0.1;
const MEMORY_GOAL: f64 = 0.1;
/// The same for what is added to a send: on 5.10, which has fewer ways to be cheap, and on later kernels.
const ADDED_GOALS: (f64, f64) = (0.4, 0.35);
const SUMMARY_GOAL: f64 = 1.3;
/// Most of an event with a forced wake-up that a `printf` may cost.
const PRINTF_GOAL: f64 = 0.5;

/// What an event of its own with a forced wake-up added to a send, in C, when that was measured in the same way.
fn forced_wakeup_ns(kernel: Kernel) -> f64 {
    match kernel {
        Kernel::V5_10 => 9348.0,
        Kernel::V6_1 => 10_540.0,
        _ => 10_492.0,
    }
}

#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Figures {
    start_ms: f64,
    rss_mib: f64,
    exit_ms: f64,
    added_ns: f64,
    instructions: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    for &kernel in &args.kernels {
        if let Err(error) = measure(kernel, &args) {
            eprintln!("bench-probe: {kernel}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(kernel: Kernel, args: &Args) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::new(kernel)
        .program("target/release/hetsync-probe")
        .program("target/release/hetsync-workload")
        .program("target/bench/latency")
        .package("bpftrace")
        .package("bpftool");
    for file in ["latency.hp", "latency.bt", "latency-fentry.bt"] {
        options = options.file(Path::new("tests/bench").join(file), format!("/root/{file}"));
    }
    for file in ["kprobe.o", "fentry.o"] {
        options = options.file(
            Path::new("target/bench").join(file),
            format!("/root/{file}"),
        );
    }
    let starts = rounds(&Guest::boot(&options)?, args, "starts")?;
    options.icount = true;
    let guest = Guest::boot(&options)?;
    let runs = rounds(&guest, args, "sends")?;
    let mut bare = Vec::new();
    for _ in 0..args.rounds {
        bare.push(
            Run::of(
                &guest,
                &format!("{SETTLE} hetsync-workload sends {}", args.sends),
            )?
            .ns_per_send,
        );
    }
    let bare = median(bare);
    let of = |runs: &[Run], pick: fn(&Run) -> f64| median(runs.iter().map(pick).collect());
    let figures: BTreeMap<&str, Figures> = TOOLS
        .iter()
        .map(|&Tool { name, .. }| {
            let (starts, runs) = (&starts[name], &runs[name]);
            (
                name,
                Figures {
                    start_ms: of(starts, |run| run.start_ns) / 1e6,
                    rss_mib: of(starts, |run| run.rss_kib) / 1024.0,
                    exit_ms: of(starts, |run| run.exit_ns) / 1e6,
                    added_ns: of(runs, |run| run.ns_per_send) - bare,
                    instructions: runs[0].bytes / 8,
                },
            )
        })
        .collect();
    guest.shutdown()?;

    let report = format!(
        "Kernel {kernel}, {} sends, medians of {} rounds; a send under no tool takes {bare:.0} ns.\n\n{}\n\n{}\n",
        args.sends,
        args.rounds,
        table(&figures),
        ratios(kernel, &figures)
    );
    println!("{report}");
    std::fs::create_dir_all("target/bench")?;
    std::fs::write(format!("target/bench/probe-{kernel}.md"), &report)?;
    std::fs::write(
        format!("target/bench/probe-{kernel}.json"),
        serde_json::to_string_pretty(&figures)?,
    )?;
    Ok(())
}

/// Every tool once a round, in an order that turns.
fn rounds<'a>(guest: &Guest, args: &Args, what: &str) -> Result<BTreeMap<&'a str, Vec<Run>>> {
    let mut runs: BTreeMap<&str, Vec<Run>> = BTreeMap::new();
    for round in 0..args.rounds as usize {
        for turn in 0..TOOLS.len() {
            let tool = &TOOLS[(round + turn) % TOOLS.len()];
            eprintln!(
                "{what}, round {} of {}: {}",
                round + 1,
                args.rounds,
                tool.name
            );
            let command = format!(
                "{SETTLE} HETSYNC_MEANWHILE='bpftool -j prog show > /tmp/programs.json' \
                 hetsync-workload under {} {} && grep -o '\"bytes_xlated\":[0-9]*' /tmp/programs.json",
                args.sends, tool.command
            );
            runs.entry(tool.name)
                .or_default()
                .push(Run::of(guest, &command)?);
        }
    }
    Ok(runs)
}

/// What one measurement printed.
#[derive(Debug, Default)]
struct Run {
    start_ns: f64,
    rss_kib: f64,
    exit_ns: f64,
    ns_per_send: f64,
    /// Of translated code, all programs that were loaded meanwhile.
    bytes: u64,
}

impl Run {
    fn of(guest: &Guest, command: &str) -> Result<Run> {
        let text = guest.check(command, LIMIT)?;
        let mut run = Run::default();
        for word in text.split_whitespace() {
            if let Some((key, value)) = word.split_once('=') {
                let value: f64 = value.parse().unwrap_or_default();
                match key {
                    "start_ns" => run.start_ns = value,
                    "exit_ns" => run.exit_ns = value,
                    "rss_kib" => run.rss_kib = value,
                    "ns_per_send" => run.ns_per_send = value,
                    _ => {}
                }
            } else if let Some(bytes) = word.strip_prefix("\"bytes_xlated\":") {
                run.bytes += bytes.parse::<u64>().unwrap_or_default();
            }
        }
        Ok(run)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

fn table(figures: &BTreeMap<&str, Figures>) -> Table {
    let mut table = markdown([
        "tool",
        "start to attached, ms",
        "peak memory, MiB",
        "Ctrl-C to end, ms",
        "added per send, ns",
        "instructions",
    ]);
    for tool in TOOLS {
        let figures = figures[tool.name];
        table.add_row([
            tool.name.to_owned(),
            format!("{:.1}", figures.start_ms),
            format!("{:.1}", figures.rss_mib),
            format!("{:.1}", figures.exit_ms),
            format!("{:.0}", figures.added_ns),
            figures.instructions.to_string(),
        ]);
    }
    table
}

fn ratios(kernel: Kernel, figures: &BTreeMap<&str, Figures>) -> Table {
    let mut table = markdown(["ratio", "measured", "goal", ""]);
    let mut row = |what: String, ratio: f64, goal: f64| {
        let verdict = if ratio <= goal { "met" } else { "missed" };
        table.add_row([
            what,
            format!("{ratio:.3}"),
            format!("<= {goal}"),
            verdict.to_owned(),
        ]);
    };
    let (ours, peer) = (figures[OURS], figures[BPFTRACE]);
    row(
        format!("start, {OURS} / {BPFTRACE}"),
        ours.start_ms / peer.start_ms,
        START_GOAL,
    );
    row(
        format!("memory, {OURS} / {BPFTRACE}"),
        ours.rss_mib / peer.rss_mib,
        MEMORY_GOAL,
    );
    row(
        format!("added per send, {OURS} / {BPFTRACE}"),
        ours.added_ns / peer.added_ns,
        match kernel {
            Kernel::V5_10 => ADDED_GOALS.0,
            _ => ADDED_GOALS.1,
        },
    );
    row(
        format!("added per send, {PRINTF} / an event with a forced wake-up"),
        figures[PRINTF].added_ns / forced_wakeup_ns(kernel),
        PRINTF_GOAL,
    );
    for tool in TOOLS {
        for &(peer, goal) in tool.against {
            row(
                format!("added per send, {} / {peer}", tool.name),
                figures[tool.name].added_ns / figures[peer].added_ns,
                goal,
            );
        }
    }
    table
}

/// A table that can be pasted into the book.
fn markdown<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
