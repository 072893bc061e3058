//! Where functions end, by the kernel's symbol table: a kprobe past the end of one lands in another without a word.

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

#[cfg(test)]
mod tests {
    use super::bytes_in;

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
