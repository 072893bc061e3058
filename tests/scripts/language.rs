//! The meaning of the language, statement by statement.

use crate::bench::{Bench, Part};
use hetsync_probe::interp::Firing;
use hetsync_probe::layout::{self, EventKind};

/// Runs a body in `begin` and returns the bench's result for the map `@r`.
fn result(body: &str) -> i64 {
    with_macros("", body)
}

#[test]
fn integers_follow_c_with_division_as_ebpf_has_it() {
    for (expr, expected) in [
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7 / (pid - pid)", 0),
        ("7 % (pid - pid)", 7),
        ("1 << 65", 2),
        ("-8 >> 1", -4),
        ("~(1 == 2) >> 1", -1),
        ("~(1 == 1)", -2),
        ("~5", -6),
        ("!5", 0),
        ("1 < 2", 1),
        ("-1 < 1", 1),
        ("2 > 1 ? 10 : 20", 10),
        ("0 && (1 / 0)", 0),
        ("0x10 | 3", 19),
        ("5 ^ 1", 4),
    ] {
        assert_eq!(result(&format!("@r = {expr};")), expected, "{expr}");
    }
}

#[test]
fn operands_are_evaluated_left_to_right_and_only_where_needed() {
    assert_eq!(result("$x = 1; @r = $x++ * 10 + $x;"), 12);
    assert_eq!(result("$x = 1; @r = ++$x * 10 + $x--;"), 22);
    assert_eq!(
        result("$x = 0; $y = 0 && $x++; $z = 1 || $x++; @r = $x;"),
        0
    );
    assert_eq!(result("$x = 5; $x += 3; $x <<= 2; @r = $x;"), 32);
    assert_eq!(result("@m[1] = 4; @m[1] -= 6; @r = @m[1] + @m[2];"), -2);
}

#[test]
fn delete_says_whether_the_key_was_there() {
    assert_eq!(result("@m[1] = 4; @r = delete(@m, 1) ? 10 : 20;"), 10);
    assert_eq!(
        result(
            "@m[1] = 4; $a = delete(@m, 1); $b = delete(@m, 1); @r = ($a ? 1 : 0) + ($b ? 2 : 0) + @m[1];"
        ),
        1
    );
    assert_eq!(
        result(
            "@m[1, \"a\"] = 4; if (delete(@m, (1, \"b\"))) { @r = 1; } else { @r = @m[1, \"a\"]; }"
        ),
        4
    );
}

#[test]
fn a_body_runs_where_its_predicate_holds_and_stops_at_exit() {
    let source =
        "kprobe:f /arg0 > 10/ { @n = count(); if (arg1 == 1) { exit(); } @after = count(); }";
    let mut bench = Bench::new(source);
    for (arg0, arg1) in [(5, 0), (11, 0), (12, 1)] {
        let mut firing = Firing::default();
        (firing.args[0], firing.args[1]) = (arg0, arg1);
        bench.fire("kprobe:f", 0, firing);
    }
    let left = bench.run();
    assert_eq!(left.value("n", &[]), Some(2));
    assert_eq!(left.value("after", &[]), Some(1));
    let mut exit = (EventKind::Exit as u64).to_le_bytes().to_vec();
    exit.extend_from_slice(&[0; 8]);
    assert_eq!(left.contents.events, [exit]);
}

#[test]
fn keys_of_several_parts_and_of_strings_of_any_length_meet() {
    let mut bench = Bench::new(
        r#"kprobe:f { @m[comm, tid] = count(); @s[comm] = 1; @s["a name longer than sixteen"] = 2; @t[pid] = @s["sh"]; }"#,
    );
    bench.fire("kprobe:f", 0, Firing::default().by("sh"));
    bench.fire("kprobe:f", 0, Firing::default().by("sh"));
    let left = bench.run();
    assert_eq!(
        left.value("m", &[Part::Text("sh"), Part::Int(101)]),
        Some(2)
    );
    assert_eq!(left.value("s", &[Part::Text("sh")]), Some(1));
    assert_eq!(
        left.value("s", &[Part::Text("a name longer than sixteen")]),
        Some(2)
    );
    assert_eq!(left.value("t", &[Part::Int(100)]), Some(1));
}

