//! A disk that takes its time: whose results wait for it, and whose do not.
//!
//! The slow disk is a pipe where the file would be: a write begins when
//! somebody reads it, and fails at the end, as a pipe cannot be made safe.

use std::io::Read;
use std::path::{Path, PathBuf};

use hetsync_core::member::Identity;
use hetsync_core::net::{Checkpoints, MemberClient};
use hetsync_core::policy::{Enough, Quorum};
use hetsync_core::server::Config;
use hetsync_core::{Payload, Span};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{TestServer, is_closed_round};

/// Takes the place of the file that this job writes next.
fn block(folder: &Path, job: &str) -> PathBuf {
    let path = folder.join(job).join("checkpoint.unfinished");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &path, FileType::Fifo, mode, 0).expect("a pipe");
    path
}

/// Lets the write go on, and the next one have a file.
fn unblock(path: &Path) -> usize {
    let mut pipe = std::fs::File::open(path).expect("the pipe");
    std::fs::remove_file(path).expect("it is there");
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).expect("what is written")
}

fn settings(folder: &Path, every: u64) -> Checkpoints {
    Checkpoints {
        folder: folder.into(),
        every,
        keep: 3,
    }
}

/// While one job waits for its disk, rounds of the others go on; what it has
/// to say goes out when that is over, in order.
#[test]
fn a_slow_disk_holds_up_the_job_that_waits_for_it_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let side = Config {
        workers: 1,
        ..Config::default()
    };
    let server = TestServer::start(|builder| {
        let name = "side".parse().expect("a name");
        builder
            .workers(2)
            .policy(Quorum::new(Enough::Count(1), Span::ZERO))
            .job(name, side)
            .checkpoints(settings(folder.path(), 1))
    });
    let mut first = server.join();
    let pipe = block(folder.path(), "default");
    first.send(&[1.0]);
    server.wait(is_closed_round);
    // Another one closes another round, whose checkpoint is due while the
    // first is being written.
    let mut second = server.join();
    second.send(&[2.0]);
    server.wait(is_closed_round);

    let identity = Identity {
        job: "side".parse().expect("a name"),
        worker: "w".parse().expect("a name"),
        token: None,
    };
    let mut other = MemberClient::new(server.address, identity);
    for round in 0..20 {
        let answer = smol::block_on(other.submit(Payload::from_floats(&[1.0])));
        let results = answer.expect("an answer").results;
        assert_eq!(results[0].about.round, round);
    }
    assert!(first.has_nothing() && second.has_nothing());

    assert!(unblock(&pipe) > 0);
    assert_eq!(first.receive(), [1.0]);
    assert_eq!(second.receive(), [2.0]);
    // And it goes on.
    assert_eq!(second.submit(&[3.0]), [3.0]);
    server.stop();
    let newest = folder.path().join("default/checkpoint-000000000001");
    assert!(newest.exists(), "of round 1 and of round 2");
}

/// A server that stops while a checkpoint is being written waits for it, and
/// nobody's result is lost.
#[test]
fn a_server_that_stops_answers_who_waits_for_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = TestServer::start(|builder| {
        builder
            .workers(1)
            .grace(Span::from_millis(1))
            .checkpoints(settings(folder.path(), 1))
    });
    let mut worker = server.join();
    let pipe = block(folder.path(), "default");
    worker.send(&[1.0]);
    server.wait(is_closed_round);
    let reader = std::thread::spawn(move || unblock(&pipe));
    assert_eq!(server.stop().rounds(), 1);
    assert!(reader.join().expect("it ends") > 0);
    assert_eq!(worker.receive(), [1.0]);
}

/// With rounds between checkpoints nobody waits, and what is due meanwhile is
/// saved as soon as it can be.
#[test]
fn rounds_go_on_beside_a_checkpoint_of_several() {
    let folder = tempfile::tempdir().expect("a folder");
    let server =
        TestServer::start(|builder| builder.workers(1).checkpoints(settings(folder.path(), 2)));
    let mut worker = server.join();
    let pipe = block(folder.path(), "default");
    for round in 0..7 {
        let value = [round as f32];
        assert_eq!(worker.submit(&value), value);
    }
    // The first one is damaged on its way and is tried again.
    unblock(&pipe);
    for _ in 0..3 {
        worker.submit(&[1.0]);
    }
    server.stop();
    let files = std::fs::read_dir(folder.path().join("default")).expect("the folder");
    assert!(files.count() > 1, "a checkpoint and the lock");
}
