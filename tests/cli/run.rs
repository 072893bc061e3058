//! Scripts of `begin`, `end` and `interval` on the kernel the tests run on; no function is probed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};

use crate::{Done, command, hetsync_probe, kernel_runs_programs};

#[test]
fn begin_and_end_run_and_maps_are_printed() {
    if !kernel_runs_programs() {
        return;
    }
    let done = hetsync_probe(&[
        "run",
        "-e",
        "begin { @x = count(); printf(\"hi %d\\n\", 3); exit() } end { printf(\"bye\\n\") }",
    ])
    .succeeds();
    assert_eq!(
        done.stdout,
        "Attaching 2 probes...\nhi 3\nbye\n\n\n@x: 1\nlost: 0 events, 0 samples, 0 probe hits\n"
    );
    assert_eq!(done.stderr, "");
    // Without exit() such a script ends by itself.
    let done = hetsync_probe(&["run", "-q", "-e", "begin { @x = 5 }"]).succeeds();
    assert_eq!(done.stdout, "@x: 5\n");
}

#[test]
fn the_scripts_exit_code_is_ours() {
    if !kernel_runs_programs() {
        return;
    }
    for code in [0, 1, 7, 255] {
        let script = format!("begin {{ exit({code}) }}");
        assert_eq!(
            hetsync_probe(&["run", "-q", "-e", &script]).code,
            Some(code)
        );
    }
}

#[test]
fn json_and_csv_go_to_files_and_pictures_are_drawn() {
    if !kernel_runs_programs() {
        return;
    }
    let script = "begin { @lat[\"a\"] = summary(us(5000)); @lat[\"a\"] = summary(us(7000)); @h = hist(5); printf(\"text\\n\"); }";
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let (json, csv, svg, png) = (path("x.json"), path("x.csv"), path("x.svg"), path("x.png"));
    let done = hetsync_probe(&[
        "run", "-f", "json", "-o", &json, "--plot", &svg, "--plot", &png, "-e", script,
    ])
    .succeeds();
    assert_eq!(done.stdout, "");
    let lines: Vec<serde_json::Value> = std::fs::read_to_string(&json)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&str> = lines
        .iter()
        .map(|line| line["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["attached_probes", "printf", "hist", "summary", "account"]
    );
    assert_eq!(lines[3]["data"]["@lat"]["a"]["50%"], 6.0);
    assert_eq!(lines[3]["unit"], "us");
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));

    assert!(std::fs::read(&png).unwrap().starts_with(b"\x89PNG"));

    let done = hetsync_probe(&["run", "-f", "csv", "-o", &csv, "-e", script]).succeeds();
    assert!(done.stderr.contains("text\n"), "{}", done.all());
    let table = std::fs::read_to_string(&csv).unwrap();
    assert!(table.contains("map,key,count,mean (us),std (us),min (us),25% (us),50% (us),75% (us),max (us)\n@lat,a,2,6,"), "{table}");

    std::fs::remove_file(&svg).unwrap();
    let empty = hetsync_probe(&["run", "-q", "--plot", &svg, "-e", "begin { @x = 1 }"]).succeeds();
    assert!(
        empty.stderr.contains("is not drawn: nothing to plot"),
        "{}",
        empty.all()
    );
    assert!(!std::fs::exists(&svg).unwrap());
    hetsync_probe(&["run", "-o", "/no/such/x", "-e", "begin { @x = 1 }"])
        .fails(1, &["cannot write to /no/such/x"]);
    let full = hetsync_probe(&["run", "-o", "/dev/full", "-e", "begin { @x = 1 }"]);
    full.fails(1, &["cannot write to /dev/full"]);
}

#[test]
fn intervals_fire_until_the_script_ends_itself() {
    if !kernel_runs_programs() {
        return;
    }
    let script = "interval:ms:10 { @n++; print(@n); if (@n >= 3) { exit() } } end { printf(\"end %d\\n\", @n) }";
    let done = hetsync_probe(&["run", "-q", "-e", script]).succeeds();
    assert_eq!(done.stdout, "@n: 1\n@n: 2\n@n: 3\nend 3\n@n: 3\n");
}

