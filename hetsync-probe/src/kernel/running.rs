//! The kernel this process runs on: its functions by tracefs or kallsyms, their prototypes by BTF.
//!
//! Everything is read when first asked for and kept; [`Running::forget`] gives the memory back.

use super::btf::{Btf, VMLINUX};
use super::symbols::KALLSYMS;
use super::{FunctionFact, Kernel, Prototype, glob};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

/// The kernel's own list of functions that can be traced; tracefs at its place or under debugfs.
const TRACEABLE: [&str; 2] = [
    "/sys/kernel/tracing/available_filter_functions",
    "/sys/kernel/debug/tracing/available_filter_functions",
];
/// Near names given when there is no such function.
const SUGGESTIONS: usize = 3;

/// The running kernel.
#[derive(Debug, Default)]
pub struct Running {
    names: OnceLock<Option<Names>>,
    btf: OnceLock<Option<Btf>>,
    prototypes: Mutex<std::collections::HashMap<String, Option<Prototype>>>,
}

/// Function names, sorted, in one piece of memory: there are some 60,000.
#[derive(Debug)]
struct Names {
    text: String,
    /// Start and end in `text`.
    ranges: Vec<(u32, u32)>,
}

impl Running {
    /// Nothing is read yet.
    pub fn new() -> Running {
        Running::default()
    }

    /// Gives back the memory of what was read (up to some 10 MB). It is read again if asked for.
    pub fn forget(&mut self) {
        self.names.take();
        self.btf.take();
    }

    /// The kernel's BTF, if it has any.
    pub fn btf(&self) -> Option<&Btf> {
        self.btf.get_or_init(read_btf).as_ref()
    }

    fn names(&self) -> Option<&Names> {
        self.names.get_or_init(read_names).as_ref()
    }
}

impl Kernel for Running {
    fn function(&self, name: &str) -> FunctionFact {
        // BTF is read in milliseconds, the list in tens of them; what BTF knows needs no list.
        if self.btf().is_some_and(|btf| btf.has_function(name)) {
            return FunctionFact::Present;
        }
        let Some(names) = self.names() else {
            return FunctionFact::Unknown;
        };
        if names.contains(name) {
            return FunctionFact::Present;
        }
        FunctionFact::Absent(nearest(name, names.iter()))
    }

    fn matching_functions(&self, pattern: &str) -> Option<Vec<String>> {
        let names = self.names()?;
        let matching = names.iter().filter(|name| glob::matches(pattern, name));
        Some(matching.map(str::to_owned).collect())
    }

    fn prototype(&self, name: &str) -> Option<Prototype> {
        // Each look is a walk over all functions (about a millisecond), and each stage asks again.
        let mut known = self.prototypes.lock().ok()?;
        if let Some(prototype) = known.get(name) {
            return prototype.clone();
        }
        let prototype = self.btf().and_then(|btf| btf.prototype(name));
        known.insert(name.to_owned(), prototype.clone());
        prototype
    }
}

impl Names {
    /// One name a line, the first word of it.
    fn new(text: String, name_of: impl Fn(&str) -> Option<&str>) -> Names {
        let start = text.as_ptr() as usize;
        let mut ranges: Vec<(u32, u32)> = text
            .lines()
            .filter_map(|line| {
                let name = name_of(line)?;
                let at = name.as_ptr() as usize - start;
                Some((at as u32, (at + name.len()) as u32))
            })
            .collect();
        let name = |&(from, to): &(u32, u32)| &text[from as usize..to as usize];
        ranges.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        ranges.dedup_by(|a, b| name(a) == name(b));
        Names { text, ranges }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.ranges.iter().map(|&range| self.at(range))
    }

    fn contains(&self, name: &str) -> bool {
        self.ranges
            .binary_search_by(|&range| self.at(range).cmp(name))
            .is_ok()
    }

    fn at(&self, (from, to): (u32, u32)) -> &str {
        &self.text[from as usize..to as usize]
    }
}

