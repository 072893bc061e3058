//! `summary()` against exact statistics of the same samples: mean and deviation to rounding, percentiles within 1 %.

use hetsync_probe::layout;
use hetsync_probe::report::summary::{Number, Summary};
use hetsync_probe::sema::hir::Aggregation;
use proptest::prelude::*;

const PERCENTILES: [u32; 9] = [
    0, 1, 10_000, 25_000, 50_000, 75_000, 99_000, 99_900, 100_000,
];

fn aggregation() -> Aggregation {
    Aggregation::Summary {
        percentiles: PERCENTILES.to_vec(),
    }
}

fn summary(samples: &[i64], cpus: usize) -> Summary {
    let aggregation = aggregation();
    let mut parts = vec![vec![0; layout::aggregate_size(&aggregation)]; cpus];
    for (at, sample) in samples.iter().enumerate() {
        layout::record(&aggregation, &mut parts[at % cpus], *sample as u64);
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Summary::merge(&PERCENTILES, &parts)
}

/// The percentile by its definition, of all samples, in ascending order.
fn exact_percentile(sorted: &[i64], p: u32) -> f64 {
    let rank = (sorted.len() - 1) as f64 * f64::from(p) / 100_000.0;
    let below = rank.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let (low, high) = (sorted[below] as f64, sorted[above] as f64);
    low + (high - low) * (rank - below as f64)
}

fn close(found: f64, exact: f64, bound: f64) -> bool {
    (found - exact).abs() <= exact.abs() * bound + 1e-9
}

/// Non-negative samples of every magnitude.
fn latency() -> impl Strategy<Value = i64> {
    (0..=i64::MAX, 0u32..63).prop_map(|(n, shift)| n >> shift)
}

proptest! {
    #[test]
    fn percentiles_are_within_one_percent(samples in prop::collection::vec(latency(), 1..400), cpus in 1usize..4) {
        let summary = summary(&samples, cpus);
        let mut sorted = samples;
        sorted.sort_unstable();
        for p in PERCENTILES {
            let Some(found) = summary.percentile(p).value() else {
                return Err(TestCaseError::fail("a percentile of non-negative samples is known"));
            };
            let exact = exact_percentile(&sorted, p);
            prop_assert!(close(found, exact, 0.01), "{}: {} is not near {}", p, found, exact);
            prop_assert!(found >= sorted[0] as f64 && found <= sorted[sorted.len() - 1] as f64);
        }
        prop_assert_eq!(summary.percentile(0), Number::Integer(sorted[0].into()));
        prop_assert_eq!(summary.percentile(100_000), Number::Integer(sorted[sorted.len() - 1].into()));
    }

    #[test]
    fn percentiles_of_one_magnitude_are_within_one_percent(
        base in 1_000i64..1_000_000_000, spread in prop::collection::vec(0i64..100_000, 2..300),
    ) {
        let mut samples: Vec<i64> = spread.iter().map(|s| base + s * base / 100_000).collect();
        let summary = summary(&samples, 2);
        samples.sort_unstable();
        for p in PERCENTILES {
            let found = summary.percentile(p).value().unwrap();
            prop_assert!(close(found, exact_percentile(&samples, p), 0.01));
        }
    }

    #[test]
    fn mean_and_deviation_are_exact_to_rounding(
        samples in prop::collection::vec(-(1i64 << 40)..1 << 40, 2..200), cpus in 1usize..4, offset in 0i64..1 << 50,
    ) {
        let samples: Vec<i64> = samples.iter().map(|x| x + offset).collect();
        let summary = summary(&samples, cpus);
        let n = samples.len() as i128;
        let sum: i128 = samples.iter().map(|&x| i128::from(x)).sum();
        prop_assert!(close(summary.mean().unwrap(), sum as f64 / n as f64, 1e-15));
        // Two passes over integers: sum of (n x - sum)^2 is n^2 (n - 1) times the variance. Its parts may
        // pass 128 bits, so each is taken relative to the first sample, which changes no deviation.
        let moved: Vec<i128> = samples.iter().map(|&x| i128::from(x - samples[0])).collect();
        let moved_sum: i128 = moved.iter().sum();
        let squares: f64 = moved.iter().map(|x| ((n * x - moved_sum) as f64).powi(2)).sum();
        let exact = (squares / (n * n * (n - 1)) as f64).sqrt();
        prop_assert!(close(summary.std().unwrap(), exact, 1e-12), "{:?} is not {}", summary.std(), exact);
    }

    #[test]
    fn extremes_and_count_are_exact(samples in prop::collection::vec(any::<i64>(), 1..50)) {
        let summary = summary(&samples, 3);
        prop_assert_eq!(summary.count(), samples.len() as u64);
        prop_assert_eq!(summary.min(), Number::Integer((*samples.iter().min().unwrap()).into()));
        prop_assert_eq!(summary.max(), Number::Integer((*samples.iter().max().unwrap()).into()));
        prop_assert_eq!(summary.std().is_some(), samples.len() >= 2);
    }
}

#[test]
fn a_known_set_gives_pandas_describe() {
    let summary = summary(&[1, 2, 3, 4, 10], 2);
    let names: Vec<_> = summary
        .statistics()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names[..4], ["count", "mean", "std", "min"]);
    assert_eq!(
        names[4..],
        [
            "0%", "0.001%", "10%", "25%", "50%", "75%", "99%", "99.9%", "100%", "max"
        ]
    );
    assert_eq!(summary.mean(), Some(4.0));
    // 50 / 4, as pandas has it.
    assert_eq!(summary.std(), Some(12.5f64.sqrt()));
    let at = |p| summary.percentile(p).value().unwrap();
    assert_eq!([at(25_000), at(50_000), at(75_000)], [2.0, 3.0, 4.0]);
    assert!((at(10_000) - 1.4).abs() < 1e-12);
    assert!((at(99_000) - 9.76).abs() < 1e-12);
}

