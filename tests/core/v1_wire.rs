//! Frames of protocol 1: round trips and hostile headers.

use hetsync_core::wire::v1::message::{
    CatchUp, Error as ErrorMessage, Heartbeat, Hello, Join, Leave, Push, Result as ResultMessage,
    Tensor, Welcome,
};
use hetsync_core::wire::v1::{
    self, Decoder, Dtype, Error, ErrorCode, HEADER_BYTES, Header, Item, Kind, Limits, Message,
};
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) const LIMITS: Limits = Limits {
    message_bytes: 1 << 20,
    tensor_bytes: 1 << 20,
};

fn text() -> impl Strategy<Value = String> {
    "[a-z0-9.]{0,12}"
}

fn tensors() -> impl Strategy<Value = (Vec<Tensor>, Vec<u8>)> {
    vec((text(), 1_u64..20), 0..5).prop_flat_map(|described| {
        let elements: u64 = described.iter().map(|(_, elements)| elements).sum();
        let bytes = vec(any::<u8>(), (4 * elements.max(1)) as usize);
        let tensor = |(name, elements)| Tensor { name, elements };
        let tensors: Vec<Tensor> = described.into_iter().map(tensor).collect();
        (Just(tensors), bytes)
    })
}

/// Any message, and tensor bytes that fit it.
fn frame() -> impl Strategy<Value = (Message, Vec<u8>)> {
    let hello = (text(), text(), vec(any::<u8>(), 0..40), any::<u32>());
    let welcome = any::<(u64, u64, u64, u64, Option<u64>)>();
    let result = (
        any::<(u64, u32, f32, u32)>(),
        0..4_i32,
        vec(text(), 0..4),
        tensors(),
    );
    let catch_up = (
        any::<(u64, u64, u64, f32)>(),
        0..5_i32,
        0..5_i32,
        tensors(),
        any::<bool>(),
    );
    prop_oneof![
        hello.prop_map(|(job, worker, token, heartbeat_ms)| {
            let hello = Hello {
                job,
                worker,
                token,
                heartbeat_ms,
            };
            (Message::Hello(hello), Vec::new())
        }),
        welcome.prop_map(|(epoch, round, max_tensor_bytes, kept_rounds, seen)| {
            let welcome = Welcome {
                epoch,
                round,
                max_tensor_bytes,
                kept_rounds,
                seen,
            };
            (Message::Welcome(welcome), Vec::new())
        }),
        (any::<u64>(), 0_u32..9, tensors()).prop_map(|(round, weight, (tensors, bytes))| {
            let weight = f64::from(weight) / 2.0;
            (
                Message::Push(Push {
                    round,
                    tensors,
                    weight,
                }),
                bytes,
            )
        }),
        result.prop_map(
            |(
                (round, contributors, divisor, missing_count),
                outcome,
                missing,
                (tensors, bytes),
            )| {
                let divisor = f64::from(divisor);
                let divisor = if divisor.is_nan() { 0.5 } else { divisor };
                let result = ResultMessage {
                    round,
                    contributors,
                    divisor,
                    outcome,
                    missing_count,
                    missing,
                    tensors,
                };
                (Message::Result(result), bytes)
            }
        ),
        catch_up.prop_map(
            |((first, count, next, weight), recovery, fate, (tensors, bytes), has_model)| {
                let weight = if weight.is_nan() {
                    0.5
                } else {
                    f64::from(weight)
                };
                let (tensors, bytes) = if has_model {
                    (tensors, bytes)
                } else {
                    Default::default()
                };
                let catch_up = CatchUp {
                    first,
                    count,
                    next,
                    recovery,
                    fate,
                    weight,
                    tensors,
                };
                (Message::CatchUp(catch_up), bytes)
            }
        ),
        any::<(u64, u64)>().prop_map(|(nonce, round)| (
            Message::Heartbeat(Heartbeat { nonce, round }),
            Vec::new()
        )),
        any::<(Option<u64>, u64)>()
            .prop_map(|(next, epoch)| (Message::Join(Join { next, epoch }), Vec::new())),
        Just((Message::Leave(Leave {}), Vec::new())),
        (0..13_i32, text())
            .prop_map(|(code, text)| (Message::Error(ErrorMessage { code, text }), Vec::new())),
    ]
}

pub(crate) fn encode(message: &Message, tensors: &[u8]) -> Vec<u8> {
    match tensors {
        [] => v1::encode(message),
        _ => v1::encode_with_tensors(message, tensors),
    }
}

