//! How a run may end: what it leaves in the kernel (nothing), and what it says under a flood of events.

use std::collections::BTreeSet;

use crate::lab::{Lab, Report};

/// Every kind of program, map and entry that a run can leave: lowered and not, returns by tracefs, several functions at
/// once, a tracepoint, samples, a library's function, what user space runs, each kind of map.
const EVERYTHING: &str = r#"
begin { @start = nsecs; }
kprobe:tcp_sendmsg { @t[tid] = nsecs; @bytes[comm] = hist(arg2); }
kretprobe:tcp_sendmsg /@t[tid]/ { @us[comm] = summary((nsecs - @t[tid]) / 1000); delete(@t[tid]); }
kprobe:tcp_s*msg* { @by[func] = count(); }
tracepoint:syscalls:sys_enter_getppid { @ppid = count(); }
profile:hz:99 { @cpu[cpu] = count(); }
uprobe:libc:getppid { @lib++; }
interval:s:1 { printf("tick\n"); }
end { printf("over\n"); }
"#;

/// How a run ends, and the status that the shell gives then.
const ENDINGS: [(&str, &[i32]); 4] = [
    ("INT", &[0]),
    ("TERM", &[0]),
    ("ABRT", &[134]),
    ("KILL", &[137]),
];

/// Everything in the kernel that a profiler could leave there, but what bpftool loads to look.
fn listing(lab: &Lab) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for kind in ["prog", "map", "link", "btf"] {
        let output = lab.run(&format!("bpftool {kind} show"));
        assert!(output.success(), "bpftool {kind} show: {}", output.text());
        let text = output.text();
        let entries = text
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        let entries = entries.filter(|line| !is_bpftools(line));
        found.extend(entries.map(|line| format!("{kind} {line}")));
    }
    let events = lab.run(
        "for at in /sys/kernel/tracing /sys/kernel/debug/tracing; do \
         cat $at/kprobe_events $at/uprobe_events 2>/dev/null; done",
    );
    found.extend(events.text().lines().map(str::to_owned));
    found
}

/// What bpftool itself has loaded at the time: its look at who holds what.
fn is_bpftools(line: &str) -> bool {
    ["pid_iter", "iter", "libbpf", "bpftool"]
        .iter()
        .any(|name| line.split_whitespace().any(|word| word.contains(name)))
}

pub(crate) fn nothing_stays_however_it_ends(lab: &Lab) {
    lab.guest
        .put("/tmp/everything.hp", EVERYTHING.as_bytes())
        .expect("the script gets in");
    let before = listing(lab);
    for flags in ["", "--no-lower"] {
        for (signal, statuses) in ENDINGS {
            let command = format!(
                "rm -f /tmp/said; __BPFTRACE_NOTIFY_PROBES_ATTACHED=1 \
                 hetsync-probe run {flags} /tmp/everything.hp > /tmp/said 2> /tmp/errors & probe=$!; \
                 tries=600; until grep -q PROBES_ATTACHED /tmp/said; do \
                 tries=$((tries - 1)); [ $tries -gt 0 ] || break; sleep 0.1; done; \
                 hetsync-workload sends 20 > /dev/null; bpftool prog show | grep -c '^[0-9]'; \
                 kill -{signal} $probe; wait $probe; echo status=$?; cat /tmp/errors >&2"
            );
            let output = lab.run(&command);
            let text = output.text();
            let errors = String::from_utf8_lossy(&output.stderr);
            let said = Report::new("", text.clone());
            assert!(
                statuses.contains(&(said.said("status") as i32)),
                "{signal} {flags}: {text}\n{errors}"
            );
            let programs: usize = text
                .lines()
                .next()
                .and_then(|line| line.trim().parse().ok())
                .unwrap_or(0);
            assert!(programs >= 8, "{signal} {flags}: {text}\n{errors}");
            // Programs are freed a little after their last descriptor is closed.
            let mut left = BTreeSet::new();
            let gone = (0..20).any(|_| {
                left = listing(lab);
                left == before || {
                    lab.run("sleep 0.5");
                    false
                }
            });
            assert!(
                gone,
                "{signal} {flags}: before {before:#?}\nafter {left:#?}"
            );
        }
    }
}

