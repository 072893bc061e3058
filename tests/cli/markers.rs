//! Markers in programs: listed, checked and used, with those of our own workload.

use crate::{Done, hetsync_probe};

/// The workload, which has markers.
fn workload() -> String {
    let probe = std::path::Path::new(env!("CARGO_BIN_EXE_hetsync-probe"));
    let workload = hetsync_guest::workload(probe).expect("the workload builds");
    workload
        .into_os_string()
        .into_string()
        .expect("a UTF-8 path")
}

#[test]
fn markers_are_listed_with_their_arguments() {
    if !cfg!(target_arch = "x86_64") {
        println!("skipped: the workload has markers on x86-64 only");
        return;
    }
    let file = workload();
    let list = |words: &[&str]| hetsync_probe(&[&["list"], words].concat());
    let all = list(&[&format!("usdt:{file}")]).succeeds().stdout;
    let names: Vec<&str> = all.lines().filter_map(|l| l.rsplit(':').next()).collect();
    assert_eq!(names, ["float", "guarded", "round", "two"]);
    let one = list(&["-v", &format!("usdt:{file}:work*:round")]);
    let lines: Vec<String> = (one.succeeds().stdout.lines())
        .map(|line| line.trim().to_owned())
        .collect();
    assert_eq!(
        lines[1..],
        [
            "int32 arg0",
            "uint64 arg1",
            "uint32 arg2",
            "int64 arg3",
            "uint64 arg4",
            "uint64 arg5",
            "uint64 arg6"
        ]
    );
    list(&[&format!("usdt:{file}:none")]).fails(1, &["nothing matches"]);
    list(&["usdt"]).fails(1, &["usdt:FILE:*"]);
    list(&["usdt:/no/such/file:*"]).fails(1, &["no file `/no/such/file`"]);
    list(&["usdt:/dev/null:*"]).fails(1, &["not a regular file"]);
}

#[test]
fn mistakes_about_markers_are_told_where_they_are() {
    if !cfg!(target_arch = "x86_64") {
        println!("skipped: the workload has markers on x86-64 only");
        return;
    }
    let file = workload();
    let check = |script: String| -> Done { hetsync_probe(&["check", "-e", &script]) };
    let probe = |marker: &str, body: &str| check(format!("usdt:{file}:{marker} {{ {body} }}"));
    probe("workload:round", "@[arg6] = sum(arg0); @p = probe;").succeeds();
    probe("round", "@ = count();").succeeds();
    probe("workload:*", "@[probe] = count();").succeeds();
    probe(":two", "@ = sum(arg0);").succeeds();
    probe("workload:rounds", "@ = count();").fails(1, &["E0225", "did you mean `round`"]);
    probe("other:round", "@ = count();").fails(1, &["E0225", "other:round"]);
    probe("workload:round", "@ = sum(arg7);").fails(1, &["E0222", "no argument `arg7`"]);
    probe("workload:two", "@ = sum(arg1);").fails(1, &["E0222", "did you mean `arg0`"]);
    probe("workload:float", "@ = sum(arg0);").fails(1, &["E0224", "8f@%xmm0"]);
    probe("workload:round", "@ = sum(retval);").fails(1, &["E0211"]);
    probe("workload:round", "@ = sum(args.x);").fails(1, &["E0222"]);
    check("usdt::workload:round { @ = count(); }".into()).fails(1, &["E0203", "-p PID"]);
}

#[cfg(feature = "kernel")]
#[test]
fn markers_fire_with_what_they_are_given() {
    if !cfg!(target_arch = "x86_64") {
        println!("skipped: the workload has markers on x86-64 only");
        return;
    }
    if !crate::kernel_runs_programs() {
        return;
    }
    let file = workload();
    let script = format!(
        "usdt:{file}:workload:round {{ @sums = sum(arg0); @large = max(arg1); @fixed[arg2, arg3] = count(); @memory = sum(arg4 + arg5); \
             @text[str(uptr(arg6))] = count(); }}
         U:{file}:two {{ @two = sum(arg0); @both = count(); }}
         usdt:{file}:workload:guarded {{ @guarded = sum(arg0); }}"
    );
    let child = format!("{file} marks 10");
    let done = hetsync_probe(&["run", "-q", "-e", &script, "-c", &child]).succeeds();
    for line in [
        // The counter is raised while the probe is there, so the program passes the marker.
        "marks=10 guarded=10",
        "@sums: -45",
        &format!("@large: {}", 9u64 << 32),
        "@fixed[5, -1]: 10",
        &format!("@memory: {}", 2 * 3 * 45),
        "@text[a marked text]: 10",
        "@two: -5",
        "@both: 10",
        "@guarded: 45",
    ] {
        assert!(
            done.stdout.lines().any(|l| l == line),
            "{line}: {}",
            done.all()
        );
    }
}
