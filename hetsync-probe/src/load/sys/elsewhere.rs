//! Closing what takes the kernel long, without waiting for it.
//!
//! Whoever closes the last descriptor of a perf event or of a link waits until no CPU can be in its program any more: 20 to 70
//! milliseconds each, one after the other. So shells inherit the descriptors, and end after they are closed here. A shell
//! has several, and there are a few shells, so that the kernel's waits run beside each other.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ChildStdin;

use super::shell::leave_reader;

/// Most shells at a time.
const SHELLS: usize = 4;

/// Its reader ends with the pipe.
const SCRIPT: &str = "exec 3<&0 </dev/null; (read -r nothing <&3) &";

/// Closes descriptors, in groups whose order is kept. Where no shell can be started they are closed here.
pub fn close_elsewhere(groups: Vec<Vec<OwnedFd>>) {
    let share = groups.len().div_ceil(SHELLS).max(1);
    let shells: Vec<_> = groups.chunks(share).map(hold).collect();
    // The shells have them still, so this takes no time; then the pipes go, and with them the shells.
    drop(groups);
    drop(shells);
}

/// Starts a shell that has these descriptors until its pipe is closed.
fn hold(groups: &[Vec<OwnedFd>]) -> io::Result<ChildStdin> {
    let inherit = |on: bool| {
        for fd in groups.iter().flatten() {
            let flags = if on { 0 } else { libc::FD_CLOEXEC };
            // SAFETY: the descriptor is open, and the command takes a number.
            unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flags) };
        }
    };
    inherit(true);
    let pipe = leave_reader(SCRIPT, "sh".as_ref());
    inherit(false);
    pipe
}
