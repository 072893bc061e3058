//! Runs this very test program in guests, where attaching can be tested: Debian's 5.10, 6.1 and 6.12.

use hetsync_guest::{Guest, Kernel, Options};
use std::time::Duration;

/// The longest the whole program may take in a guest; it needs about 20 s on an idle machine.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn everything_holds_on_every_kernel_under_test() {
    let program = std::env::current_exe().expect("own path");
    let name = program
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a file name")
        .to_owned();
    for kernel in Kernel::under_test().expect("kernels") {
        if kernel == Kernel::Host {
            println!("skipped on the host: the tests beside this one have run there");
            continue;
        }
        let options = Options::new(kernel).program(&program);
        let guest = Guest::boot(&options).unwrap_or_else(|error| panic!("{kernel}: {error}"));
        // One at a time, so that counts are exact; not this test again.
        let command = format!("{name} --test-threads=1 --nocapture --skip guests::");
        let output = guest
            .run(&command, LIMIT)
            .unwrap_or_else(|error| panic!("{kernel}: {error}"));
        let (text, errors) = (output.text(), String::from_utf8_lossy(&output.stderr));
        println!("{kernel}:\n{text}");
        assert!(output.success(), "{kernel}:\n{text}\n{errors}");
        assert!(
            !text.contains("this kernel has no kprobes ("),
            "{kernel}: attaching was not tested\n{text}"
        );
    }
}