/// Items as (message, tensors).
pub(crate) fn gather(items: Vec<Item>) -> Vec<(Message, Vec<u8>)> {
    let mut frames: Vec<(Message, Vec<u8>)> = Vec::new();
    for item in items {
        match item {
            Item::Head(head) => frames.push((head.message, Vec::new())),
            Item::Tensors(payload) => {
                frames.last_mut().expect("a head before").1 = payload.into_bytes();
            }
        }
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_frames_in_any_pieces_come_out_as_they_went_in(
        frames in vec(frame(), 1..5),
        pieces in vec(1_usize..200, 1..6),
        expected in proptest::option::of(1_usize..100),
        lent in 0_usize..300,
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(m, t)| encode(m, t)).collect();
        let mut decoder = Decoder::new(LIMITS);
        decoder.expect_length(expected.map(|floats| 4 * floats));
        decoder.lend(vec![9; lent]);
        let mut got = Vec::new();
        let mut rest = &bytes[..];
        for size in pieces.iter().cycle() {
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            got.extend(decoder.push(piece).expect("good frames"));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(decoder.at_start());
        prop_assert_eq!(gather(got), frames);
    }

    /// One bit anywhere: nothing comes out that was not put in.
    #[test]
    fn a_bit_that_flips_is_found((message, tensors) in frame(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut bytes = encode(&message, &tensors);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let outcome = Decoder::new(LIMITS).push(&bytes);
        let got = outcome.map(|items| items.into_iter().any(|item| match item {
            Item::Head(_) => tensors.is_empty(),
            Item::Tensors(_) => true,
        }));
        prop_assert!(!matches!(got, Ok(true)), "{got:?}");
    }

    /// Whatever length a header claims, memory follows what really comes.
    #[test]
    fn memory_follows_the_bytes_that_come(claimed in 1_u64..1 << 38, sent in 0_usize..200_000) {
        let message = Message::Push(Push::default());
        let mut bytes = v1::encode_before_tensors(&message, claimed * 4, 0);
        bytes.resize(bytes.len() + sent.min((claimed * 4 - 1) as usize), 1);
        let limits = Limits { message_bytes: 100, tensor_bytes: 1 << 40 };
        let mut decoder = Decoder::new(limits);
        prop_assert!(decoder.push(&bytes).is_ok());
        prop_assert!(decoder.held_bytes() <= (2 * sent).max(64 * 1024));
    }
}

fn refused(bytes: &[u8]) -> Error {
    let limits = Limits {
        message_bytes: 64,
        tensor_bytes: 64,
    };
    let outcome = Decoder::new(limits).push(bytes);
    outcome.expect_err("it is wrong")
}

/// A header whose checksum is right, whatever it says.
fn header(change: impl FnOnce(&mut [u8; HEADER_BYTES])) -> [u8; HEADER_BYTES] {
    let mut bytes = Header {
        kind: Kind::Push,
        dtype: Dtype::F32,
        message_bytes: 0,
        message_crc: v1::crc(b""),
        tensor_bytes: 4,
        tensor_crc: 0,
    }
    .encode();
    change(&mut bytes);
    let crc = v1::crc(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn each_lie_of_a_header_has_its_own_error() {
    let code = |change: fn(&mut [u8; HEADER_BYTES])| refused(&header(change)).code();
    assert!(matches!(
        refused(&header(|h| h[0] = 0)),
        Error::Magic {
            found: [0, b'S', b'Y', b'N']
        }
    ));
    assert!(matches!(
        refused(&header(|h| h[4] = 2)),
        Error::Version { found: 2 }
    ));
    assert!(matches!(
        refused(&header(|h| h[5] = 0)),
        Error::Kind { found: 0 }
    ));
    assert!(matches!(
        refused(&header(|h| h[5] = 10)),
        Error::Kind { found: 10 }
    ));
    assert!(matches!(
        refused(&header(|h| h[6] = 7)),
        Error::Dtype { found: 7 }
    ));
    assert!(matches!(
        refused(&header(|h| h[7] = 1)),
        Error::Flags { found: 1 }
    ));
    assert!(matches!(
        refused(&header(|h| h[8] = 65)),
        Error::MessageTooLong {
            found: 65,
            limit: 64,
            ..
        }
    ));
    assert!(matches!(
        refused(&header(|h| h[16] = 68)),
        Error::TensorsTooLong {
            found: 68,
            limit: 64,
            ..
        }
    ));
    assert!(matches!(
        refused(&header(|h| h[23] = 0x80)),
        Error::TensorsTooLong { .. }
    ));
    assert!(matches!(
        refused(&header(|h| h[16] = 7)),
        Error::NotElements {
            found: 7,
            dtype: Dtype::F32
        }
    ));
    assert!(matches!(
        refused(&header(|h| h[16] = 0)),
        Error::NoSuchTensors { found: 0, .. }
    ));
    assert!(matches!(
        refused(&header(|h| h[6] = 0)),
        Error::NoSuchTensors { found: 4, .. }
    ));
    assert!(matches!(
        refused(&header(|h| h[5] = 8)),
        Error::NoSuchTensors { found: 4, .. }
    ));
    assert_eq!(code(|h| h[12] ^= 1), ErrorCode::Checksum);
    let mut torn = header(|_| {});
    torn[28] ^= 1;
    assert!(matches!(
        refused(&torn),
        Error::Checksum { part: "header", .. }
    ));
    // A version to come is told as such, whatever its header looks like.
    torn[4] = 9;
    assert_eq!(refused(&torn).code(), ErrorCode::Version);
}

#[test]
fn tensors_described_must_be_those_announced() {
    let tensor = |elements| Tensor {
        name: "w".into(),
        elements,
    };
    let push = |tensors| {
        Message::Push(Push {
            tensors,
            ..Push::default()
        })
    };
    let wrong = push(vec![tensor(1), tensor(2)]);
    let error = refused(&v1::encode_with_tensors(&wrong, &[0; 8]));
    assert_eq!(
        error,
        Error::Elements {
            described: 3,
            announced: 2
        }
    );
    assert_eq!(error.code(), ErrorCode::Layout);
    // Sums that leave 64 bits are no way round it.
    let huge = push(vec![tensor(u64::MAX), tensor(3)]);
    let error = refused(&v1::encode_with_tensors(&huge, &[0; 8]));
    assert!(matches!(
        error,
        Error::Elements {
            described: u64::MAX,
            ..
        }
    ));
}

#[test]
fn a_token_is_not_shown() {
    let hello = Hello {
        token: b"secret-7".to_vec(),
        ..Hello::default()
    };
    let shown = format!("{hello:?}");
    assert!(
        !shown.contains("secret") && !shown.contains("115"),
        "{shown}"
    );
}

/// The first byte decides between the protocols.
#[test]
fn the_magic_can_be_no_length_that_protocol_0_takes() {
    let long = u64::from_be_bytes([v1::MAGIC[0], 0, 0, 0, 0, 0, 0, 0]);
    assert!(v1::MAGIC[0] != 0 && long > 1 << 56);
}
