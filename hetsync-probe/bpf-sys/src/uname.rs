//! What the kernel says of itself, as the number old program kinds want in `kern_version`.

use std::ffi::CStr;
use std::fs;
use std::mem::MaybeUninit;

/// uname(2).
///
/// # Errors
/// The call failed, which it does not on Linux.
#[allow(clippy::result_unit_err)]
pub fn uname() -> Result<libc::utsname, ()> {
    let mut name = MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: `name` is a valid place for a `utsname`; all its fields are bytes, so zeroes are a value too.
    unsafe {
        if libc::uname(name.as_mut_ptr()) < 0 {
            return Err(());
        }
        Ok(name.assume_init())
    }
}

/// The kernel's version as `major << 16 | minor << 8 | patch`, each part but the first at most 255 as the kernel has it.
///
/// Ubuntu keeps the upstream version in a file of its own; it wins where it exists.
pub fn get_kernel_internal_version() -> Option<u32> {
    let release = match fs::read_to_string("/proc/version_signature") {
        Ok(signature) => signature.split_whitespace().nth(2)?.to_owned(),
        Err(_) => {
            let name = uname().ok()?;
            // SAFETY: the kernel ends `release` with a NUL inside the array.
            let release = unsafe { CStr::from_ptr(name.release.as_ptr()) };
            release.to_str().ok()?.to_owned()
        }
    };
    let (major, minor, patch) = parse_version(&release)?;
    Some(major << 16 | minor << 8 | patch.min(255))
}

fn parse_version(release: &str) -> Option<(u32, u32, u32)> {
    let number = release.split(['-', '+']).next()?;
    let mut parts = number.split('.').map(str::parse::<u32>);
    let version = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions_have_three_numbers() {
        assert_eq!(parse_version("5.10.0-32-cloud-amd64"), Some((5, 10, 0)));
        assert_eq!(parse_version("6.12.117+deb13-cloud"), Some((6, 12, 117)));
        assert_eq!(parse_version("6.12"), None);
        assert_eq!(parse_version("6.12.1.2"), None);
        assert_eq!(parse_version("six.one.two"), None);
    }

    #[test]
    fn the_running_kernel_has_a_version() {
        assert!(get_kernel_internal_version().unwrap_or(0) > 5 << 16);
    }
}
