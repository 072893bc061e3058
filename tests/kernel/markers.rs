//! Markers of a program (`usdt`), by its path and by its process, with a semaphore and without.

use serde_json::json;

use crate::lab::{Lab, Report};

const ROUNDS: u64 = 20;

const MARKERS: &str = r#"
usdt:hetsync-workload:workload:round {
    @sum = sum(arg0);
    @fixed[arg2, arg3] = count();
    @memory = sum(arg4 + arg5);
    @text[str(uptr(arg6)), comm] = count();
}
usdt:hetsync-workload:workload:two { @two = sum(arg0); @both = count(); }
usdt:hetsync-workload:guarded { @guarded = sum(arg0); }
"#;

pub(crate) fn markers(lab: &Lab) {
    let report = lab.probe("", MARKERS, &format!("marks {ROUNDS}"));
    let below = ROUNDS * (ROUNDS - 1) / 2;
    assert_eq!(report.map("@sum"), &json!(-(below as i64)));
    assert_eq!(report.map("@fixed"), &json!({ "5,-1": ROUNDS }));
    // The second word of two, by its distance and by an index: three times the round.
    assert_eq!(report.number("@memory"), 2 * 3 * below);
    let text = "a marked text,hetsync-workloa";
    assert_eq!(report.map("@text"), &json!({ text: ROUNDS }));
    // 0 - 1 + 2 - 3 ..: each place with its own type.
    assert_eq!(report.map("@two"), &json!(-(ROUNDS as i64) / 2));
    assert_eq!(report.number("@both"), ROUNDS);
    // Every round passed it, as somebody traced it.
    assert_eq!(report.said("guarded"), ROUNDS);
    assert_eq!(report.number("@guarded"), below);
    report.assert_nothing_lost();
}

/// The process is looked at for its files; another one of the same program does not count.
pub(crate) fn of_a_process(lab: &Lab) {
    let script =
        "usdt::workload:guarded { @[pid] = count(); } usdt:*:round { @rounds[pid] = count(); }";
    lab.guest
        .put("/tmp/marks.hp", script.as_bytes())
        .expect("the script gets in");
    // Both wait for a line, which comes once the probes are there.
    let output = lab.run(
        "cd /tmp; rm -f go go2 told marks.json; mkfifo go go2; \
         hetsync-workload marks 20 wait < go > /dev/null & picked=$!; exec 3> go; \
         hetsync-workload marks 20 wait < go2 > /dev/null & other=$!; exec 4> go2; \
         for i in $(seq 300); do grep -q workload /proc/$picked/maps && grep -q workload /proc/$other/maps && break; sleep 0.2; done; \
         __BPFTRACE_NOTIFY_PROBES_ATTACHED=1 hetsync-probe run -f json -p $picked marks.hp > marks.json & probe=$!; \
         for i in $(seq 300); do grep -q NOTIFY_PROBES_ATTACHED marks.json && break; sleep 0.2; done; \
         echo >&4; wait $other; echo >&3; wait $probe; echo $picked",
    );
    assert!(
        output.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text =
        String::from_utf8(lab.guest.get("/tmp/marks.json").expect("a report")).expect("text");
    let lines: Vec<&str> = (text.lines())
        .filter(|line| line.starts_with('{'))
        .collect();
    let report = Report::new(&lines.join("\n"), String::new());
    let picked = output.text().trim().to_owned();
    assert_eq!(report.map("@"), &json!({ picked.clone(): ROUNDS }));
    assert_eq!(report.map("@rounds"), &json!({ picked: ROUNDS }));
}

/// A server and two workers; what it says that it has closed.
const SERVER: &str = r#"
cd /tmp
hetsync serve --workers 2 --policy strict --listen 127.0.0.1:9999 2> served & server=$!
for i in $(seq 300); do grep -q listening served && break; sleep 0.2; done
hetsync worker -q -n 2 -r 50 -t 10ms
kill -TERM $server
wait $server
sed -n 's/.* \([0-9]*\) rounds: .*/rounds=\1/p' served
"#;

pub(crate) fn rounds_of_a_server(lab: &Lab) {
    lab.guest
        .put("/tmp/serve.sh", SERVER.as_bytes())
        .expect("the script gets in");
    let script = include_str!("../../probe-scripts/rounds.hp");
    let report = lab.probe_over("", script, "sh /tmp/serve.sh");
    assert_eq!(report.said("rounds"), 50);
    assert_eq!(report.number("@rounds"), 50);
    assert_eq!(report.map("@gather")["count"], 50);
    // What the last round sends is not complete until another one closes.
    assert_eq!(report.map("@answer")["count"], 49);
    assert_eq!(report.map("@send")["count"], 49);
    report.assert_nothing_lost();
}
