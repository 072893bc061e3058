//! Types, scopes and provider rules, one rule a test.

use hetsync_probe::sema::hir::{
    Aggregation, ExprKind, Map, MapValue, PointKind, StmtKind, Type, Unit,
};
use hetsync_probe::sema::{self};
use hetsync_probe::syntax;

use super::{codes_of, compile, kernel, options, program};

fn map<'a>(program: &'a sema::hir::Program, name: &str) -> &'a Map {
    program
        .maps
        .iter()
        .find(|map| map.name == name)
        .unwrap_or_else(|| panic!("no map @{name}"))
}

#[test]
fn a_literal_takes_the_signedness_of_what_it_meets() {
    let program = program(
        "begin { @u = nsecs + 1; @s = 1; @n = -1; @m = 0; @m = nsecs; @k[1] = 1; @k[pid] = 1; }",
    );
    assert_eq!(map(&program, "u").value, MapValue::Scalar(Type::UINT));
    assert_eq!(map(&program, "s").value, MapValue::Scalar(Type::INT));
    assert_eq!(map(&program, "n").value, MapValue::Scalar(Type::INT));
    assert_eq!(map(&program, "m").value, MapValue::Scalar(Type::UINT));
    assert_eq!(map(&program, "k").key, [Type::UINT]);
}