#[test]
fn a_cleared_statistic_starts_anew_and_a_zeroed_one_keeps_its_keys() {
    if !kernel_runs_programs() {
        return;
    }
    let script = "begin { @n = count(); @k[1] = sum(2); @k[2] = sum(5); } \
        interval:ms:10 { @i++; if (@i == 2) { print(@n); clear(@n); print(@k); zero(@k); print(@k); } \
        if (@i == 3) { @k[2] = sum(6); print(@k); clear(@k); } if (@i == 4) { @k[3] = sum(9); @n = count(); exit(); } }";
    let text = hetsync_probe(&["run", "-q", "-e", script]).succeeds();
    assert_eq!(
        text.stdout,
        "@n: 1\n@k[1]: 2\n@k[2]: 5\n@k[1]: 0\n@k[2]: 0\n@k[1]: 0\n@k[2]: 6\n@i: 4\n@k[3]: 9\n@n: 1\n",
        "{}",
        text.all()
    );
}

#[test]
fn a_zeroed_map_without_keys_is_still_there() {
    if !kernel_runs_programs() {
        return;
    }
    // What was never touched is not made by it, and what is deleted or cleared afterwards is gone.
    let script = "begin { @b = 5; @s = \"x\"; @c = count(); @m = max(7); @d = 3; } \
        interval:ms:10 { @i++; \
        if (@i == 1) { zero(@b); zero(@s); zero(@c); zero(@m); zero(@d); zero(@u); zero(@v); \
            print(@b); print(@s); print(@c); print(@m); print(@u); print(@v); delete(@d); print(@d); } \
        if (@i == 2) { @c = count(); @m = max(2); print(@c); print(@m); clear(@b); clear(@c); clear(@m); } \
        if (@i == 3) { @u = count(); @v = 1; delete(@s); delete(@i); exit(); } }";
    let done = hetsync_probe(&["run", "-q", "-e", script]).succeeds();
    assert_eq!(
        done.stdout,
        "@b: 0\n@s: \n@c: 0\n@m: 0\n@c: 1\n@m: 2\n@u: 1\n@v: 1\n",
        "{}",
        done.all()
    );
}

#[test]
fn a_loader_that_cannot_is_not_replaced_in_silence() {
    if !kernel_runs_programs() || !cfg!(feature = "redbpf") {
        println!("skipped: this kernel runs no programs, or redbpf is not built in");
        return;
    }
    for probe in ["profile:hz:9", "rawtracepoint:sched_switch"] {
        let script = format!("{probe} {{ @ = count(); }}");
        hetsync_probe(&["run", "-d", "1", "--loader", "redbpf", "-e", &script])
            .fails(1, &["redbpf"]);
    }
}

#[test]
fn objects_may_be_built_for_another_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("other.o");
    let script = "kprobe:a_function_of_another_kernel { @ = count(); }";
    let to = object.to_str().expect("UTF-8");
    hetsync_probe(&["build", "-o", to, "-e", script]).succeeds();
    assert!(
        std::fs::read(&object)
            .expect("the object")
            .starts_with(b"\x7fELF")
    );
}

#[test]
fn clearing_makes_room_for_other_keys() {
    if !kernel_runs_programs() {
        return;
    }
    let script = "interval:ms:10 { @i++; @k[@i, 1] = count(); @k[@i, 2] = count(); @k[@i, 3] = count(); \
        print(@k); clear(@k); if (@i == 5) { exit(); } }";
    let done = hetsync_probe(&["run", "--max-keys", "4", "-e", script]).succeeds();
    let printed = done.stdout.matches("@k[").count();
    assert_eq!(printed, 15, "{}", done.all());
    assert!(
        done.stdout.contains("lost: 0 events, 0 samples"),
        "{}",
        done.all()
    );
}

#[test]
fn d_ends_the_run_after_that_time() {
    if !kernel_runs_programs() {
        return;
    }
    let start = std::time::Instant::now();
    let done = hetsync_probe(&[
        "run",
        "-q",
        "-d",
        "0.3",
        "-e",
        "interval:s:3600 { @x = 1 } end { printf(\"end\\n\") }",
    ])
    .succeeds();
    assert_eq!(done.stdout, "end\n");
    assert!(start.elapsed() >= std::time::Duration::from_millis(300));
}

#[test]
fn a_full_map_is_in_the_account_with_its_mend() {
    if !kernel_runs_programs() {
        return;
    }
    let script = "begin { @x[1] = count(); @x[2] = count(); @x[3] = count(); @x[3] = count(); }";
    let done = hetsync_probe(&["run", "--max-keys", "2", "-e", script]).succeeds();
    assert!(
        done.stdout
            .contains("lost: 0 events, 2 samples, 0 probe hits\n"),
        "{}",
        done.all()
    );
    assert!(
        done.stdout.contains("@x was full at 2 keys"),
        "{}",
        done.all()
    );
    assert!(done.stdout.contains("--max-keys"), "{}", done.all());
    // With -q too, but beside the script's output.
    let done = hetsync_probe(&["run", "-q", "--max-keys", "2", "-e", script]).succeeds();
    assert!(!done.stdout.contains("lost"), "{}", done.all());
    assert!(
        done.stderr.starts_with("lost: 0 events, 2 samples,")
            && done.stderr.contains("@x was full at 2 keys"),
        "{}",
        done.all()
    );
}

