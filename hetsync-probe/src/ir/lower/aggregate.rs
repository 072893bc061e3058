//! One sample into an aggregation: one look-up, then the words in place. [`crate::layout::record`] is the reference.

use super::super::{Address, Alu, Arg, BlockId, Cond, MapRef, Op, V, Val, Width, simplify};
use super::Lowerer;
use crate::codegen::insn::helper;
use crate::layout::{self, SUMMARY_BITS, SUMMARY_HEADER_WORDS, summary_word as w};
use crate::sema::hir::{Aggregation, Expr, MapId, MapValue, Stmt, StmtKind};

/// Largest value whose zeros are written to the stack rather than kept in a map, in bytes.
const STACK_ZEROS: usize = 64;

/// Bucket of 2^31 in a `summary`, the smallest sample that is not short; the counter of negative samples is not counted in.
const LARGE_BUCKET: i32 = (32 - SUMMARY_BITS as i32) << SUMMARY_BITS;
/// How many buckets there are from that one on: a power of two, as [`Op::BucketAdd`] wants it. Those before it are fewer.
const SUMMARY_RANGE: u32 = 32 << SUMMARY_BITS;

impl<'a> Lowerer<'a> {
    /// How many of these statements, from the first one on, are all the samples of a group of maps: one look-up serves them.
    pub(super) fn together(&self, statements: &[Stmt]) -> usize {
        let map = |stmt: &Stmt| match stmt.kind {
            StmtKind::Aggregate { map, .. } => Some(map),
            _ => None,
        };
        let is_next = |group: &&Vec<MapId>| {
            group.len() <= statements.len()
                && (group.iter().zip(statements)).all(|(of, stmt)| map(stmt) == Some(*of))
        };
        self.cx.groups.iter().find(is_next).map_or(0, Vec::len)
    }

    /// `@m[key] = count()` and its like: one such statement, or all of a group of maps.
    pub(super) fn aggregate(&mut self, statements: &'a [Stmt]) {
        let mut parts = Vec::new();
        let mut key_of = None;
        for statement in statements {
            let StmtKind::Aggregate { map, key, sample } = &statement.kind else {
                unreachable!("only statistics take samples");
            };
            self.b.span = statement.span;
            if key_of.is_none() && !key.is_empty() {
                key_of = Some(self.key_arg(*map, key));
            }
            let sample = match sample {
                Some(expr) => self.value(expr),
                None => Val::Imm(0),
            };
            parts.push((*map, sample, statement.span));
        }
        let Some(&(first, ..)) = parts.first() else {
            return;
        };
        let maps: Vec<MapId> = parts.iter().map(|(map, ..)| *map).collect();
        let done = self.b.block();
        let base = match key_of {
            None => self.single_percpu(first, done),
            Some(key) => self.statistics_at(first, &maps, key, done),
        };
        for (map, sample, span) in parts {
            self.b.span = span;
            let at = self.own_part(map, base);
            self.record(self.aggregation(map), at, sample);
        }
        self.b.jump(done);
        self.b.start(done);
        for map in maps {
            self.writes[map.0 as usize] += 1;
        }
    }