/// `kprobe:f` with 5 on CPU 0, with 7 and 8 on CPU 1.
fn fire_on_two_cpus(bench: &mut Bench) {
    for (cpu, arg0) in [(0, 5u64), (1, 7), (1, 8)] {
        let mut firing = Firing {
            cpu,
            ..Firing::default()
        };
        firing.args[0] = arg0;
        bench.fire("kprobe:f", 0, firing);
    }
}

#[test]
fn aggregations_are_kept_per_cpu() {
    let mut bench = Bench::new("kprobe:f { @[tid] = stats(arg0); }");
    fire_on_two_cpus(&mut bench);
    let left = bench.run();
    let word = |cpu, index| left.word("", &[Part::Int(101)], cpu, index);
    assert_eq!((word(0, 0), word(0, 1)), (Some(1), Some(5)));
    assert_eq!((word(1, 0), word(1, 1)), (Some(2), Some(15)));
}

#[test]
fn a_full_map_loses_new_keys_only_and_counts_them() {
    let mut bench = Bench::with(
        "kprobe:f { @[arg0] = count(); @s[arg0] = arg0; delete(@s, 1); }",
        &[],
        2,
    );
    for arg0 in [1, 2, 3, 1, 4] {
        let mut firing = Firing::default();
        firing.args[0] = arg0;
        bench.fire("kprobe:f", 0, firing);
    }
    let left = bench.run();
    assert_eq!(left.value("", &[Part::Int(1)]), Some(2));
    assert_eq!(left.value("", &[Part::Int(3)]), None);
    assert_eq!(left.lost(""), 2);
    // 1 was deleted each time, so 2 and 3 found room and the second 1 and 4 did not.
    assert_eq!((left.keys("s"), left.lost("s")), (2, 2));
}

#[test]
fn a_latency_pair_measures_by_thread() {
    let mut bench = Bench::new(
        "kprobe:f { @start[tid] = nsecs; }
         kretprobe:f /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start, tid); }",
    );
    for tid in [1, 2, 3] {
        let thread = Firing {
            tid,
            ..Firing::default()
        };
        bench.fire("kprobe:f", 0, thread.clone());
        bench.fire("kretprobe:f", 1000 * u64::from(tid), thread.clone());
        bench.fire("kretprobe:f", 5, thread);
    }
    let left = bench.run();
    assert_eq!(left.keys("start"), 0);
    for ns in [1000, 2000, 3000] {
        let word = left.word("ns", &[], 0, layout::hist_bucket(ns, 0));
        assert_eq!(word, Some(1));
    }
}

