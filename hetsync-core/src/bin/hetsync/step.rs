//! One step of a pretended training: its time and its gradient.
//!
//! Everything follows from the seed, so that a run can be repeated.

use std::time::Duration;

use hetsync_core::{Payload, Span};

/// How long a worker's steps take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) think: Span,
    /// 0 to 1.
    pub(crate) jitter: f64,
    /// Time of a straggling step, and the chance of one, 0 to 1.
    pub(crate) straggle: Option<(Span, f64)>,
}

/// A worker's source of steps.
#[derive(Debug)]
pub(crate) struct Steps {
    pace: Pace,
    random: u64,
}

impl Steps {
    pub(crate) fn new(pace: Pace, seed: u64) -> Self {
        // Seeds 1, 2, 3 must not give similar streams: mix them first.
        let mut steps = Self { pace, random: seed };
        steps.random = steps.next();
        steps
    }

    /// How long the next step takes.
    pub(crate) fn time(&mut self) -> Duration {
        let straggles = self.unit();
        let jitter = 1.0 + self.pace.jitter * (2.0 * self.unit() - 1.0);
        let time = match self.pace.straggle {
            Some((time, chance)) if straggles < chance => time,
            _ => self.pace.think,
        };
        Duration::from(time).mul_f64(jitter.max(0.0))
    }

    /// Its gradient: values in -1 to 1.
    pub(crate) fn gradient(&mut self, floats: usize) -> Payload {
        let values: Vec<f32> = (0..floats)
            .map(|_| (2.0 * self.unit() - 1.0) as f32)
            .collect();
        Payload::from_floats(&values)
    }

    /// Uniform in 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_steps_again_and_chances_hold() {
        let pace = Pace {
            think: Span::from_millis(100),
            jitter: 0.1,
            straggle: Some((Span::from_secs(5), 0.25)),
        };
        let times = |seed| {
            let mut steps = Steps::new(pace, seed);
            let times: Vec<Duration> = (0..2000).map(|_| steps.time()).collect();
            times
        };
        assert_eq!(times(7), times(7));
        assert_ne!(times(7), times(8));
        let slow = times(7).iter().filter(|t| t.as_secs_f64() > 1.0).count();
        assert!((420..580).contains(&slow), "{slow} of 2000 straggled");
        let near = |t: &Duration, s: f64| (t.as_secs_f64() / s - 1.0).abs() < 0.101;
        assert!(times(7).iter().all(|t| near(t, 0.1) || near(t, 5.0)));
    }
}
