//! The text, JSON and CSV forms: against what bpftrace prints for the same one-liner, and as snapshots.

use hetsync_probe::report::account::{Account, Attached, CutLoop, DroppedEvents, FullMap, Missed};
use hetsync_probe::report::form::{FormKind, Output};
use hetsync_probe::report::map::MapReport;
use hetsync_probe::report::value::Scalar;
use hetsync_probe::sema::hir::{Aggregation, Map, MapValue, Type, Unit};

use crate::assert_snapshot;
use crate::maps::{
    STR16, Samples, aggregating, assigned, int, map, record, recorded, text, with_unit,
};

const QUARTILES: [u32; 3] = [25_000, 50_000, 75_000];

fn shown(kind: FormKind, maps: &[MapReport<'_>]) -> String {
    let mut out = Output::default();
    let mut form = kind.start(100);
    for map in maps {
        form.map(&mut out, map);
    }
    assert!(out.aside.is_empty());
    String::from_utf8(out.report).unwrap()
}

fn samples(values: &[i64]) -> Samples {
    values.iter().map(|&x| (vec![], x)).collect()
}

/// One map of every kind, keyed and not, with samples that reach the edges.
fn every_kind() -> Vec<(Map, Samples)> {
    let comm = |name: &[u8], x: i64| (text(name), x);
    let pair = |n: i64, name: &[u8], x: i64| ([int(n), text(name)].concat(), x);
    let signed = true;
    vec![
        (
            aggregating("count", &[], Aggregation::Count),
            samples(&[0; 3]),
        ),
        (
            aggregating("sum", &[STR16], Aggregation::Sum { signed }),
            vec![comm(b"b", 7), comm(b"a", 9), comm(b"c", -9)],
        ),
        (
            aggregating("avg", &[], Aggregation::Avg { signed }),
            samples(&[-5, -6]),
        ),
        (
            aggregating("min", &[], Aggregation::Min { signed }),
            samples(&[3, -3]),
        ),
        (
            aggregating("max", &[], Aggregation::Max { signed: false }),
            samples(&[3, -3]),
        ),
        (
            aggregating("stats", &[], Aggregation::Stats { signed }),
            samples(&[5, 10]),
        ),
        (
            aggregating("keyed_stats", &[Type::INT], Aggregation::Stats { signed }),
            vec![(int(1), 15), (int(2), 5), (int(3), 3), (int(3), 4)],
        ),
        (
            aggregating("pairs", &[Type::INT, STR16], Aggregation::Count),
            vec![
                pair(1, b"a", 0),
                pair(1, b"b", 0),
                pair(1, b"a", 0),
                pair(-2, b"q,\"", 0),
            ],
        ),
        (
            with_unit(
                aggregating("cdf", &[STR16], Aggregation::Cdf { bits: 2 }),
                Unit::Us,
            ),
            vec![
                comm(b"a", 5),
                comm(b"a", 9),
                comm(b"a", 9),
                comm(b"a", 1000),
                comm(b"b", -1),
            ],
        ),
        (
            with_unit(
                aggregating("slo", &[STR16], Aggregation::Slo { limit: 5000 }),
                Unit::Us,
            ),
            vec![
                comm(b"a", 1),
                comm(b"a", 0),
                comm(b"a", 1),
                comm(b"b", 1),
                comm(b"c", 0),
            ],
        ),
        (
            aggregating("slo_alone", &[], Aggregation::Slo { limit: -1 }),
            samples(&[1, 1, 1, 0]),
        ),
        (
            aggregating("hist", &[], Aggregation::Hist { bits: 0 }),
            samples(&[5, 0, 1, 3, -4, 1500, 600, 700, 700]),
        ),
        (
            aggregating("fine", &[], Aggregation::Hist { bits: 2 }),
            samples(&[1000, 1025, 1080, 1300]),
        ),
        (
            with_unit(
                aggregating("keyed_hist", &[STR16], Aggregation::Hist { bits: 0 }),
                Unit::Ms,
            ),
            vec![comm(b"b", 1), comm(b"a", 2), comm(b"c", 1), comm(b"c", 2)],
        ),
        (
            aggregating(
                "lhist",
                &[],
                Aggregation::Lhist {
                    min: 0,
                    max: 50,
                    step: 10,
                },
            ),
            samples(&[5, -1, 100, 25]),
        ),
        (
            with_unit(
                aggregating(
                    "lat",
                    &[STR16],
                    Aggregation::Summary {
                        percentiles: QUARTILES.to_vec(),
                    },
                ),
                Unit::Us,
            ),
            (0..100)
                .map(|n| comm(if n % 3 == 0 { b"worker" } else { b"server" }, n * n))
                .collect(),
        ),
        (
            aggregating(
                "all",
                &[],
                Aggregation::Summary {
                    percentiles: QUARTILES.to_vec(),
                },
            ),
            samples(&[1, 2, 3, 4, 10]),
        ),
    ]
}

#[test]
fn every_kind_in_every_form() {
    let kinds = every_kind();
    let scalar = map("string", &[Type::INT], MapValue::Scalar(STR16));
    let number = map("number", &[], MapValue::Scalar(Type::UINT));
    let mut maps: Vec<MapReport> = kinds
        .iter()
        .map(|(map, samples)| recorded(map, samples))
        .collect();
    maps.push(assigned(
        &scalar,
        &[],
        &[(int(1), text(b"b")), (int(-1), text(b"c\xff"))],
    ));
    maps.push(assigned(&number, &[], &[(vec![], int(-1))]));
    assert_snapshot("report__every_kind_json", &shown(FormKind::Json, &maps));
    assert_snapshot("report__every_kind_csv", &shown(FormKind::Csv, &maps));
    // The one byte of that string that is not UTF-8 is raw in the text form; a snapshot cannot hold it.
    let index = maps.len() - 2;
    maps[index] = assigned(&scalar, &[], &[(int(1), text(b"b")), (int(-1), text(b"c"))]);
    assert_snapshot("report__every_kind_text", &shown(FormKind::Text, &maps));
}

/// Output of bpftrace 0.23 for
/// `BEGIN { @h[1] = hist(3); @h[0] = hist(3); @h[0] = hist(4); @x = hist(-4); @x = hist(1500); @x = hist(1200); }` and the like.
#[test]
fn histograms_have_bpftraces_columns() {
    let keyed = aggregating("h", &[Type::INT], Aggregation::Hist { bits: 0 });
    let report = recorded(&keyed, &[(int(1), 3), (int(0), 3), (int(0), 4)]);
    assert_eq!(
        shown(FormKind::Text, &[report]),
        "\
@h[1]:
[2, 4)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

@h[0]:
[2, 4)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

"
    );
    let unkeyed = aggregating("x", &[], Aggregation::Hist { bits: 0 });
    let text = shown(
        FormKind::Text,
        &[recorded(&unkeyed, &samples(&[-4, 1500, 1200]))],
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "@x:");
    assert_eq!(
        lines[1],
        "(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |"
    );
    assert_eq!(
        lines[2],
        "[0]                    0 |                                                    |"
    );
    assert_eq!(
        lines[13],
        "[1K, 2K)               2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|"
    );
    let wide = aggregating(
        "c",
        &[],
        Aggregation::Lhist {
            min: 0,
            max: 5_000_000,
            step: 1_000_000,
        },
    );
    let text = shown(FormKind::Text, &[recorded(&wide, &samples(&[1_000_000]))]);
    assert!(text.contains("\n[1000000, 2000000)       1 |@@@"), "{text}");
}

#[test]
fn print_takes_the_largest_and_divides() {
    let sums = aggregating("", &[Type::INT], Aggregation::Sum { signed: true });
    let raw = || record(&sums, 2, &[(int(1), 5), (int(2), 50), (int(3), 7)]);
    let report = MapReport::decode(&sums, &[], raw());
    assert_eq!(
        shown(FormKind::Text, &[report.arranged(2, 1)]),
        "@[3]: 7\n@[2]: 50\n"
    );
    assert_eq!(
        shown(FormKind::Text, &[report.arranged(2, 10)]),
        "@[3]: 0\n@[2]: 5\n"
    );
    assert_eq!(
        shown(FormKind::Text, &[report.arranged(0, 5)]),
        "@[1]: 1\n@[3]: 1\n@[2]: 10\n"
    );
    assert_eq!(
        shown(FormKind::Text, &[report.arranged(9, 1)]),
        "@[1]: 5\n@[3]: 7\n@[2]: 50\n"
    );

    // Of stats the average is divided, not the total; negative numbers toward zero.
    let stats = aggregating("st", &[Type::INT], Aggregation::Stats { signed: true });
    let report = MapReport::decode(
        &stats,
        &[],
        record(&stats, 1, &[(int(1), 15), (int(2), -7)]),
    );
    assert_eq!(
        shown(FormKind::Text, &[report.arranged(0, 5)]),
        "@st[2]: count 1, average -1, total -7\n@st[1]: count 1, average 3, total 15\n"
    );

    // Counts of a histogram are divided and its bars follow them; a bucket that divides to nothing stays.
    let hist = aggregating("h", &[], Aggregation::Hist { bits: 0 });
    let report = MapReport::decode(&hist, &[], record(&hist, 2, &samples(&[7, 8, 8])));
    assert_eq!(
        shown(FormKind::Text, &[report.arranged(0, 2)]),
        "\
@h:
[4, 8)                 0 |                                                    |
[8, 16)                1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

"
    );

    let summary = aggregating(
        "s",
        &[],
        Aggregation::Summary {
            percentiles: QUARTILES.to_vec(),
        },
    );
    let report = MapReport::decode(&summary, &[], record(&summary, 2, &samples(&[1500, 2500])));
    assert_snapshot(
        "report__summary_divided",
        &shown(FormKind::Text, &[report.arranged(0, 1000)]),
    );
}

#[test]
fn exact_percentiles_are_not_rounded_beside_large_ones() {
    let percentiles = QUARTILES.to_vec();
    let summary = aggregating("s", &[], Aggregation::Summary { percentiles });
    let raw = record(&summary, 2, &samples(&[1, 2, 1000, 100_000]));
    let text = shown(FormKind::Text, &[MapReport::decode(&summary, &[], raw)]);
    let row = text.lines().find(|line| line.contains("25%"));
    assert!(row.is_some_and(|row| row.contains(" 1.75 ")), "{text}");
}

/// A mean is exact however large it is, and a deviation may be small beside it.
#[test]
fn means_and_deviations_of_large_samples_keep_their_decimals() {
    let percentiles = QUARTILES.to_vec();
    let summary = aggregating("s", &[], Aggregation::Summary { percentiles });
    let raw = record(&summary, 2, &samples(&[99_990, 99_991, 99_994]));
    let text = shown(FormKind::Text, &[MapReport::decode(&summary, &[], raw)]);
    assert!(
        text.contains(" 99991.67 ") && text.contains(" 2.08 "),
        "{text}"
    );
}

#[test]
fn a_zeroed_histogram_has_a_title_and_no_rows() {
    let hist = aggregating("l", &[Type::INT], Aggregation::Hist { bits: 0 });
    let zeros = vec![vec![0; 8 * 65]];
    let report = MapReport::decode(&hist, &[], [(int(5), zeros)]);
    assert_eq!(
        shown(FormKind::Text, std::slice::from_ref(&report)),
        "@l[5]:\n\n"
    );
    assert_eq!(
        shown(FormKind::Json, &[report]),
        "{\"type\": \"hist\", \"data\": {\"@l\": {\"5\": []}}}\n"
    );
}

#[test]
fn a_wide_summary_turns_its_keys_into_rows() {
    let map = with_unit(
        aggregating(
            "lat",
            &[STR16],
            Aggregation::Summary {
                percentiles: QUARTILES.to_vec(),
            },
        ),
        Unit::Ns,
    );
    let samples: Vec<_> = (0..120)
        .map(|n| {
            (
                text(format!("process-{}", n % 12).as_bytes()),
                1_000_000 + n * 7919,
            )
        })
        .collect();
    assert_snapshot(
        "report__summary_wide",
        &shown(FormKind::Text, &[recorded(&map, &samples)]),
    );
}

#[test]
fn empty_maps_print_nothing() {
    let map = aggregating(
        "x",
        &[Type::INT],
        Aggregation::Summary {
            percentiles: vec![],
        },
    );
    for kind in [FormKind::Text, FormKind::Json, FormKind::Csv] {
        assert_eq!(shown(kind, &[recorded(&map, &[])]), "");
    }
}

#[test]
fn events_and_the_account_in_every_form() {
    let account = Account {
        events: 3,
        dropped: vec![DroppedEvents {
            probe: "kprobe:tcp_sendmsg and 2 more".into(),
            events: 3,
        }],
        stacks: 2,
        full_maps: vec![FullMap {
            map: "@x".into(),
            samples: 12,
            max_keys: 4096,
        }],
        cut_loops: vec![CutLoop {
            line: 7,
            rounds: 1000,
            times: 2,
        }],
        missed: vec![Missed {
            probe: "kretprobe:tcp_sendmsg".into(),
            hits: 1,
        }],
        uncounted: vec!["kretprobe:tcp_recvmsg".into()],
        attached: vec![Attached {
            probe: "kprobe:tcp_sendmsg".into(),
            how: "fentry".into(),
        }],
    };
    let mut all = String::new();
    for kind in [FormKind::Text, FormKind::Json, FormKind::Csv] {
        let mut out = Output::default();
        let mut form = kind.start(80);
        form.attached(&mut out, 1);
        form.attached(&mut out, 2);
        form.printf(&mut out, b"hi \"3\"\n");
        form.value(&mut out, &Scalar::Signed(-5));
        form.value(&mut out, &Scalar::Text(b"x".to_vec()));
        form.last_maps(&mut out);
        form.account(&mut out, &Account::default(), false);
        form.account(&mut out, &account, true);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        all += &format!(
            "== {kind:?}\n{}-- aside\n{}",
            text(out.report),
            text(out.aside)
        );
    }
    assert_snapshot("report__events_and_account", &all);
    assert!(Account::default().is_clean() && !account.is_clean());
}

#[test]
fn hits_that_nobody_counts_are_not_called_none() {
    let mut account = Account {
        uncounted: vec!["kretprobe:f".into()],
        ..Account::default()
    };
    assert_eq!(
        account.lines(false)[0],
        "lost: 0 events, 0 samples, unknown probe hits"
    );
    account.missed.push(Missed {
        probe: "kprobe:f".into(),
        hits: 2,
    });
    assert_eq!(
        account.lines(false)[0],
        "lost: 0 events, 0 samples, at least 2 probe hits"
    );
}
