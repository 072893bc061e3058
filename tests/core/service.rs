//! The server as a service: sockets that were opened for it, what it tells
//! systemd, and the files that are shipped.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::{run, text};

const HETSYNC: &str = env!("CARGO_BIN_EXE_hetsync");

/// A shell that becomes `hetsync serve` with this socket as its first one.
fn activated(listener: &std::net::TcpListener, args: &str) -> Command {
    let listener: OwnedFd = listener.try_clone().expect("a socket").into();
    let script =
        format!("exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec {HETSYNC} serve {args}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).stdin(listener);
    command
}

#[test]
fn a_socket_that_was_opened_for_it_is_served() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let mut server = activated(&listener, "-w 1 --listen 127.0.0.1:1")
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    // The connection waits in the socket until the server is there.
    let worker = run(&["worker", "-c", &address, "-r", "3", "-t", "1ms"]);
    assert!(worker.status.success(), "{}", text(&worker.stderr));
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it runs");
    assert_eq!(server.wait().expect("it ends").code(), Some(0));
}

/// What holds for --listen holds for a socket that comes from elsewhere.
#[test]
fn a_socket_that_others_reach_needs_a_token_wherever_it_comes_from() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let output = activated(&listener, "-w 1").output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("could join") && said.contains("--token-file"),
        "{said}"
    );
}

#[test]
fn it_tells_when_it_is_ready_alive_and_stopping() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a limit");
    let mut server = Command::new(HETSYNC)
        .args(["serve", "--listen", "127.0.0.1:0", "-q"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "30000")
        .spawn()
        .expect("it starts");
    let next = || {
        let mut word = [0; 100];
        let length = socket.recv(&mut word).expect("a word");
        text(&word[..length])
    };
    let mut words = Vec::new();
    while !(words.contains(&"READY=1".to_owned()) && words.len() >= 4) {
        words.push(next());
    }
    let alive = words.iter().filter(|word| *word == "WATCHDOG=1").count();
    assert_eq!(alive, words.len() - 1, "{words:?}");
    kill_process(Pid::from_child(&server), Signal::TERM).expect("it runs");
    while next() != "STOPPING=1" {}
    assert_eq!(server.wait().expect("it ends").code(), Some(0));
}

/// What the shipped files set are settings.
#[test]
fn the_shipped_files_speak_of_settings_that_there_are() {
    let unit = include_str!("../../hetsync-core/dist/hetsync.service");
    let container = include_str!("../../hetsync-core/dist/Containerfile");
    let help = text(&run(&["serve", "--help"]).stdout);
    let mut found = 0;
    for file in [unit, container] {
        for part in file.split("HETSYNC_").skip(1) {
            let end = part.find('=').expect("a value");
            let flag = format!("--{}", part[..end].to_lowercase().replace('_', "-"));
            assert!(help.contains(&flag), "{flag} is none");
            found += 1;
        }
        assert!(file.contains("serve"));
    }
    assert!(found >= 5);
}