#[test]
fn intervals_that_cannot_be_kept_are_counted() {
    if !kernel_runs_programs() {
        return;
    }
    // A thousand ticks a millisecond cannot be kept by anyone.
    let script = "interval:us:1 { @n++; if (@n == 1000) { exit(); } }";
    let done = hetsync_probe(&["run", "-q", "-e", script]).succeeds();
    assert_eq!(done.stdout, "@n: 1000\n");
    assert!(
        done.stderr.contains("interval:us:1 missed "),
        "{}",
        done.all()
    );
}

#[test]
fn a_kernel_without_kprobes_says_so_first() {
    if !kernel_runs_programs()
        || std::path::Path::new("/sys/bus/event_source/devices/kprobe").exists()
    {
        println!("skipped: this kernel has kprobes, or runs no programs");
        return;
    }
    for script in [
        "kprobe:tcp_sendmesg { @ = count(); }",
        "kprobe:tcp_* { @ = count(); }",
    ] {
        let done = hetsync_probe(&["run", "-e", script]).fails(1, &["E0602", "no kprobes"]);
        assert!(!done.stderr.contains("did you mean"), "{}", done.all());
        assert_eq!(done.stdout, "", "nothing is attached");
    }
    hetsync_probe(&["list", "kprobe:tcp_*"]).fails(1, &["no kprobes"]);
    let fentry = "fentry:tcp_sendmsg { @ = count(); }";
    hetsync_probe(&["check", "--this-kernel", "-e", fentry]).fails(1, &["E0602"]);
    hetsync_probe(&["run", "-e", fentry]).fails(1, &["error[E0602]"]);
}

#[test]
fn a_picture_that_cannot_be_drawn_is_told_before_the_run() {
    let begin = ["-e", "begin { printf(\"ran\\n\") @x = 1 }"];
    let missing = ["run", "--plot", "/no/such/folder/x.svg", begin[0], begin[1]];
    let done = hetsync_probe(&missing).fails(1, &["/no/such/folder/x.svg", "No such file"]);
    assert_eq!(done.stdout, "");
    let file = ["run", "--plot", "/proc/version/x.svg", begin[0], begin[1]];
    hetsync_probe(&file).fails(1, &["its folder is a file"]);
}

#[test]
fn emit_does_not_ask_the_kernel() {
    let script = "kprobe:no_such_function_here { @ = count(); }";
    let ours = hetsync_probe(&["run", "--emit", "types", "-e", script]).succeeds();
    let check = hetsync_probe(&["check", "--emit", "types", "-e", script]).succeeds();
    assert_eq!(ours.stdout, check.stdout);
}

#[test]
fn dry_run_loads_and_prints_nothing() {
    if !kernel_runs_programs() {
        return;
    }
    let done = hetsync_probe(&["run", "--dry-run", "-e", "begin { printf(\"x\") }"]).succeeds();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
}

#[test]
fn the_child_runs_once_all_is_attached_and_its_status_is_ours() {
    if !kernel_runs_programs() {
        return;
    }
    let script = "begin { printf(\"begin\\n\") } interval:s:3600 {} end { printf(\"end\\n\") }";
    let done = hetsync_probe(&[
        "run",
        "-q",
        "-c",
        "sh -c 'echo from the child; exit 7'",
        "-e",
        script,
    ]);
    assert_eq!(done.code, Some(7), "{}", done.all());
    // `begin` was printed and flushed before the child was let go; it writes to the same standard output.
    assert_eq!(done.stdout, "begin\nfrom the child\nend\n");
    let done = hetsync_probe(&["run", "-q", "-c", "sh -c 'kill -9 $$'", "-e", script]);
    assert_eq!(done.code, Some(128 + 9), "{}", done.all());
    assert_eq!(
        hetsync_probe(&["run", "-q", "-c", "true", "-e", script]).code,
        Some(0)
    );
    // The script's own code comes before the child's.
    let quick = "interval:ms:10 { exit(3) }";
    assert_eq!(
        hetsync_probe(&["run", "-q", "-c", "sleep 3600", "-e", quick]).code,
        Some(3)
    );
}

