//! Merging what several CPUs hold gives what one CPU would have held, and what plain arithmetic gives.

use hetsync_probe::layout;
use hetsync_probe::report::baseline;
use hetsync_probe::report::value::{self, Scalar, Value};
use hetsync_probe::sema::hir::{Aggregation, Map, Type};
use proptest::prelude::*;

use crate::maps::{STR16, aggregating, int, map, record, text};
use hetsync_probe::sema::hir::MapValue;

fn aggregations() -> Vec<Aggregation> {
    let mut all = vec![Aggregation::Count];
    for signed in [false, true] {
        all.extend([
            Aggregation::Sum { signed },
            Aggregation::Avg { signed },
            Aggregation::Min { signed },
            Aggregation::Max { signed },
            Aggregation::Stats { signed },
        ]);
    }
    for bits in [0, 2, 5] {
        all.push(Aggregation::Hist { bits });
    }
    all.push(Aggregation::Lhist {
        min: -50,
        max: 950,
        step: 33,
    });
    all.push(Aggregation::Summary {
        percentiles: vec![25_000, 50_000, 75_000, 99_900],
    });
    all
}

/// Samples of every size and sign, not mostly huge ones.
fn sample() -> impl Strategy<Value = i64> {
    (any::<i64>(), 0u32..64).prop_map(|(n, shift)| n >> shift)
}

fn decode(map: &Map, cpus: usize, samples: &[i64]) -> Option<Value> {
    let samples: Vec<_> = samples.iter().map(|&s| (vec![], s)).collect();
    let (_, parts) = record(map, cpus, &samples).into_iter().next()?;
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    value::decode(map, &[], &parts)
}

proptest! {
    #[test]
    fn merged_parts_equal_one_part(samples in prop::collection::vec(sample(), 1..60), cpus in 2usize..9) {
        for aggregation in aggregations() {
            let map = aggregating("x", &[], aggregation);
            prop_assert_eq!(decode(&map, cpus, &samples), decode(&map, 1, &samples));
        }
    }

    #[test]
    fn what_came_since_equals_what_came_alone(
        before in prop::collection::vec(sample(), 0..40),
        after in prop::collection::vec(sample(), 1..40),
    ) {
        for aggregation in aggregations() {
            let map = aggregating("x", &[], aggregation.clone());
            if baseline::is_additive(&map.value).is_none() {
                continue;
            }
            let value = |samples: &[&[i64]]| {
                let mut value = vec![0; layout::aggregate_size(&aggregation)];
                for &sample in samples.iter().copied().flatten() {
                    layout::record(&aggregation, &mut value, sample as u64);
                }
                value
            };
            let mut rest =
                baseline::since(&aggregation, &value(&[&before, &after]), &value(&[&before]));
            let mut alone = value(&[&after]);
            if let Aggregation::Summary { .. } = aggregation {
                use layout::summary_word as at;
                let extremes = |value: &[u8]| {
                    let min = (!layout::word(value, at::MIN) ^ layout::SIGN) as i64;
                    (min, (layout::word(value, at::MAX) ^ layout::SIGN) as i64)
                };
                let (found, truth) = (extremes(&rest), extremes(&alone));
                // Within a bucket of the truth; of negative samples only a bound is known.
                let near = |a: i64, b: i64| a.abs_diff(b) as f64 <= b as f64 / 100.0;
                let negative = truth.0 < 0;
                let least = (negative && found.0 <= truth.0) || near(found.0, truth.0);
                let bound = found.1 >= truth.1 && found.1 < 0;
                let most = (truth.1 < 0 && bound) || near(found.1, truth.1);
                prop_assert!(least && most, "{found:?} {truth:?}");
                for word in [at::MIN, at::MAX] {
                    layout::set_word(&mut rest, word, 0);
                    layout::set_word(&mut alone, word, 0);
                }
            }
            prop_assert_eq!(rest, alone);
        }
    }

    #[test]
    fn scalars_equal_plain_arithmetic(samples in prop::collection::vec(sample(), 1..60), cpus in 1usize..5) {
        let n = samples.len() as u64;
        let sum = samples.iter().fold(0i64, |sum, x| sum.wrapping_add(*x));
        let average = Scalar::Signed((i128::from(sum) / i128::from(n)) as i64);
        let unsigned = |x: &i64| *x as u64;
        let signed = true;
        let expected = [
            (Aggregation::Count, Value::Count(n)),
            (Aggregation::Sum { signed }, Value::Sum(Scalar::Signed(sum))),
            (Aggregation::Sum { signed: false }, Value::Sum(Scalar::Unsigned(sum as u64))),
            (Aggregation::Avg { signed }, Value::Avg(average.clone())),
            (Aggregation::Avg { signed: false }, Value::Avg(Scalar::Unsigned(sum as u64 / n))),
            (Aggregation::Min { signed }, Value::Min(Scalar::Signed(*samples.iter().min().unwrap()))),
            (Aggregation::Max { signed }, Value::Max(Scalar::Signed(*samples.iter().max().unwrap()))),
            (Aggregation::Min { signed: false }, Value::Min(Scalar::Unsigned(samples.iter().map(unsigned).min().unwrap()))),
            (Aggregation::Max { signed: false }, Value::Max(Scalar::Unsigned(samples.iter().map(unsigned).max().unwrap()))),
            (Aggregation::Stats { signed }, Value::Stats { count: n, average, total: Scalar::Signed(sum) }),
        ];
        for (aggregation, value) in expected {
            prop_assert_eq!(decode(&aggregating("x", &[], aggregation), cpus, &samples), Some(value));
        }
    }

    #[test]
    fn every_sample_is_in_the_row_that_holds_it(samples in prop::collection::vec(sample(), 1..60), bits in 0u8..6) {
        for aggregation in [Aggregation::Hist { bits }, Aggregation::Lhist { min: -10, max: 90, step: 7 }] {
            let Some(Value::Histogram(histogram)) = decode(&aggregating("x", &[], aggregation), 3, &samples) else {
                return Err(TestCaseError::fail("not a histogram"));
            };
            prop_assert_eq!(histogram.total(), samples.len() as u64);
            for row in histogram.rows() {
                let inside = |x: &&i64| row.low.is_none_or(|low| **x >= low) && row.high.is_none_or(|high| **x <= high);
                prop_assert_eq!(row.count, samples.iter().filter(inside).count() as u64);
            }
        }
    }

    #[test]
    fn bytes_of_any_length_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cpus in 0usize..4) {
        let parts: Vec<&[u8]> = (0..cpus).map(|_| bytes.as_slice()).collect();
        for aggregation in aggregations() {
            let map = aggregating("x", &[Type::INT, STR16], aggregation);
            let fits = cpus != 0 && bytes.len() >= layout::value_size(&map);
            prop_assert_eq!(value::decode(&map, &[], &parts).is_some(), fits);
            prop_assert_eq!(value::decode_key(&map, &[], &bytes).is_some(), bytes.len() >= 24);
        }
    }
}

