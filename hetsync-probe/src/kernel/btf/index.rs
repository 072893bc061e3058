//! Types by name: a table of hashes and ids, made at the first look-up.

/// Pairs of a name's hash and an id, sorted. Sorting costs the same whatever the names, so no file can make it slow.
#[derive(Debug, Default)]
pub(super) struct Index {
    pairs: Vec<u64>,
}

impl Index {
    /// A table of names (empty ones are left out) and ids; `about` is how many there may be.
    pub(super) fn new<'a>(about: usize, entries: impl Iterator<Item = (&'a [u8], u32)>) -> Index {
        let mut pairs = Vec::with_capacity(about);
        pairs.extend(
            entries
                .filter(|(name, _)| !name.is_empty())
                .map(|(name, id)| u64::from(hash(name)) << 32 | u64::from(id)),
        );
        pairs.sort_unstable();
        Index { pairs }
    }

    /// Ids that may have this name, ascending: the hash is equal, the name must still be looked at.
    pub(super) fn candidates(&self, name: &[u8]) -> impl Iterator<Item = u32> {
        let hash = u64::from(hash(name));
        let from = self.pairs.partition_point(|pair| pair >> 32 < hash);
        self.pairs[from..]
            .iter()
            .take_while(move |&&pair| pair >> 32 == hash)
            .map(|&pair| pair as u32)
    }
}

/// FNV-1a, folded to 32 bits.
fn hash(name: &[u8]) -> u32 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ hash >> 32) as u32
}
