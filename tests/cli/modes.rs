//! Subcommands that need no kernel.

use crate::{hetsync_probe, with_stdin};

const LATENCY: &str = "kprobe:tcp_sendmsg { @start[tid] = nsecs; }
kretprobe:tcp_sendmsg /@start[tid]/ { @us[comm] = summary(us(nsecs - @start[tid])); delete(@start[tid]); }";

#[test]
fn help_and_version_go_to_standard_output() {
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["help", "check"],
        &["--version"],
    ] {
        let done = hetsync_probe(args).succeeds();
        assert!(done.stdout.contains("hetsync-probe"), "{}", done.all());
        assert!(done.stderr.is_empty());
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for args in [
        &[][..],
        &["frob"],
        &["run"],
        &["run", "-d", "0", "-e", "begin {}"],
        &["run", "-d", "soon", "-e", "begin {}"],
        &["run", "-f", "xml", "-e", "begin {}"],
        &["run", "--plot", "x.gif", "-e", "begin {}"],
        &["run", "-p", "0", "-e", "begin {}"],
        &["run", "-p", "1", "-c", "true", "-e", "begin {}"],
        &["run", "--max-keys", "0", "-e", "begin {}"],
        &["check"],
        &["build", "-e", "begin {}"],
        &["fmt"],
        &["fmt", "--check", "--write", "x.hp"],
    ] {
        let done = hetsync_probe(args);
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.all());
        assert!(!done.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn check_is_silent_about_a_right_script() {
    let done = hetsync_probe(&["check", "-e", LATENCY]).succeeds();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
    with_stdin(&["check", "-"], LATENCY).succeeds();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latency.hp");
    std::fs::write(&file, LATENCY).unwrap();
    hetsync_probe(&["check", file.to_str().unwrap()]).succeeds();
}

#[test]
fn check_takes_parameters() {
    let script = "kprobe:tcp_sendmsg /pid == $1/ { printf(\"%s\\n\", str($2)); @[$1] = count(); }";
    hetsync_probe(&["check", "-e", script, "17", "name"]).succeeds();
    hetsync_probe(&["check", "-e", script, "-17", "name"]).succeeds();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.hp");
    std::fs::write(&file, script).unwrap();
    hetsync_probe(&["check", file.to_str().unwrap(), "17", "name"]).succeeds();
}

#[test]
fn parse_only_does_not_ask_for_meaning() {
    let script = "kprobe:tcp_sendmsg { @x = no_such_function(); }";
    hetsync_probe(&["check", "--parse-only", "-e", script]).succeeds();
    hetsync_probe(&["check", "-e", script]).fails(1, &["no_such_function"]);
    hetsync_probe(&["check", "--parse-only", "-e", "begin {"]).fails(1, &["E0108"]);
}

#[test]
fn mistakes_as_json_are_json() {
    let done = hetsync_probe(&["check", "-f", "json", "-e", "begin { @x = cout(); foo }"]);
    assert_eq!(done.code, Some(1), "{}", done.all());
    let mistakes: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(mistakes.as_array().unwrap().len(), 2);
    assert_eq!(mistakes[0]["span"]["start"]["column"], 14);
}

#[test]
fn every_stage_can_be_printed() {
    for (stage, contains) in [
        ("ast", "tcp_sendmsg"),
        ("types", "@us"),
        ("ir", "kretprobe:tcp_sendmsg"),
        ("asm", "call"),
    ] {
        let done = hetsync_probe(&["check", "--emit", stage, "-e", LATENCY]).succeeds();
        assert!(done.stdout.contains(contains), "{stage}: {}", done.all());
        let again = hetsync_probe(&["build", "--emit", stage, "-e", LATENCY]).succeeds();
        assert_eq!(again.stdout, done.stdout, "{stage}");
    }
    hetsync_probe(&["check", "--emit", "ir", "-e", "begin {"]).fails(1, &["E0108"]);
}

#[test]
fn build_writes_an_object() {
    use object::Object;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.o");
    let path = file.to_str().unwrap();
    hetsync_probe(&["build", "-o", path, "-e", LATENCY]).succeeds();
    let bytes = std::fs::read(&file).unwrap();
    let object = object::File::parse(bytes.as_slice()).unwrap();
    assert_eq!(object.architecture(), object::Architecture::Bpf);
    hetsync_probe(&["build", "-o", "/no/such/folder/x.o", "-e", LATENCY])
        .fails(1, &["cannot write"]);
}

#[test]
fn fmt_formats_checks_and_rewrites() {
    let done = with_stdin(&["fmt", "-"], "begin{@x=1;}").succeeds();
    let formatted = done.stdout;
    assert_ne!(formatted, "begin{@x=1;}");
    assert_eq!(
        with_stdin(&["fmt", "-"], &formatted).succeeds().stdout,
        formatted
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.hp");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "begin{@x=1;}").unwrap();
    let check = hetsync_probe(&["fmt", "--check", path]);
    assert_eq!(check.code, Some(1));
    assert!(check.stdout.contains("fmt --write"), "{}", check.all());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "begin{@x=1;}");
    hetsync_probe(&["fmt", "--write", path]).succeeds();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), formatted);
    hetsync_probe(&["fmt", "--check", path]).succeeds();

    std::fs::write(&file, "begin {").unwrap();
    hetsync_probe(&["fmt", "--write", path]).fails(1, &["E0108"]);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "begin {",
        "a script with a mistake is left alone"
    );
}

