//! What must hold on every kernel. A check panics where it does not.

use hetsync_guest::Stream;
use serde_json::Value;

use crate::endings;
use crate::entries;
use crate::lab::{LIMIT, Lab, Report, rows};
use crate::lines;
use crate::markers;
use crate::members;
use crate::network;
use crate::values;

/// A named check.
pub(crate) type Check = (&'static str, fn(&Lab));

/// All of them, in the order they run.
pub(crate) const ALL: &[Check] = &[
    ("every send is counted, lowered", sends_lowered),
    ("every send is counted, not lowered", sends_not_lowered),
    ("every send is counted by redbpf", sends_by_redbpf),
    (
        "every return of 60 blocked threads is seen, lowered",
        accepts_lowered,
    ),
    (
        "every return of 60 blocked threads is seen, not lowered",
        accepts_not_lowered,
    ),
    ("a sleep of 10 ms takes 10 ms", sleeps),
    ("what threads leave in a map is printed", left_behind),
    ("statistics agree with the raw events", statistics),
    (
        "statistics agree with the raw events of a second script",
        second_script,
    ),
    (
        "members of records are what they are, lowered",
        members::members_lowered,
    ),
    (
        "members of records are what they are, not lowered",
        members::members_not_lowered,
    ),
    ("arguments are what they are", members::arguments),
    (
        "arrays, negative numbers and what the process holds are what they are",
        members::further,
    ),
    ("values are worked out as they are written", values::values),
    ("statistics are values", values::statistics_as_values),
    ("entries of maps are gone over", entries::entries),
    ("a latency has both ends, lowered", network::latency_lowered),
    (
        "a latency has both ends, not lowered",
        network::latency_not_lowered,
    ),
    ("flows and rates are what they are", network::flows),
    ("sockets have numbers", network::cookies),
    ("clocks agree", network::clocks),
    ("functions of modules are probed", members::of_a_module),
    ("markers are what they are", markers::markers),
    ("markers of one process", markers::of_a_process),
    (
        "rounds of a server are as many as it says",
        markers::rounds_of_a_server,
    ),
    ("a wildcard counts each of its functions", wildcard),
    ("bpftrace counts the same", bpftrace_agrees),
    ("what is printed and cleared adds up", printed_and_cleared),
    ("a full map is reported", full_map),
    (
        "an unknown function is named with its neighbours",
        unknown_function,
    ),
    ("one process can be picked", one_process),
    ("libbpf loads what build writes", lines::object_loads),
    ("bpftool shows the script's lines", lines::run_has_lines),
    (
        "a flood is accounted for",
        endings::a_flood_is_accounted_for,
    ),
    (
        "a flood can be interrupted",
        endings::a_flood_can_be_interrupted,
    ),
    (
        "nothing stays behind, however it ends",
        endings::nothing_stays_however_it_ends,
    ),
];

const SENDS: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ {
    @calls = count();
    @bytes = sum(arg2);
    @size = hist(arg2);
    @by[comm, cpu >= 0] = count();
}
kretprobe:tcp_sendmsg /comm == "sender"/ {
    @returns = count();
    @sent = sum(retval);
}
"#;

fn sends(lab: &Lab, flags: &str) -> Report {
    let report = lab.probe(flags, SENDS, "sends 23000 cycle");
    assert_eq!(report.said("sends"), 23_000);
    assert_eq!(report.number("@calls"), 23_000);
    assert_eq!(report.number("@returns"), 23_000);
    assert_eq!(report.number("@bytes"), report.said("bytes"));
    assert_eq!(report.number("@sent"), report.said("bytes"));
    // 1, 7, 64, 100, 512, 1000, 1448 and 4000 bytes in turn, 23 000 / 8 of each.
    let each = 23_000 / 8;
    assert_eq!(
        rows(report.map("@size")),
        [
            (1, each),
            (4, each),
            (64, 2 * each),
            (512, 2 * each),
            (1024, each),
            (2048, each)
        ]
    );
    report.assert_nothing_lost();
    report
}

/// How the probe was attached, by the report.
fn attached(report: &Report, probe: &str) -> String {
    report.account()["attached"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["probe"] == probe))
        .and_then(|one| one["how"].as_str())
        .unwrap_or_else(|| panic!("{probe} is not in {:#}", report.account()))
        .to_owned()
}

fn sends_lowered(lab: &Lab) {
    let report = sends(lab, "");
    assert!(attached(&report, "kprobe:tcp_sendmsg").contains("fentry"));
    assert!(attached(&report, "kretprobe:tcp_sendmsg").contains("fexit"));
}

