//! Pictures: both backends draw the same panels; odd data draws without a panic.

use hetsync_probe::report::map::MapReport;
use hetsync_probe::report::plot::{self, PlotError};
use hetsync_probe::sema::hir::{Aggregation, Map, MapValue, Type, Unit};
use proptest::prelude::*;

use crate::maps::{STR16, Samples, aggregating, assigned, int, map, recorded, text, with_unit};

/// Latencies like a server's: most near 40 us, some slow ones, some very slow.
fn latencies(seed: i64, count: i64) -> impl Iterator<Item = i64> {
    (0..count).map(move |n| {
        let noise = (n * 7919 + seed * 104_729) % 1000;
        match noise % 50 {
            0 => 900 + noise * 9,
            1..=6 => 150 + noise / 3,
            _ => 28 + noise / 40 + noise % 7,
        }
    })
}

fn server_maps() -> Vec<(Map, Samples)> {
    let comms = [
        ("hetsync-server", 1),
        ("hetsync-worker", 2),
        ("postgres", 3),
    ];
    let keyed = |per_key: i64| -> Samples {
        comms
            .iter()
            .flat_map(|&(comm, seed)| {
                latencies(seed, per_key * seed)
                    .map(move |x| (text(&comm.as_bytes()[..comm.len().min(15)]), x))
            })
            .collect()
    };
    let percentiles = vec![25_000, 50_000, 75_000, 99_000];
    vec![
        (
            with_unit(
                aggregating("latency", &[STR16], Aggregation::Summary { percentiles }),
                Unit::Us,
            ),
            keyed(4000),
        ),
        (
            with_unit(
                aggregating("usecs", &[STR16], Aggregation::Hist { bits: 0 }),
                Unit::Us,
            ),
            keyed(4000),
        ),
        (
            with_unit(
                aggregating("fine", &[], Aggregation::Hist { bits: 3 }),
                Unit::Us,
            ),
            latencies(5, 3000).map(|x| (vec![], x)).collect(),
        ),
        (
            aggregating(
                "linear",
                &[],
                Aggregation::Lhist {
                    min: 0,
                    max: 200,
                    step: 10,
                },
            ),
            latencies(6, 3000).map(|x| (vec![], x)).collect(),
        ),
        (
            aggregating("sends", &[Type::INT, STR16], Aggregation::Count),
            (0..400)
                .map(|n| ([int(n % 7), text(b"server")].concat(), n))
                .collect(),
        ),
    ]
}

#[test]
fn a_server_report_is_drawn_by_both_backends() {
    let maps = server_maps();
    let reports: Vec<MapReport> = maps
        .iter()
        .map(|(map, samples)| recorded(map, samples))
        .collect();
    let svg = plot::svg(&reports).unwrap();
    let png = plot::png(&reports).unwrap();
    // To look at: target/plot/report.{svg,png}.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("plot");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("report.svg"), &svg).unwrap();
    std::fs::write(folder.join("report.png"), &png).unwrap();
    let one_line = svg.replace('\n', "");
    for text in [
        "@latency",
        "@usecs[postgres]",
        "@linear",
        "microseconds",
        "samples",
        "hetsync-server",
        "99% ",
    ] {
        assert!(one_line.contains(text), "no {text} in the picture");
    }
    let decoder = png::Decoder::new(png.as_slice()).read_info().unwrap();
    let (width, height) = (decoder.info().width, decoder.info().height);
    assert_eq!(width, 1920);
    assert!(svg.contains(&format!("height=\"{}\"", height / 2)));
}

#[test]
fn nothing_to_draw_is_an_error() {
    let string = map("x", &[], MapValue::Scalar(STR16));
    let count = aggregating("c", &[], Aggregation::Count);
    let reports = [
        assigned(&string, &[], &[(vec![], text(b"a"))]),
        recorded(&count, &[(vec![], 0)]),
    ];
    assert!(matches!(plot::svg(&reports), Err(PlotError::Nothing)));
    assert!(matches!(plot::png(&[]), Err(PlotError::Nothing)));
}

#[test]
fn many_keys_are_cut_and_said() {
    let map = aggregating("c", &[Type::INT], Aggregation::Count);
    let samples: Samples = (0..40).flat_map(|n| vec![(int(n), 0); 3]).collect();
    let svg = plot::svg(&[recorded(&map, &samples)]).unwrap();
    assert!(svg.contains("16 more keys are not shown"));
    let map = aggregating("h", &[Type::INT], Aggregation::Hist { bits: 0 });
    let svg = plot::svg(&[recorded(&map, &samples)]).unwrap();
    assert!(svg.contains("16 more panels are not shown"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_samples_can_be_drawn(samples in prop::collection::vec((0i64..30, any::<i64>(), 0u32..64), 1..60)) {
        let samples: Samples = samples.into_iter().map(|(key, x, shift)| (int(key), x >> shift)).collect();
        for aggregation in [
            Aggregation::Summary { percentiles: vec![1000, 50_000, 99_900] },
            Aggregation::Hist { bits: 0 },
            Aggregation::Hist { bits: 5 },
            Aggregation::Lhist { min: -1000, max: 1000, step: 3 },
            Aggregation::Sum { signed: true },
            Aggregation::Max { signed: false },
        ] {
            let map = aggregating("x", &[Type::INT], aggregation);
            prop_assert!(plot::svg(&[recorded(&map, &samples)]).is_ok());
        }
    }
}
