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

#[test]
fn a_policy_of_ones_own_closes_the_rounds() {
    let said = run("custom_policy");
    let rounds = said
        .lines()
        .filter(|line| line.contains("closed by as_long_again"));
    assert!(rounds.count() >= 5, "{said}");
    assert!(
        said.contains("round 0: 4 in, closed by as_long_again (full)"),
        "{said}"
    );
}

#[test]
fn an_http_service_has_a_barrier_inside() {
    let said = run("http_barrier");
    assert_eq!(said.matches("the sum is 111 222").count(), 3, "{said}");
    assert!(said.contains("and what is no number: numbers"), "{said}");
}
