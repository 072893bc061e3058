//! The clock `bpf_ktime_get_boot_ns` reads, and the time of day.

/// Nanoseconds since boot, time asleep included (`CLOCK_BOOTTIME`).
pub fn boot_ns() -> u64 {
    clock_ns(libc::CLOCK_BOOTTIME)
}

/// How far International Atomic Time is ahead of the time since boot now: the other clock is read between two readings of one,
/// a few times, and the closest pair is taken.
pub fn tai_ahead_ns() -> u64 {
    let reading = |_| {
        let before = boot_ns();
        let tai = clock_ns(libc::CLOCK_TAI);
        let between = boot_ns().saturating_sub(before);
        (between, tai.saturating_sub(before + between / 2))
    };
    let closest = (0..8).map(reading).min();
    closest.map_or(0, |(_, ahead)| ahead)
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place; both clocks exist on every kernel that has bpf(2).
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Nanoseconds since 1970 at boot, as the time of day has it now.
pub fn booted_at_ns() -> i128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_nanos() as i128) - i128::from(boot_ns())
}

/// A time of day in a form as of strftime(3), in the local time zone, with `%f` for its microseconds.
/// `None` for a time or a form that cannot be shown.
pub fn time_of_day(form: &str, ns_since_1970: i128) -> Option<Vec<u8>> {
    let seconds = libc::time_t::try_from(ns_since_1970.div_euclid(1_000_000_000)).ok()?;
    let micros = ns_since_1970.rem_euclid(1_000_000_000) / 1000;
    let form = std::ffi::CString::new(with_micros(form, micros as u32)).ok()?;
    // SAFETY: all fields of `tm` are numbers or a pointer that may be null.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both are valid places.
    if unsafe { libc::localtime_r(&seconds, &mut parts) }.is_null() {
        return None;
    }
    let mut text = vec![0u8; 1024];
    // SAFETY: the buffer has as many bytes as are named, the form ends in a NUL, and `parts` was filled.
    let len =
        unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), form.as_ptr(), &parts) };
    text.truncate(len);
    Some(text)
}

/// The form with `%f` replaced.
fn with_micros(form: &str, micros: u32) -> String {
    let mut out = String::with_capacity(form.len());
    let mut chars = form.chars();
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (_, true) => match chars.next() {
                Some('f') => out.push_str(&format!("{micros:06}")),
                Some(other) => out.extend(['%', other]),
                None => out.push_str("%%"),
            },
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_its_form() {
        let text = time_of_day("%M:%S.%f|%%f%", 61_000_002_999).unwrap();
        assert_eq!(text, b"01:01.000002|%f%");
        assert_eq!(time_of_day("", 0), Some(Vec::new()));
        assert_eq!(time_of_day("%S", i128::MAX), None);
    }
}