#[test]
fn percentiles_among_negative_samples_are_not_invented() {
    let summary = summary(&[-5, -3, -1, 7, 9], 1);
    assert_eq!(summary.percentile(0), Number::Integer(-5));
    assert_eq!(summary.percentile(25_000), Number::Negative);
    assert_eq!(summary.percentile(75_000), Number::Real(7.0));
    // Between a negative sample and 7 it is not even known to be negative, but not known either.
    assert_eq!(summary.percentile(60_000), Number::Negative);
}

#[test]
fn nothing_and_one_sample() {
    let empty = summary(&[], 2);
    assert_eq!(
        (
            empty.mean(),
            empty.std(),
            empty.min(),
            empty.percentile(50_000)
        ),
        (None, None, Number::None, Number::None)
    );
    let one = summary(&[-7], 2);
    assert_eq!((one.mean(), one.std()), (Some(-7.0), None));
    assert_eq!(one.percentile(50_000), Number::Integer(-7));
}

#[test]
fn a_full_bucket_is_reported() {
    let aggregation = aggregation();
    let mut part = vec![0; layout::aggregate_size(&aggregation)];
    layout::record(&aggregation, &mut part, 100);
    let at = 8 * layout::SUMMARY_HEADER_WORDS + 4 * layout::hist_bucket(100, layout::SUMMARY_BITS);
    part[at..at + 4].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
    assert!(!Summary::merge(&PERCENTILES, &[&part]).is_saturated());
    layout::record(&aggregation, &mut part, 100);
    layout::record(&aggregation, &mut part, 100);
    assert!(Summary::merge(&PERCENTILES, &[&part]).is_saturated());
}

#[test]
fn squares_of_the_largest_samples_do_not_overflow() {
    let samples = [i64::MAX, i64::MAX - 2];
    let summary = summary(&samples, 2);
    assert_eq!(summary.std(), Some(2f64.sqrt()));
}
