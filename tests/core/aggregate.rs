//! The rules for a round's gradients, against plain loops in f64.

use hetsync_core::aggregate::{Aggregate, Clip, Combine, Krum, Mean, Median, Reduced};
use hetsync_core::aggregate::{Sum, Trim, TrimmedMean};
use hetsync_core::policy::Strict;
use hetsync_core::server::{Config, ConnId, Event, Machine, Output};
use hetsync_core::{Payload, Span, Time};
use proptest::prelude::*;

fn reduce(rule: &dyn Aggregate, inputs: &[Vec<f32>]) -> (Vec<f32>, Reduced) {
    let payloads: Vec<_> = inputs.iter().map(|v| Payload::from_floats(v)).collect();
    let bytes: Vec<_> = payloads.iter().map(Payload::as_bytes).collect();
    let mut out = vec![0xff; bytes[0].len()];
    let reduced = rule.reduce(&bytes, &mut out);
    (Payload::from_bytes(out).unwrap().to_floats(), reduced)
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|float| float.to_bits()).collect()
}

/// The mean of a column without `cut` at either end.
fn middle(inputs: &[Vec<f32>], cut: usize) -> Vec<f32> {
    let columns = (0..inputs[0].len()).map(|at| {
        let mut column: Vec<f32> = inputs.iter().map(|input| input[at]).collect();
        column.sort_by(f32::total_cmp);
        let kept = &column[cut..column.len() - cut];
        let sum = kept.iter().fold(-0.0, |sum, x| sum + f64::from(*x));
        (sum / kept.len() as f64) as f32
    });
    columns.collect()
}

fn mean_of(inputs: &[&Vec<f32>]) -> Vec<f32> {
    let column = |at: usize| inputs[1..].iter().fold(inputs[0][at], |sum, x| sum + x[at]);
    let mean = |at| column(at) / inputs.len() as f32;
    (0..inputs[0].len()).map(mean).collect()
}

