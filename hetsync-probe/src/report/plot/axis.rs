//! Number axes: where ticks stand and how numbers are written.

/// A number axis from `low` to `high`, linear or logarithmic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    /// An axis from 0 to a little above `most`.
    pub(super) fn from_zero(most: f64) -> Axis {
        let step = step(most.max(1.0), 4);
        Axis {
            low: 0.0,
            high: (most.max(1.0) / step).ceil() * step,
            log: false,
        }
    }

    /// An axis that holds all of `numbers`: logarithmic where they are positive and reach over more than a factor of 30. Zeros do
    /// not keep it from being so; they are drawn at its lower end.
    pub(super) fn holding(numbers: &[f64]) -> Axis {
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least_positive = numbers
            .iter()
            .copied()
            .filter(|&x| x > 0.0)
            .fold(f64::INFINITY, f64::min);
        if least >= 0.0 && most / least_positive > 30.0 {
            let low = 10f64.powf((least_positive * if least == 0.0 { 0.5 } else { 0.85 }).log10());
            return Axis {
                low,
                high: most * 1.2,
                log: true,
            };
        }
        if numbers.is_empty() {
            return Axis {
                low: 0.0,
                high: 1.0,
                log: false,
            };
        }
        let room = if least == most {
            least.abs().max(1.0) * 0.5
        } else {
            (most - least) * 0.06
        };
        Axis {
            low: least - room,
            high: most + room,
            log: false,
        }
    }

    /// Whether it is logarithmic.
    pub(super) fn is_log(self) -> bool {
        self.log
    }

    /// Where `x` lies, from 0 at the low end to 1 at the high end; what is outside lies at the end.
    pub(super) fn position(self, x: f64) -> f64 {
        let part = if self.log {
            (x.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (x - self.low) / (self.high - self.low)
        };
        part.clamp(0.0, 1.0)
    }

    /// Numbers to mark, about `count` of them.
    pub(super) fn ticks(self, count: usize) -> Vec<f64> {
        if !self.log {
            let step = step(self.high - self.low, count);
            let first = (self.low / step).ceil() as i64;
            return (first..)
                .map(|n| n as f64 * step)
                .take_while(|x| *x <= self.high * 1.000001)
                .take(50)
                .collect();
        }
        let decades = (self.high / self.low).log10();
        let digits: &[f64] = if decades < 1.6 {
            &[1.0, 2.0, 3.0, 5.0]
        } else if decades < 3.5 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let (from, to) = (
            self.low.log10().floor() as i32,
            self.high.log10().ceil() as i32,
        );
        let every = ((to - from) as usize / (2 * count.max(1)) + 1) as i32;
        (from..=to)
            .filter(|power| (power - from) % every == 0)
            .flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)))
            .filter(|x| (self.low..=self.high).contains(x))
            .collect()
    }
}

/// The width of `count` equal parts of `range`, rounded up to 1, 2 or 5 times a power of ten.
fn step(range: f64, count: usize) -> f64 {
    let rough = (range / count.max(1) as f64).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|digit| digit * power >= rough * 0.999_999);
    digit.unwrap_or(10.0) * power
}

/// A number for people: `1,234`, `12.5M`, `0.25`.
pub(super) fn human(x: f64) -> String {
    let size = x.abs();
    if size >= 1e7 {
        let (unit, suffix) = [
            (1e18, "E"),
            (1e15, "P"),
            (1e12, "T"),
            (1e9, "G"),
            (1e6, "M"),
        ]
        .into_iter()
        .find(|(unit, _)| size >= *unit)
        .unwrap_or((1.0, ""));
        return format!("{}{suffix}", trimmed(x / unit, 2));
    }
    if size >= 1000.0 {
        let whole = format!("{:.0}", size);
        let split = whole.len() % 3;
        let groups: Vec<&str> = [&whole[..split]]
            .into_iter()
            .chain((split..whole.len()).step_by(3).map(|at| &whole[at..at + 3]))
            .filter(|group| !group.is_empty())
            .collect();
        return format!("{}{}", if x < 0.0 { "-" } else { "" }, groups.join(","));
    }
    trimmed(x, if size >= 100.0 { 1 } else { 2 })
}

fn trimmed(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let cases = [
            (0.0, "0"),
            (5.0, "5"),
            (0.25, "0.25"),
            (12.5, "12.5"),
            (999.0, "999"),
            (1000.0, "1,000"),
            (123456.0, "123,456"),
            (-1234.0, "-1,234"),
            (12_500_000.0, "12.5M"),
            (3e9, "3G"),
        ];
        for (x, text) in cases {
            assert_eq!(human(x), text);
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            Axis::from_zero(23_000.0).ticks(4),
            [0.0, 10_000.0, 20_000.0, 30_000.0]
        );
        assert_eq!(Axis::from_zero(3.0).ticks(4), [0.0, 1.0, 2.0, 3.0]);
        let log = Axis::holding(&[3.0, 40_000.0]);
        assert!(log.is_log());
        assert_eq!(log.ticks(8), [10.0, 100.0, 1000.0, 10_000.0]);
        assert!(!Axis::holding(&[10.0, 20.0]).is_log());
        assert!(!Axis::holding(&[-5.0, 2000.0]).is_log());
    }

    #[test]
    fn odd_ranges_have_an_axis_and_few_ticks() {
        for numbers in [
            vec![],
            vec![0.0],
            vec![1.8e19, 1.0],
            vec![-1e18, 1e18],
            vec![0.0, 0.0, 1e18],
            vec![7.0, 7.0],
        ] {
            let axis = Axis::holding(&numbers);
            assert!(axis.ticks(6).len() <= 50);
            for x in numbers {
                assert!((0.0..=1.0).contains(&axis.position(x)));
            }
        }
    }
}
