//! The kernel's symbol table: names of addresses, and where functions end (a kprobe past the end of one lands in another
//! without a word).

use std::path::Path;

/// The kernel's own symbol table; its addresses are 0 for those who may not see them.
pub const KALLSYMS: &str = "/proc/kallsyms";

/// Bytes from the start of a function to the next symbol, padding included. `None` if the function is not there, there
/// are several of that name, or addresses are hidden.
pub fn function_bytes(function: &str) -> Option<u64> {
    let table = std::fs::read_to_string(Path::new(KALLSYMS)).ok()?;
    bytes_in(&table, function)
}

fn bytes_in(table: &str, function: &str) -> Option<u64> {
    // `ffffffff81a3c5d0 T tcp_sendmsg` or `ffffffffc0321000 t veth_xmit [veth]`
    let symbols = || {
        table.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            Some((address, words.next()?, words.next()?))
        })
    };
    let mut starts = symbols()
        .filter(|&(_, kind, name)| name == function && matches!(kind, "t" | "T" | "w" | "W"));
    let (start, ..) = starts.next()?;
    if start == 0 || starts.next().is_some() {
        return None;
    }
    let next = symbols()
        .map(|(address, ..)| address)
        .filter(|address| *address > start)
        .min()?;
    Some(next - start)
}

/// All symbols, for names of addresses.
#[derive(Debug, Default)]
pub struct Symbols {
    text: String,
    /// Sorted by address: address, then where in the text the name and the module begin and end.
    table: Vec<Symbol>,
}

#[derive(Debug, Clone, Copy)]
struct Symbol {
    address: u64,
    name: (u32, u32),
    module: (u32, u32),
}

/// What an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// The symbol before it.
    pub name: &'a str,
    /// Bytes past that.
    pub offset: u64,
    /// The module, where it is not in the kernel itself.
    pub module: Option<&'a str>,
}

impl Symbols {
    /// The running kernel's; empty where they may not be seen.
    pub fn read() -> Symbols {
        Self::parse(std::fs::read_to_string(KALLSYMS).unwrap_or_default())
    }

    fn parse(text: String) -> Symbols {
        let within = |part: &str| {
            let start = part.as_ptr() as usize - text.as_ptr() as usize;
            (start as u32, (start + part.len()) as u32)
        };
        // Numbers of places have 32 bits; the table of a kernel has some 20 MB.
        let lines = text.get(..u32::MAX as usize).unwrap_or(&text).lines();
        let mut table: Vec<Symbol> = lines
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let address = u64::from_str_radix(words.next()?, 16).ok()?;
                let name = words.nth(1)?;
                let module = words.next().map(|m| m.trim_matches(['[', ']']));
                (address != 0).then(|| Symbol {
                    address,
                    name: within(name),
                    module: module.map_or((0, 0), within),
                })
            })
            .collect();
        table.sort_by_key(|symbol| symbol.address);
        Symbols { text, table }
    }

    /// What an address is in; none for those before the first symbol.
    pub fn find(&self, address: u64) -> Option<Found<'_>> {
        let after = self.table.partition_point(|s| s.address <= address);
        let symbol = self.table.get(after.checked_sub(1)?)?;
        // Of several symbols at one place the table's first one is meant.
        let first = self.table.partition_point(|s| s.address < symbol.address);
        let symbol = self.table.get(first)?;
        let part = |(start, end): (u32, u32)| &self.text[start as usize..end as usize];
        Some(Found {
            name: part(symbol.name),
            offset: address - symbol.address,
            module: Some(part(symbol.module)).filter(|module| !module.is_empty()),
        })
    }

    /// The address of a symbol.
    pub fn address(&self, name: &str) -> Option<u64> {
        let is = |(start, end): (u32, u32)| &self.text[start as usize..end as usize] == name;
        Some(self.table.iter().find(|symbol| is(symbol.name))?.address)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Symbols, bytes_in};

    #[test]
    fn addresses_have_names() {
        let table = "ffffffffc0000040 t veth_xmit\t[veth]\nffffffff81000100 T tcp_sendmsg\nffffffff81000100 t alias\n\
            0000000000000000 A hidden\nodd\n";
        let symbols = Symbols::parse(table.into());
        let at = |address| symbols.find(address).map(|f| (f.name, f.offset, f.module));
        assert_eq!(at(0xffff_ffff_8100_0100), Some(("tcp_sendmsg", 0, None)));
        assert_eq!(
            at(0xffff_ffff_c000_0041),
            Some(("veth_xmit", 1, Some("veth")))
        );
        assert_eq!(at(5), None);
        assert_eq!(symbols.address("alias"), Some(0xffff_ffff_8100_0100));
        assert_eq!(symbols.address("hidden"), None);
    }

    #[test]
    fn a_function_ends_where_the_next_symbol_begins() {
        let table = "ffffffff81000000 T _text\nffffffff81000100 T tcp_sendmsg\nffffffff81000100 t alias\n\
            ffffffff81000140 D data\nffffffff81000200 t twice\nffffffff81000300 t twice\n\
            ffffffffc0000040 t last [veth]\nffffffffc0000000 t veth_xmit [veth]\nodd\n";
        assert_eq!(bytes_in(table, "tcp_sendmsg"), Some(0x40));
        assert_eq!(bytes_in(table, "veth_xmit"), Some(0x40));
        for name in ["twice", "last", "data", "none", ""] {
            assert_eq!(bytes_in(table, name), None, "{name}");
        }
        let hidden = "0000000000000000 T _text\n0000000000000000 T tcp_sendmsg\n";
        assert_eq!(bytes_in(hidden, "tcp_sendmsg"), None);
    }
}
