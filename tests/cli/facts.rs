//! `check` against another machine's kernel, and `list`.

use crate::hetsync_probe;

fn check(script: &str, functions: bool) -> crate::Done {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/kernels/6.12");
    let (btf, list) = (format!("{folder}/btf"), format!("{folder}/functions"));
    let mut words = vec!["check", "--btf", &btf, "--tracepoints", folder];
    if functions {
        words.extend(["--functions", &list]);
    }
    words.extend(["-e", script]);
    hetsync_probe(&words)
}

#[test]
fn a_script_is_checked_for_another_kernel() {
    check("kprobe:tcp_sendmsg { @ = count(); }", true).succeeds();
    check("fentry:tcp_sendmsg { @ = count(); }", true).succeeds();
    check("tracepoint:tcp:tcp_probe { @ = count(); }", true).succeeds();
    check("rawtracepoint:tcp_probe { @ = count(); }", true).succeeds();
    check("kprobe:veth:veth_xmit { @ = count(); }", true).succeeds();
    for (script, words) in [
        (
            "kprobe:tcp_sendmgs { @ = count(); }",
            "did you mean `tcp_sendmsg`",
        ),
        ("kprobe:zz_* { @ = count(); }", "matches nothing"),
        (
            "kprobe:veth:tcp_sendmsg { @ = count(); }",
            "not in that module",
        ),
        (
            "tracepoint:tcp:tcp_prope { @ = count(); }",
            "did you mean `tcp:tcp_probe`",
        ),
        (
            "rawtracepoint:tcp_prope { @ = count(); }",
            "did you mean `tcp_probe`",
        ),
        ("fentry:veth_xmit { @ = count(); }", "E0220"),
    ] {
        check(script, true).fails(1, &[words]);
    }
    // Without the list nothing says that a module has no such function.
    check("kprobe:in_some_module { @ = count(); }", false).succeeds();
}

#[test]
fn files_that_are_no_facts_are_refused() {
    let script = ["-e", "begin { exit(); }"];
    for (words, why) in [
        (["--btf", "/proc/self/exe"], "objcopy"),
        (["--btf", "/proc/self/cmdline"], "not BTF"),
        (["--btf", "/no/such/file"], "cannot read /no/such/file"),
        (
            ["--functions", "/no/such/file"],
            "cannot read /no/such/file",
        ),
        (["--tracepoints", "/proc"], "no folder `events`"),
    ] {
        let words: Vec<&str> = ["check"].into_iter().chain(words).chain(script).collect();
        hetsync_probe(&words).fails(1, &[why]);
    }
}

#[test]
fn what_needs_no_kernel_is_listed_everywhere() {
    let software = hetsync_probe(&["list", "software:*faults"]).succeeds();
    assert!(
        software.stdout.contains("software:page-faults:\n"),
        "{}",
        software.all()
    );
    assert_eq!(
        hetsync_probe(&["list", "begin"]).succeeds().stdout,
        "begin\n"
    );
    // Whatever else this kernel lacks: something matched.
    let all = hetsync_probe(&["list"]).succeeds();
    assert!(
        all.stdout.starts_with("begin\nend\ninterval:hz:\n"),
        "{}",
        all.all()
    );
    hetsync_probe(&["list", "iter:x"]).fails(1, &["no probe kind"]);
}

#[test]
fn types_are_listed_with_their_members() {
    let names = hetsync_probe(&["list", "struct sock_comm*"]);
    if names.code != Some(0) {
        names.fails(1, &["no BTF"]);
        return;
    }
    assert_eq!(names.stdout, "struct sock_common\n");
    let whole = hetsync_probe(&["list", "-v", "struct sock_common"]).succeeds();
    for line in [
        "struct sock_common {\n",
        "\t\t\t__be32 skc_daddr;\n",
        "\tunsigned char skc_reuseport: 1;\n",
        "};\n\n",
    ] {
        assert!(whole.stdout.contains(line), "{line}: {}", whole.stdout);
    }
    hetsync_probe(&["list", "struct no_such_type"]).fails(1, &["nothing matches"]);
}
