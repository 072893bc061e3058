//! bpftrace's own network tools, unmodified, run by our program and by real bpftrace at the same time over the same
//! traffic in one guest; and a script of our own over more kinds of probes.
//!
//! The tools are those of Debian's package, fetched for the guest and never copied here. One boot takes a minute or two,
//! nearly all of it bpftrace's compiler under emulation, so by default one pair is tested; `HETSYNC_PEERS` names others, as
//! `HETSYNC_PEERS="6.1/bookworm 6.12/sid 5.10/trixie"`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hetsync_guest::{Guest, Kernel, Options, Suite};

use crate::data;

/// The tools that network people use; `traffic` is ours.
const TOOLS: [&str; 8] = [
    "tcpaccept",
    "tcpconnect",
    "tcpdrop",
    "tcplife",
    "tcpretrans",
    "tcpsynbl",
    "undump",
    "traffic",
];
const DEFAULT: &str = "6.12/trixie";
const LIMIT: Duration = Duration::from_secs(400);

/// Both programs on every tool, the traffic once all probes are attached, then SIGINT.
const RUN: &str = r#"
mkdir -p out ours
ln -sf "$(command -v hetsync-probe)" ours/bpftrace
export __BPFTRACE_NOTIFY_PROBES_ATTACHED=1
pids=
for tool in $TOOLS; do
  script=/packages/usr/sbin/$tool.bt
  inside=/usr/sbin/$tool.bt
  [ -e $script ] || { script=/root/$tool.bt; inside=$script; }
  ours/bpftrace --no-warnings $script >out/$tool.ours 2>out/$tool.ours.err & pids="$pids $!"
  bpftrace $inside >out/$tool.theirs 2>out/$tool.theirs.err & pids="$pids $!"
