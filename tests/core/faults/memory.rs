//! What gradients and results may take together.

use hetsync_core::Span;
use hetsync_core::policy::Deadline;
use hetsync_core::server::Refusal;

use super::refused;
use crate::support::{TestServer, Told};

#[test]
fn a_model_beyond_all_memory_is_no_overflow() {
    let server = TestServer::start(|builder| builder.floats(usize::MAX));
    let mut worker = server.join();
    worker.send(&[1.0]);
    assert!(worker.is_closed());
}

/// Memory is counted over all connections, and comes back when they go.
#[test]
fn all_connections_together_stay_within_the_memory_limit() {
    let limit = 250_000;
    let server = TestServer::start(|builder| builder.workers(1).max_memory_bytes(limit));
    let mut first = server.join();
    assert_eq!(first.submit(&[1.0; 20_000]), [1.0; 20_000]);
    // Its gradient and the result take 160,000; there is room for one more.
    let mut second = server.join();
    assert_eq!(second.submit(&[1.0; 20_000]), [1.0; 20_000]);
    let mut third = server.join();
    third.raw(&80_000_u64.to_be_bytes());
    assert!(third.is_closed());
    assert_eq!(refused(&server, 2), Refusal::NoMemory { limit });
    drop(first);
    server.wait(|told| matches!(told, Told::Disconnected(0, _)));
    drop(second);
    server.wait(|told| matches!(told, Told::Disconnected(1, _)));
    assert_eq!(server.join().submit(&[1.0; 20_000]), [1.0; 20_000]);
}

/// Before the model's length is known, one gradient may not take the room of
/// the others; that is told when its length is.
#[test]
fn no_first_gradient_takes_more_than_its_share_of_the_memory() {
    let server = TestServer::start(|builder| builder.workers(2).max_memory_bytes(400_000));
    let mut greedy = server.join();
    greedy.raw(&100_004_u64.to_be_bytes());
    assert!(greedy.is_closed());
    let (found, share) = (100_004, 100_000);
    assert_eq!(refused(&server, 0), Refusal::NoShare { found, share });
    let mut workers = [server.join(), server.join()];
    let gradient = vec![1.0; 25_000];
    workers.iter_mut().for_each(|worker| worker.send(&gradient));
    for worker in &mut workers {
        assert_eq!(worker.receive(), vec![2.0; 25_000]);
    }
}

/// Results that slow readers have not taken count, and their readers are
/// let go before anyone else has to suffer.
#[test]
fn a_slow_readers_results_count_and_cost_it_its_connection() {
    // Far more than a socket takes while nobody reads.
    const FLOATS: usize = 4 << 20;
    const BYTES: usize = 4 * FLOATS;
    let server = TestServer::start(|builder| {
        let policy = Deadline::new(Span::from_millis(50));
        let builder = builder.workers(2).policy(policy).floats(FLOATS);
        builder.max_memory_bytes(4 * BYTES + BYTES / 2)
    });
    let gradient = vec![1.0; FLOATS];
    let mut prompt = server.join();
    let mut slow = server.join();
    std::thread::scope(|scope| {
        scope.spawn(|| slow.send(&gradient));
        prompt.submit(&gradient);
    });
    // Its result is one, the newest the second, and the next the third.
    for _ in 0..3 {
        assert_eq!(prompt.submit(&gradient)[0], 1.0);
    }
    let told = server.wait(|told| matches!(told, Told::Disconnected(..)));
    assert!(matches!(told, Told::Disconnected(1, why) if why.contains("--max-memory")));
}
