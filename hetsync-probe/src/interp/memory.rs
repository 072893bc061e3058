//! Memory that scripts read through addresses: pieces at fixed places, everything else unreadable.

/// Readable pieces of an address space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Memory {
    /// A single piece.
    pub fn of(address: u64, bytes: &[u8]) -> Self {
        Self {
            pieces: vec![(address, bytes.to_vec())],
        }
    }

    /// Makes bytes readable at an address; pieces must not overlap.
    pub fn add(&mut self, address: u64, bytes: Vec<u8>) {
        self.pieces.push((address, bytes));
    }

    /// The bytes at an address, if all of them can be read; a read does not go from one piece into another.
    pub fn read(&self, address: u64, len: usize) -> Option<Vec<u8>> {
        Some(self.from(address)?.get(..len)?.to_vec())
    }

    /// The string at an address, its NUL included: at most `most` bytes of text. It must end in that or be readable so far.
    pub fn read_text(&self, address: u64, most: usize) -> Option<Vec<u8>> {
        let rest = self.from(address)?;
        let window = &rest[..rest.len().min(most)];
        let end = window.iter().position(|&byte| byte == 0);
        if end.is_none() && window.len() < most {
            return None;
        }
        let mut text = window[..end.unwrap_or(window.len())].to_vec();
        text.push(0);
        Some(text)
    }

    /// What can be read from an address on.
    fn from(&self, address: u64) -> Option<&[u8]> {
        self.pieces.iter().find_map(|(start, bytes)| {
            let at = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(at..).filter(|rest| !rest.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_whole_or_nothing() {
        let mut memory = Memory::default();
        memory.add(100, b"abc\0def".to_vec());
        assert_eq!(memory.read(101, 2), Some(b"bc".to_vec()));
        assert_eq!(memory.read(101, 7), None);
        assert_eq!(memory.read(99, 1), None);
        assert_eq!(memory.read_text(101, 9), Some(b"bc\0".to_vec()));
        assert_eq!(memory.read_text(104, 2), Some(b"de\0".to_vec()));
        assert_eq!(
            memory.read_text(104, 9),
            None,
            "runs out of memory before its NUL"
        );
    }
}