fn sends_not_lowered(lab: &Lab) {
    let report = sends(lab, "--no-lower");
    assert!(!attached(&report, "kprobe:tcp_sendmsg").contains("fentry"));
    assert!(!attached(&report, "kretprobe:tcp_sendmsg").contains("fexit"));
}

fn sends_by_redbpf(lab: &Lab) {
    let report = sends(lab, "--loader redbpf");
    assert!(attached(&report, "kprobe:tcp_sendmsg").contains("redbpf"));
    assert!(attached(&report, "kretprobe:tcp_sendmsg").contains("redbpf"));
}

/// Some ten functions of the sending path: one by one on kernels without kprobe.multi.
const WILDCARD: &str = r#"
kprobe:tcp_send*, kretprobe:tcp_send* /comm == "sender"/ { @[probe, func] = count(); }
"#;

fn wildcard(lab: &Lab) {
    let report = lab.probe("", WILDCARD, "sends 1000");
    let counts = report.map("@");
    for kind in ["kprobe", "kretprobe"] {
        for function in ["tcp_sendmsg", "tcp_sendmsg_locked"] {
            let key = format!("{kind}:{function},{function}");
            assert_eq!(counts[&key], 1000, "{key} of {counts:#}");
        }
    }
    report.assert_nothing_lost();
}

const ACCEPTS: &str = r#"
kprobe:inet_csk_accept /comm == "acceptor"/ { @calls = count(); }
kretprobe:inet_csk_accept /comm == "acceptor"/ { @returns = count(); }
"#;

fn accepts(lab: &Lab, flags: &str) {
    let report = lab.probe(flags, ACCEPTS, "accepts 60");
    assert_eq!(report.said("accepts"), 60);
    assert_eq!(report.number("@calls"), 60);
    assert_eq!(report.number("@returns"), 60);
    report.assert_nothing_lost();
}

fn accepts_lowered(lab: &Lab) {
    accepts(lab, "");
}

fn accepts_not_lowered(lab: &Lab) {
    accepts(lab, "--no-lower");
}

const SLEEPS: &str = r#"
kprobe:hrtimer_nanosleep /comm == "sleeper"/ { @start[tid] = nsecs; }
kretprobe:hrtimer_nanosleep /@start[tid]/ {
    @us[comm] = summary((nsecs - @start[tid]) / 1000);
    delete(@start, tid);
}
"#;