#[test]
fn a_printf_carries_its_values_and_a_full_ring_loses_it() {
    let mut bench = Bench::new(r#"kprobe:f { printf("%s %d\n", comm, arg0); }"#);
    bench.world.ring_bytes = 128;
    for _ in 0..4 {
        bench.fire("kprobe:f", 0, Firing::default().by("sh"));
    }
    let left = bench.run();
    let mut record = vec![1, 0, 0, 0, 0, 0, 0, 0];
    record.extend_from_slice(b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    record.extend_from_slice(&[0; 8]);
    // A record of 32 bytes takes 40 of 128.
    assert_eq!(left.contents.events, vec![record; 3]);
    assert_eq!(
        left.contents.losses[layout::Loss::Events(0).counter(0, 0) as usize],
        1
    );
}

#[test]
fn names_of_probes_are_values() {
    let mut bench = Bench::new(
        r#"kprobe:f, kprobe:g { @[probe] = count(); if (func == "g") { @g = count(); } }"#,
    );
    bench.fire("kprobe:f", 0, Firing::default());
    bench.fire("kprobe:g", 0, Firing::default());
    let left = bench.run();
    assert_eq!(left.keys(""), 2);
    assert_eq!(left.value("g", &[]), Some(1));
}

#[test]
fn the_clock_is_read_each_time_it_is_named() {
    let mut bench =
        Bench::new("begin { $a = nsecs; $b = elapsed; @r = nsecs - $a; @e = elapsed - $b; }");
    bench.world.step_ns = 7;
    bench.world.start_ns = 500;
    let left = bench.fire("begin", 0, Firing::default()).run();
    assert_eq!(
        (left.value("r", &[]), left.value("e", &[])),
        (Some(14), Some(14))
    );
}

#[test]
fn arguments_in_registers_and_on_the_stack() {
    let mut bench = Bench::new("kprobe:f { @a[arg0, arg5] = arg1; } kretprobe:f { @r = retval; }");
    let firing = Firing {
        args: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        retval: u64::MAX,
        ..Firing::default()
    };
    bench.fire("kprobe:f", 0, firing.clone());
    bench.fire("kretprobe:f", 0, firing);
    let left = bench.run();
    assert_eq!(left.value("a", &[Part::Int(1), Part::Int(6)]), Some(2));
    assert_eq!(left.value("r", &[]), Some(-1));
}

/// The same with macros before the probe.
fn with_macros(macros: &str, body: &str) -> i64 {
    let mut bench = Bench::new(&format!("{macros} begin {{ {body} }}"));
    let left = bench
        .fire("begin", 0, Firing::default())
        .run()
        .value("r", &[]);
    left.expect("@r has no keys")
}

#[test]
fn a_block_as_a_value_runs_where_its_value_is_wanted() {
    for (body, expected) in [
        ("@r = { $x = 3; $x * 2 };", 6),
        ("$x = 1; @r = $x * 10 + { $x = 5; $x } + $x;", 20),
        ("$n = 0; $c = 0 && { $n = 1; 1 }; @r = $n * 10 + $c;", 0),
        ("$n = 0; $c = 1 && { $n = 1; 2 }; @r = $n * 10 + $c;", 11),
        (
            "$n = 0; while ({ $n++; $n < 5 }) { @r = $n; } @r += 100;",
            104,
        ),
        (
            "@m[{ $k = 4; $k }] = { @m[4] = 1; @m[4] + 1 }; @r = @m[4];",
            2,
        ),
        (
            "$s = { if (pid == 0) { $t = \"zero\"; @z = 1; } \"abc\" }; @r = strlen($s);",
            3,
        ),
        (
            "$t = ({ $y = 1; $y }, { let $y = \"z\"; $y }); @r = $t.0 + strlen($t.1);",
            2,
        ),
        (
            "@r = { $i = 0; for $j : 0..4 { if ($j == 2) { continue; } $i += $j; } $i };",
            4,
        ),
    ] {
        assert_eq!(result(body), expected, "{body}");
    }
}

#[test]
fn macros_do_what_is_written_in_them() {
    let macros = "macro add($to, x) { $to += x; $to } macro put(@m, key, value) { @m[key] = value; } \
        macro twice(x) { x; x } macro most(a, b) { let $a = a; let $b = b; $a > $b ? $a : $b }";
    for (body, expected) in [
        ("$s = 1; add($s, 4); @r = $s;", 5),
        ("$s = 1; @r = add($s, add($s, 2)) + $s;", 8),
        ("put(@x, 7, 3); put(@x, 8, @x[7] * 2); @r = @x[8];", 6),
        ("$n = 0; _ = twice($n++); @r = $n;", 2),
        ("$a = 3; @r = most($a, most(9, $a * 2)) * 10 + $a;", 93),
        ("unroll 3 { @n++; } @r = most(@n, 2);", 3),
    ] {
        assert_eq!(with_macros(macros, body), expected, "{body}");
    }
}

#[test]
fn a_macro_that_is_a_statement_may_end_the_body() {
    let macros = "macro stop(@r, x) { if (x > 1) { return; } @r = x; }";
    assert_eq!(
        with_macros(macros, "@r = 0; stop(@r, 1); stop(@r, 5); @r = 9;"),
        1
    );
}

#[test]
fn a_share_counts_the_samples_within_its_limit() {
    let mut bench = Bench::new(
        "kprobe:f { @s = slo(arg0, 10); @n[arg1] = slo((int64)arg0, -2); @c = cdf(arg0, 1); }",
    );
    for sample in [3, 10, 11, 1 << 40, -5i64 as u64, -2i64 as u64] {
        let mut firing = Firing::default();
        firing.args[0] = sample;
        bench.fire("kprobe:f", 0, firing);
    }
    let left = bench.run();
    // Arguments are unsigned, so numbers below 0 are very large.
    assert_eq!(
        (left.word("s", &[], 0, 0), left.word("s", &[], 0, 1)),
        (Some(6), Some(2))
    );
    let key = [Part::Int(0)];
    assert_eq!(
        (left.word("n", &key, 0, 0), left.word("n", &key, 0, 1)),
        (Some(6), Some(2))
    );
    let counted: u64 = (0..129).filter_map(|at| left.word("c", &[], 0, at)).sum();
    assert_eq!(counted, 6);
}

#[test]
fn statistics_are_read_as_values_of_all_cpus_together() {
    let script = "kprobe:f { @c = count(); @s[pid] = sum((int64)arg0); @a = avg((int64)arg0); @lo = min((int64)arg0); \
        @hi[pid] = max((int64)arg0); @u = avg(arg0); } \
        kretprobe:f { @r[0] = (int64)@c; @r[1] = (int64)@s[pid]; @r[2] = (int64)@a; @r[3] = (int64)@lo; \
        @r[4] = (int64)@hi[pid]; @r[5] = @c > 3 ? 1 : 0; @r[6] = (int64)@s[7] + (int64)@hi[7]; @r[7] = (int8)@c; \
        $x = @s[pid]; @r[8] = $x * 2; @r[9] = @u == 0 ? 0 : 1; }";
    let mut bench = Bench::new(script);
    bench.world.cpus = 3;
    for (cpu, sample) in [(0, -5), (1, 7), (2, -20), (2, 4)] {
        let mut firing = Firing {
            cpu,
            ..Firing::default()
        };
        firing.args[0] = sample as u64;
        bench.fire("kprobe:f", 0, firing);
    }
    bench.fire("kretprobe:f", 0, Firing::default());
    let left = bench.run();
    for (at, expected) in [4, -14, -3, -20, 7, 1, 0, 4, -28, 1]
        .into_iter()
        .enumerate()
    {
        assert_eq!(
            left.value("r", &[Part::Int(at as i64)]),
            Some(expected),
            "@r[{at}]"
        );
    }
}

#[test]
fn a_loop_over_a_map_sees_each_entry_and_can_be_left() {
    let three = "@m[1] = 10; @m[2] = 20; @m[3] = 30;";
    for (body, expected) in [
        (
            "$s = 0; for ($kv : @m) { $s += $kv.0 * $kv.1; } @r = $s;",
            140,
        ),
        (
            "$s = 0; for ($kv : @m) { if ($kv.0 == 2) { continue; } $s += $kv.1; } @r = $s;",
            40,
        ),
        (
            "$n = 0; for ($kv : @m) { $n++; if ($n == 2) { break; } } @r = $n;",
            2,
        ),
        ("@r = 1; for ($kv : @m) { @r = 2; return; } @r = 3;", 2),
        (
            "@r = 1; for ($kv : @m) { for ($in : @m) { if ($in.0 == 2) { return; } @r++; } } @r = 9;",
            2,
        ),
        (
            "$n = 0; for ($a : @m) { for ($b : @m) { if ($b.0 > $a.0) { break; } $n++; } } @r = $n;",
            6,
        ),
        ("for ($kv : @m) { @m[$kv.0] = 5; @r += $kv.1; }", 60),
        ("for ($kv : @m) { delete(@m, $kv.0); } @r = len(@m) + 7;", 7),
        (
            "for ($kv : @m) { @n[$kv.1] = $kv.0; } @r = @n[20] * 10 + len(@n);",
            23,
        ),
        (
            "$last = \"\"; for ($kv : @m) { $last = \"x\"; } @r = $last == \"x\" ? 1 : 0;",
            1,
        ),
        (
            "$n = 0; while ($n < 5) { for ($kv : @m) { $n++; } } @r = $n;",
            6,
        ),
        (
            "for $i : 0..4 { for ($kv : @m) { if ($kv.0 == $i) { @r += $kv.1; } } }",
            60,
        ),
        (
            "@r = { let $s = 0; for ($kv : @m) { $s += $kv.1; } $s + 1 };",
            61,
        ),
        ("@r = len(@m); @m[9] = 1; @r = @r * 10 + len(@m);", 34),
    ] {
        assert_eq!(result(&format!("{three} {body}")), expected, "{body}");
    }
}

#[test]
fn a_loop_over_statistics_sees_what_all_cpus_counted() {
    let mut bench = Bench::new(
        "kprobe:f { @m[tid] = sum(arg0); @n[tid] = max(arg0); for ($kv : @m) { @r = $kv.1; } for ($kv : @n) { @x = $kv.1; } }",
    );
    fire_on_two_cpus(&mut bench);
    let left = bench.run();
    assert_eq!(left.value("r", &[]), Some(20));
    assert_eq!(left.value("x", &[]), Some(8));
}
