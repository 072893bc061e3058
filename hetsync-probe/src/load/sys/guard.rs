//! Who removes entries of tracefs if this process is killed.
//!
//! The kernel removes everything else of ours by itself, as it all hangs on descriptors. So a shell holds the reading end of a
//! pipe and the names of the entries; that pipe closes when this process ends, however it ends, and then the shell removes
//! the entries that are still there. It lives as long as there are entries, in a process group of its own, so that Ctrl-C
//! in a terminal does not reach it.
//!
//! Invariant: an entry's name is in the pipe before the entry is made. Where there is no shell, entries of a killed process stay
//! until the next start ([`super::tracefs::remove_stale`]).

use std::io::{self, Write};
use std::path::Path;
use std::process::ChildStdin;
use std::sync::{Mutex, PoisonError};

use super::shell::leave_reader;

/// Reads names until the pipe closes, in a process that nobody has to wait for. An entry that is still in use (the
/// kernel closes descriptors one after the other) is tried again for some seconds.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
exec 3<&0 </dev/null >/dev/null 2>&1
(
    all=
    while read -r entry; do all="$all $entry"; done <&3
    for entry in $all; do
        left=50
        while [ -d "$0/events/$entry" ] && [ $left -gt 0 ]; do
            echo "-:$entry" >> "$0/kprobe_events" || sleep 0.1
            left=$((left - 1))
        done
    done
) &
"#;

struct Guard {
    pipe: ChildStdin,
    /// Entries that are there.
    entries: usize,
}

static GUARD: Mutex<Option<Guard>> = Mutex::new(None);

/// Takes an entry (`group/name`) in charge; to be called before it is made. That there is no shell is no error: the
/// entry is then removed by its value alone, and at the latest by the next start.
pub(super) fn protect(tracefs: &Path, entry: &str) {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.is_none() {
        *guard = start(tracefs).ok();
    }
    if let Some(running) = guard.as_mut() {
        running.entries += 1;
        if writeln!(running.pipe, "{entry}").is_err() {
            *guard = None;
        }
    }
}

/// An entry is gone. The last one's guard goes too.
pub(super) fn release() {
    let mut guard = GUARD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = guard.as_mut() {
        running.entries = running.entries.saturating_sub(1);
        if running.entries == 0 {
            *guard = None;
        }
    }
}

fn start(tracefs: &Path) -> io::Result<Guard> {
    let pipe = leave_reader(SCRIPT, tracefs.as_os_str())?;
    Ok(Guard { pipe, entries: 0 })
}
