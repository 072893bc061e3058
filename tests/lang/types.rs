//! Types, scopes and provider rules, one rule a test.

use hetsync_probe::sema;
use hetsync_probe::sema::hir::{Aggregation, ExprKind, Map, MapValue, StmtKind, Type, Unit};
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
fn a_format_of_a_megabyte_is_read_once() {
    let text = format!("begin {{ printf(\"{}\"); }}", "%d".repeat(500_000));
    assert_eq!(codes_of(&text), ["E0406"]);
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
