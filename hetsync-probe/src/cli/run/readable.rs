//! Names of functions as their sources have them, from the mangled ones of symbol tables.
//!
//! A symbol table is anybody's file: no name makes this panic or take more than [`MOST`] bytes.

use std::borrow::Cow;
use std::fmt;

use cpp_demangle::{DemangleOptions, Symbol};

/// Longest name written; a short symbol can stand for a very long one.
const MOST: usize = 4096;

/// A function's name as its source has it; names of C, and those nobody can read, stay as they are.
pub(super) fn readable(symbol: &str) -> Cow<'_, str> {
    let mut name = Short::default();
    let written = if let Ok(rust) = rustc_demangle::try_demangle(symbol) {
        // Rust's older names look like those of C++ and end in a hash, which tools for C++ leave there, and so does this.
        fmt::write(&mut name, format_args!("{rust}")).is_ok()
    } else if symbol.starts_with("_Z") {
        Symbol::new(symbol).is_ok_and(|cpp| {
            cpp.structured_demangle(&mut name, &DemangleOptions::default())
                .is_ok()
        })
    } else {
        false
    };
    match written {
        true => Cow::Owned(name.0),
        false => Cow::Borrowed(symbol),
    }
}

/// A text that takes no more than [`MOST`] bytes.
#[derive(Default)]
struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MOST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_language_are_read() {
        for (symbol, name) in [
            ("tcp_sendmsg", "tcp_sendmsg"),
            ("_Z3foov", "foo()"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backERKi",
                "std::vector<int, std::allocator<int> >::push_back(int const&)",
            ),
            (
                "_ZN3std2io5stdio6_print17h0123456789abcdefE",
                "std::io::stdio::_print::h0123456789abcdef",
            ),
            ("_RNvC7mycrate3foo", "mycrate::foo"),
            ("_Znonsense", "_Znonsense"),
            ("_Z", "_Z"),
            ("", ""),
        ] {
            assert_eq!(readable(symbol), name, "{symbol}");
        }
    }

    #[test]
    fn a_short_symbol_does_not_become_a_huge_name() {
        // Each substitution stands for two of the one before it.
        let mut symbol = String::from("_Z1fSt4pairIiiE");
        for at in 0..24u32 {
            let id = match at {
                0 => String::from("S_"),
                n => format!(
                    "S{}_",
                    char::from_digit(n - 1, 36).unwrap().to_ascii_uppercase()
                ),
            };
            symbol.push_str(&format!("S_I{id}{id}E"));
        }
        assert!(readable(&symbol).len() <= MOST.max(symbol.len()));
    }
}
