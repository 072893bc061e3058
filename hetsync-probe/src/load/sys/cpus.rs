//! How many CPUs the kernel may ever have: a per-CPU value has a slot for each of them.

use std::io;

const POSSIBLE: &str = "/sys/devices/system/cpu/possible";
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// Number of possible CPUs (not those online): slots in a per-CPU value as user space reads it.
///
/// # Errors
/// The kernel's list cannot be read or is not a list of ranges.
pub fn possible_cpus() -> io::Result<usize> {
    let list = std::fs::read_to_string(POSSIBLE)?;
    parse(&list).ok_or_else(|| bad_list(POSSIBLE, &list))
}

/// Runs on each online CPU once: programs that cannot be interrupted and were under way there before are over then.
/// CPUs that this process may not use are left out.
pub fn visit_every_cpu() {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: the set is plain bits, for which all zeros is valid; the kernel writes at most `size` bytes of it.
    let (before, known) = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let known = libc::sched_getaffinity(0, size, &raw mut set) == 0;
        (set, known)
    };
    if !known {
        return;
    }
    for cpu in online_cpus().unwrap_or_default() {
        let cpu = cpu as usize;
        // SAFETY: `CPU_SET` and `CPU_ISSET` look inside the set only, as the number is below its bits.
        unsafe {
            if cpu >= 8 * size || !libc::CPU_ISSET(cpu, &before) {
                continue;
            }
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut one);
            libc::sched_setaffinity(0, size, &raw const one);
        }
    }
    // SAFETY: the set that the kernel gave, of its size.
    unsafe { libc::sched_setaffinity(0, size, &raw const before) };
}

/// Numbers of the CPUs that are online.
///
/// # Errors
/// The kernel's list cannot be read or is not a list of ranges.
pub(super) fn online_cpus() -> io::Result<Vec<u32>> {
    let list = std::fs::read_to_string(ONLINE)?;
    let ranges = ranges(&list).ok_or_else(|| bad_list(ONLINE, &list))?;
    Ok(ranges
        .into_iter()
        .flat_map(|(first, last)| u32::from(first)..=u32::from(last))
        .collect())
}

fn bad_list(path: &str, list: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{path} holds {list:?}, expected CPU ranges such as 0-3"),
    )
}

/// The kernel sizes per-CPU values by the count, not by the highest number.
fn parse(list: &str) -> Option<usize> {
    let sizes = ranges(list)?.into_iter();
    Some(
        sizes
            .map(|(first, last)| usize::from(last - first) + 1)
            .sum(),
    )
}

/// First and last of each range in `0-3` or `0,2-5`.
fn ranges(list: &str) -> Option<Vec<(u16, u16)>> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((first, last))
    };
    list.trim().split(',').map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_counted() {
        assert_eq!(parse("0\n"), Some(1));
        assert_eq!(parse("0-3\n"), Some(4));
        assert_eq!(parse("0-2,5,8-9"), Some(6));
        for bad in ["", "x", "3-0", "0-", "0-99999999999"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
