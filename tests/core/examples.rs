//! The examples, run as a reader would run them.

use std::path::PathBuf;
use std::process::Command;

/// Cargo builds the examples of a package with its tests, next to them.
fn run(name: &str) -> String {
    let test = std::env::current_exe().expect("this test");
    let profile: PathBuf = test.ancestors().nth(2).expect("target/profile").into();
    let path = profile.join("examples").join(name);
    assert!(
        path.exists(),
        "{} is not built; run all tests of the package once",
        path.display()
    );
    let output = Command::new(path).output().expect("the example runs");
    assert!(output.status.success(), "{name} failed");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_machine_by_hand_prints_its_rounds() {
    let said = run("machine_by_hand");
    assert!(said.contains("round 0 closed by its deadline"), "{said}");
    assert!(said.contains("late"), "{said}");
}

#[test]
fn the_embedded_server_agrees_with_its_workers() {
    let said = run("embedded_server");
    assert!(
        said.contains("every worker ended with the same model"),
        "{said}"
    );
}
