//! Where a byte of the preprocessed text comes from.

use crate::span::Span;

/// Pieces of the preprocessed text with their places in the text as written. Both sides are covered without gaps, in the
/// same order.
#[derive(Debug, Default)]
pub(in crate::syntax) struct Map {
    /// Empty if nothing was replaced: then every place is its own.
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    /// Where it starts in the preprocessed text.
    at: usize,
    /// Where it starts in the text as written.
    from: usize,
    /// Bytes there that it replaces; none if it is those bytes.
    replaces: Option<usize>,
}

impl Map {
    /// Adds a piece that is copied from `from`.
    pub(super) fn copied(&mut self, at: usize, from: usize) {
        self.add(at, from, None);
    }

    /// Adds a piece that stands for `from` and the `len` bytes behind it.
    pub(super) fn replaced(&mut self, at: usize, from: usize, len: usize) {
        self.add(at, from, Some(len));
    }

    fn add(&mut self, at: usize, from: usize, replaces: Option<usize>) {
        self.pieces.push(Piece { at, from, replaces });
    }

    /// The place in the text as written of a range of the preprocessed one.
    pub(in crate::syntax) fn span(&self, start: usize, end: usize) -> Span {
        if self.pieces.is_empty() {
            return Span::new(start, end);
        }
        // A place between two pieces starts the later one.
        let first = self.pieces.partition_point(|piece| piece.at <= start);
        let from = match first.checked_sub(1).map(|index| &self.pieces[index]) {
            None => start,
            Some(piece) if piece.replaces.is_some() => piece.from,
            Some(piece) => piece.from + (start - piece.at),
        };
        // And ends the earlier one.
        let last = self.pieces.partition_point(|piece| piece.at < end);
        let to = match last.checked_sub(1).map(|index| &self.pieces[index]) {
            None => end,
            Some(piece) => piece.from + piece.replaces.unwrap_or(end - piece.at),
        };
        Span::new(from, to.max(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_has_the_place_of_its_use() {
        // `a X b` with X = `1 + 2`.
        let mut map = Map::default();
        map.copied(0, 0);
        map.replaced(2, 2, 1);
        map.copied(7, 3);
        assert_eq!(map.span(0, 1), Span::new(0, 1));
        assert_eq!(map.span(2, 3), Span::new(2, 3));
        assert_eq!(map.span(6, 7), Span::new(2, 3));
        assert_eq!(map.span(2, 7), Span::new(2, 3));
        assert_eq!(map.span(8, 9), Span::new(4, 5));
        assert_eq!(map.span(0, 9), Span::new(0, 5));
        assert_eq!(Map::default().span(3, 4), Span::new(3, 4));
    }
}
