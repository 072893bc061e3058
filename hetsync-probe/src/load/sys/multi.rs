//! One program on many functions at once. The kernel takes all functions or none and does not say which one it refuses, so
//! a list that is refused is tried in halves.

use super::link::{attach_kprobe_multi, kprobe_multi_missed};
use super::program::Program;
use crate::image::{Place, ProgramKind};
use std::io;
use std::os::fd::OwnedFd;

/// Functions a program is attached to, until it is dropped.
#[derive(Debug)]
pub(super) struct Multi {
    links: Vec<OwnedFd>,
}

/// A function that could not be attached, and the kernel's reason.
pub(super) type Refused<'a> = (&'a str, io::Error);

impl Multi {
    /// Attaches a program to all of these functions that the kernel takes, at least one of them.
    ///
    /// # Errors
    /// The kernel's reason for the first one, if it takes none.
    pub(super) fn attach<'a>(
        program: &Program,
        places: &'a [Place],
        on_return: bool,
    ) -> io::Result<(Multi, Vec<Refused<'a>>)> {
        let mut links = Vec::new();
        let mut refused = Vec::new();
        let mut waiting = vec![places];
        while let Some(some) = waiting.pop() {
            let functions: Vec<(&str, u64)> = some
                .iter()
                .map(|place| (place.function.as_str(), place.cookie.0))
                .collect();
            match (attach_kprobe_multi(program, &functions, on_return), some) {
                (Ok(link), _) => links.push(link),
                (Err(source), [one]) => refused.push((one.function.as_str(), source)),
                (Err(_), _) => {
                    let (first, second) = some.split_at(some.len() / 2);
                    waiting.extend([second, first]);
                }
            }
        }
        if links.is_empty() && !refused.is_empty() {
            return Err(refused.swap_remove(0).1);
        }
        Ok((Multi { links }, refused))
    }

    /// What keeps it attached.
    pub(super) fn into_fds(self) -> Vec<OwnedFd> {
        self.links
    }

    /// Hits it did not see; `None` on a kernel that does not say.
    pub(super) fn missed(&self) -> Option<u64> {
        self.links.iter().map(kprobe_multi_missed).sum()
    }
}

/// One function of many as a probe of its own, for messages.
pub(super) fn single(function: &str, on_return: bool) -> (ProgramKind, String) {
    let function = function.to_owned();
    match on_return {
        true => {
            let probe = format!("kretprobe:{function}");
            (ProgramKind::Kretprobe { function }, probe)
        }
        false => {
            let probe = format!("kprobe:{function}");
            let kind = ProgramKind::Kprobe {
                function,
                offset: 0,
            };
            (kind, probe)
        }
    }
}
