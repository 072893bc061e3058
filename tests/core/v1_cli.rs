//! The command's side of protocol 1.

use std::io::Write;

use crate::cli::{Served, run, text};

#[test]
fn a_server_without_a_token_listens_on_its_own_machine_only() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = run(&["serve", "--listen", listen]);
        assert_eq!(refused.status.code(), Some(2));
        let said = text(&refused.stderr);
        assert!(said.contains("--token-file"), "{said}");
        assert!(said.contains("--insecure-listen"), "{said}");
    }
}

#[test]
fn jobs_and_tokens_on_the_command_line() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"open sesame\n").expect("written");
    let token = file.path().to_str().expect("a path");
    let serve = ["-w", "1", "--token-file", token, "--job", "side"];
    let mut served = Served::start(&serve);
    let address = served.address.clone();
    let worker = |args: &[&str]| {
        let common = ["worker", "-c", &address, "--think", "0s", "-r", "2", "-v"];
        run(&[&common[..], args].concat())
    };
    let new = ["--protocol", "1", "--token-file", token];
    let done = worker(&[&new[..], &["--id", "gpu-3"]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("round 2") && text(&done.stderr).contains("1 in round 1"));
    served.wait("(gpu-3) takes part");
    served.wait("(gpu-3) left: it takes part no more");
    let side = worker(&[&new[..], &["--job", "side"]].concat());
    assert_eq!(side.status.code(), Some(0), "{}", text(&side.stderr));
    served.wait("job side: round 0 closed full");

    let other = worker(&[&new[..], &["--job", "other"]].concat());
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("no job other"));
    let without = worker(&["--protocol", "1"]);
    assert_eq!(without.status.code(), Some(1));
    assert!(text(&without.stderr).contains("demands a token"));
    let old = worker(&["--job", "side"]);
    assert_eq!(old.status.code(), Some(2));
    assert!(text(&old.stderr).contains("say --protocol 1"));
    served.stop();
}
