//! The decoder against any bytes in any pieces.

use hetsync_core::wire::{WireError, v0};
use proptest::collection::vec;
use proptest::prelude::*;

/// Feeds `bytes` in pieces of the given sizes, over and over.
fn feed(
    decoder: &mut v0::Decoder,
    mut bytes: &[u8],
    pieces: &[usize],
) -> Result<Vec<Vec<f32>>, WireError> {
    let mut payloads = Vec::new();
    let mut sizes = pieces.iter().cycle();
    while !bytes.is_empty() {
        let size = sizes.next().map_or(1, |size| *size).min(bytes.len());
        let (mut piece, rest) = bytes.split_at(size);
        bytes = rest;
        while !piece.is_empty() {
            let (taken, payload) = decoder.push(piece)?;
            piece = &piece[taken..];
            payloads.extend(payload.map(|payload| payload.to_floats()));
        }
    }
    Ok(payloads)
}

/// What the bytes mean, read in one go and without any regard for memory.
fn plain(bytes: &[u8], cap: u64) -> Result<Vec<Vec<f32>>, ()> {
    let mut payloads = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 8 {
        let (header, behind) = rest.split_at(8);
        let length = u64::from_be_bytes(header.try_into().expect("eight bytes"));
        if length == 0 || length > cap || length % 4 != 0 {
            return Err(());
        }
        if (behind.len() as u64) < length {
            break;
        }
        let (payload, behind) = behind.split_at(length as usize);
        let words = payload.chunks_exact(4);
        let float = |word: &[u8]| f32::from_le_bytes(word.try_into().expect("four bytes"));
        payloads.push(words.map(float).collect());
        rest = behind;
    }
    Ok(payloads)
}

fn bits(payloads: &[Vec<f32>]) -> Vec<Vec<u32>> {
    let of = |payload: &Vec<f32>| payload.iter().map(|float| float.to_bits()).collect();
    payloads.iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_split_of_frames_gives_the_same_floats(
        frames in vec(vec(any::<f32>(), 1..60), 1..5),
        pieces in vec(1_usize..50, 1..6),
        expects in any::<bool>(),
    ) {
        let same = frames.iter().all(|frame| frame.len() == frames[0].len());
        let mut decoder = v0::Decoder::new(1024);
        if expects && same {
            decoder.expect_length(Some(4 * frames[0].len()));
        }
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| v0::encode(frame)).collect();
        let got = feed(&mut decoder, &bytes, &pieces).expect("good frames");
        prop_assert_eq!(bits(&got), bits(&frames));
        prop_assert!(decoder.at_start());
    }

    /// Mostly small numbers in the headers, so that many are valid.
    #[test]
    fn any_bytes_do_what_a_plain_reader_does(
        chunks in vec((0_u64..60, vec(any::<u8>(), 0..60)), 0..6),
        noise in vec(any::<u8>(), 0..20),
        pieces in vec(1_usize..30, 1..6),
    ) {
        let mut bytes = Vec::new();
        for (length, payload) in &chunks {
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(payload);
        }
        bytes.extend_from_slice(&noise);
        let mut decoder = v0::Decoder::new(48);
        match (feed(&mut decoder, &bytes, &pieces), plain(&bytes, 48)) {
            (Ok(got), Ok(expected)) => prop_assert_eq!(bits(&got), bits(&expected)),
            (Err(_), Err(())) => {}
            (got, expected) => prop_assert!(false, "{got:?} but {expected:?}"),
        }
    }

    /// Whatever length a peer claims, memory follows what it really sends.
    #[test]
    fn memory_follows_the_bytes_that_come(
        claimed in any::<u64>(),
        cap in 4_u64..=1 << 40,
        sent in 0_usize..200_000,
    ) {
        let claimed = claimed % (2 * cap) / 4 * 4;
        let mut decoder = v0::Decoder::new(cap);
        let mut bytes = claimed.to_be_bytes().to_vec();
        let body = (sent as u64).min(claimed.saturating_sub(1)) as usize;
        bytes.resize(8 + body, 1);
        let outcome = feed(&mut decoder, &bytes, &[4096]);
        prop_assert_eq!(outcome.is_err(), claimed == 0 || claimed > cap);
        let allowed = (2 * body).max(64 * 1024) as u64;
        prop_assert!(decoder.held_bytes() as u64 <= allowed.min(cap.max(4)));
    }
}

#[test]
fn the_first_bad_float_is_told_whatever_the_split() {
    let mut floats = vec![1.0_f32; 40];
    floats[17] = f32::NAN;
    floats[30] = f32::INFINITY;
    let frame = v0::encode(&floats);
    for size in 1..frame.len() {
        let mut decoder = v0::Decoder::new(1024);
        let mut found = None;
        for piece in frame.chunks(size) {
            let (taken, payload) = decoder.push(piece).expect("a good frame");
            assert_eq!(taken, piece.len());
            found = payload.or(found);
        }
        let payload = found.expect("the frame is complete");
        assert_eq!(payload.first_non_finite(), Some(17), "pieces of {size}");
    }
}

#[test]
fn a_lent_buffer_is_used_and_no_more_of_it_than_the_frame() {
    let mut decoder = v0::Decoder::new(1024);
    let lent = vec![9_u8; 400];
    let place = lent.as_ptr();
    decoder.lend(lent);
    let (_, payload) = decoder.push(&v0::encode(&[1.0, 2.0])).expect("a frame");
    let payload = payload.expect("it is whole");
    assert_eq!(payload.to_floats(), [1.0, 2.0]);
    let back = payload.into_bytes();
    assert_eq!(back.as_ptr(), place);
}

#[test]
fn errors_name_what_was_found_and_the_limit() {
    let text = |bytes: u64, cap: u64, expected: Option<usize>| {
        let mut decoder = v0::Decoder::new(cap);
        decoder.expect_length(expected);
        let refused = decoder.push(&bytes.to_be_bytes());
        refused.expect_err("it is wrong").to_string()
    };
    assert!(text(0, 100, None).contains("0 bytes"));
    assert!(text(7, 100, None).contains("7 bytes") && text(7, 100, None).contains("multiple of 4"));
    let long = text(104, 100, None);
    assert!(long.contains("104") && long.contains("100") && long.contains("--max-payload"));
    let other = text(8, 100, Some(12));
    assert!(other.contains('8') && other.contains("12"));
}
