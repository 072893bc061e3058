//! The examples, run as a reader would run them.

use std::path::PathBuf;
use std::process::Command;

#[test]
fn a_script_runs_without_a_kernel() {
    // Cargo builds the examples of a package with its tests, next to them.
    let test = std::env::current_exe().expect("this test");
    let profile: PathBuf = test.ancestors().nth(2).expect("target/profile").into();
    let path = profile.join("examples/script_without_kernel");
    assert!(
        path.exists(),
        "{} is not built; run all tests of the package once",
        path.display()
    );
    let output = Command::new(path).output().expect("the example runs");
    assert!(output.status.success(), "the example failed");
    let said = String::from_utf8(output.stdout).expect("text");
    // 1 to 10 microseconds in turn have the mean 5.5; the worker's sends take three times as long.
    assert!(
        said.contains("│ mean              5.50    16.50 │"),
        "{said}"
    );
    assert!(
        said.contains("│ count              500      500 │"),
        "{said}"
    );
    assert!(said.ends_with("lost: 0\n"), "{said}");
}
