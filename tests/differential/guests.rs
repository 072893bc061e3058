//! Asks the kernels of Debian's 5.10, 6.1 and 6.12 for their opinions: runs the test of random programs in guests.

use hetsync_guest::{Guest, Kernel, Options};
use std::time::Duration;

/// Random programs a kernel unless `HETSYNC_CASES` says otherwise.
const CASES: u32 = 60;
/// The longest a guest may take for one program.
const LIMIT_A_CASE: Duration = Duration::from_secs(3);

#[test]
fn every_kernel_does_what_random_programs_mean() {
    let program = std::env::current_exe().expect("own path");
    let name = (program.file_name().and_then(|name| name.to_str()))
        .expect("a file name")
        .to_owned();
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let cases = number("HETSYNC_CASES").unwrap_or(CASES);
    let seed = number("PROPTEST_RNG_SEED").unwrap_or(1);
    for kernel in Kernel::under_test().expect("kernels") {
        if kernel == Kernel::Host {
            println!("skipped on the host: the other tests have asked it");
            continue;
        }
        let options = Options::new(kernel).program(&program);
        let guest = Guest::boot(&options).unwrap_or_else(|error| panic!("{kernel}: {error}"));
        // Other programs on each kernel.
        let seed = seed.wrapping_mul(1000) + kernel as u32;
        let command = format!(
            "HETSYNC_OPINIONS=kernel HETSYNC_CASES={cases} PROPTEST_RNG_SEED={seed} {name} --nocapture all_opinions"
        );
        let limit = Duration::from_secs(60) + cases * LIMIT_A_CASE;
        let output = guest
            .run(&command, limit)
            .unwrap_or_else(|error| panic!("{kernel}: {error}"));
        let (text, errors) = (output.text(), String::from_utf8_lossy(&output.stderr));
        println!("{kernel}, seed {seed}: {text}");
        assert!(output.success(), "{kernel}, seed {seed}:\n{text}\n{errors}");
        assert!(
            !text.contains("left out"),
            "{kernel} was not asked:\n{text}"
        );
    }
}
