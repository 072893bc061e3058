//! The maps of a checked script: their keys, what they hold, and the unit their numbers are shown in.

use super::Type;
use crate::span::Span;

/// A map.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// Its name without the `@`; empty for the map called `@`.
    pub name: String,
    /// Types of the key parts; empty for a map without keys.
    pub key: Vec<Type>,
    /// What it holds.
    pub value: MapValue,
    /// Keys it can hold; 1 for a map without keys.
    pub max_entries: u32,
    /// Whether a full map drops the key not used for longest, rather than refuse a new one.
    pub lru: bool,
    /// The unit of its values or samples where the script names one (`us(..)`, `ms(..)`): for table headers
    /// only, the numbers are already in it.
    pub unit: Option<Unit>,
    /// Its first mention in the source.
    pub span: Span,
}

impl Map {
    /// Whether the compiler made it for itself: its name is none that a script could write.
    pub fn is_hidden(&self) -> bool {
        self.name.contains('#')
    }

    /// The key as one value: a tuple where it has several parts.
    pub fn key_type(&self) -> Type {
        match &self.key[..] {
            [only] => only.clone(),
            parts => Type::tuple(parts.iter().cloned()),
        }
    }
}

/// The unit of a number, for headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// How it is written after a number or in a header.
    pub fn suffix(self) -> &'static str {
        match self {
            Unit::Ns => "ns",
            Unit::Us => "us",
            Unit::Ms => "ms",
            Unit::S => "s",
            Unit::Bytes => "bytes",
        }
    }
}

/// What a map holds.
#[derive(Debug, Clone, PartialEq)]
pub enum MapValue {
    /// One value, assigned.
    Scalar(Type),
    /// Statistics of samples, kept per CPU.
    Aggregate(Aggregation),
}

/// The statistics an aggregating map keeps.
#[derive(Debug, Clone, PartialEq)]
pub enum Aggregation {
    /// Number of samples.
    Count,
    /// Their sum.
    Sum {
        /// Whether samples are signed.
        signed: bool,
    },
    /// Their mean.
    Avg {
        /// Whether samples are signed.
        signed: bool,
    },
    /// The smallest.
    Min {
        /// Whether samples are signed.
        signed: bool,
    },
    /// The largest.
    Max {
        /// Whether samples are signed.
        signed: bool,
    },
    /// Count, mean and total.
    Stats {
        /// Whether samples are signed.
        signed: bool,
    },
    /// Power-of-two histogram, each power split into `2^bits` linear parts.
    Hist {
        /// 0 to 5.
        bits: u8,
    },
    /// Linear histogram.
    Lhist {
        /// Lower end of the first bucket.
        min: i64,
        /// Upper end of the last bucket.
        max: i64,
        /// Width of a bucket, at least 1.
        step: u64,
    },
    /// Power-of-two histogram, shown as the share of the samples up to each bucket's end.
    Cdf {
        /// 0 to 5.
        bits: u8,
    },
    /// The share of samples that are at most this; what is sampled is 1 for those and 0 for others.
    Slo {
        /// The most that is within.
        limit: i64,
    },
    /// Their sum for each second since the map was attached or last cleared.
    Rate {
        /// Whether samples are signed.
        signed: bool,
    },
    /// Count, mean, standard deviation, minimum, percentiles, maximum of signed samples.
    Summary {
        /// Percentiles to print, in thousandths of a percent, ascending (25 000 is the 25th).
        percentiles: Vec<u32>,
    },
}