fn sleeps(lab: &Lab) {
    let report = lab.probe("", SLEEPS, "sleeps 50 10");
    let summary = &report.map("@us")["sleeper"];
    assert_eq!(summary["count"], 50);
    let of = |name: &str| {
        summary[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {summary}"))
    };
    assert!(
        of("min") >= 10_000.0,
        "no sleep is shorter than asked: {summary}"
    );
    // Waking up takes well under a millisecond even emulated; the bound leaves room for a busy machine.
    assert!(of("50%") < 14_000.0, "the median is near 10 ms: {summary}");
    assert!(!report.has("@start"), "every entry met its return");
    report.assert_nothing_lost();
}

/// Half of the threads delete what they have written.
const LEFT: &str = r#"
kprobe:inet_csk_accept /comm == "acceptor"/ { @start[tid] = nsecs; @calls = count(); }
kretprobe:inet_csk_accept /@start[tid]/ {
    @waited = sum(nsecs > @start[tid]);
    if (tid % 2) { delete(@start, tid); @deleted = count(); }
}
"#;

fn left_behind(lab: &Lab) {
    let report = lab.probe("", LEFT, "accepts 60");
    assert_eq!(report.number("@calls"), 60);
    assert_eq!(report.number("@waited"), 60);
    let left = report.map("@start").as_object().expect("a keyed map");
    assert_eq!(left.len() as u64 + report.number("@deleted"), 60);
    assert!(
        left.keys()
            .all(|tid| tid.parse::<u64>().is_ok_and(|tid| tid % 2 == 0))
    );
    assert!(
        left.values()
            .all(|start| start.as_u64().is_some_and(|start| start > 0))
    );
    report.assert_nothing_lost();
}

const RAW: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ { @start[tid] = nsecs; }
kretprobe:tcp_sendmsg /@start[tid]/ {
    $ns = nsecs - @start[tid];
    @all = summary($ns, 1, 25, 50, 75, 90, 99);
    @least = min($ns);
    @most = max($ns);
    @mean = stats($ns);
    printf("%d\n", $ns);
    delete(@start, tid);
}
"#;

fn statistics(lab: &Lab) {
    let report = lab.probe("", RAW, "sends 5000 cycle");
    let raw: Vec<u64> = report.printed().iter().map(|line| number(line)).collect();
    assert_eq!(raw.len(), 5000);
    report.assert_nothing_lost();
    assert_summary_of(report.map("@all"), raw.clone());
    assert_eq!(report.number("@least"), *raw.iter().min().unwrap());
    assert_eq!(report.number("@most"), *raw.iter().max().unwrap());
    assert_eq!(report.map("@mean")["count"], 5000);
    assert_eq!(report.map("@mean")["total"], raw.iter().sum::<u64>());
}

/// Sizes, not times: two scripts can see the same number only where it is no reading of a clock.
const SIZES: &str =
    r#"kprobe:tcp_sendmsg /comm == "sender"/ { @all = summary(arg2, 1, 25, 50, 75, 90, 99); }"#;
const RAW_SIZES: &str = r#"kprobe:tcp_sendmsg /comm == "sender"/ { printf("%d\n", arg2); }"#;

fn second_script(lab: &Lab) {
    lab.guest
        .put("/tmp/raw.hp", RAW_SIZES.as_bytes())
        .expect("the script gets in");
    let second = lab
        .guest
        .spawn(
            "export __BPFTRACE_NOTIFY_PROBES_ATTACHED=1; \
             exec hetsync-probe run /tmp/raw.hp > /tmp/raw.txt",
        )
        .expect("it starts");
    let ready = lab.run(
        "for i in $(seq 600); do grep -q NOTIFY_PROBES_ATTACHED /tmp/raw.txt && exit 0; sleep 0.2; done; exit 1",
    );
    assert!(ready.success(), "the second script did not attach");
    let report = lab.probe("", SIZES, "sends 5000 spread");
    report.assert_nothing_lost();
    second.signal(2);
    let status = second.stream(LIMIT, |_, _| {}).expect("it ends");
    assert_eq!(status, 0);
    let raw = lab.guest.get("/tmp/raw.txt").expect("its events get out");
    let raw = String::from_utf8(raw).expect("text");
    let sizes = raw.lines().filter(|line| line.parse::<u64>().is_ok());
    assert_summary_of(report.map("@all"), sizes.map(number).collect());
}

fn number(line: &str) -> u64 {
    line.trim().parse().expect("a number")
}

/// The summary is that of these 5,000 samples.
fn assert_summary_of(summary: &Value, mut raw: Vec<u64>) {
    raw.sort_unstable();
    assert_eq!(raw.len(), 5000);
    let n = raw.len() as f64;
    let mean = raw.iter().sum::<u64>() as f64 / n;
    let std = (raw.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let of = |name: &str| {
        summary[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {summary}"))
    };
    let near = |found: f64, truth: f64, share: f64, what: &str| {
        assert!(
            (found - truth).abs() <= truth * share,
            "{what}: {found}, not {truth}"
        );
    };
    assert_eq!(summary["count"], 5000);
    near(of("mean"), mean, 1e-12, "mean");
    near(of("std"), std, 1e-9, "standard deviation");
    assert_eq!(of("min"), raw[0] as f64);
    assert_eq!(of("max"), raw[raw.len() - 1] as f64);
    for percent in [1, 25, 50, 75, 90, 99] {
        // Nearest rank: the smallest sample that at least this share does not exceed.
        let rank = (raw.len() * percent).div_ceil(100).max(1);
        near(
            of(&format!("{percent}%")),
            raw[rank - 1] as f64,
            0.01,
            &format!("{percent}%"),
        );
    }
}

/// The same script under both programs over the same sends.
const BOTH: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ { @calls = count(); @size[comm] = hist(arg2); @lin = lhist(arg2, 0, 2000, 100); }
kretprobe:tcp_sendmsg /comm == "sender"/ { @returns[comm] = count(); @sent = stats(retval); }
"#;

fn bpftrace_agrees(lab: &Lab) {
    lab.guest
        .put("/tmp/both.bt", BOTH.as_bytes())
        .expect("the script gets in");
    let peer = lab
        .guest
        .spawn("exec bpftrace -f json /tmp/both.bt > /tmp/peer.json")
        .expect("it starts");
    let ready = lab.run(
        "for i in $(seq 600); do grep -q attached_probes /tmp/peer.json && exit 0; sleep 0.2; done; exit 1",
    );
    assert!(ready.success(), "bpftrace did not attach");
    let ours = lab.probe("", BOTH, "sends 5000 cycle");
    peer.signal(2);
    let mut said = Vec::new();
    let status = peer
        .stream(LIMIT, |stream, bytes| {
            if stream == Stream::Stderr {
                said.extend_from_slice(bytes);
            }
        })
        .expect("bpftrace ends");
    assert_eq!(status, 0, "bpftrace: {}", String::from_utf8_lossy(&said));
    let text = lab
        .guest
        .get("/tmp/peer.json")
        .expect("its report gets out");
    let text = String::from_utf8(text).expect("text");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
    let theirs = Report::new(&lines.join("\n"), String::new());

    assert_eq!(ours.number("@calls"), 5000);
    assert_eq!(theirs.number("@calls"), ours.number("@calls"));
    assert_eq!(theirs.map("@returns"), ours.map("@returns"));
    assert_eq!(
        rows(&theirs.map("@size")["sender"]),
        rows(&ours.map("@size")["sender"])
    );
    assert_eq!(rows(theirs.map("@lin")), rows(ours.map("@lin")));
    assert_eq!(theirs.map("@sent"), ours.map("@sent"));
    ours.assert_nothing_lost();
}

/// Every sample is in one of the prints, or in the maps at the end.
const CLEARED: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ {
    @calls = count();
    @by[comm] = count();
    @sums[arg2] = sum(1);
    @size = hist(arg2);
    @all = summary(arg2);
    @total = count();
}
interval:ms:50 {
    print(@calls); clear(@calls);
    print(@by); clear(@by);
    print(@sums); zero(@sums);
    print(@size); clear(@size);
    print(@all); zero(@all);
}
"#;

fn printed_and_cleared(lab: &Lab) {
    let report = lab.probe("", CLEARED, "sends 23000 cycle");
    // Only intervals may be missed: emulation is slow.
    assert_eq!(report.account()["events"], 0);
    assert_eq!(
        report.account()["full_maps"].as_array().map(Vec::len),
        Some(0)
    );
    assert_eq!(report.number("@total"), 23_000);
    let keyed = |value: &Value| -> u64 {
        let keys = value.as_object().expect("a keyed map");
        keys.values().filter_map(Value::as_u64).sum()
    };
    let number = |value: &Value| value.as_u64().expect("a number");
    let rows_of = |value: &Value| rows(value).iter().map(|&(_, count)| count).sum::<u64>();
    let count = |value: &Value| value["count"].as_u64().expect("a count");
    assert!(
        report.every("@calls").count() > 2,
        "it was printed meanwhile"
    );
    assert_eq!(report.every("@calls").map(number).sum::<u64>(), 23_000);
    assert_eq!(report.every("@by").map(keyed).sum::<u64>(), 23_000);
    assert_eq!(report.every("@sums").map(keyed).sum::<u64>(), 23_000);
    assert_eq!(report.every("@size").map(rows_of).sum::<u64>(), 23_000);
    assert_eq!(report.every("@all").map(count).sum::<u64>(), 23_000);
}

fn full_map(lab: &Lab) {
    let script = r#"kprobe:tcp_sendmsg /comm == "sender"/ { @by_size[arg2] = count(); }"#;
    let report = lab.probe("--max-keys 4", script, "sends 800 cycle");
    let kept: u64 = report
        .map("@by_size")
        .as_object()
        .expect("a keyed map")
        .values()
        .filter_map(Value::as_u64)
        .sum();
    let full = &report.account()["full_maps"][0];
    assert_eq!(full["map"], "@by_size");
    // Eight sizes, room for four; a hash may hold a few keys more than asked, one spare a CPU.
    let lost = full["samples"].as_u64().expect("a count");
    assert!(lost > 0);
    assert_eq!(
        kept + lost,
        800,
        "every sample is in the map or in the account"
    );
}

fn unknown_function(lab: &Lab) {
    let output = lab.run("hetsync-probe run -e 'kprobe:tcp_sendmesg { @ = count(); }'");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status, 1, "{said}");
    assert!(
        said.contains("tcp_sendmesg") && said.contains("tcp_sendmsg"),
        "{said}"
    );
}

fn one_process(lab: &Lab) {
    let script = "kprobe:hrtimer_nanosleep { @[pid] = count(); }";
    lab.guest
        .put("/tmp/pid.hp", script.as_bytes())
        .expect("the script gets in");
    let output = lab.run(
        "hetsync-workload sleeps 200 10 > /dev/null & picked=$!; hetsync-workload sleeps 200 10 > /dev/null & \
         hetsync-probe run -f json -o /tmp/pid.json -p $picked -d 20 /tmp/pid.hp >&2; wait; echo $picked",
    );
    assert!(
        output.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(lab.guest.get("/tmp/pid.json").expect("a report")).expect("text");
    let report = Report::new(&text, String::new());
    let keys: Vec<String> = report
        .map("@")
        .as_object()
        .expect("a keyed map")
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, [output.text().trim()]);
}
