//! Lists of function names: tracefs' of what can be traced, the symbol table, or a file like the first.

use super::{FunctionFact, glob};

/// Near names given when there is no such function.
const SUGGESTIONS: usize = 3;

/// Function names, sorted, in one piece of memory: there are some 60,000.
#[derive(Debug)]
pub(super) struct Names {
    text: String,
    /// Start and end in `text`.
    ranges: Vec<(u32, u32)>,
}

impl Names {
    /// One name a line, where `name_of` finds it.
    pub(super) fn new(text: String, name_of: impl Fn(&str) -> Option<&str>) -> Names {
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

    /// A list of attachable functions: `tcp_sendmsg` or `veth_xmit [veth]`, one a line.
    pub(super) fn of_functions(text: String) -> Names {
        Names::new(text, |line| line.split_whitespace().next())
    }

    /// The functions in a symbol table such as /proc/kallsyms.
    pub(super) fn of_symbols(text: String) -> Names {
        Names::new(text, symbol_of)
    }

    /// The kernel's list of functions that kprobes may not be put into.
    pub(super) fn of_forbidden(text: String) -> Names {
        Names::new(text, |line| line.split_whitespace().nth(1))
    }

    /// Whether a function is there, else what is near.
    pub(super) fn fact(&self, name: &str) -> FunctionFact {
        if self.contains(name) {
            return FunctionFact::Present;
        }
        FunctionFact::Absent(nearest(name, self.iter()))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.ranges.iter().map(|&range| self.at(range))
    }

    /// The module a function is in, `veth` in `veth_xmit [veth]`; `None` for the kernel's own.
    pub(super) fn module_of(&self, name: &str) -> Option<&str> {
        let found = self
            .ranges
            .binary_search_by(|&range| self.at(range).cmp(name));
        let (_, end) = self.ranges[found.ok()?];
        let rest = self.text[end as usize..].lines().next()?;
        rest.trim().strip_prefix('[')?.strip_suffix(']')
    }

    /// Names that match a glob.
    pub(super) fn matching(&self, pattern: &str) -> Vec<String> {
        let matching = self.iter().filter(|name| glob::matches(pattern, name));
        matching.map(str::to_owned).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether there is this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.ranges
            .binary_search_by(|&range| self.at(range).cmp(name))
            .is_ok()
    }

    fn at(&self, (from, to): (u32, u32)) -> &str {
        &self.text[from as usize..to as usize]
    }
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
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
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
        Names::of_functions(text.to_owned())
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
