//! How many CPUs the kernel may ever have: a per-CPU value has a slot for each of them.

use std::io;

const POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// Number of possible CPUs (not those online): slots in a per-CPU value as user space reads it.
///
/// # Errors
/// The kernel's list cannot be read or is not a list of ranges.
pub fn possible_cpus() -> io::Result<usize> {
    let list = std::fs::read_to_string(POSSIBLE)?;
    parse(&list).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{POSSIBLE} holds {list:?}, expected CPU ranges such as 0-3"),
        )
    })
}

/// `0-3` or `0,2-5`: the kernel sizes per-CPU values by the count, not by the highest number.
fn parse(list: &str) -> Option<usize> {
    let mut count = 0usize;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        count += usize::from(last.checked_sub(first)?) + 1;
    }
    Some(count)
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
