//! Decisions drawn from bytes: a program generator that shrinks well. Fewer or smaller bytes
//! make simpler programs; past the end every choice is the first, simplest one.

/// Bytes being turned into decisions.
pub(crate) struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether anything is left to decide with.
    pub(crate) fn is_spent(&self) -> bool {
        self.bytes.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `n`, which is 1 to 256.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        if n <= 1 {
            return 0;
        }
        usize::from(self.byte()) % n
    }

    /// True in `percent` of a hundred cases; false once the bytes are spent.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// As [`Self::pick`] of values that are cloned.
    pub(crate) fn pick_one<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    /// One of the numbers arithmetic tends to get wrong.
    pub(crate) fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => self.below(4) as u64,
            1 => (self.below(64) as u64).wrapping_neg(),
            2 => 1u64 << self.below(64),
            3 => (1u64 << self.below(64)).wrapping_sub(1),
            4 => i64::MIN as u64,
            5 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            6 => (1u64 << self.below(64)).wrapping_neg(),
            _ => (0..8).fold(0, |n, _| n << 8 | u64::from(self.byte())),
        }
    }

    /// A string of at most `most` bytes, from a few that are alike.
    pub(crate) fn text(&mut self, most: usize) -> Vec<u8> {
        const TEXTS: [&str; 10] = [
            "",
            "a",
            "b",
            "abcdefg",
            "abcdefgh",
            "abcdefghi",
            "worker",
            "interval:1",
            "a longer text that fills places",
            "a longer text that fills places, and then some more of it.....",
        ];
        let mut text = self.pick(&TEXTS).as_bytes().to_vec();
        text.truncate(most);
        text
    }
}