    fn aggregation(&self, map: MapId) -> &'a Aggregation {
        match &self.cx.program.maps[map.0 as usize].value {
            MapValue::Aggregate(aggregation) => aggregation,
            MapValue::Scalar(_) => unreachable!("a scalar takes no samples"),
        }
    }

    /// The value at a key, which `maps` have samples for: of the map, or of the group it is in.
    fn statistics_at(&mut self, map: MapId, maps: &[MapId], key: Arg, lost: BlockId) -> V {
        let groups = self.cx.groups;
        let (place, size) = match groups.iter().find(|group| group.contains(&map)) {
            Some(group) => (
                MapRef::Group(group[0]),
                layout::group_size(self.cx.program, group),
            ),
            None => (
                MapRef::Script(map),
                layout::aggregate_size(self.aggregation(map)),
            ),
        };
        let zeros = move |this: &mut Self| {
            if size > STACK_ZEROS {
                return Arg::MapValue(MapRef::Zeros);
            }
            let slot = this.b.slot(size, "zeros");
            this.clear_bytes(Address::slot(slot), 0, size);
            Arg::Slot(slot, 0)
        };
        self.find_or_create(place, maps, key, zeros, lost)
    }

    /// Where a map's part of its group's value is; the value itself for a map without a group.
    fn own_part(&mut self, map: MapId, base: V) -> V {
        let group = self.cx.groups.iter().find(|group| group.contains(&map));
        let before = group.map_or(0, |group| layout::group_offset(self.cx.program, group, map));
        if before == 0 {
            return base;
        }
        let at = self
            .b
            .alu(Alu::Add, Val::Reg(base), Val::Imm(before as i64));
        self.b.reg(at)
    }

    /// What a statistic is now, all CPUs together.
    pub(super) fn statistic(&mut self, map: MapId, key: &'a [Expr]) -> Val {
        let key = match key.is_empty() {
            true => Arg::Slot(
                self.index(0, &format!("index of {}", self.map_name(map))),
                0,
            ),
            false => self.key_arg(map, key),
        };
        self.statistic_at(map, key)
    }

    /// The same at a key that lies in memory.
    pub(super) fn statistic_at(&mut self, map: MapId, key: Arg) -> Val {
        if !self.cx.percpu_lookup {
            self.unavailable(
                "a statistic can be read as a value from Linux 5.19 on: this kernel shows a program only its own CPU's part"
                    .into(),
            );
            return Val::Imm(0);
        }
        let definition = &self.cx.program.maps[map.0 as usize];
        let MapValue::Aggregate(aggregation) = &definition.value else {
            unreachable!("a scalar is no statistic");
        };
        // Two words of all CPUs: the samples' number, and their sum or extreme.
        let (first, second) = (self.b.var(Val::Imm(0)), self.b.var(Val::Imm(0)));
        let extreme = matches!(
            aggregation,
            Aggregation::Min { .. } | Aggregation::Max { .. }
        );
        for cpu in 0..self.cx.cpus {
            let cpu = Arg::Imm(i64::from(cpu));
            let args = vec![Arg::Map(MapRef::Script(map)), key, cpu];
            let found = self.b.call(helper::MAP_LOOKUP_PERCPU_ELEM, args);
            let (have, next) = (self.b.block(), self.b.block());
            self.b
                .branch(Cond::Ne, Val::Reg(found), Val::Imm(0), have, next);
            self.b.start(have);
            let word = self.b.load(Width::D, Address::reg(found));
            let sum = self.b.get(first);
            let sum = self.b.alu(Alu::Add, sum, word);
            self.b.set_var(first, sum);
            if !matches!(aggregation, Aggregation::Count) {
                let word = self.b.load(Width::D, Address::reg(found).plus(8));
                let before = self.b.get(second);
                if extreme {
                    let (higher, join) = (self.b.block(), self.b.block());
                    self.b.branch(Cond::Gt, word, before, higher, join);
                    self.b.start(higher);
                    self.b.set_var(second, word);
                    self.b.jump(join);
                    self.b.start(join);
                } else {
                    let sum = self.b.alu(Alu::Add, before, word);
                    self.b.set_var(second, sum);
                }
            }
            self.b.jump(next);
            self.b.start(next);
        }
        let second = self.b.pop(second);
        let first = self.b.pop(first);
        match aggregation {
            Aggregation::Count => first,
            Aggregation::Sum { .. } => second,
            Aggregation::Avg { signed: true } => {
                simplify::signed_division(&mut self.b, false, second, first)
            }
            Aggregation::Avg { .. } => self.b.alu(Alu::Div, second, first),
            Aggregation::Min { signed } | Aggregation::Max { signed } => {
                let flip = match aggregation {
                    Aggregation::Min { .. } => -1,
                    _ => 0,
                };
                let flipped = self.b.alu(Alu::Xor, second, Val::Imm(flip));
                let value = self.biased(flipped, *signed);
                // Without a sample there is no extreme.
                let result = self.b.var(Val::Imm(0));
                let (some, join) = (self.b.block(), self.b.block());
                self.b.branch(Cond::Ne, first, Val::Imm(0), some, join);
                self.b.start(some);
                self.b.set_var(result, value);
                self.b.jump(join);
                self.b.start(join);
                self.b.pop(result)
            }
            _ => unreachable!("`sema` lets only these be read"),
        }
    }

    fn record(&mut self, aggregation: &Aggregation, base: V, sample: Val) {
        match aggregation {
            Aggregation::Count => {
                self.add_word(base, 0, Val::Imm(1));
            }
            Aggregation::Sum { .. }
            | Aggregation::Avg { .. }
            | Aggregation::Slo { .. }
            | Aggregation::Rate { .. }
            | Aggregation::Stats { .. } => {
                self.add_word(base, 0, Val::Imm(1));
                self.add_word(base, 8, sample);
            }
            Aggregation::Min { signed } => {
                self.add_word(base, 0, Val::Imm(1));
                let biased = self.biased(sample, *signed);
                let flipped = self.b.alu(Alu::Xor, biased, Val::Imm(-1));
                self.raise(base, 8, flipped);
            }
            Aggregation::Max { signed } => {
                self.add_word(base, 0, Val::Imm(1));
                let biased = self.biased(sample, *signed);
                self.raise(base, 8, biased);
            }
            Aggregation::Hist { bits } | Aggregation::Cdf { bits } => {
                self.record_hist(base, sample, *bits);
            }
            Aggregation::Lhist { min, max, step } => {
                self.record_lhist(base, sample, *min, *max, *step);
            }
            Aggregation::Summary { .. } => self.record_summary(base, sample),
        }
    }

    fn biased(&mut self, sample: Val, signed: bool) -> Val {
        let bias = Val::Imm(layout::bias(signed) as i64);
        self.b.alu(Alu::Xor, sample, bias)
    }

    /// Keeps the larger of a word and a number, unsigned.
    fn raise(&mut self, base: V, offset: i32, value: Val) {
        let at = Address::reg(base).plus(offset);
        let most = self.b.load(Width::D, at);
        let (higher, join) = (self.b.block(), self.b.block());
        self.b.branch(Cond::Gt, value, most, higher, join);
        self.b.start(higher);
        self.b.store(Width::D, at, value);
        self.b.jump(join);
        self.b.start(join);
    }

    fn record_hist(&mut self, base: V, sample: Val, bits: u8) {
        let limit = layout::counters(layout::hist_buckets(bits) - 1) as u32;
        let (negative, other, join) = (self.b.cold_block(), self.b.block(), self.b.block());
        let known = simplify::is_not_negative(&self.b, sample);
        if known {
            self.b.jump(other);
        } else {
            let zero = Val::Imm(0);
            self.b.branch(Cond::SLt, sample, zero, negative, other);
        }
        self.b.start(negative);
        self.add_word(base, 0, Val::Imm(1));
        self.b.jump(join);
        self.b.start(other);
        let index = self.log_linear(sample, bits, 63);
        self.bucket(base, 8, index, limit, Width::D);
        self.b.jump(join);
        self.b.start(join);
    }

    /// [`layout::log_linear`].
    fn log_linear(&mut self, value: Val, bits: u8, width: u8) -> Val {
        match value {
            Val::Imm(n) => Val::Imm(layout::log_linear(n as u64, bits) as i64),
            Val::Reg(value) => Val::Reg(self.b.pure(Op::LogLinear { value, bits, width })),
        }
    }

    /// Adds 1 to a counter.
    fn bucket(&mut self, base: V, offset: i32, index: Val, limit: u32, width: Width) {
        let index = self.b.reg(index);
        self.b.push(Op::BucketAdd {
            base,
            offset,
            index,
            limit,
            width,
        });
    }

    fn record_lhist(&mut self, base: V, sample: Val, min: i64, max: i64, step: u64) {
        let buckets = layout::lhist_buckets(min, max, step) as u32;
        let (low, not_low) = (self.b.block(), self.b.block());
        let (high, inside, join) = (self.b.block(), self.b.block(), self.b.block());
        self.b
            .branch(Cond::SLt, sample, Val::Imm(min), low, not_low);
        self.b.start(low);
        self.add_word(base, 0, Val::Imm(1));
        self.b.jump(join);
        self.b.start(not_low);
        self.b
            .branch(Cond::SGe, sample, Val::Imm(max), high, inside);
        self.b.start(high);
        self.add_word(base, 8 * (buckets as i32 - 1), Val::Imm(1));
        self.b.jump(join);
        self.b.start(inside);
        let past = self.b.alu(Alu::Sub, sample, Val::Imm(min));
        let index = self.b.alu(Alu::Div, past, Val::Imm(step as i64));
        let limit = layout::counters(buckets as usize - 1) as u32;
        self.bucket(base, 8, index, limit, Width::D);
        self.b.jump(join);
        self.b.start(join);
    }

    /// Samples in `0..2^31` (two seconds in nanoseconds) take the short way: their square fits a word,
    /// so a carry is the only thing that can reach the high words.
    fn record_summary(&mut self, base: V, sample: Val) {
        self.add_word(base, 8 * w::N as i32, Val::Imm(1));
        let biased = self.biased(sample, true);
        self.raise(base, 8 * w::MAX as i32, biased);
        let flipped = self.b.alu(Alu::Xor, biased, Val::Imm(-1));
        self.raise(base, 8 * w::MIN as i32, flipped);
        let (large, small, join) = (self.b.cold_block(), self.b.block(), self.b.block());
        let most = Val::Imm(i64::from(i32::MAX));
        self.b.branch(Cond::Gt, sample, most, large, small);
        self.b.start(small);
        self.add_pair(base, w::SUM_LOW, sample);
        let square = self.b.alu(Alu::Mul, sample, sample);
        self.add_pair(base, w::SQUARES_LOW, square);
        let index = self.log_linear(sample, SUMMARY_BITS, 31);
        self.summary_bucket(base, index, 0);
        self.b.jump(join);
        self.b.start(large);
        self.record_large(base, sample);
        self.b.jump(join);
        self.b.start(join);
    }

    /// Counts in a bucket known to be one of the [`SUMMARY_RANGE`] from `from` on.
    fn summary_bucket(&mut self, base: V, index: Val, from: i32) {
        let first = 8 * SUMMARY_HEADER_WORDS as i32 + 4;
        let index = self.b.alu(Alu::Sub, index, Val::Imm(from.into()));
        self.bucket(base, first + 4 * from, index, SUMMARY_RANGE, Width::W);
    }

    /// Adds a number of one word to one of two words.
    fn add_pair(&mut self, base: V, low: usize, value: Val) {
        let sum = self.add_word(base, 8 * low as i32, value);
        let (carry, join) = (self.b.cold_block(), self.b.block());
        self.b.branch(Cond::Lt, sum, value, carry, join);
        self.b.start(carry);
        self.add_word(base, 8 * low as i32 + 8, Val::Imm(1));
        self.b.jump(join);
        self.b.start(join);
    }

    /// Negative samples and those from 2^31 on.
    fn record_large(&mut self, base: V, sample: Val) {
        // The sum: two words of a sign-extended sample.
        let low = self.add_word(base, 8 * w::SUM_LOW as i32, sample);
        let carry = self.b.set(Cond::Lt, low, sample);
        let sign = self.b.alu(Alu::Sar, sample, Val::Imm(63));
        let high = self.b.alu(Alu::Add, sign, carry);
        self.add_word(base, 8 * w::SUM_HIGH as i32, high);
        // The square of h * 2^32 + l is h*h * 2^64 + 2*h*l * 2^32 + l*l; h is below 2^31 or the sample is the least, so 2*h*l fits.
        let (_, size) = simplify::magnitude(&mut self.b, sample);
        let h = self.b.alu(Alu::Shr, size, Val::Imm(32));
        let l = self.b.alu(Alu::And, size, Val::Imm(0xffff_ffff));
        let ll = self.b.alu(Alu::Mul, l, l);
        let hl = self.b.alu(Alu::Mul, h, l);
        let middle = self.b.alu(Alu::Shl, hl, Val::Imm(1));
        let shifted = self.b.alu(Alu::Shl, middle, Val::Imm(32));
        let low = self.b.alu(Alu::Add, ll, shifted);
        let carry = self.b.set(Cond::Lt, low, shifted);
        let hh = self.b.alu(Alu::Mul, h, h);
        let above = self.b.alu(Alu::Shr, middle, Val::Imm(32));
        let high = self.b.alu(Alu::Add, hh, above);
        let high = self.b.alu(Alu::Add, high, carry);
        self.add_word(base, 8 * w::SQUARES_HIGH as i32, high);
        self.add_pair(base, w::SQUARES_LOW, low);
        let (negative, other, join) = (self.b.block(), self.b.block(), self.b.block());
        self.b
            .branch(Cond::SLt, sample, Val::Imm(0), negative, other);
        self.b.start(negative);
        let zero = self.b.reg(Val::Imm(0));
        self.b.push(Op::BucketAdd {
            base,
            offset: 8 * SUMMARY_HEADER_WORDS as i32,
            index: zero,
            limit: 1,
            width: Width::W,
        });
        self.b.jump(join);
        self.b.start(other);
        let index = self.log_linear(sample, SUMMARY_BITS, 63);
        self.summary_bucket(base, index, LARGE_BUCKET);
        self.b.jump(join);
        self.b.start(join);
    }
}