#[test]
fn the_end_of_a_watched_process_ends_the_run() {
    if !kernel_runs_programs() {
        return;
    }
    let mut sleeper = std::process::Command::new("sleep")
        .arg("3600")
        .spawn()
        .unwrap();
    let mut probe = Running::start(&[
        "run",
        "-p",
        &sleeper.id().to_string(),
        "-e",
        "interval:s:3600 {}",
    ]);
    probe.wait_for("Attaching 1 probe...");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    probe.end().succeeds();
}

#[test]
fn interrupt_and_terminate_print_the_maps_and_exit_0() {
    if !kernel_runs_programs() {
        return;
    }
    for signal in ["INT", "TERM", "HUP"] {
        let mut probe = Running::start(&[
            "run",
            "-q",
            "-e",
            "begin { @x = 1; printf(\"ready\\n\") } interval:s:3600 {} end { @y = 2 }",
        ]);
        probe.wait_for("ready");
        // Caught since before `begin` ran.
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &probe.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let done = probe.end().succeeds();
        assert_eq!(done.stdout, "@x: 1\n@y: 2\n", "{signal}");
    }
}

/// `nohup` means what it says.
#[test]
fn a_run_that_is_to_outlive_its_terminal_does() {
    if !kernel_runs_programs() {
        return;
    }
    let script = "begin { printf(\"ready\\n\") } interval:ms:300 { printf(\"on\\n\"); exit() }";
    let line = format!("trap '' HUP; exec \"$0\" run -q -e '{script}'");
    let mut child = std::process::Command::new("sh")
        .args(["-c", &line, env!("CARGO_BIN_EXE_hetsync-probe")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut ready = [0; 6];
    stdout.read_exact(&mut ready).unwrap();
    let kill = std::process::Command::new("kill")
        .args(["-s", "HUP", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "on\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    if !kernel_runs_programs() {
        return;
    }
    let mut probe = Running::start(&["run", "-q", "-e", "interval:ms:5 { printf(\"line\\n\") }"]);
    probe.wait_for("line");
    let Running { mut child, stdout } = probe;
    drop(stdout);
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(stderr, "");
}

#[test]
fn who_waits_for_the_probes_is_told() {
    if !kernel_runs_programs() {
        return;
    }
    let output = command(&["run", "-q", "-e", "begin { printf(\"a\\n\") }"])
        .env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1")
        .output()
        .unwrap();
    let done = Done::of(output).succeeds();
    assert!(
        done.stdout.contains("__BPFTRACE_NOTIFY_PROBES_ATTACHED\n"),
        "{}",
        done.all()
    );
}

#[test]
fn function_probes_attach_or_the_kernels_lack_is_named() {
    if !kernel_runs_programs() {
        return;
    }
    let done = hetsync_probe(&[
        "run",
        "-d",
        "0.1",
        "-v",
        "-e",
        "kprobe:tcp_sendmsg { @ = count(); }",
    ]);
    if done.code == Some(0) {
        assert!(
            done.stderr.contains("kprobe:tcp_sendmsg: "),
            "{}",
            done.all()
        );
    } else {
        let done = done.fails(1, &["E060", "kprobe", "tcp_sendmsg"]);
        assert!(
            done.stderr.contains("tracepoint"),
            "it says what there is: {}",
            done.all()
        );
    }
}

/// A run that is watched line by line.
struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(args: &[&str]) -> Running {
        let mut child = command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child, stdout }
    }

    /// Reads lines up to this one; a run that ends before fails the test.
    fn wait_for(&mut self, line: &str) {
        let mut found = String::new();
        while found.trim_end() != line {
            found.clear();
            assert_ne!(
                self.stdout.read_line(&mut found).unwrap(),
                0,
                "ended before {line:?}"
            );
        }
    }

    /// What it still prints, and how it ended.
    fn end(mut self) -> Done {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        Done {
            code: self.child.wait().unwrap().code(),
            stdout,
            stderr,
        }
    }
}

#[test]
fn a_burst_of_new_keys_of_large_statistics_loses_nothing() {
    if !kernel_runs_programs() {
        return;
    }
    let samples: String = (0..60)
        .map(|key| format!("@s[{key}] = summary({key}); "))
        .collect();
    let script = format!("begin {{ {samples} }}");
    let done = hetsync_probe(&["run", "-f", "csv", "-e", &script]).succeeds();
    assert!(
        done.stderr.contains("lost: 0 events, 0 samples")
            || done.stdout.contains("lost: 0 events, 0 samples"),
        "{}{}",
        done.stdout,
        done.stderr
    );
}
