//! Epochs that went on from a checkpoint, in a small file beside it.
//!
//! ```text
//!  byte 0          8         12       16
//!       +----------+---------+--------+-----------------+-----------+
//!       |"HSYNCEPO"|version 1| count  | epochs          | crc of    |
//!       |          |u32      | u32    | u64 each        | these u32 |
//!       +----------+---------+--------+-----------------+-----------+
//! ```
//!
//! A server that goes on from a checkpoint has a new epoch, which the next
//! one must know. To write the checkpoint anew for these eight bytes would
//! take as long as a large model takes to write.

use super::DamagedError;
use crate::wire::v1::crc;

const MAGIC: [u8; 8] = *b"HSYNCEPO";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// So many are kept, the newest.
const MOST: usize = 64;

pub(super) fn encode(epochs: &[u64]) -> Vec<u8> {
    let epochs = &epochs[epochs.len().saturating_sub(MOST)..];
    let mut file = Vec::from(MAGIC);
    file.extend(VERSION.to_le_bytes());
    // There are few of them.
    file.extend((epochs.len() as u32).to_le_bytes());
    epochs.iter().for_each(|of| file.extend(of.to_le_bytes()));
    file.extend(crc(&file).to_le_bytes());
    file
}

pub(super) fn decode(file: &[u8]) -> Result<Vec<u64>, DamagedError> {
    let length = |expected: usize| DamagedError::Length {
        found: file.len() as u64,
        expected: expected as u64,
    };
    let Some((content, sum)) = file.split_last_chunk::<CRC_BYTES>() else {
        return Err(length(HEADER_BYTES + CRC_BYTES));
    };
    let (found, expected) = (crc(content), u32::from_le_bytes(*sum));
    if found != expected {
        return Err(DamagedError::Checksum {
            part: "content",
            found,
            expected,
        });
    }
    let Some((header, epochs)) = content.split_first_chunk::<HEADER_BYTES>() else {
        return Err(length(HEADER_BYTES + CRC_BYTES));
    };
    let word = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if header[..8] != MAGIC {
        return Err(DamagedError::Content("it is no list of epochs".into()));
    }
    if word(8) != VERSION {
        return Err(DamagedError::Version { found: word(8) });
    }
    let (epochs, rest) = epochs.as_chunks::<8>();
    if epochs.len() != word(12) as usize || epochs.len() > MOST || !rest.is_empty() {
        return Err(length(HEADER_BYTES + 8 * word(12) as usize + CRC_BYTES));
    }
    Ok(epochs.iter().map(|of| u64::from_le_bytes(*of)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_refused() {
        for count in [0, 1, 3, MOST, MOST + 5] {
            let epochs: Vec<u64> = (0..count as u64).map(|of| of << 60 | of).collect();
            let file = encode(&epochs);
            let kept = &epochs[count.saturating_sub(MOST)..];
            assert_eq!(decode(&file).expect("it is in order"), kept);
            for at in 0..file.len() {
                let mut other = file.clone();
                other[at] ^= 1 << (at % 8);
                assert!(decode(&other).is_err(), "byte {at}");
                assert!(decode(&file[..at]).is_err(), "cut at {at}");
            }
        }
    }
}
