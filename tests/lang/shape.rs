//! What a script is made of: attach points, statements, blocks, spellings.

use hetsync_probe::sema;
use hetsync_probe::sema::hir::{MapValue, PointKind, Shown, StmtKind, Type};
use hetsync_probe::syntax;

use super::{codes_of, compile, kernel, options, program};

#[test]
fn variables_end_with_their_block() {
    assert_eq!(
        codes_of("begin { if 1 { $x = 1; } else { $x = \"a\"; } }"),
        [""; 0]
    );
    // A script of the time before that is run as it was meant.
    assert_eq!(codes_of("begin { if 1 { $x = 1; } print($x); }"), ["W0010"]);
    let both = "begin { if 1 { $x = 1; } else { $x = 2; } print($x); if 0 { $x = 3; } }";
    assert_eq!(codes_of(both), ["W0010"]);
    assert_eq!(program(both).probes[0].locals.len(), 1);
    assert_eq!(
        codes_of("begin { if 1 { $x = 1; } else { $x = \"a\"; } print($x); }"),
        ["E0304", "W0010"]
    );
    assert_eq!(
        codes_of("begin { if 1 { let $x = 1; } print($x); }"),
        ["E0213"]
    );
    assert_eq!(
        codes_of("begin { { $x = 1; } $x = \"a\"; print($x); }"),
        [""; 0]
    );
    assert_eq!(
        codes_of("begin { $x = 1; if $x { $x = 2; } print($x); }"),
        [""; 0]
    );
    assert_eq!(
        codes_of("kprobe:f { $x = 1; } kprobe:g { print($x); }"),
        ["E0212"]
    );
    assert_eq!(codes_of("kprobe:f /$x/ { $x = 1; }"), ["E0212"]);
}

#[test]
fn attach_points_in_all_spellings() {
    let kinds = |text: &str| -> Vec<PointKind> {
        let program = program(&format!("{text} {{ @ = count(); }}"));
        program
            .probes
            .iter()
            .flat_map(|probe| &probe.points)
            .map(|point| point.kind.clone())
            .collect()
    };
    let every = |period_ns| vec![PointKind::Interval { period_ns }];
    assert_eq!(kinds("i:s:2"), every(2_000_000_000));
    assert_eq!(kinds("interval:ms:5"), every(5_000_000));
    assert_eq!(kinds("interval:us:$2"), every(5_000));
    assert_eq!(kinds("interval:hz:99"), every(10_101_010));
    assert_eq!(kinds("interval:250ms"), every(250_000_000));
    assert_eq!(kinds("BEGIN"), [PointKind::Begin]);
    assert_eq!(kinds("end"), [PointKind::End]);
    let entry = |function: &str, offset| PointKind::Kprobe {
        function: function.into(),
        offset,
    };
    assert_eq!(kinds("k:f+0x10"), [entry("f", 16)]);
    assert_eq!(kinds("kprobe:$1_sendmsg"), [entry("tcp_sendmsg", 0)]);
    assert_eq!(
        kinds("kprobe:tcp_*msg"),
        [entry("tcp_recvmsg", 0), entry("tcp_sendmsg", 0)]
    );
    let ret = |function: &str| PointKind::Kretprobe {
        function: function.into(),
    };
    assert_eq!(
        kinds("kr:tcp_?e?dmsg,kretprobe:g"),
        [ret("tcp_sendmsg"), ret("g")]
    );
    for wrong in [
        "interval:0s",
        "interval:5",
        "interval:s:0",
        "interval:hz:0",
        "interval:hz:2000000000",
        "interval:y:1",
    ] {
        assert_eq!(
            codes_of(&format!("{wrong} {{ exit(); }}")),
            ["E0208"],
            "{wrong}"
        );
    }
    for wrong in [
        "kprobe",
        "kprobe:f+",
        "kprobe:f*+1",
        "kretprobe:f+1",
        "begin:x",
        "interval",
        "kprobe:a-b",
    ] {
        assert_eq!(
            codes_of(&format!("{wrong} {{ exit(); }}")),
            ["E0203"],
            "{wrong}"
        );
    }
}

