//! The shell beyond the faults: stopping, pieces, the client, results that
//! repeat.

use hetsync_core::net::{Client, ClientError};
use hetsync_core::policy::{Deadline, Strict};
use hetsync_core::server::Event;
use hetsync_core::wire::{WireError, v0};
use hetsync_core::worker::Retry;
use hetsync_core::{Payload, Span};

use crate::support::{Peer, TestServer, Told, is_closed_round};

#[test]
fn frames_may_come_byte_by_byte() {
    let server = TestServer::start(|builder| builder.workers(2).policy(Strict));
    let mut whole = server.join();
    let mut pieces = server.join();
    for round in 1..4 {
        let value = round as f32;
        whole.send(&[value; 5]);
        for byte in v0::encode(&[value; 5]) {
            pieces.raw(&[byte]);
        }
        assert_eq!(pieces.receive(), [2.0 * value; 5]);
        assert_eq!(whole.receive(), [2.0 * value; 5]);
    }
}

/// Float addition depends on its order; the result must not depend on who
/// was first.
#[test]
fn a_result_repeats_bit_for_bit_in_any_order_of_arrival() {
    let gradients = [1e8_f32, 1.0, -1e8, 0.3333];
    let in_order = ((1e8_f32 + 1.0) + -1e8) + 0.3333;
    let reversed = ((0.3333_f32 + -1e8) + 1.0) + 1e8;
    assert_ne!(
        in_order.to_bits(),
        reversed.to_bits(),
        "the test tests nothing"
    );

    let server = TestServer::start(|builder| builder.workers(4).policy(Strict));
    let mut workers: Vec<Peer> = (0..4).map(|_| server.join()).collect();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]] {
        for at in order {
            workers[at].send(&[gradients[at]]);
        }
        for worker in &mut workers {
            assert_eq!(worker.receive()[0].to_bits(), in_order.to_bits());
        }
    }
}

/// A stop in the middle of a round lets it close first.
#[test]
fn a_stopping_server_finishes_the_open_round() {
    let policy = Deadline::new(Span::from_millis(200));
    let server = TestServer::start(|builder| builder.workers(2).policy(policy));
    let mut worker = server.join();
    worker.send(&[1.5]);
    server.wait(|told| matches!(told, Told::Event(Event::ModelLength { .. })));
    let stats = server.stop();
    assert_eq!(stats.deadline_rounds, 1);
    assert_eq!(worker.receive(), [1.5]);
    assert!(worker.is_closed());
}

/// A round that cannot close does not keep the server from stopping.
#[test]
fn a_stopping_server_waits_no_longer_than_its_grace() {
    let server = TestServer::start(|builder| {
        builder
            .workers(2)
            .policy(Strict)
            .grace(Span::from_millis(50))
    });
    let mut worker = server.join();
    worker.send(&[1.0]);
    server.wait(|told| matches!(told, Told::Event(Event::ModelLength { .. })));
    assert_eq!(server.stop().rounds(), 0);
    assert!(worker.is_closed());
}

/// When all have left, other workers with another model may come.
#[test]
fn a_server_that_everybody_left_serves_another_model() {
    let server = TestServer::start(|builder| builder.workers(2).policy(Strict));
    for floats in [3, 5] {
        let mut workers = [server.join(), server.join()];
        workers
            .iter_mut()
            .for_each(|worker| worker.send(&vec![1.0; floats]));
        server.wait(is_closed_round);
        for worker in &mut workers {
            assert_eq!(worker.receive(), vec![2.0; floats]);
        }
        drop(workers);
        for _ in 0..2 {
            server.wait(|told| matches!(told, Told::Disconnected(..)));
        }
    }
}

#[test]
fn the_client_submits_and_comes_back_after_a_loss() {
    let server = TestServer::start(|builder| builder.workers(1).floats(2));
    let address = server.address;
    let mut client = Client::new(address);
    smol::block_on(async {
        let sum = client.submit(Payload::from_floats(&[1.0, 2.0])).await;
        assert_eq!(sum.expect("a sum").to_floats(), [1.0, 2.0]);
        // The server refuses this one and closes the connection.
        let lost = client.submit(Payload::from_floats(&[1.0, f32::NAN])).await;
        assert!(matches!(lost, Err(ClientError::Lost { .. })), "{lost:?}");
        let sum = client.submit(Payload::from_floats(&[3.0, 4.0])).await;
        assert_eq!(sum.expect("a sum").to_floats(), [3.0, 4.0]);
    });
    server.stop();
    let retry = Retry {
        attempts: 2,
        first: Span::from_millis(1),
        ..Retry::default()
    };
    // Not the port that has become free: a server of another test may have it.
    let mut client = Client::with_retry(([127, 0, 0, 1], 1).into(), retry);
    smol::block_on(async {
        for _ in 0..2 {
            let nobody = client.submit(Payload::from_floats(&[1.0])).await;
            let Err(error @ ClientError::Unreachable { .. }) = nobody else {
                panic!("{nobody:?}");
            };
            assert!(error.to_string().contains("hetsync serve"), "{error}");
        }
    });
}

/// A server that answers with another length than was sent.
#[test]
fn the_client_refuses_an_answer_of_another_length() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let liar = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut peer = Peer { stream };
        peer.receive();
        peer.send(&[1.0, 2.0, 3.0]);
    });
    let mut client = Client::new(address);
    let answer = smol::block_on(client.submit(Payload::from_floats(&[1.0])));
    let (found, expected) = (12, 4);
    assert!(
        matches!(answer, Err(ClientError::Wire(error))
            if error == WireError::Mismatch { found, expected }),
        "{answer:?}"
    );
    liar.join().expect("the liar");
}