/// Whether functions can be traced by ftrace, on which fentry and fexit rest.
pub fn has_ftrace() -> bool {
    TRACEABLE.iter().any(|path| Path::new(path).exists())
}

fn read_btf() -> Option<Btf> {
    // In one piece where the kernel gives it so; the file works everywhere and for everybody.
    #[cfg(feature = "kernel")]
    if let Ok(bytes) = crate::load::sys::vmlinux_btf()
        && let Ok(btf) = Btf::parse(bytes)
    {
        return Some(btf);
    }
    Btf::read(Path::new(VMLINUX)).ok()
}

fn read_names() -> Option<Names> {
    let text = |path: &str| {
        let bytes = std::fs::read(path).ok()?;
        String::from_utf8(bytes)
            .ok()
            .filter(|text| text.len() < u32::MAX as usize)
    };
    let traceable = TRACEABLE.into_iter().find_map(text);
    let names = match traceable {
        // `tcp_sendmsg` or `veth_xmit [veth]`
        Some(text) => Names::new(text, |line| line.split_whitespace().next()),
        None => Names::new(text(KALLSYMS)?, symbol_of),
    };
    (!names.ranges.is_empty()).then_some(names)
}

/// The name in `ffffffff81000000 T _text` or `... t veth_xmit [veth]`, if it is of code.
fn symbol_of(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let (_, kind, name) = (words.next()?, words.next()?, words.next()?);
    // Padding before functions and split-off cold parts are no functions of their own.
    let part = name.starts_with("__pfx_") || name.ends_with(".cold") || name.contains(".cold.");
    // Neither are local labels, and names of other languages that no attach point can spell.
    let is_symbol = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    let part = part || name.starts_with('.') || !name.chars().all(is_symbol);
    (matches!(kind, "t" | "T" | "w" | "W") && !part).then_some(name)
}

/// The names nearest to `name` by edit distance, best first; at most three, none that is mostly different.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let most = (name.len() / 3).max(2);
    let mut near: Vec<(usize, &str)> = names
        .filter(|other| other.len().abs_diff(name.len()) <= most)
        .map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    near.sort();
    near.into_iter()
        .take(SUGGESTIONS)
        .map(|(_, name)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Names {
        let text = "vfs_read\ntcp_sendmsg\nveth_xmit [veth]\ntcp_recvmsg\ntcp_sendmsg\ntcp_sendmsg_locked\n";
        Names::new(text.to_owned(), |line| line.split_whitespace().next())
    }

    #[test]
    fn names_are_sorted_and_single() {
        let names: Vec<String> = example().iter().map(str::to_owned).collect();
        assert_eq!(
            names,
            [
                "tcp_recvmsg",
                "tcp_sendmsg",
                "tcp_sendmsg_locked",
                "veth_xmit",
                "vfs_read"
            ]
        );
        assert!(example().contains("veth_xmit"));
        assert!(!example().contains("veth"));
    }

    #[test]
    fn symbols_of_code_are_functions() {
        assert_eq!(
            symbol_of("ffffffff81000000 T tcp_sendmsg"),
            Some("tcp_sendmsg")
        );
        assert_eq!(
            symbol_of("ffffffffc0000000 t veth_xmit\t[veth]"),
            Some("veth_xmit")
        );
        for line in [
            "ffffffff81000000 D jiffies",
            "0 t __pfx_tcp_sendmsg",
            "0 t tcp.cold",
            "0 t tcp.cold.12",
            "0 t .L42",
            "0 t a<b>::c [odd]",
            "",
            "0 T",
        ] {
            assert_eq!(symbol_of(line), None, "{line}");
        }
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbours() {
        assert_eq!(nearest("tcp_sendmgs", example().iter()), ["tcp_sendmsg"]);
        assert_eq!(
            nearest("completely_else", example().iter()),
            Vec::<String>::new()
        );
    }
}
