//! Both decoders against mutated frames, from a seed.
//!
//! A run does a few thousand executions of each; `FUZZ_EXECUTIONS=10000000`
//! in the environment asks for more, `FUZZ_SEED=n` for others.

use hetsync_core::wire::v1::message::{CatchUp, Heartbeat, Hello, Join, Push, Tensor};
use hetsync_core::wire::v1::{self, Decoder, Dtype, HEADER_BYTES, Item, Limits, Message};
use hetsync_core::wire::{WireError, v0};

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

pub(crate) fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |text| text.parse().expect("a number"))
}

/// Flips, sets, inserts, removes and repeats some bytes.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => bytes.insert(at, random.next() as u8),
            3 if at < bytes.len() => {
                bytes.remove(at);
            }
            4 => bytes.truncate(at),
            _ => {
                let until = (at + random.below(40)).min(bytes.len());
                let piece = bytes[at..until].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

fn pieces<'a>(random: &mut Random, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let longest = [1, 8, 40, 5000][random.below(4)];
        let (piece, rest) = bytes.split_at((1 + random.below(longest)).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn run(default: u64, body: impl Fn(&mut Random)) {
    let seed = number("FUZZ_SEED", 1);
    for execution in 0..number("FUZZ_EXECUTIONS", default) {
        // Each has its own seed, so that one alone can be repeated.
        body(&mut Random(seed.wrapping_add(execution)));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let tensor = |elements| Tensor {
        name: "layer.weight".into(),
        elements,
    };
    let push = Message::Push(Push {
        weight: 0.0,
        round: 300,
        tensors: vec![tensor(2), tensor(1)],
    });
    let hello = Message::Hello(Hello {
        worker: "w".into(),
        token: vec![7; 20],
        ..Hello::default()
    });
    let join = Message::Join(Join {
        next: Some(4),
        epoch: 9,
    });
    let coded = |dtype: Dtype, tensors: &[u8]| {
        let crc = v1::crc(tensors);
        let mut frame = v1::encode_head(&push, dtype, tensors.len() as u64, crc);
        frame.extend(tensors);
        frame
    };
    vec![
        coded(Dtype::F64, &[0x3f; 24]),
        coded(Dtype::Bf16, &[0x3f; 6]),
        coded(Dtype::F16, &[0x3f; 6]),
        coded(Dtype::Int8, &[0x3f; 7]),
        coded(
            Dtype::TopK,
            &[1, 0, 0, 0, 0, 0, 0x80, 0x3f, 2, 0, 0, 0, 0, 0, 0x80, 0xbf],
        ),
        v1::encode_with_tensors(&push, &[0x3f; 12]),
        v1::encode(&hello),
        v1::encode(&join),
        v1::encode(&Message::Heartbeat(Heartbeat { nonce: 1, round: 2 })),
        v1::encode(&Message::CatchUp(CatchUp::default())),
        v1::encode_with_tensors(&Message::Push(Push::default()), &[0x11; 6000]),
    ]
}

/// Makes the checksums of a frame right again, so that what is behind them
/// is reached.
fn mend(frame: &mut [u8]) {
    if let Some((header, rest)) = frame.split_first_chunk_mut::<HEADER_BYTES>() {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let (message, tensors) = rest.split_at(length.min(rest.len()));
        header[12..16].copy_from_slice(&v1::crc(message).to_le_bytes());
        header[24..28].copy_from_slice(&v1::crc(tensors).to_le_bytes());
        let crc = v1::crc(&header[..28]);
        header[28..].copy_from_slice(&crc.to_le_bytes());
    }
}

const LIMITS: Limits = Limits {
    message_bytes: 10_000,
    tensor_bytes: 1 << 30,
};

/// What comes out may not depend on how the bytes come in, what comes out
/// can be encoded again, and memory follows what came in.
fn fuzz_v1(random: &mut Random, seeds: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(3) {
        let mut frame = seeds[random.below(seeds.len())].clone();
        mutate(random, &mut frame);
        if random.below(4) > 0 {
            mend(&mut frame);
        }
        bytes.extend(frame);
    }
    let mut whole = Decoder::new(LIMITS);
    let mut all = Vec::new();
    let mut split = Decoder::new(LIMITS);
    if random.below(2) == 0 {
        split.expect_length(Some(12));
        split.lend(vec![1; random.below(30)]);
    }
    let mut parts = Vec::new();
    let expected = feed(&mut whole, &[&bytes], &mut all);
    let pieces = pieces(random, &bytes);
    let got = feed(&mut split, &pieces, &mut parts);
    assert_eq!(got, expected);
    assert_eq!(parts, all);
    // Forms that are shorter than f32 take four bytes for each of theirs; of
    // top-k the message says how much.
    let is_sparse = all
        .iter()
        .any(|i| matches!(i, Item::Head(h) if h.dtype == Dtype::TopK));
    assert!(is_sparse || split.held_bytes() <= (6 * bytes.len()).max(64 * 1024));
    for item in all {
        if let Item::Head(head) = item {
            let again = v1::encode_head(&head.message, head.dtype, head.tensor_bytes, 0);
            let items = Decoder::new(LIMITS).push(&again);
            assert_eq!(items, Ok(vec![Item::Head(head)]));
        }
    }
}

/// Like [`Decoder::push`] over all pieces, and keeps what came before an
/// error.
fn feed(decoder: &mut Decoder, pieces: &[&[u8]], items: &mut Vec<Item>) -> Result<(), v1::Error> {
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let mut count = 0;
            for place in decoder.unfilled() {
                let (part, behind) = rest.split_at(place.len().min(rest.len()));
                place[..part.len()].copy_from_slice(part);
                count += part.len();
                rest = behind;
            }
            assert!(count > 0, "room for at least one byte");
            decoder.advance(count);
            while let Some(item) = decoder.poll()? {
                items.push(item);
            }
        }
    }
    Ok(())
}

#[test]
fn mutated_frames_of_protocol_1() {
    let seeds = seeds();
    run(20_000, |random| fuzz_v1(random, &seeds));
}

fn fuzz_v0(random: &mut Random) {
    let floats = vec![1.5_f32; 1 + random.below(40)];
    let mut bytes: Vec<u8> = Vec::new();
    for _ in 0..1 + random.below(3) {
        let mut frame = v0::encode(&floats);
        mutate(random, &mut frame);
        bytes.extend(frame);
    }
    let expected = (random.below(2) == 0).then_some(4 * floats.len());
    let outcome = |pieces: &[&[u8]]| -> (Vec<Vec<u8>>, Option<WireError>) {
        let mut decoder = v0::Decoder::new(1 << 30);
        decoder.expect_length(expected);
        let mut frames = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                match decoder.push(rest) {
                    Ok((taken, payload)) => {
                        rest = &rest[taken..];
                        frames.extend(payload.map(|payload| payload.into_bytes()));
                    }
                    Err(error) => return (frames, Some(error)),
                }
            }
        }
        assert!(decoder.held_bytes() <= (2 * bytes.len()).max(64 * 1024));
        (frames, None)
    };
    assert_eq!(outcome(&pieces(random, &bytes)), outcome(&[&bytes]));
}

#[test]
fn mutated_frames_of_protocol_0() {
    run(20_000, fuzz_v0);
}