#[test]
fn an_unkeyed_map_exists_once_it_was_sampled_and_a_key_always() {
    for aggregation in aggregations() {
        let zeros = vec![0; layout::aggregate_size(&aggregation)];
        let unkeyed = aggregating("x", &[], aggregation.clone());
        assert_eq!(value::decode(&unkeyed, &[], &[&zeros]), None);
        let keyed = aggregating("x", &[Type::INT], aggregation);
        assert!(value::decode(&keyed, &[], &[&zeros]).is_some());
    }
    let scalar = map("x", &[], MapValue::Scalar(Type::INT));
    let unassigned = [int(0), int(0)].concat();
    let zero = [int(0), int(1)].concat();
    assert_eq!(value::decode(&scalar, &[], &[&unassigned]), None);
    assert_eq!(
        value::decode(&scalar, &[], &[&zero]),
        Some(Value::Scalar(Scalar::Signed(0)))
    );
}

#[test]
fn a_zeroed_extreme_is_0() {
    for signed in [false, true] {
        let zeros = [0; 16];
        let least = aggregating("x", &[Type::INT], Aggregation::Min { signed });
        assert_eq!(
            value::decode(&least, &[], &[&zeros]),
            Some(Value::Min(Scalar::int(0, signed)))
        );
        let most = aggregating("x", &[Type::INT], Aggregation::Max { signed });
        assert_eq!(
            value::decode(&most, &[], &[&zeros]),
            Some(Value::Max(Scalar::int(0, signed)))
        );
    }
}

#[test]
fn names_and_strings_are_text() {
    let keyed = map("x", &[Type::Name, STR16], MapValue::Scalar(Type::INT));
    let names = ["kprobe:a".to_string(), "a".to_string()];
    let key = |name: i64| [int(name), text(b"bo\xffb")].concat();
    let parts = value::decode_key(&keyed, &names, &key(1)).unwrap();
    assert_eq!(
        parts,
        [
            Scalar::Text(b"a".to_vec()),
            Scalar::Text(b"bo\xffb".to_vec())
        ]
    );
    assert_eq!(parts[1].to_string(), "bo\\xffb");
    let unknown = value::decode_key(&keyed, &names, &key(-1)).unwrap();
    assert_eq!(unknown[0].to_string(), "?");
}