#[test]
fn names_of_probes_are_spelled_out() {
    let program = program("k:f+2, kr:tcp_s*, i:s:1, BEGIN { print(probe); }");
    let names: Vec<&str> = program.probes[0]
        .points
        .iter()
        .map(|point| program.names[point.probe_name.0 as usize].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "kprobe:f+2",
            "kretprobe:tcp_sendmsg",
            "interval:s:1",
            "begin"
        ]
    );
}

#[test]
fn a_pid_filter_restricts_kprobes_only() {
    let (script, _) = syntax::parse("kprobe:f /arg0/, { } ");
    assert!(script.probes.is_empty());
    let (script, _) =
        syntax::parse("kprobe:f, interval:1s /cpu == 0/ { @ = count(); } begin { exit(); }");
    let small = kernel::Small { listed: true };
    let filtered = sema::Options {
        pid_filter: Some(42),
        settings: vec![],
        ..options(&small)
    };
    let (program, _) = sema::check(&script, &filtered).unwrap();
    assert_eq!(
        program.probes.len(),
        3,
        "the body that also runs at intervals is split"
    );
    let text = sema::dump(&program);
    assert!(
        text.contains("where ((pid == 42):bool && (cpu == 0):bool):bool"),
        "{text}"
    );
    assert!(
        text.contains("probe interval:1s (1000000000 ns)\n  where (cpu == 0):bool"),
        "{text}"
    );
    assert!(program.probes[2].predicate.is_none());
}

