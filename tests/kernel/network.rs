//! Latencies with both ends of a call in one body, flows of sockets and packets, rates, and what the kernel numbers sockets by,
//! over one connection whose ports and sizes the workload knows.

use hetsync_guest::{Kernel, quote};
use serde_json::{Value, json};

use crate::lab::Lab;

const SENDS: u64 = 200;

const LATENCY: &str = r#"
latency:tcp_sendmsg /comm == "sender" && $elapsed > 0/ {
    @calls[func, probe] = count();
    @asked = sum(args.size);
    @sent = sum(retval);
    @whole[retval == arg2] = count();
    @port[args.sk->__sk_common.skc_num] = count();
    @took = stats($elapsed);
}
lat:tcp_sendmsg, lat:tcp_sendmsg_locked /comm == "sender"/ {
    @nested[func] = sum($elapsed);
    @both[func] = count();
}
kprobe:tcp_sendmsg /comm == "sender"/ { @start[tid] = nsecs; }
kretprobe:tcp_sendmsg /@start[tid]/ { @pair = stats(nsecs - @start[tid]); delete(@start, tid); }
"#;

fn latency(lab: &Lab, flags: &str) {
    let report = lab.probe(flags, LATENCY, &format!("sends {SENDS} cycle"));
    let bytes = report.said("bytes");
    assert_eq!(
        report.map("@calls"),
        &json!({ "tcp_sendmsg,latency:tcp_sendmsg": SENDS })
    );
    assert_eq!(report.number("@asked"), bytes);
    assert_eq!(report.number("@sent"), bytes);
    assert_eq!(report.map("@whole"), &json!({ "true": SENDS }));
    let port = report.said("from").to_string();
    assert_eq!(report.map("@port"), &json!({ port: SENDS }));
    let both = json!({ "tcp_sendmsg": SENDS, "tcp_sendmsg_locked": SENDS });
    assert_eq!(report.map("@both"), &both);
    let nested = report.map("@nested");
    assert!(
        nested["tcp_sendmsg"].as_u64() > nested["tcp_sendmsg_locked"].as_u64(),
        "{nested}"
    );
    // Counted as often, and in total the same but for what the probes themselves take.
    let (ours, pair) = (report.map("@took"), report.map("@pair"));
    assert_eq!(ours["count"], pair["count"]);
    let total = |map: &Value| map["total"].as_f64().expect("a total");
    let ratio = total(ours) / total(pair);
    assert!((0.1..10.0).contains(&ratio), "{ours} {pair}");
    report.assert_nothing_lost();
}

pub(crate) fn latency_lowered(lab: &Lab) {
    latency(lab, "");
}

pub(crate) fn latency_not_lowered(lab: &Lab) {
    latency(lab, "--no-lower");
}

const FLOWS: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ {
    $sk = (struct sock *)arg0;
    @of_socket[flow($sk)] += 1;
    @same[flow($sk) == flow((struct tcp_sock *)$sk)] = count();
    @long[strcontains(curtask->group_leader->comm, "hetsync-worklo"), memcmp($sk->__sk_common.skc_prot->name, "TCP", 4)] = count();
    @order[memcmp(ntohl($sk->__sk_common.skc_daddr) > 0 ? "a" : "b", "c", 1) < 0] = count();
    @calls = rate();
    @bytes[comm] = rate(bytes(arg2));
}
kprobe:tcp_v4_rcv { @of_packet[flow((struct sk_buff *)arg0)] = count(); }
"#;

pub(crate) fn flows(lab: &Lab) {
    let report = lab.probe("", FLOWS, &format!("sends {SENDS} cycle"));
    let ends = ["from", "to"].map(|end| format!("127.0.0.1:{}", report.said(end)));
    let there = format!("{} -> {}", ends[0], ends[1]);
    let back = format!("{} -> {}", ends[1], ends[0]);
    assert_eq!(report.map("@of_socket"), &json!({ there.clone(): SENDS }));
    assert_eq!(report.map("@same"), &json!({ "true": SENDS }));
    assert_eq!(report.map("@long"), &json!({ "true,0": SENDS }));
    assert_eq!(report.map("@order"), &json!({ "true": SENDS }));
    let packets = report.map("@of_packet").as_object().expect("a keyed map");
    // The handshake and all data in one direction; the answers in the other.
    assert!(packets[&there].as_u64() >= Some(SENDS), "{packets:?}");
    assert!(packets[&back].as_u64() >= Some(2), "{packets:?}");
    let (calls, bytes) = (report.map("@calls"), &report.map("@bytes")["sender"]);
    assert_eq!(calls["total"], SENDS);
    assert_eq!(bytes["total"], report.said("bytes"));
    for rate in [calls, bytes] {
        let number = |name: &str| rate[name].as_f64().expect("a number");
        assert!(number("seconds") > 0.0, "{rate}");
        let error = number("rate") * number("seconds") - number("total");
        assert!(error.abs() < 1e-6 * number("total"), "{rate}");
    }
    report.assert_nothing_lost();
}

const COOKIES: &str = r#"
fentry:tcp_sendmsg /comm == "sender"/ {
    $sk = args.sk;
    @same[socket_cookie($sk) == args.sk.__sk_common.skc_cookie.counter] = count();
    @cookies[socket_cookie(args.sk)] = count();
}
kprobe:tcp_sendmsg /comm == "sender"/ { @lowered[socket_cookie((struct sock *)arg0) != 0] = count(); }
fexit:tcp_sendmsg /comm == "sender"/ { @later[socket_cookie(args.sk)] = count(); }
"#;

pub(crate) fn cookies(lab: &Lab) {
    let workload = format!("sends {SENDS} cycle");
    if lab.kernel() == Kernel::V5_10 {
        refused(lab, COOKIES, "5.12");
        return;
    }
    let report = lab.probe("", COOKIES, &workload);
    assert_eq!(report.map("@same"), &json!({ "true": SENDS }));
    assert_eq!(report.map("@lowered"), &json!({ "true": SENDS }));
    let cookies = report.map("@cookies");
    assert_eq!(cookies.as_object().map(|keys| keys.len()), Some(1));
    assert_eq!(cookies, report.map("@later"));
    report.assert_nothing_lost();
    let read =
        "kprobe:tcp_sendmsg { $sk = (struct sock *)arg0; @ = socket_cookie($sk->sk_socket->sk); }";
    refused(lab, read, "argument of the function itself");
}

/// International Atomic Time as the kernel has it and as it is worked out, and the time of day, apart by a second at most.
const CLOCKS: &str = "begin { $a = nsecs(sw_tai); $tai = nsecs(tai); $b = nsecs(sw_tai); \
    printf(\"%d %d\", $a < $tai + 1000000000, $b + 1000000000 > $tai); exit(); }";

pub(crate) fn clocks(lab: &Lab) {
    let report = lab.probe(
        "",
        "begin { $a = nsecs(sw_tai); printf(\"%d\", $a > nsecs); exit(); }",
        "sleeps 1 1",
    );
    assert_eq!(report.printed(), ["1"]);
    if lab.kernel() == Kernel::V5_10 {
        refused(lab, CLOCKS, "6.1");
        return;
    }
    let report = lab.probe("", CLOCKS, "sleeps 1 1");
    assert_eq!(report.printed(), ["1 1"]);
}

/// The script is refused before it runs, for this reason.
fn refused(lab: &Lab, script: &str, reason: &str) {
    let output = lab.run(&format!("hetsync-probe run -e {}", quote(script)));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.success(), "{script}");
    assert!(
        told.contains("error[E0608]") && told.contains(reason),
        "{told}"
    );
}
