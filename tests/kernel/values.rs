//! Values that are worked out rather than read: macros, blocks, registers by name, networks, shares, and bodies that
//! each layout of `args` has for itself, over one connection whose ports and sizes the workload knows.

use serde_json::{Value, json};

use crate::lab::Lab;

const SENDS: u64 = 200;

const SCRIPT: &str = r#"
macro seen(@at, key) { @at[key] = count(); }
macro size(n) { let $n = n; $n }

kprobe:tcp_sendmsg /comm == "sender"/ {
    $sk = (struct sock *)arg0;
    seen(@registers, (reg("di") == arg0, reg("si") == arg1, reg("dx") == arg2));
    seen(@mode, usermode);
    seen(@parent, pcomm);
    seen(@ids, (ppid > 0, euid, egid));
    seen(@local, $sk->__sk_common.skc_rcv_saddr in cidr("127.0.0.0/8"));
    seen(@remote, ntop($sk->__sk_common.skc_daddr) in cidr("10.0.0.0/8"));
    seen(@family, $sk->__sk_common.skc_family in (AF_INET, AF_INET6));
    @bytes = sum({ let $all = size(arg2); $all });
    @within = slo(arg2, 1 << 40);
    @none = slo(arg2, -1);
    @shares = cdf(arg2);
    if comptime (sizeof(uint64) == 8) { seen(@known, getopt("times", 2) * 3); } else { seen(@known, $nothing); }
}

tracepoint:sock:inet_sock_set_state, tracepoint:tcp:tcp_destroy_sock /args.sport != 0/ {
    seen(@layout, (probe, args.sport));
}
"#;

pub(crate) fn values(lab: &Lab) {
    let report = lab.probe("", SCRIPT, &format!("sends {SENDS} cycle"));
    for (map, key) in [
        ("@registers", "true,true,true"),
        ("@mode", "0"),
        ("@parent", "hetsync-probe"),
        ("@ids", "true,0,0"),
        ("@local", "true"),
        ("@remote", "false"),
        ("@family", "true"),
        ("@known", "6"),
    ] {
        assert_eq!(report.map(map), &json!({ key: SENDS }), "{map}");
    }
    assert_eq!(report.number("@bytes"), report.said("bytes"));
    let share = |map: &str| {
        let share = report.map(map);
        (share["count"].as_u64(), share["within"].as_u64())
    };
    assert_eq!(share("@within"), (Some(SENDS), Some(SENDS)));
    assert_eq!(share("@none"), (Some(SENDS), Some(0)));
    let rows = report.map("@shares").as_array().expect("rows");
    let last = rows.last().expect("a row");
    assert_eq!(last["count"].as_u64(), Some(SENDS), "{rows:?}");
    assert_eq!(last["share"].as_f64(), Some(1.0), "{rows:?}");
    assert!(
        rows.is_sorted_by_key(|row| row["count"].as_u64()),
        "{rows:?}"
    );

    // Both tracepoints have the port, each at its own place in its record.
    let layout = report.map("@layout").as_object().expect("a keyed map");
    let count = |probe: &str, port: &str| {
        let key = format!("{probe},{}", report.said(port));
        layout.get(&key).and_then(Value::as_u64).unwrap_or(0)
    };
    for port in ["from", "to"] {
        let states = count("tracepoint:sock:inet_sock_set_state", port);
        assert!(states >= 2, "{port}: {layout:?}");
    }
    assert!(
        count("tracepoint:tcp:tcp_destroy_sock", "from") == 1,
        "{layout:?}"
    );
    report.assert_nothing_lost();
}

/// Statistics read as values, in other programs than those that keep them and on whatever CPU these run.
const STATISTICS: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ {
    @calls = count();
    @bytes[comm] = sum(arg2);
    @least = min(arg2);
    @most[comm] = max(arg2);
    @mean = avg(arg2);
}
interval:100ms { @seen = (int64)@calls; }
end {
    printf("%d %d %d %d %d %d\n", (int64)@calls, (int64)@bytes["sender"], (int64)@least, (int64)@most["sender"],
        (int64)@mean, (int64)@bytes["nobody"]);
}
"#;

pub(crate) fn statistics_as_values(lab: &Lab) {
    if lab.kernel() == hetsync_guest::Kernel::V5_10 {
        let told = lab.refused(STATISTICS);
        assert!(
            told.contains("error[E0608]") && told.contains("5.19"),
            "{told}"
        );
        return;
    }
    let report = lab.probe("", STATISTICS, &format!("sends {SENDS} cycle"));
    let expected = format!(
        "{} {} {} {} {} 0\n",
        report.map("@calls"),
        report.map("@bytes")["sender"],
        report.map("@least"),
        report.map("@most")["sender"],
        report.map("@mean")
    );
    assert_eq!(report.printed(), [expected]);
    assert_eq!(report.number("@calls"), SENDS);
}