/// Who is best by Krum's score, and the least gap between two scores as a
/// share of the larger.
fn krum_order(inputs: &[Vec<f32>], f: usize) -> (Vec<usize>, f64) {
    let square = |a: f32, b: f32| (f64::from(a) - f64::from(b)).powi(2);
    let score = |this: &Vec<f32>| {
        let distance = |other: &Vec<f32>| this.iter().zip(other).map(|(a, b)| square(*a, *b)).sum();
        let mut all: Vec<f64> = inputs.iter().map(distance).collect();
        all.sort_by(f64::total_cmp);
        // The first is its own, zero.
        all[1..inputs.len() - f - 1].iter().sum::<f64>()
    };
    let scores: Vec<f64> = inputs.iter().map(score).collect();
    let mut order: Vec<usize> = (0..inputs.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let gap = |pair: &[usize]| (scores[pair[1]] - scores[pair[0]]) / scores[pair[1]].max(1e-300);
    let gap = order.windows(2).map(gap).fold(1.0, f64::min);
    (order, gap)
}

/// Gradients of one length, of ordinary and perhaps of extreme floats.
fn gradients(least: usize, most: usize, extreme: bool) -> impl Strategy<Value = Vec<Vec<f32>>> {
    let extreme = u32::from(extreme);
    let float = prop_oneof![
        8 => -100.0_f32..100.0,
        extreme => prop::num::f32::NORMAL | prop::num::f32::SUBNORMAL | prop::num::f32::ZERO,
        extreme => prop::sample::select(vec![0.0, -0.0, 1.0, f32::MAX, f32::MIN]),
    ];
    (least..=most, 1..40_usize).prop_flat_map(move |(count, floats)| {
        prop::collection::vec(prop::collection::vec(float.clone(), floats), count)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn median_and_trimmed_mean_are_those_of_a_sorted_column(
        inputs in gradients(1, 20, true), k in 0..12_usize, part in 0..5_u32,
    ) {
        let most = (inputs.len() - 1) / 2;
        let (got, _) = reduce(&Median, &inputs);
        prop_assert_eq!(bits(&got), bits(&middle(&inputs, most)));

        let (got, reduced) = reduce(&TrimmedMean::new(Trim::Count(k)), &inputs);
        prop_assert_eq!(bits(&got), bits(&middle(&inputs, k.min(most))));
        prop_assert_eq!(reduced.instead, (k > most).then_some("median"));
        prop_assert_eq!(reduced.saturated, 0);

        let cut = inputs.len() * part as usize / 10;
        let (got, reduced) = reduce(&TrimmedMean::new(Trim::Share(part, 10)), &inputs);
        prop_assert_eq!(bits(&got), bits(&middle(&inputs, cut)));
        prop_assert_eq!(reduced.instead, None);
    }

    #[test]
    fn krum_takes_the_gradients_of_least_score(
        inputs in gradients(1, 14, false), f in 0..4_usize, m in 1..6_usize,
    ) {
        let (one, by_one) = reduce(&Krum::new(f), &inputs);
        let (several, by_several) = reduce(&Krum::multi(f, m), &inputs);
        if inputs.len() < 2 * f + 3 {
            prop_assert_eq!(by_one.instead, Some("median"));
            prop_assert_eq!(by_several.instead, Some("median"));
            prop_assert_eq!(bits(&one), bits(&reduce(&Median, &inputs).0));
            return Ok(());
        }
        prop_assert_eq!((by_one.instead, by_several.instead), (None, None));
        let (order, gap) = krum_order(&inputs, f);
        // Scores that differ by rounding alone have no order to hold to.
        prop_assume!(gap > 1e-9);
        prop_assert_eq!(bits(&one), bits(&inputs[order[0]]));
        let mut best = order[..m.min(inputs.len() - f - 2)].to_vec();
        best.sort_unstable();
        let best: Vec<&Vec<f32>> = best.into_iter().map(|at| &inputs[at]).collect();
        let expected = mean_of(&best);
        if expected.iter().all(|float| float.is_finite()) {
            prop_assert_eq!(bits(&several), bits(&expected));
        }
    }

    #[test]
    fn clip_is_the_inner_rule_of_shortened_gradients(
        inputs in gradients(1, 9, true), bound in 1e-3_f64..1e4,
    ) {
        let norm = |input: &Vec<f32>| {
            input.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
        };
        let shortened: Vec<Vec<f32>> = inputs.iter().map(|input| {
            let factor = (bound / norm(input)).min(1.0);
            input.iter().map(|x| (f64::from(*x) * factor) as f32).collect()
        }).collect();
        let (_, reduced) = reduce(&Clip::new(bound, Mean).unwrap(), &inputs);
        prop_assert_eq!(reduced.clipped, inputs.iter().filter(|v| norm(v) > bound).count());
        for (rule, inner) in [
            (Clip::new(bound, Median).unwrap(), &Median as &dyn Aggregate),
            (Clip::new(bound, Sum).unwrap(), &Sum),
            (Clip::new(bound, Krum::new(9)).unwrap(), &Krum::new(9)),
        ] {
            let (got, expected) = (reduce(&rule, &inputs).0, reduce(inner, &shortened).0);
            for (got, expected) in got.iter().zip(expected) {
                // The norm's last bit may differ from the plain loop's.
                let near = f64::from((got - expected).abs());
                prop_assert!(near <= bound * 1e-6, "{} is not {}", got, expected);
            }
        }
    }
}

/// Lengths around the blocks, numbers of gradients beyond the small ones.
#[test]
fn long_gradients_and_many_of_them_agree_with_the_plain_loop() {
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        ((state >> 40) as f32 - 8_388_608.0) * 1e-3
    };
    for (count, floats) in [
        (1, 5),
        (3, 10_923),
        (3, 10_922),
        (4, 8193),
        (5, 30_001),
        (70, 1000),
        (3000, 17),
    ] {
        let inputs: Vec<Vec<f32>> = (0..count)
            .map(|_| (0..floats).map(|_| random()).collect())
            .collect();
        let most = (count - 1) / 2;
        assert_eq!(
            bits(&reduce(&Median, &inputs).0),
            bits(&middle(&inputs, most))
        );
        let third = TrimmedMean::new(Trim::Share(1, 3));
        assert_eq!(
            bits(&reduce(&third, &inputs).0),
            bits(&middle(&inputs, count / 3))
        );
        if (5..100).contains(&count) {
            let (order, _) = krum_order(&inputs, 1);
            assert_eq!(
                bits(&reduce(&Krum::new(1), &inputs).0),
                bits(&inputs[order[0]])
            );
        }
        // In blocks and as a whole: that of one too long by a factor of two.
        let bound = inputs[0]
            .iter()
            .map(|x| f64::from(*x).powi(2))
            .sum::<f64>()
            .sqrt()
            / 2.0;
        let mut halved = inputs.clone();
        halved.truncate(1);
        let half: Vec<f32> = halved[0].iter().map(|x| x / 2.0).collect();
        let (got, reduced) = reduce(&Clip::new(bound, Mean).unwrap(), &halved);
        assert_eq!(reduced.clipped, 1);
        for (got, half) in got.iter().zip(half) {
            assert!((got - half).abs() <= half.abs() * 1e-6);
        }
    }
}

#[test]
fn extremes_of_f32_stay_finite() {
    let inputs = vec![vec![f32::MAX, f32::MIN]; 6];
    for rule in [
        "median",
        "trimmed_mean(1)",
        "multi_krum(1, 2)",
        "mean",
        "clip(1e38, mean)",
    ] {
        let rule: Combine = rule.parse().unwrap();
        let (got, reduced) = reduce(&*rule.rule(), &inputs);
        assert!(got.iter().all(|float| float.is_finite()), "{rule}: {got:?}");
        assert_eq!(reduced.saturated, 0, "{rule}");
    }
    let twice = Clip::new(3e38, Sum).unwrap();
    let (got, reduced) = reduce(&twice, &[vec![f32::MAX], vec![f32::MAX]]);
    assert_eq!(
        (got, reduced.saturated, reduced.clipped),
        (vec![f32::MAX], 1, 2)
    );
}

/// Of two gradients that are alike, and of equal scores, the first counts.
#[test]
fn krum_breaks_ties_by_the_roster() {
    let inputs: Vec<Vec<f32>> = [4.0, 1.0, 3.0, 2.0].iter().map(|x| vec![*x]).collect();
    // With f = 0 the two nearest count: 1 from each neighbour for 2 and 3.
    assert_eq!(reduce(&Krum::new(0), &inputs).0, [3.0]);
    let turned: Vec<Vec<f32>> = inputs.into_iter().rev().collect();
    assert_eq!(reduce(&Krum::new(0), &turned).0, [2.0]);
}

#[test]
fn one_poisoned_worker_moves_the_mean_and_not_the_others() {
    let inputs = vec![vec![1.0], vec![1.1], vec![0.9], vec![1.05], vec![-1e6]];
    let of = |rule: &str| reduce(&*rule.parse::<Combine>().unwrap().rule(), &inputs).0[0];
    assert!(of("mean") < -100_000.0);
    assert!(of("clip(2, mean)") > 0.0);
    for rule in [
        "median",
        "trimmed_mean(1)",
        "trimmed_mean(1/5)",
        "krum(1)",
        "multi_krum(1, 2)",
    ] {
        assert!((0.9..=1.1).contains(&of(rule)), "{rule}: {}", of(rule));
    }
}

/// Runs a round of five workers that come in this order.
fn round(rule: &Combine, order: &[usize]) -> Vec<u32> {
    let mut machine = Machine::new(Config {
        workers: 5,
        aggregate: rule.rule(),
        policy: Box::new(Strict),
        ..Config::default()
    });
    let mut now = Time::ZERO;
    (0..5).for_each(|id| machine.handle_connect(now, ConnId(id)));
    for &id in order {
        now += Span::from_millis(1);
        let id = id as u64;
        let floats: Vec<f32> = (1..50)
            .map(|at| (at * (id + 3) % 17) as f32 / 7.0 - 1.0)
            .collect();
        machine.handle_gradient(now, ConnId(id), None, Payload::from_floats(&floats));
    }
    while let Some(output) = machine.poll_output() {
        if let Output::Deliver { result, .. } = output {
            return bits(&result.payload().to_floats());
        }
    }
    panic!("the round has not closed")
}

fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let first = |at: usize| {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        permutations(&rest).into_iter().map(move |mut tail| {
            tail.insert(0, first);
            tail
        })
    };
    (0..items.len()).flat_map(first).collect()
}

#[test]
fn every_order_of_arrival_gives_the_same_bits() {
    for rule in [
        "sum",
        "mean",
        "median",
        "trimmed_mean(1)",
        "krum(1)",
        "multi_krum(1, 2)",
        "clip(3, mean)",
    ] {
        let rule: Combine = rule.parse().unwrap();
        let orders = permutations(&[0, 1, 2, 3, 4]);
        assert_eq!(orders.len(), 120);
        let first = round(&rule, &orders[0]);
        for order in &orders[1..] {
            assert_eq!(round(&rule, order), first, "{rule}, {order:?}");
        }
    }
}

#[test]
fn the_report_of_a_round_tells_what_was_clipped_and_what_was_used_instead() {
    let rule: Combine = "clip(2, krum(1))".parse().unwrap();
    let mut machine = Machine::new(Config {
        workers: 2,
        aggregate: rule.rule(),
        ..Config::default()
    });
    for (id, float) in [(0, 1.0), (1, 10.0)] {
        machine.handle_connect(Time::ZERO, ConnId(id));
        let payload = Payload::from_floats(&[float]);
        machine.handle_gradient(Time::ZERO, ConnId(id), None, payload);
    }
    let outputs = std::iter::from_fn(|| machine.poll_output());
    let report = outputs.filter_map(|output| match output {
        Output::Event(Event::Closed(report)) => Some(report),
        _ => None,
    });
    let report = report.last().expect("both are in");
    assert_eq!((report.clipped, report.instead), (1, Some("median")));
}

/// By the number of samples that each worker says; whatever the order of
/// arrival the same bits, and without effect under any other rule.
#[test]
fn the_weighted_mean_is_that_over_all_samples() {
    use hetsync_core::aggregate::{Mean, WeightedMean};
    use hetsync_core::server::{Output, RoundId};
    let gradients = [[1.0_f32, 0.1], [4.0, 0.7], [-2.0, 0.3]];
    let weights = [1.0_f32, 10.0, 3.5];
    let run = |aggregate: Box<dyn Aggregate>, order: [usize; 3]| {
        let mut machine = Machine::new(Config {
            workers: 3,
            aggregate,
            ..Config::default()
        });
        (0..3).for_each(|id| machine.handle_connect(Time::ZERO, ConnId(id)));
        for at in order {
            let payload = Payload::from_floats(&gradients[at]);
            let (conn, of) = (ConnId(at as u64), Some(RoundId(0)));
            machine.handle_weighted(Time::ZERO, conn, of, weights[at], payload);
        }
        let outputs = std::iter::from_fn(|| machine.poll_output());
        let results = outputs.filter_map(|output| match output {
            Output::Deliver { result, .. } => {
                Some((result.payload().to_floats(), result.divisor()))
            }
            _ => None,
        });
        results.last().expect("the round closed")
    };
    let (mean, divisor) = run(Box::new(WeightedMean), [0, 1, 2]);
    assert_eq!((mean[0], divisor), ((1.0 + 40.0 - 7.0) / 14.5, 1.0));
    for order in [[2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        assert_eq!(run(Box::new(WeightedMean), order).0, mean);
    }
    assert_eq!(run(Box::new(Mean), [0, 1, 2]).0[0], 1.0);
}
