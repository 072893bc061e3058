//! Shows the compiler's programs to the verifiers of Debian's 5.10, 6.1 and 6.12: runs the tests of `kernel.rs` in guests.

use hetsync_guest::{Guest, Kernel, Options};
use std::time::Duration;

/// The longest the tests may take in a guest; they need about 110 s on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn every_kernel_accepts_what_is_compiled() {
    let program = std::env::current_exe().expect("own path");
    let name = (program.file_name().and_then(|name| name.to_str()))
        .expect("a file name")
        .to_owned();
    for kernel in Kernel::under_test().expect("kernels") {
        if kernel == Kernel::Host {
            println!("skipped on the host: the tests of kernel.rs have run there");
            continue;
        }
        let options = Options::new(kernel).program(&program);
        let guest = Guest::boot(&options).unwrap_or_else(|error| panic!("{kernel}: {error}"));
        let command = format!("{name} --nocapture kernel::");
        let output = guest
            .run(&command, LIMIT)
            .unwrap_or_else(|error| panic!("{kernel}: {error}"));
        let (text, errors) = (output.text(), String::from_utf8_lossy(&output.stderr));
        assert!(output.success(), "{kernel}:\n{text}\n{errors}");
        assert!(!text.contains("skipped"), "{kernel}:\n{text}");
        assert!(!text.contains(": 0 programs lowered"), "{kernel}:\n{text}");
    }
}