/// A million events of two probes from one workload, written by a loop faster than anyone can read them.
const FLOOD: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ {
    $i = 0;
    while ($i < 400) { printf("in %d %d\n", arg2, $i); $i++; }
    @sent = count();
}
kretprobe:tcp_sendmsg /comm == "sender"/ {
    $i = 0;
    while ($i < 400) { printf("out %d\n", $i); $i++; }
}
"#;

/// Sends of the flood: 800 events each.
const FLOOD_SENDS: u64 = 1250;

/// Most memory of a run under a flood, in KiB: it keeps a few turns of its ring, and never the flood.
const FLOOD_KIB: u64 = 48 << 10;

/// The same, with its end in the middle of the flood.
const ENDLESS: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ {
    $i = 0;
    while ($i < 400) { printf("in %d %d\n", arg2, $i); $i++; }
}
"#;

pub(crate) fn a_flood_is_accounted_for(lab: &Lab) {
    lab.guest
        .put("/tmp/flood.hp", FLOOD.as_bytes())
        .expect("the script gets in");
    // The shell is the command of -c, so that it can read what the profiler has taken before the profiler ends.
    let output = lab.run(&format!(
        "hetsync-probe run -o /tmp/flood.txt -c \"sh -c 'hetsync-workload sends {FLOOD_SENDS}; \
         grep VmHWM /proc/\\$PPID/status'\" /tmp/flood.hp; echo status=$?; \
         echo in=$(grep -c '^in ' /tmp/flood.txt) out=$(grep -c '^out ' /tmp/flood.txt); \
         sed -n '/^lost:/,$p' /tmp/flood.txt; rm /tmp/flood.txt"
    ));
    let text = output.text();
    let said = Report::new("", text.clone());
    assert_eq!(said.said("status"), 0, "{text}");
    assert_eq!(said.said("sends"), FLOOD_SENDS, "{text}");
    let dropped = |probe: &str| -> u64 {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("of {probe} found the event buffer full")));
        line.map_or(0, |line| {
            let number = line.split_whitespace().next();
            number.and_then(|number| number.parse().ok()).expect(line)
        })
    };
    // Printed and dropped, of each probe, are what was sent: not one event is unaccounted for.
    let each = 400 * FLOOD_SENDS;
    let (entries, returns) = (
        dropped("kprobe:tcp_sendmsg"),
        dropped("kretprobe:tcp_sendmsg"),
    );
    assert_eq!(said.said("in") + entries, each, "{text}");
    assert_eq!(said.said("out") + returns, each, "{text}");
    assert!(entries + returns > 0, "nothing was dropped: {text}");
    assert!(
        text.contains(&format!("lost: {} events", entries + returns)),
        "{text}"
    );
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or_else(|| panic!("no VmHWM: {text}"));
    assert!(kib < FLOOD_KIB, "{kib} KiB under a flood");
    eprintln!(
        "{}: flood of {} events: {entries} and {returns} dropped, {kib} KiB",
        lab.kernel(),
        2 * each
    );
}

pub(crate) fn a_flood_can_be_interrupted(lab: &Lab) {
    lab.guest
        .put("/tmp/endless.hp", ENDLESS.as_bytes())
        .expect("the script gets in");
    // The workload would go on for hours; the profiler has to end while it does.
    let output = lab.run(
        "hetsync-workload sends 100000000 > /dev/null & flood=$!; \
         hetsync-probe run -o /tmp/endless.txt /tmp/endless.hp & probe=$!; \
         tries=600; until grep -q '^in ' /tmp/endless.txt 2> /dev/null; do \
         tries=$((tries - 1)); [ $tries -gt 0 ] || break; sleep 0.1; done; \
         kill -INT $probe; wait $probe; echo status=$?; \
         kill -0 $flood && echo flood=1; kill -KILL $flood; wait $flood 2> /dev/null; \
         grep '^lost:' /tmp/endless.txt; rm /tmp/endless.txt",
    );
    let text = output.text();
    let said = Report::new("", text.clone());
    assert_eq!((said.said("status"), said.said("flood")), (0, 1), "{text}");
    assert!(text.contains("lost: "), "{text}");
}