done
for i in $(seq 1500); do
  ready=0
  for file in out/*.ours out/*.theirs; do
    grep -qs ^__BPFTRACE_NOTIFY $file $file.err && ready=$((ready+1))
  done
  ended=0
  for pid in $pids; do kill -0 $pid 2>/dev/null || ended=$((ended+1)); done
  [ $((ready + ended)) -ge $(echo $pids | wc -w) ] && break
  usleep 200000
done
echo "ready=$ready"
# On one processor the parts of a row, each an event of its own, cannot be mixed with those of another row.
echo 0 >/sys/devices/system/cpu/cpu1/online || exit 1
hetsync-workload flows || exit 1
usleep 300000
kill -INT $pids 2>/dev/null
wait
"#;

/// One tool's output by one of the programs.
struct Told {
    lines: Vec<String>,
    error: String,
}

fn read(guest: &Guest, tool: &str, whose: &str) -> Told {
    let get = |name: String| {
        let bytes = guest.get(&name).expect("the output gets out");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let text = get(format!("/root/out/{tool}.{whose}"));
    let error = get(format!("/root/out/{tool}.{whose}.err"));
    Told {
        lines: rows(tool, &text),
        error,
    }
}

/// What is compared of an output: all of it but times, which each program takes for itself, how many probes there are, empty
/// lines, and what bpftrace 0.23 alone tells of each deletion of a key that is not there.
fn rows(tool: &str, text: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.contains("WARNING: Can't delete map element") {
            // Its reason, the source line, and the mark below it.
            for _ in 0..3 {
                lines.next();
            }
            continue;
        }
        // 0.27 says "Attached N probes" on standard error, and has no empty line for a map without entries.
        if line.starts_with("__BPFTRACE_NOTIFY")
            || line.starts_with("Attaching ")
            || line.is_empty()
        {
            continue;
        }
        let mut row = match line.split_once(' ') {
            Some((time, rest)) if is_time(time) => format!("HH:MM:SS {rest}"),
            _ => {
                line.trim_end_matches(": ").to_owned() + if line.ends_with(": ") { ":" } else { "" }
            }
        };
        if tool == "tcplife" && row.starts_with(|c: char| c.is_ascii_digit()) {
            let (kept, ms) = row.rsplit_once(' ').expect("a row has columns");
            assert!(ms.parse::<u64>().is_ok(), "no duration: {row}");
            row = kept.to_owned();
        }
        rows.push(as_before(&row));
    }
    rows
}

/// What 0.27 writes otherwise than those before: `stats()`, and text that a precision is to cut.
fn as_before(row: &str) -> String {
    row.replace("{ .count = ", "count ")
        .replace(", .average = ", ", average ")
        .replace(", .total = ", ", total ")
        .replace(" hetsync-workloa ", " hetsync-wo ")
        .trim_end_matches(" }")
        .to_owned()
}

fn is_time(word: &str) -> bool {
    word.len() == 8
        && word.bytes().enumerate().all(|(at, byte)| match at {
            2 | 5 => byte == b':',
            _ => byte.is_ascii_digit(),
        })
}

/// The flows that the workload told of.
fn flows(text: &str) -> Vec<BTreeMap<&str, &str>> {
    text.lines()
        .filter(|line| line.starts_with("flow="))
        .map(|line| {
            line.split(' ')
                .filter_map(|word| word.split_once('='))
                .collect()
        })
        .collect()
}

/// Each flow has its rows in what our program printed, so that two empty outputs are not taken for equal ones.
fn rows_match_the_traffic(tools: &BTreeMap<&str, Told>, flows: &[BTreeMap<&str, &str>]) {
    let count = |tool: &str, words: &[&str]| {
        let told = &tools[tool];
        let has = |line: &&String| {
            let found: Vec<&str> = line
                .split([' ', ':'])
                .filter(|word| !word.is_empty())
                .collect();
            words.iter().all(|word| found.contains(word))
        };
        told.lines.iter().filter(has).count()
    };
    let of = |name: &'static str| flows.iter().filter(move |flow| flow["flow"] == name);
    for flow in flows.iter().filter(|flow| flow.contains_key("from")) {
        let (from, to) = (flow["from"], flow["to"]);
        assert_eq!(count("tcpconnect", &[from, to]), 1, "{flow:?}");
        assert_eq!(count("tcpaccept", &[from, to]), 1, "{flow:?}");
        let kib = |name: &str| (flow[name].parse::<u64>().unwrap() / 1024).to_string();
        let (sent, received) = (kib("sent"), kib("received"));
        if ["upload", "download"].contains(&flow["flow"]) {
            // Both ends of the connection are on this machine.
            assert_eq!(
                count("tcplife", &[from, to, &sent, &received]),
                2,
                "{flow:?}"
            );
        }
    }
    for flow in of("unanswered") {
        assert!(
            count("tcpretrans", &[flow["to"], "SYN_SENT"]) >= 1,
            "{flow:?}"
        );
    }
    for flow in of("cut-off").filter(|_| !tools["tcpdrop"].lines.is_empty()) {
        assert!(
            count("tcpdrop", &[flow["from"], flow["to"], "ESTABLISHED"]) >= 1,
            "{flow:?}"
        );
    }
    for flow in of("message") {
        assert_eq!(
            count("undump", &[flow["sent"], "known", "bytes"]),
            1,
            "{flow:?}"
        );
    }
    assert!(
        tools["tcpsynbl"]
            .lines
            .iter()
            .any(|line| line.starts_with("@backlog["))
    );
}

fn compare(kernel: Kernel, suite: Suite) {
    let probe = Path::new(env!("CARGO_BIN_EXE_hetsync-probe"));
    let mut options = Options::new(kernel)
        .program(probe)
        .program(hetsync_guest::workload(probe).expect("the workload is built"))
        .file(data("peer/traffic.bt"), "traffic.bt")
        .suite(suite)
        .package("bpftrace");
    if suite == Suite::Bookworm {
        // Its tools include <sys/socket.h>, which we do not need.
        options = options.package("libc6-dev");
    }
    options.memory_mib = 3072;
    let guest = Guest::boot(&options).unwrap_or_else(|error| panic!("{kernel}: {error}"));
    let command = format!("TOOLS='{}'\n{RUN}", TOOLS.join(" "));
    let output = guest.run(&command, LIMIT).expect("the tools run");
    assert!(output.success(), "{}", output.text());
    let flows_text = output.text();
    let ours: BTreeMap<&str, Told> = TOOLS.map(|tool| (tool, read(&guest, tool, "ours"))).into();
    let mut wrong = Vec::new();
    for tool in TOOLS {
        let (ours, theirs) = (&ours[tool], read(&guest, tool, "theirs"));
        let refused = ["ERROR", "fatal error", "FATAL"]
            .iter()
            .any(|word| theirs.error.contains(word));
        if refused {
            // bpftrace 0.17 wants kernel headers for tcpdrop and takes no kfunc; no kernel before 5.17 has tcpdrop's `reason`.
            println!(
                "{kernel}/{}: {tool}: bpftrace refuses: {}",
                suite.name(),
                theirs.error.trim()
            );
            continue;
        }
        let (mut left, mut right) = (ours.lines.clone(), theirs.lines.clone());
        // Maps whose values are equal have no order in bpftrace.
        left.sort();
        right.sort();
        if left != right {
            wrong.push(format!(
                "{tool}\n-- ours\n{}\n{}\n-- theirs\n{}\n{}",
                ours.lines.join("\n"),
                ours.error,
                theirs.lines.join("\n"),
                theirs.error
            ));
        }
        println!(
            "{kernel}/{}: {tool}: {} lines",
            suite.name(),
            ours.lines.len()
        );
    }
    assert!(wrong.is_empty(), "{flows_text}\n{}", wrong.join("\n"));
    rows_match_the_traffic(&ours, &flows(&flows_text));
}

#[test]
fn tools_print_the_same_rows_as_under_bpftrace() {
    if std::env::var("HETSYNC_KERNEL").is_ok_and(|name| name == "host") {
        println!("skipped: HETSYNC_KERNEL asks for no guest");
        return;
    }
    let pairs = std::env::var("HETSYNC_PEERS").unwrap_or_else(|_| DEFAULT.into());
    for pair in pairs.split_whitespace() {
        let (kernel, suite) = pair.split_once('/').expect("KERNEL/SUITE");
        compare(
            kernel.parse().expect("a kernel"),
            suite.parse().expect("a suite"),
        );
    }
}