#[test]
fn an_operation_is_unsigned_only_if_both_sides_are() {
    let signed = |text: &str| {
        let text = format!("kprobe:f {{ $s = -1; $u = nsecs; @ = {text}; }}");
        let program = program(&text);
        match &program.probes[0].body[2].kind {
            StmtKind::Assign { value, .. } => match &value.kind {
                ExprKind::Binary { signed, .. } => *signed,
                other => panic!("{text}: {other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    assert!(signed("$s / $s"));
    assert!(signed("$s / 2"));
    assert!(signed("2 / $s"));
    assert!(!signed("$u / 2"));
    assert!(signed("$s / $u"));
    assert!(!signed("$u / nsecs"));
    assert!(signed("$u - nsecs"), "a difference may be below 0");
    assert!(
        signed("(uint32)$u / (uint32)$u"),
        "all narrower numbers fit"
    );
    assert!(signed("$s < 3"));
    assert!(!signed("arg0 < 3"));
    assert!(
        signed("$s >> $u"),
        "a shift takes the signedness of its left side"
    );
    assert!(!signed("$u >> $s"));
    assert!(!signed("$u + 0xffffffffffffffff"));
}

#[test]
fn a_map_is_typed_by_a_later_probe() {
    let program = program(
        "kretprobe:f { @last = @start[tid]; @name = @who[tid]; } kprobe:f { @start[tid] = nsecs; @who[tid] = comm; }",
    );
    assert_eq!(map(&program, "last").value, MapValue::Scalar(Type::UINT));
    assert_eq!(
        map(&program, "name").value,
        MapValue::Scalar(Type::Str { capacity: 16 })
    );
}

#[test]
fn a_map_that_only_gets_itself_is_an_integer() {
    let program = program("begin { @x = @x; }");
    assert_eq!(map(&program, "x").value, MapValue::Scalar(Type::INT));
}

#[test]
fn samples_keep_their_signedness() {
    let program = program(
        "kprobe:f { @a = sum(arg0); @b = sum(-1); @c = sum(1); @d = max((int64)arg0); @e = min(1); @e = min(arg1); }",
    );
    assert_eq!(
        map(&program, "a").value,
        MapValue::Aggregate(Aggregation::Sum { signed: false })
    );
    assert_eq!(
        map(&program, "b").value,
        MapValue::Aggregate(Aggregation::Sum { signed: true })
    );
    assert_eq!(
        map(&program, "c").value,
        MapValue::Aggregate(Aggregation::Sum { signed: true })
    );
    assert_eq!(
        map(&program, "d").value,
        MapValue::Aggregate(Aggregation::Max { signed: true })
    );
    assert_eq!(
        map(&program, "e").value,
        MapValue::Aggregate(Aggregation::Min { signed: false })
    );
}

#[test]
fn a_string_place_is_as_wide_as_its_widest_value() {
    let program = program(
        "begin { @x = \"a\"; @x = \"a longer text\"; @k[\"a\"] = 1; @k[comm] = 1; $s = \"a\"; $s = comm; print($s); }",
    );
    assert_eq!(
        map(&program, "x").value,
        MapValue::Scalar(Type::Str { capacity: 16 })
    );
    assert_eq!(map(&program, "k").key, [Type::Str { capacity: 16 }]);
    assert_eq!(program.probes[0].locals[0].ty, Type::Str { capacity: 16 });
}

#[test]
fn key_expressions_fit_the_types_of_the_key() {
    let program = program(
        "begin { @k[comm, 1] = 1; @k[\"a text that is longer than a name\", pid] = 2; @k[\"\", -3] = 3; }",
    );
    let key = &map(&program, "k").key;
    for stmt in &program.probes[0].body {
        match &stmt.kind {
            StmtKind::Assign {
                place: sema::hir::Place::Map { key: parts, .. },
                ..
            } => {
                for (part, ty) in parts.iter().zip(key) {
                    match (&part.ty, ty) {
                        (Type::Str { capacity: is }, Type::Str { capacity }) => {
                            assert!(is <= capacity)
                        }
                        (is, ty) => assert_eq!(is, ty),
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn units_follow_values_into_headers() {
    let program = program(
        "kprobe:f { $d = us(nsecs - arg0); @a = summary($d); @b[comm] = hist(ms(arg1)); @c = us(arg0) - us(arg1); \
         @d = us(arg0) * 2; @e = sum(bytes(arg2)); @f = 0; @f = us(arg0); }",
    );
    let unit = |name| map(&program, name).unit;
    assert_eq!(unit("a"), Some(Unit::Us));
    assert_eq!(unit("b"), Some(Unit::Ms));
    assert_eq!(unit("c"), Some(Unit::Us));
    assert_eq!(unit("d"), None);
    assert_eq!(unit("e"), Some(Unit::Bytes));
    assert_eq!(unit("f"), Some(Unit::Us));
}

#[test]
fn keyed_maps_get_the_asked_capacity() {
    let (script, _) = syntax::parse("kprobe:f { @a = 1; @b[tid] = 1; }");
    let small = kernel::Small { listed: true };
    let options = sema::Options {
        max_keys: 77,
        ..options(&small)
    };
    let (program, _) = sema::check(&script, &options).unwrap();
    assert_eq!(
        (
            map(&program, "a").max_entries,
            map(&program, "b").max_entries
        ),
        (1, 77)
    );
}

#[test]
fn maps_of_a_body_without_a_place_are_not_told_of_too() {
    let source = "kprobe:no_such_function { @at[tid] = nsecs; } end { print(@at[1]); }";
    assert_eq!(codes_of(source), ["E0204"]);
    assert_eq!(
        codes_of("kprobe:tcp_sendmsg { @aat[tid] = nsecs; } end { print(@at[1]); }"),
        ["E0214"]
    );
}

#[test]
fn delete_has_a_value_where_it_is_evaluated_once() {
    let made = program("begin { @m[1] = 2; $was = delete(@m, 1); print($was); }");
    assert_eq!(made.probes[0].locals[0].ty, Type::Bool);
    for whole in ["delete(@n)", "delete(@m, $i++)"] {
        assert_eq!(
            codes_of(&format!(
                "begin {{ $i = 1; @m[1] = 2; @n = 3; $was = {whole}; }}"
            )),
            ["E0313"],
            "{whole}"
        );
    }
}

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
fn builtins_belong_to_probes() {
    for (text, codes) in [
        (
            "kprobe:f { print(arg5); print(func); print(probe); }",
            &[][..],
        ),
        ("kretprobe:f { print(retval); print(func); }", &[]),
        ("kretprobe:f { print(arg0); }", &["E0211"]),
        ("kprobe:f, kretprobe:f { print(arg0); }", &["E0211"]),
        (
            "interval:1s { print(func); print(retval); }",
            &["E0211", "E0211"],
        ),
        (
            "BEGIN, END, i:s:1 { print(pid); print(comm); print(probe); print(nsecs); print(elapsed); print(cpu); }",
            &[],
        ),
        ("kprobe:f { print(arg10); }", &["E0209"]),
        ("kprobe:f { print(arg); }", &["E0209"]),
    ] {
        assert_eq!(codes_of(text), codes, "{text}");
    }
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
fn casts_cut_and_extend() {
    let program =
        program("kretprobe:f { @a = (int32)retval; @b = (uint8)retval; @c = (int64)retval; }");
    let kind = |n: usize| match &program.probes[0].body[n].kind {
        StmtKind::Assign { value, .. } => (&value.kind, value.ty.clone()),
        other => panic!("{other:?}"),
    };
    let int = |bits, signed| Type::Int { bits, signed };
    for (n, bits, signed) in [(0, 32, true), (1, 8, false)] {
        // A map of narrow integers holds whole words, so the place and the value have the cast's type.
        let (kind, ty) = kind(n);
        assert!(matches!(kind, ExprKind::Cast(_)), "{kind:?}");
        assert_eq!(ty, int(bits, signed));
    }
    assert!(matches!(kind(2), (ExprKind::Builtin(_), Type::INT)));
    assert_eq!(map(&program, "a").value, MapValue::Scalar(int(32, true)));
}

#[test]
fn parameters_are_numbers_or_text() {
    assert_eq!(
        codes_of("begin { print($2 + 1); print(str($1)); print($#); print($7); print(str($7)); }"),
        [""; 0]
    );
    assert_eq!(codes_of("begin { print($1); }"), ["E0216"]);
    assert_eq!(
        codes_of("kprobe:f { @ = lhist(arg0, 0, $2 * 100, $2); }"),
        [""; 0]
    );
    let (program, _) = compile("begin { @n = $#; @s = str($1); @m = str($9); }");
    let text = sema::dump(&program.unwrap());
    assert!(
        text.contains("@n = 2\n  @s = \"tcp\":string[8]\n  @m = \"\":string[8]"),
        "{text}"
    );
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
fn deleting_a_map_without_keys_takes_its_value_away() {
    let program = program("begin { @x = 1; delete(@x); @n = count(); delete(@n); }");
    let kinds: Vec<&StmtKind> = program.probes[0]
        .body
        .iter()
        .map(|stmt| &stmt.kind)
        .collect();
    assert!(matches!(kinds[1], StmtKind::Delete { key, .. } if key.is_empty()));
    assert!(matches!(kinds[3], StmtKind::Clear(_)));
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
fn percentiles_are_sorted_thousandths() {
    let program =
        program("kprobe:f { @a = summary(arg0); @b = summary(arg0, 99.9, 50, 50, 0.001); }");
    let percentiles = |name| match &map(&program, name).value {
        MapValue::Aggregate(Aggregation::Summary { percentiles }) => percentiles.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(percentiles("a"), [25_000, 50_000, 75_000]);
    assert_eq!(percentiles("b"), [1, 50_000, 99_900]);
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
            "begin { @x[1] = 2; for ($kv : @x) { print($kv); } }",
            "`for` over a map is",
        ),
        (
            "#if LINUX_VERSION_CODE > 5\n#endif\nbegin { exit(); }",
            "`LINUX_VERSION_CODE` in a condition is",
        ),
        ("usdt:/bin/bash:a:b { exit(); }", "`usdt` probes are"),
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
fn a_format_of_a_megabyte_is_read_once() {
    let text = format!("begin {{ printf(\"{}\"); }}", "%d".repeat(500_000));
    assert_eq!(codes_of(&text), ["E0406"]);
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

#[test]
fn settings_and_declared_maps_say_how_many_keys() {
    let program = program(
        "config = { max_map_keys = 7; perf_rb_pages = 3; BPFTRACE_PRINT_MAPS_ON_EXIT = false }\nlet @b = lruhash(9);\nbegin { @a[1] = 1; @b[1] = 2; @c = 3; }",
    );
    // Tests say 4096 keys on the command line, which is stronger.
    assert_eq!(map(&program, "a").max_entries, 4096);
    assert_eq!(map(&program, "b").max_entries, 9);
    assert_eq!(map(&program, "c").max_entries, 1);
    assert!(map(&program, "b").lru && !map(&program, "a").lru);
    assert!(program.config.hide_maps);
    assert_eq!(program.config.ring_pages, Some(4));
    assert_eq!(program.config.max_keys, Some(7));
    assert_eq!(
        codes_of("config = { log_size = 5 }\nbegin { exit(); }"),
        ["W0007"]
    );
}

#[test]
fn a_cdf_and_a_share_keep_what_they_are_given() {
    let program = program(
        "kprobe:f { @a = cdf(us(arg0)); @b = cdf(arg0, 4); @c[comm] = slo(us(arg0), 5 * 1000); @d = slo((int64)arg1, -3); }",
    );
    let aggregation = |name: &str| match &map(&program, name).value {
        MapValue::Aggregate(aggregation) => aggregation.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(aggregation("a"), Aggregation::Cdf { bits: 2 });
    assert_eq!(aggregation("b"), Aggregation::Cdf { bits: 4 });
    assert_eq!(aggregation("c"), Aggregation::Slo { limit: 5000 });
    assert_eq!(aggregation("d"), Aggregation::Slo { limit: -3 });
    assert_eq!(map(&program, "c").unit, Some(Unit::Us));
    assert_eq!(codes_of("kprobe:f { @ = slo(arg0, arg1); }"), ["E0402"]);
    assert_eq!(codes_of("kprobe:f { @ = slo(arg0); }"), ["E0401"]);
    assert_eq!(codes_of("kprobe:f { @ = cdf(arg0, 6); }"), ["E0403"]);
    assert_eq!(codes_of("kprobe:f { @ = slo(comm, 3); }"), ["E0305"]);
    assert_eq!(
        codes_of("kprobe:f { @ = slo(arg0, 3); @ = slo(arg0, 4); }"),
        ["E0310"]
    );
}
