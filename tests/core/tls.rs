//! TLS: rounds through it, and every way in which two ends do not agree. The
//! certificates are those of `tests/data/tls`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hetsync_core::member::Identity;
use hetsync_core::net::{Client, ClientError, MemberClient, TlsClient, TlsServer};
use hetsync_core::policy::Strict;
use hetsync_core::worker::Retry;
use hetsync_core::{Payload, Span};

use crate::cli::{run, text};
use crate::support::{TestServer, Told, is_closed_round};

fn path(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls");
    Path::new(folder).join(name)
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("a certificate of the tests")
}

fn shows(certificate: &str) -> TlsServer {
    TlsServer::from_pem(&pem(certificate), &pem("server-key.pem")).expect("they belong together")
}

fn trusts(authority: &str) -> TlsClient {
    TlsClient::from_pem(&pem(authority), "127.0.0.1").expect("an authority")
}

fn member(address: SocketAddr, worker: &str) -> MemberClient {
    let identity = Identity {
        job: "default".parse().expect("a name"),
        worker: worker.parse().expect("a name"),
        token: None,
    };
    let patience = Retry {
        attempts: 2,
        first: Span::from_millis(1),
        max: Span::from_millis(1),
    };
    MemberClient::with_retry(address, identity, patience)
}

/// Short gradients, and such as fill every buffer on the way, by both
/// protocols in one round.
#[test]
fn rounds_go_through_tls_as_they_go_without() {
    for floats in [1, 700_000] {
        let server = TestServer::start(|b| b.workers(2).policy(Strict).tls(shows("server.pem")));
        let mut old = Client::new(server.address).tls(trusts("ca.pem"));
        let mut new = member(server.address, "w").tls(trusts("ca.pem"));
        for round in 0..4_u64 {
            let of = |worker: u64| -> Vec<f32> {
                let value = |at: usize| (at as u64 * 3 + round * 5 + worker) as f32;
                (0..floats).map(value).collect()
            };
            let (a, b) = (Payload::from_floats(&of(0)), Payload::from_floats(&of(1)));
            let both = smol::future::zip(old.submit(a), new.submit(b));
            let (a, b) = smol::block_on(both);
            let wanted: Vec<f32> = of(0).iter().zip(of(1)).map(|(a, b)| a + b).collect();
            assert!(a.expect("a result").to_floats() == wanted);
            let answer = b.expect("an answer");
            assert_eq!(answer.results[0].about.round, round);
            assert!(answer.results[0].payload.to_floats() == wanted);
        }
        smol::block_on(new.leave());
        drop(old);
        server.wait(|told| matches!(told, Told::Disconnected(..)));
        assert_eq!(server.stop().rounds(), 4);
    }
}

/// A worker that does not trust the server sends it nothing, does not try
/// again, and says why; so does the server.
#[test]
fn who_is_not_trusted_is_told_apart() {
    for (certificate, authority, said, heard) in [
        (
            "server.pem",
            "other-ca.pem",
            "not signed by the authority that is trusted (--tls-ca)",
            "does not know the authority",
        ),
        ("expired.pem", "ca.pem", "has expired", "has expired"),
        (
            "elsewhere.pem",
            "ca.pem",
            "is for other names (--tls-name)",
            "perhaps as it is for other names",
        ),
    ] {
        let server = TestServer::start(|b| b.workers(1).tls(shows(certificate)));
        let mut client = member(server.address, "w").tls(trusts(authority));
        let error = smol::block_on(client.connect()).expect_err("it is not trusted");
        assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
        assert!(error.to_string().contains(said), "{error}");
        let told = server.wait(|told| matches!(told, Told::Disconnected(..)));
        let Told::Disconnected(_, why) = told else {
            unreachable!("it was waited for");
        };
        assert!(why.contains(heard), "{why}");
        assert!(server.stop().rounds() == 0);
    }
    let name = TlsClient::from_pem(&pem("ca.pem"), "no name").expect_err("it is none");
    assert!(name.to_string().contains("`no name`"), "{name}");
}

