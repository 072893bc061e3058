//! Lengths and contents that the original takes as they come.

use std::io::Write;

use hetsync_core::policy::Strict;
use hetsync_core::server::Refusal;
use hetsync_core::wire::WireError;

use super::{refused, strict};
use crate::support::{PATIENCE, TestServer};

/// A length of 2^62 or 8 GiB aborts the original.
#[test]
fn a_huge_length_is_refused_and_costs_nobody_anything() {
    let server = strict(1);
    for (conn, length) in [1_u64 << 62, 8 << 30, u64::MAX, (1 << 30) + 4]
        .into_iter()
        .enumerate()
    {
        let mut peer = server.join();
        peer.raw(&length.to_be_bytes());
        assert!(peer.is_closed());
        let limit = 1 << 30;
        let error = WireError::TooLong {
            found: length,
            limit,
        };
        assert_eq!(refused(&server, conn as u64), Refusal::Wire(error));
    }
    assert_eq!(server.join().submit(&[5.0]), [5.0]);
}

/// A length that is no whole number of floats, or none at all.
#[test]
fn a_length_that_is_no_multiple_of_four_is_refused() {
    let server = strict(1);
    for (conn, length) in [0_u64, 1, 2, 3, 5, 41].into_iter().enumerate() {
        let mut peer = server.join();
        peer.raw(&length.to_be_bytes());
        assert!(peer.is_closed());
        let expected = match length {
            0 => WireError::Empty,
            found => WireError::NotFloats { found },
        };
        assert_eq!(refused(&server, conn as u64), Refusal::Wire(expected));
    }
    assert_eq!(server.join().submit(&[5.0]), [5.0]);
}

/// The original reads past a short gradient's buffer.
#[test]
fn a_short_gradient_is_refused_and_the_others_go_on() {
    wrong_length_is_refused(1);
}

/// The original cuts a long gradient off without a word.
#[test]
fn a_long_gradient_is_refused_and_the_others_go_on() {
    wrong_length_is_refused(4);
}

fn wrong_length_is_refused(floats: usize) {
    let server = strict(2);
    let mut workers = [server.join(), server.join()];
    let mut wrong = server.join();
    workers.iter_mut().for_each(|worker| worker.send(&[1.0; 3]));
    workers.iter_mut().for_each(|worker| drop(worker.receive()));
    // Once with a gradient under way in the same round, once without.
    workers[0].send(&[1.0; 3]);
    wrong.send(&vec![7.0; floats]);
    let found = 4 * floats as u64;
    let expected = WireError::Mismatch {
        found,
        expected: 12,
    };
    assert_eq!(refused(&server, 2), Refusal::Wire(expected));
    assert!(wrong.is_closed());
    workers[1].send(&[2.0; 3]);
    for worker in &mut workers {
        assert_eq!(worker.receive(), [3.0; 3]);
    }
}

/// One NaN or infinity in one gradient reaches every replica.
#[test]
fn nan_and_infinity_are_refused_and_the_worker_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let server = strict(2);
        let mut workers = [server.join(), server.join()];
        let mut sick = server.join();
        sick.send(&[0.0, 1.0, bad, 3.0]);
        assert_eq!(refused(&server, 2), Refusal::NotFinite { index: 2 });
        assert!(sick.is_closed());
        workers.iter_mut().for_each(|worker| worker.send(&[1.0; 4]));
        for worker in &mut workers {
            assert_eq!(worker.receive(), [2.0; 4]);
        }
    }
}

/// Bytes of no protocol at all, from many peers, disturb no round.
#[test]
fn random_bytes_disturb_nobody() {
    let server = TestServer::start(|builder| {
        builder
            .workers(1)
            .policy(Strict)
            .floats(4)
            .max_payload_bytes(1 << 20)
    });
    let mut worker = server.join();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..50 {
        let mut noise = server.connect();
        let bytes: Vec<u8> = (0..200)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        let _ = noise.stream.write_all(&bytes);
        assert_eq!(worker.submit(&[1.0; 4]), [1.0; 4]);
        noise
            .stream
            .set_read_timeout(Some(PATIENCE))
            .expect("timeout");
        assert!(noise.is_closed());
    }
    assert_eq!(server.stop().rounds(), 50);
}