#[test]
fn explain_knows_codes() {
    let done = hetsync_probe(&["explain", "e0201"]).succeeds();
    assert!(done.stdout.starts_with("E0201: "), "{}", done.all());
    for code in [
        "E0601", "E0602", "E0603", "E0604", "E0605", "E0606", "E0607",
    ] {
        hetsync_probe(&["explain", code]).succeeds();
    }
    hetsync_probe(&["explain", "E9999"]).fails(1, &["E9999"]);
}

#[test]
fn completions_and_the_manual_are_made_from_the_command_line() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = hetsync_probe(&["completions", shell]).succeeds();
        assert!(done.stdout.contains("max-keys"), "{shell}");
    }
    let done = hetsync_probe(&["man"]).succeeds();
    assert!(
        done.stdout.contains(".TH hetsync-probe") || done.stdout.contains(".TH \"hetsync-probe\""),
        "{}",
        done.all()
    );
    assert!(done.stdout.contains("explain"));
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man");
    hetsync_probe(&["man", "--directory", pages.to_str().unwrap()]).succeeds();
    for page in [
        "hetsync-probe.1",
        "hetsync-probe-run.1",
        "hetsync-probe-check.1",
    ] {
        assert!(pages.join(page).metadata().unwrap().len() > 0, "{page}");
    }
}

#[test]
fn list_shows_this_kernels_functions_or_says_why_not() {
    let done = hetsync_probe(&["list", "kprobe:tcp_sendms?"]);
    if done.code == Some(0) {
        assert!(
            done.stdout.contains("kprobe:tcp_sendmsg\n"),
            "{}",
            done.all()
        );
        let both = hetsync_probe(&["list", "*probe:tcp_sendmsg"]);
        assert_eq!(
            both.code,
            Some(1),
            "kinds are globs only at their end: {}",
            both.all()
        );
        let both = hetsync_probe(&["list", "k*:tcp_sendmsg"]).succeeds();
        assert_eq!(both.stdout, "kprobe:tcp_sendmsg\nkretprobe:tcp_sendmsg\n");
        hetsync_probe(&["list", "kprobe:no_such_function_at_all"]).fails(1, &["nothing matches"]);
    } else {
        let why = ["cannot be listed", "no kprobes"];
        assert!(
            why.iter().any(|why| done.stderr.contains(why)),
            "{}",
            done.all()
        );
        println!("list was only seen to refuse: {}", done.stderr.trim());
    }
    hetsync_probe(&["list", "iter:x"]).fails(1, &["no probe kind"]);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    use std::process::Stdio;
    let mut child = crate::command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The listing that the book's tour explains is the one the program prints.
#[test]
fn the_listing_in_the_tour_is_what_is_printed() {
    let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../book/src/tour.md");
    let tour = std::fs::read_to_string(book).expect("the tour");
    let script = "kprobe:tcp_sendmsg { @[comm] = count(); }";
    let command = format!("$ hetsync-probe run --emit asm -e '{script}'\n");
    let (_, listing) = tour.split_once(&command).expect("the command");
    let (listing, _) = listing.split_once("```").expect("its end");
    let done = hetsync_probe(&["run", "--emit", "asm", "-e", script]).succeeds();
    assert_eq!(done.stdout, listing);
}
