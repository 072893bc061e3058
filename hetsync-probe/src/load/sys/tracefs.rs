//! Kretprobes by tracefs, the only way to say how many calls may be under way at once (`maxactive`).
//!
//! A plain kretprobe has room for about two calls a CPU and silently loses the rest: of 60 threads blocked in accept it
//! reports 2 to 10. An entry of `kprobe_events` is the one thing of ours the kernel does not remove by itself when
//! we are killed, hence a guard process, and names that carry the process id for [`remove_stale`].

use super::guard;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where tracefs may be mounted: its own place, or under debugfs.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// Head of our event groups; the process id follows.
const GROUP: &str = "hetsync_";
/// Calls under way a kretprobe has room for; the kernel's own limit (`KRETPROBE_MAXACTIVE_MAX`).
pub const MAXACTIVE: u32 = 4096;

/// Numbers the events of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Tracefs, where it is mounted and readable; `None` without it.
pub fn find() -> Option<PathBuf> {
    let place = PLACES.into_iter().map(PathBuf::from);
    place
        .into_iter()
        .find(|place| place.join("events").is_dir())
}

/// Whether kretprobes can be made by tracefs here.
pub fn has_kprobe_events() -> bool {
    find().is_some_and(|place| place.join("kprobe_events").exists())
}

/// A kretprobe in `kprobe_events`; dropping it removes the entry. Events that use it must be closed before.
#[derive(Debug)]
pub struct Kretprobe {
    tracefs: PathBuf,
    group: String,
    name: String,
    id: u64,
}

impl Kretprobe {
    /// Makes a return probe on `function` with room for `maxactive` calls under way.
    ///
    /// # Errors
    /// Tracefs is not mounted, or the kernel's reason (`ENOENT`: no such function).
    pub fn create(function: &str, maxactive: u32) -> io::Result<Kretprobe> {
        // The line is ours alone; a function name with a blank or line break in it must not add to it.
        if function.is_empty() || function.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let tracefs = find()
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "tracefs is not mounted"))?;
        let pid = std::process::id();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // `kprobe_profile` shows the name without the group, so the name alone must be unique.
        let (group, name) = (format!("{GROUP}{pid}"), format!("r{pid}_{number}"));
        guard::protect(&tracefs, &format!("{group}/{name}"));
        append(
            &tracefs,
            &format!("r{maxactive}:{group}/{name} {function}\n"),
        )
        .inspect_err(|_| guard::release())?;
        // From here on the entry exists: the value must too, so that it is removed if the rest fails.
        let mut probe = Kretprobe {
            tracefs,
            group,
            name,
            id: 0,
        };
        let file = probe
            .tracefs
            .join("events")
            .join(&probe.group)
            .join(&probe.name)
            .join("id");
        let id = fs::read_to_string(file)?;
        probe.id = id
            .trim()
            .parse()
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(probe)
    }

    /// The event's id, for perf_event_open(2).
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Calls it had no room for or could not handle, as the kernel counts them; `None` if it does not say.
    pub fn missed(&self) -> Option<u64> {
        let profile = fs::read_to_string(self.tracefs.join("kprobe_profile")).ok()?;
        missed_in(&profile, &self.name)
    }
}

impl Drop for Kretprobe {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the next start removes what is left.
        let _ = append(&self.tracefs, &format!("-:{}/{}\n", self.group, self.name));
        guard::release();
    }
}

/// Removes entries of ours whose process is gone; how many. Entries in use (`EBUSY`) and those of others stay.
pub fn remove_stale() -> usize {
    let Some(tracefs) = find() else { return 0 };
    let Ok(list) = fs::read_to_string(tracefs.join("kprobe_events")) else {
        return 0;
    };
    stale_entries(&list, |pid| {
        Path::new("/proc").join(pid.to_string()).exists()
    })
    .iter()
    .filter(|entry| append(&tracefs, &format!("-:{entry}\n")).is_ok())
    .count()
}

/// Appends a line to `kprobe_events`. Opening it for writing without appending would remove everybody's entries.
fn append(tracefs: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .open(tracefs.join("kprobe_events"))?;
    file.write_all(line.as_bytes())
}

/// `group/name` of each of our entries whose process is not alive.
fn stale_entries(list: &str, alive: impl Fn(u32) -> bool) -> Vec<String> {
    list.lines()
        .filter_map(|line| {
            // `r4096:hetsync_17/r17_0 tcp_sendmsg`
            let (_, rest) = line.split_once(':')?;
            let entry = rest.split_whitespace().next()?;
            let pid = entry.strip_prefix(GROUP)?.split('/').next()?.parse().ok()?;
            (!alive(pid)).then(|| entry.to_owned())
        })
        .collect()
}

/// The third column of the event's line: name, hits, misses.
fn missed_in(profile: &str, name: &str) -> Option<u64> {
    profile.lines().find_map(|line| {
        let mut columns = line.split_whitespace();
        (columns.next()? == name).then(|| columns.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_dead_entries_are_stale() {
        let list = "p:kprobes/mine tcp_sendmsg\nr4096:hetsync_17/r17_0 tcp_sendmsg\n\
            r4096:hetsync_18/r18_3 vfs_read\nr:hetsync_x/r1 vfs_read\nbroken\n";
        assert_eq!(stale_entries(list, |pid| pid == 18), ["hetsync_17/r17_0"]);
    }

    #[test]
    fn the_profile_is_read_by_exact_name() {
        let profile = "  r17_0    60    3\n  r17_01   1    9\n  odd\n";
        assert_eq!(missed_in(profile, "r17_0"), Some(3));
        assert_eq!(missed_in(profile, "r17_01"), Some(9));
        assert_eq!(missed_in(profile, "odd"), None);
        assert_eq!(missed_in(profile, "r1"), None);
    }

    #[test]
    fn a_function_name_cannot_add_a_line() {
        for name in ["", "a b", "a\n-:other", "a\tb"] {
            assert!(Kretprobe::create(name, 1).is_err());
        }
    }
}
