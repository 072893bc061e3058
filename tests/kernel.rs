//! The truth of what the profiler prints, on real kernels with traffic whose counts are known in advance.
//!
//! Boots Debian's 5.10, 6.1 and 6.12 in turn (`HETSYNC_KERNELS="6.1"` takes fewer, `HETSYNC_KERNEL=host` the host's own)
//! and runs every check on each (`HETSYNC_CHECKS="members"` those with that in their name). One boot serves all checks of
//! a kernel.

#[path = "kernel/checks.rs"]
mod checks;
#[path = "kernel/endings.rs"]
mod endings;
#[path = "kernel/entries.rs"]
mod entries;
#[path = "kernel/lab.rs"]
mod lab;
#[path = "kernel/lines.rs"]
mod lines;
#[path = "kernel/markers.rs"]
mod markers;
#[path = "kernel/members.rs"]
mod members;
#[path = "kernel/network.rs"]
mod network;
#[path = "kernel/values.rs"]
mod values;

use std::panic::{AssertUnwindSafe, catch_unwind};

use hetsync_guest::Kernel;
use lab::Lab;

fn on(kernel: Kernel) {
    if !lab::wanted(kernel) {
        eprintln!("skipped: HETSYNC_KERNELS or HETSYNC_KERNEL leaves {kernel} out");
        return;
    }
    let lab = Lab::boot(kernel);
    let mut failed = Vec::new();
    for (name, check) in checks::ALL.iter().filter(|(name, _)| lab::picked(name)) {
        match catch_unwind(AssertUnwindSafe(|| check(&lab))) {
            Ok(()) => eprintln!("{kernel}: {name}: ok"),
            Err(_) => failed.push(*name),
        }
    }
    assert!(failed.is_empty(), "{kernel}: {failed:?} failed");
}

#[test]
fn truth_on_5_10() {
    on(Kernel::V5_10);
}

#[test]
fn truth_on_6_1() {
    on(Kernel::V6_1);
}

#[test]
fn truth_on_6_12() {
    on(Kernel::V6_12);
}

#[test]
fn truth_on_the_host() {
    on(Kernel::Host);
}
