//! Attach points, lists of them, and predicates. What they mean is the providers' matter.

use super::{mistake, tree};

#[test]
fn every_kind_in_every_spelling() {
    for point in [
        "begin",
        "BEGIN",
        "end",
        "END",
        "kprobe:f",
        "k:f",
        "kprobe:mod:f",
        "kprobe:tcp_*",
        "kprobe:f+0x10",
        "kprobe:\"f\"+8",
        "kretprobe:f",
        "kr:f",
        "fentry:f",
        "f:f",
        "kfunc:f",
        "kfunc:vmlinux:f",
        "fexit:f",
        "fr:f",
        "kretfunc:f",
        "tracepoint:tcp:tcp_probe",
        "t:tcp:*",
        "rawtracepoint:tcp_probe",
        "rt:tcp_probe",
        "interval:s:1",
        "interval:ms:10",
        "interval:us:100",
        "interval:hz:5",
        "interval:1s",
        "i:100ms",
        "profile:hz:99",
        "profile:10ms",
        "p:us:50",
        "uprobe:/bin/sh:main",
        "u:libc:malloc",
        "uprobe:/bin/*:f",
        "uprobe:/bin/sh:main+4",
        "uprobe:/bin/sh:0x1234",
        "uprobe:\"/opt/my app/x\":main",
        "uprobe:./x:cpp:\"ns::f(int, char)\"",
        "uretprobe:/bin/sh:main",
        "ur:/bin/sh:main",
        "usdt:/bin/sh:provider:name",
        "usdt:/bin/sh:name",
        "U:*:a:b",
        "software:faults:100",
        "s:faults:",
        "hardware:cycles:1000",
        "h:cycles:1000",
        "iter:task",
        "it:task_file",
        "iter:task:/sys/fs/bpf/pin",
        "watchpoint:0x1000:8:rw",
        "w:f+arg1:4:w",
        "asyncwatchpoint:f+arg1:4:w",
        "self:signal:SIGUSR1",
        "bench:name",
        "latency:tcp_sendmsg",
        "lat:tcp_*",
        "kprobe:$1",
        "interval:s:$2",
    ] {
        assert_eq!(tree(&format!("{point} {{ }}")), format!("probe {point}\n"));
        let with_predicate = tree(&format!("{point} /pid/ {{ }}"));
        assert_eq!(with_predicate, format!("probe {point}\n  where pid\n"));
    }
}

#[test]
fn lists_and_predicates() {
    for (text, expected) in [
        ("kprobe:f,kprobe:g{}", "probe kprobe:f, kprobe:g\n"),
        ("kprobe:f,\nkprobe:g,\n{ }", "probe kprobe:f, kprobe:g\n"),
        (
            "kprobe:f, // why\nkprobe:g /* c */ { }",
            "probe kprobe:f, kprobe:g\n",
        ),
        ("kprobe:f, /pid/ { }", "probe kprobe:f\n  where pid\n"),
        ("kprobe:f/pid/{}", "probe kprobe:f\n  where pid\n"),
        (
            "kprobe:f / arg0 / 2 / { }",
            "probe kprobe:f\n  where (/ arg0 2)\n",
        ),
        (
            "kprobe:f /(pid)/ // c\n{ }",
            "probe kprobe:f\n  where (paren pid)\n",
        ),
        (
            "kprobe:f /comm == \"a/b{\"/ { }",
            "probe kprobe:f\n  where (== comm \"a/b{\")\n",
        ),
        (
            "kprobe:f /(uint8)pid/ { }",
            "probe kprobe:f\n  where (cast uint8 pid)\n",
        ),
        (
            "kprobe:f /(1 / { 2 }) / { }",
            "probe kprobe:f\n  where (paren (/ 1 {value 2}))\n",
        ),
        (
            "kprobe:f /f(1)/ { $x = 1 / { 2 }; }",
            "probe kprobe:f\n  where f(1)\n  (= $x (/ 1 {value 2}))\n",
        ),
        ("begin { }\nend { }", "probe begin\nprobe end\n"),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn wrong_probes_are_marked_where_they_go_wrong() {
    for (text, code, marked) in [
        ("kprobe:f", "E0101", ""),
        ("kprobe:f kprobe:g { }", "E0101", "kprobe"),
        ("kprobe:f,, kprobe:g { }", "E0101", ","),
        ("{ }", "E0101", "{"),
        ("} begin { }", "E0101", "}"),
        ("kprobe:f /pid { }", "E0108", "{"),
        ("kprobe:f /pid; / { }", "E0108", ";"),
        ("begin { print(1)", "E0108", "{"),
        ("begin { /* print(1) }", "E0103", "/*"),
        ("begin { \"a }", "E0102", "\"a }"),
        ("uprobe:\"/bin/sh:f { }", "E0102", "uprobe:\"/bin/sh:f { }"),
        ("", "E0005", ""),
        ("// nothing", "E0005", ""),
    ] {
        assert_eq!(mistake(text), (code, marked.to_owned()), "{text}");
    }
}
