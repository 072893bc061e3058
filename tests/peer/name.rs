//! The command line of the name `bpftrace`.

use std::process::Stdio;

use crate::Named;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn wrong_usage_and_wrong_scripts_end_with_1() {
    let named = Named::new();
    for args in [
        &["-x"][..],
        &[],
        &["-f", "csv", "-e", "begin { }"],
        &["-e", "BEGIN {"],
        &["/nowhere.bt"],
        &["-d", "nothing", "-e", "begin { }"],
    ] {
        let output = named.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn version_help_and_info_need_no_script() {
    let named = Named::new();
    for (args, says) in [
        (["-V"], "bpftrace v0.26.0\n"),
        (["--version"], "bpftrace v0.26.0\n"),
        (["-h"], "Usage: bpftrace "),
        (["--info"], "Kernel features\n"),
    ] {
        let output = named.run(&args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(text(&output.stdout).contains(says), "{args:?}");
    }
}

#[test]
fn stages_and_objects_are_written_without_running_anything() {
    let named = Named::new();
    let script = "begin { printf(\"hi\\n\"); }";
    let output = named.run(&["-d", "ast", "-e", script]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("printf"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.o");
    let output = named.run(&["--emit-elf", file.to_str().unwrap(), "-e", script]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(std::fs::read(file).unwrap().starts_with(b"\x7fELF"));
}

#[test]
fn probes_are_listed_by_pattern_and_by_script() {
    let named = Named::new();
    let output = named.run(&["-l", "software:cpu*"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("software:cpu-clock:"));
    let by_script = named.run(&["-l", "-e", "software:cpu-clock:100 { @ = count(); }"]);
    assert!(by_script.status.success(), "{}", text(&by_script.stderr));
    assert!(text(&by_script.stdout).starts_with("software:cpu-clock:"));
}

#[test]
fn files_standard_input_and_parameters_are_taken() {
    let named = Named::new();
    if !named.can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("p.bt");
    let program = "#!/usr/bin/env bpftrace\nBEGIN { printf(\"%d %s\\n\", $1, str($2)); exit(); }\n";
    std::fs::write(&script, program).unwrap();
    let out = folder.path().join("out");
    let (script, out) = (script.to_str().unwrap(), out.to_str().unwrap());
    let output = named.run(&[script, "5", "word"]);
    assert_eq!(
        text(&output.stdout),
        "Attaching 1 probe...\n5 word\n\n\n",
        "{}",
        text(&output.stderr)
    );
    let output = named.run(&["-o", out, "-B", "full", "-q", script, "6", "other"]);
    assert_eq!(text(&output.stdout), "");
    assert_eq!(std::fs::read_to_string(out).unwrap(), "6 other\n\n\n");
    let mut command = named.command(&["-", "7", "third"]);
    let file = std::fs::File::open(script).unwrap();
    let output = command.stdin(Stdio::from(file)).output().unwrap();
    assert_eq!(text(&output.stdout), "Attaching 1 probe...\n7 third\n\n\n");
}

#[test]
fn a_childs_status_is_not_ours_and_probes_are_told_of() {
    let named = Named::new();
    if !named.can_run() {
        return;
    }
    let mut command = named.command(&["-c", "/bin/false", "-e", "BEGIN { printf(\"hi\\n\"); }"]);
    command.env("__BPFTRACE_NOTIFY_PROBES_ATTACHED", "1");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout),
        "Attaching 1 probe...\n__BPFTRACE_NOTIFY_PROBES_ATTACHED\nhi\n\n\n"
    );
}

#[test]
fn headers_are_not_read_which_is_told_with_v() {
    let named = Named::new();
    if !named.can_run() {
        return;
    }
    let script =
        "#include <linux/tcp.h>\n#include <sys/socket.h>\nBEGIN { print(AF_INET6); exit() }";
    let quiet = named.run(&["-e", script]);
    assert_eq!(text(&quiet.stdout), "Attaching 1 probe...\n10\n\n\n");
    assert_eq!(text(&quiet.stderr), "");
    let output = named.run(&["-v", "-e", script]);
    let told = text(&output.stderr);
    assert!(told.contains("-e:1: <linux/tcp.h> is not read"), "{told}");
    assert!(told.contains("-e:2: <sys/socket.h> is not read"), "{told}");
}

#[test]
fn settings_of_the_environment_are_obeyed_or_told_of() {
    let named = Named::new();
    let mut command = named.command(&["-e", "begin { }"]);
    let output = command.env("BPFTRACE_MAX_MAP_KEYS", "0").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("BPFTRACE_MAX_MAP_KEYS is `0`"));
    let mut command = named.command(&["-d", "ast", "-e", "begin { }"]);
    let output = command.env("BPFTRACE_LOG_SIZE", "5").output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("BPFTRACE_LOG_SIZE has no effect"));
}