#[test]
fn deletes_in_both_spellings() {
    let program = program(
        "kprobe:f { @a[pid, comm] = 1; delete(@a, (pid, comm)); delete(@a[pid, comm]); @a[(1, \"x\")] = 2; }",
    );
    let keys = |n: usize| match &program.probes[0].body[n].kind {
        StmtKind::Delete { key, .. } => key.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((keys(1), keys(2)), (2, 2));
}

#[test]
fn a_conditional_statement_is_an_if() {
    let program = program("begin { pid > 1 ? print(1) : exit(); }");
    match &program.probes[0].body[0].kind {
        StmtKind::If {
            then, otherwise, ..
        } => {
            assert!(matches!(then[0].kind, StmtKind::Print { .. }));
            assert!(matches!(otherwise[0].kind, StmtKind::Exit { .. }));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        codes_of("begin { $x = pid > 1 ? print(1) : exit(); }"),
        ["E0313", "E0313"]
    );
}

#[test]
fn precedence_is_cs() {
    let (script, mistakes) =
        syntax::parse("begin { $x = 1 | 2 ^ 3 & 4 == 5 < 6 << 7 + 8 * -9 && 1 || 0 ? 2 : 3; }");
    assert!(mistakes.is_empty());
    assert_eq!(
        syntax::dump(&script),
        "probe begin\n  (= $x (?: (|| (&& (| 1 (^ 2 (& 3 (== 4 (< 5 (<< 6 (+ 7 (* 8 (- 9))))))))) 1) 0) 2 3))\n"
    );
    let (script, _) = syntax::parse("begin { $x = 1 - 2 - 3 ? 4 : 5 ? 6 : 7; }");
    assert_eq!(
        syntax::dump(&script),
        "probe begin\n  (= $x (?: (- (- 1 2) 3) 4 (?: 5 6 7)))\n"
    );
}

#[test]
fn a_slash_divides_or_ends_a_predicate() {
    let (script, mistakes) =
        syntax::parse("kprobe:f/arg0 / 2 > 1 / { $x = 8 /\n2; } kprobe:g /1/ // why\n{ }");
    assert!(mistakes.is_empty(), "{mistakes:?}");
    assert_eq!(
        syntax::dump(&script),
        "probe kprobe:f\n  where (> (/ arg0 2) 1)\n  (= $x (/ 8 2))\nprobe kprobe:g\n  where 1\n"
    );
}

#[test]
fn semicolons_as_in_bpftrace() {
    for right in [
        "begin { print(1) }",
        "begin { print(1); }",
        "begin { ;; print(1);; }",
        "begin { if 1 { print(1) } print(2) }",
        "begin { if (1) { } else { }; print(2) }",
        "begin { { print(1) } print(2) }",
        "begin { }",
    ] {
        assert_eq!(codes_of(right), [""; 0], "{right}");
    }
    assert_eq!(codes_of("begin { print(1)\n print(2) }"), ["E0107"]);
}

#[test]
fn later_constructs_are_named() {
    for (text, what) in [
        (
            "#if LINUX_VERSION_CODE > 5\n#endif\nbegin { exit(); }",
            "`LINUX_VERSION_CODE` in a condition is",
        ),
        ("iter:task { exit(); }", "`iter` probes are"),
        ("kprobe:f { print(path(arg0)); }", "`path()` is"),
    ] {
        let (_, diagnostics) = compile(text);
        let messages: Vec<&str> = diagnostics
            .iter()
            .map(|diagnostic| diagnostic.message.as_str())
            .collect();
        assert_eq!(messages, [format!("{what} not supported yet")], "{text}");
    }
}

#[test]
fn files_from_other_systems_are_read() {
    let text = "\u{feff}#!/usr/bin/hetsync-probe\r\nkprobe:f /pid/ {\r\n\t@ = count(); // x\r\n\r\n /* a\r\n b */ }\r\n";
    assert_eq!(codes_of(text), [""; 0]);
    assert_eq!(
        syntax::format(text).unwrap(),
        "#!/usr/bin/hetsync-probe\n\nkprobe:f /pid/ {\n    @ = count(); // x\n\n    /* a\n b */\n}\n"
    );
}

#[test]
fn names_of_functions_stand_among_symbols() {
    let symbol = MapValue::Scalar(Type::Shown(Shown::KernelAddress));
    for text in [
        "begin { @name[0] = ksym(0); } kprobe:f { @name[tid] = func; @us[@name[tid]] = count(); }",
        "kprobe:f { @name[tid] = func; @us[@name[tid]] = count(); } end { @name[0] = ksym(0); }",
    ] {
        assert_eq!(codes_of(text), [""; 0], "{text}");
        let program = program(text);
        assert_eq!(program.maps[0].value, symbol, "{text}");
        assert_eq!(program.maps[1].key, [Type::Shown(Shown::KernelAddress)]);
    }
    assert_eq!(
        codes_of("kprobe:f { @m[func] = 1; @m[ksym(arg0)] = 2; }"),
        [""; 0]
    );
    assert_eq!(
        codes_of("kprobe:f { @m[ksym(arg0)] = 1; @m[5] = 2; }"),
        ["E0303"]
    );
    assert_eq!(
        codes_of("kprobe:f { @m[func] = 1; @m[usym(arg0)] = 2; }"),
        ["E0303"]
    );
}

#[test]
fn an_integer_can_be_dereferenced() {
    let text = "kprobe:f { $p = arg0; @a = *$p; @b = *($p + 8); @c = *(int32)arg1; @d = sizeof(*pid); @e = **arg0; }";
    assert_eq!(codes_of(text), [""; 0]);
    assert_eq!(program(text).maps[0].value, MapValue::Scalar(Type::UINT));
    assert_eq!(codes_of("kprobe:f { @a = *comm; }"), ["E0314"]);
    assert_eq!(codes_of("kprobe:f { @a = *(1, 2); }"), ["E0314"]);
}

#[test]
fn loops_over_maps() {
    let typed = |head: &str, use_of_it: &str| {
        format!("begin {{ {head} for ($kv : @m) {{ {use_of_it} }} }}")
    };
    for (head, right) in [
        ("@m[1] = 2;", "print($kv); $s = $kv.0 + $kv.1; print($s);"),
        (
            "@m[1, \"a\"] = 2;",
            "print($kv.0.1 == \"a\"); @n[$kv.0] = $kv.1;",
        ),
        ("@m[(1, 2)] = 2;", "print($kv.0.1);"),
        (
            "@m[comm] = count();",
            "print($kv.1 + 1); print(strlen($kv.0));",
        ),
        ("@m[1] = avg(5);", "@r = $kv.1;"),
        ("@m[1] = (1, \"b\");", "print($kv.1.1);"),
        ("@m[1] = 1;", "if ($kv.0) { break; } continue;"),
        ("@m[1] = 1;", "return;"),
        (
            "@m[1] = 1; $n = 0;",
            "$n += $kv.1; for $i : 0..3 { break; }",
        ),
        ("@m[1] = 1;", "for ($other : @m) { print(($kv, $other)); }"),
    ] {
        let text = typed(head, right);
        assert_eq!(codes_of(&text), [""; 0], "{text}");
    }
    for (head, wrong, code) in [
        ("@m = 1;", "print($kv);", "E0302"),
        ("@m[1] = hist(2);", "print($kv.0);", "E0309"),
        ("@m[1] = stats(2);", "print($kv.0);", "E0309"),
        ("@m[1] = 1;", "print($kv.2);", "E0315"),
        ("@m[1] = 1;", "print($kv.0.1);", "E0314"),
        ("@m[1] = \"a\";", "print($kv.1 + 1);", "E0305"),
        ("@m[1] = 1;", "$kv = 3;", "E0304"),
        ("@m[1] = 1; $kv = 2;", "print($kv);", "E0223"),
        ("", "print($kv);", "E0214"),
    ] {
        let text = typed(head, wrong);
        assert!(
            codes_of(&text).contains(&code),
            "{text}: {:?}",
            codes_of(&text)
        );
    }
    // The types are found wherever the map is assigned, and the variable ends with the loop.
    assert_eq!(
        codes_of("begin { for ($kv : @m) { $s = $kv.1; @k[$s] = 1; } } end { @m[1] = \"abc\"; }"),
        [""; 0]
    );
    assert_eq!(
        codes_of("begin { @m[1] = 1; for ($kv : @m) { print(1); } print($kv); }"),
        ["E0213"]
    );
    assert_eq!(
        codes_of("begin { @m[1] = 1; for ($kv : @m[1]) { print(1); } }"),
        ["E0404"]
    );
    assert_eq!(
        codes_of("begin { @m[1] = 1; print(len(@m)); @n = 1; @r = len(@n); }"),
        [""; 0]
    );
    assert_eq!(codes_of("begin { print(len(\"abc\")); }"), ["E0404"]);
    let nested = |depth: usize| {
        let open: String = (0..depth)
            .map(|i| format!("for ($k{i} : @m) {{ "))
            .collect();
        format!(
            "begin {{ @m[1] = 1; {open} print(1); {} }}",
            "}".repeat(depth)
        )
    };
    assert_eq!(codes_of(&nested(5)), [""; 0]);
    assert_eq!(codes_of(&nested(6)), ["E0531"]);
}

#[test]
fn loops_and_what_leaves_them() {
    assert_eq!(
        codes_of("begin { $i = 0; while ($i < 3) { if ($i == 1) { continue; } break; } }"),
        [""; 0]
    );
    assert_eq!(codes_of("begin { break; }"), ["E0230"]);
    assert_eq!(codes_of("begin { unroll (3) { continue; } }"), ["E0230"]);
    assert_eq!(
        codes_of("begin { while (pid) { unroll (3) { break; } } return 1; }"),
        [""; 0]
    );
    assert_eq!(codes_of("begin { while (comm) { exit(); } }"), ["E0308"]);
    assert_eq!(
        codes_of("begin { for $i : 0..comm { print($i); } }"),
        ["E0305"]
    );
    assert_eq!(codes_of("begin { unroll (0) { exit(); } }"), ["E0530"]);
    assert_eq!(codes_of("begin { unroll (101) { exit(); } }"), ["E0530"]);
    assert_eq!(codes_of("begin { unroll (pid) { exit(); } }"), ["E0330"]);
    assert_eq!(
        codes_of("begin { while (1) { break; print(1); } return; print(2); }"),
        ["W0004", "W0004"]
    );
}

#[test]
fn variables_end_with_their_block_and_hide_no_other() {
    assert_eq!(
        codes_of("begin { for $i : 0..3 { $x = $i; print($x); } print($i); }"),
        ["E0213"]
    );
    assert_eq!(
        codes_of("begin { $i = 1; for $i : 0..3 { print($i); } }"),
        ["E0223"]
    );
    assert_eq!(
        codes_of("begin { let $a; if (pid) { $a = 1; } print($a); }"),
        [""; 0]
    );
    assert_eq!(codes_of("begin { let $a = 1; let $a = 2; }"), ["E0223"]);
    assert_eq!(
        codes_of("begin { let $a; $a = 1; $a = comm; print($a); }"),
        ["E0304"]
    );
    assert_eq!(codes_of("begin { let $a = $a; print($a); }"), ["E0212"]);
    let program = program("begin { let $a : uint64 = 1; print($a); _ = $a; }");
    assert_eq!(program.probes[0].locals[0].ty, Type::UINT);
}
