//! Loops over the entries of maps, in a probe that fires while a connection sends and in one that user space runs.

use serde_json::{Value, json};

use crate::lab::Lab;

const SENDS: u64 = 200;

const SCRIPT: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ {
    @size[@calls % 10] = arg2;
    @calls++;
    @by[comm, func] = sum(arg2);
    $seen = 0;
    for ($kv : @size) {
        $seen++;
        if ($kv.0 != 0) { continue; }
        @inside[comm, func] = sum(arg2);
    }
    @all[$seen == len(@size)] = count();
    for ($kv : @size) {
        for ($other : @by) {
            if ($kv.0 == 0) { return; }
        }
    }
    @never = count();
}
end {
    $sum = 0;
    $entries = 0;
    for ($kv : @size) { $sum += $kv.1; $entries++; }
    for ($kv : @by) { printf("%d %d %d %s %d\n", $entries, len(@size), $sum, $kv.0.0, $kv.1); }
    for ($kv : @size) { if ($kv.0 % 2 == 1) { delete(@size, $kv.0); } }
}
"#;

pub(crate) fn entries(lab: &Lab) {
    if lab.kernel() == hetsync_guest::Kernel::V5_10 {
        let told = lab.refused(SCRIPT);
        assert!(
            told.contains("error[E0608]") && told.contains("bpf_for_each_map_elem"),
            "{told}"
        );
        return;
    }
    let report = lab.probe("", SCRIPT, &format!("sends {SENDS} cycle"));
    let bytes = &report.map("@by")["sender,tcp_sendmsg"];
    assert_eq!(report.map("@all"), &json!({ "true": SENDS }));
    assert_eq!(&report.map("@inside")["sender,tcp_sendmsg"], bytes);
    let left = report.map("@size").as_object().expect("a map");
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(!report.has("@never"));
    let words: Vec<&str> = report.printed()[0].split_whitespace().collect();
    assert_eq!((words[0], words[1], words[3]), ("10", "10", "sender"));
    assert_eq!(words[4], bytes.to_string());
    let even: u64 = left.values().filter_map(Value::as_u64).sum();
    assert!(words[2].parse::<u64>().expect("a sum") >= even);
}
