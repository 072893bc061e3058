//! Words for numbers: texts known when the script was compiled, and what only user space can look up.

use crate::layout::{NAME_AMONG_ADDRESSES, word};
use crate::sema::hir::Shown;

/// Looks up what a number of a script stands for.
pub trait Lookup {
    /// The text of such a value; its bytes are as [`Shown::size`] says.
    fn text(&self, shown: &Shown, bytes: &[u8]) -> Vec<u8>;
}

/// What values are shown with.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// [`crate::sema::hir::Program::names`].
    pub strings: &'a [String],
    /// Looks up the rest; without it there are numbers.
    pub lookup: Option<&'a dyn Lookup>,
}

impl Names<'_> {
    /// The text of a value that user space puts into words.
    pub fn shown(&self, shown: &Shown, bytes: &[u8]) -> Vec<u8> {
        if let (Shown::KernelAddress, Some(name)) = (shown, self.among_addresses(word(bytes, 0))) {
            return name.clone().into_bytes();
        }
        match self.lookup {
            Some(lookup) => lookup.text(shown, bytes),
            None => plain(shown, word(bytes, 0)).into_bytes(),
        }
    }
}

impl Names<'_> {
    /// The name of a function or probe that is kept where addresses of the kernel are.
    fn among_addresses(&self, number: u64) -> Option<&String> {
        let number = number.checked_sub(NAME_AMONG_ADDRESSES)?;
        self.strings.get(usize::try_from(number).ok()?)
    }
}

impl<'a> From<&'a [String]> for Names<'a> {
    fn from(strings: &'a [String]) -> Self {
        Self {
            strings,
            lookup: None,
        }
    }
}

impl<'a> From<&'a Vec<String>> for Names<'a> {
    fn from(strings: &'a Vec<String>) -> Self {
        strings.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [String; N]> for Names<'a> {
    fn from(strings: &'a [String; N]) -> Self {
        strings.as_slice().into()
    }
}

/// What can be said without asking the system.
fn plain(shown: &Shown, number: u64) -> String {
    match shown {
        Shown::KernelAddress | Shown::UserAddress => format!("{number:#x}"),
        Shown::Signal => {
            signal_name(number as i64).map_or_else(|| number.to_string(), String::from)
        }
        _ => (number as i64).to_string(),
    }
}

/// Signals of Linux by number (include/uapi/asm-generic/signal.h), from 1 on.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// The name of a signal.
pub fn signal_name(number: i64) -> Option<&'static str> {
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    SIGNALS.get(at).copied()
}

/// The number of a signal, by its name with or without `SIG`.
pub fn signal_number(name: &str) -> Option<u64> {
    let known = |signal: &&str| *signal == name || signal.strip_prefix("SIG") == Some(name);
    Some(SIGNALS.iter().position(known)? as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_both_ways() {
        assert_eq!(signal_name(9), Some("SIGKILL"));
        assert_eq!(signal_number("SIGKILL"), Some(9));
        assert_eq!(signal_number("SYS"), Some(31));
        for number in [-1, 0, 32, i64::MAX] {
            assert_eq!(signal_name(number), None);
        }
        assert_eq!(signal_number(""), None);
    }
}