/// One end speaks TLS and the other does not.
#[test]
fn plain_and_tls_do_not_hang_on_each_other() {
    let departure = |server: &TestServer, part: &str| {
        server.wait(|told| matches!(told, Told::Disconnected(_, why) if why.contains(part)))
    };
    let server = TestServer::start(|b| b.workers(1).tls(shows("server.pem")));
    let error = smol::block_on(member(server.address, "w").connect()).expect_err("it is plain");
    assert!(matches!(error, ClientError::Denied { .. }), "{error:?}");
    assert!(error.to_string().contains("--tls-ca"), "{error}");
    departure(&server, "speaks no TLS");
    let mut peer = server.connect();
    peer.send(&[1.0]);
    assert!(peer.is_closed());
    departure(&server, "speaks no TLS");
    // What looks like TLS and is none.
    let mut peer = server.connect();
    peer.raw(&[0x16; 2000]);
    departure(&server, "no TLS with it");
    server.stop();

    let server = TestServer::start(|b| b.workers(1));
    let mut client = member(server.address, "w").tls(trusts("ca.pem"));
    let error = smol::block_on(client.connect()).expect_err("the server is plain");
    assert!(error.to_string().contains("does it speak TLS?"), "{error}");
    departure(&server, "speaks TLS, and this server does not");
    server.stop();
}

/// A peer that takes its time over the handshake has a place like any other,
/// and for as long as is allowed.
#[test]
fn slow_handshakes_are_bounded_in_time_and_number() {
    let server = TestServer::start(|builder| {
        let builder = builder.workers(1).tls(shows("server.pem"));
        builder.hello(Span::from_millis(50))
    });
    let mut slow = server.connect();
    slow.raw(&[0x16]);
    let is_slow = |told: &Told| matches!(told, Told::Disconnected(_, why) if why.contains("handshake took longer than 50"));
    server.wait(is_slow);
    assert!(slow.is_closed());
    server.stop();

    let server = TestServer::start(|builder| {
        let builder = builder.workers(1).tls(shows("server.pem"));
        builder.max_connections(1)
    });
    let mut slow = server.join();
    slow.raw(&[0x16]);
    // There is one place, and who has not said anything yet gives it up.
    let mut client = member(server.address, "w").tls(trusts("ca.pem"));
    smol::block_on(client.submit(Payload::from_floats(&[1.0]))).expect("an answer");
    server.wait(is_closed_round);
    assert!(slow.is_closed());
    server.stop();
}

/// The commands speak it, and what is wrong with the files is told before
/// anything is served.
#[test]
fn the_settings_are_checked_and_the_commands_speak_it() {
    let file = |name: &str| path(name).display().to_string();
    let check = |certificate: &str, key: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("hetsync.toml");
        let mut settings = std::fs::File::create(&config).expect("a file");
        for (name, value) in [("tls-cert", certificate), ("tls-key", key)] {
            if !value.is_empty() {
                writeln!(settings, "{name} = \"{}\"", file(value)).expect("it is written");
            }
        }
        let config = config.display().to_string();
        let output = run(&["serve", "--check-config", "--config", &config]);
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(check("server.pem", "server-key.pem").0, Some(0));
    for (certificate, key, part) in [
        (
            "server.pem",
            "other-key.pem",
            "the key is not that of the certificate",
        ),
        ("server.pem", "", "--tls-cert is nothing without its key"),
        (
            "",
            "server-key.pem",
            "--tls-key is nothing without its cert",
        ),
        ("missing.pem", "server-key.pem", "cannot read"),
        ("make.sh", "server-key.pem", "there is no certificate in it"),
        ("server.pem", "make.sh", "there is no private key in it"),
    ] {
        let (code, said) = check(certificate, key);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("hetsync.toml:1:1: "), "{said}");
        assert!(said.contains(part), "{said}");
    }

    let server = TestServer::start(|b| b.workers(1).tls(shows("server.pem")));
    let port = server.address.port();
    let worker = |connect: &str, more: &[&str]| {
        let connect = format!("{connect}:{port}");
        let mut args = vec!["worker", "-c", &connect, "-r", "2", "-t", "1ms"];
        args.extend(more);
        let output = run(&args);
        (output.status.code(), text(&output.stderr))
    };
    let ca = file("ca.pem");
    for protocol in ["0", "1"] {
        let (code, said) = worker("localhost", &["--protocol", protocol, "--tls-ca", &ca]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("2 rounds"), "{said}");
    }
    let (code, said) = worker("127.0.0.1", &["--tls-ca", &ca, "--tls-name", "elsewhere"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is for other names (--tls-name)"), "{said}");
    server.stop();
}
