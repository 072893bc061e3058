//! The clock `bpf_ktime_get_boot_ns` reads.

/// Nanoseconds since boot, time asleep included (`CLOCK_BOOTTIME`).
pub fn boot_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place; the clock exists on every kernel that has bpf(2).
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
