//! Every code: its title, what causes it, a script that does, and the same script mended. `hetsync-probe explain CODE`
//! shows an entry, and the book's error index is made of all of them.
//!
//! Codes are never reused. `E00` is about the file, `E01` syntax, `E02` names and probes, `E03` types, `E04`
//! calls, `E05` limits, `E06` the kernel, `W` warnings. Tests check that each wrong example gives its code and each mended one none.

mod calls;
mod files;
mod kernel;
mod limits;
mod names;
mod syntax;
mod types;
mod warnings;

use std::fmt::Write;

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// E.g. `E0103`.
    pub code: &'static str,
    /// One line.
    pub title: &'static str,
    /// What causes it and what to do.
    pub explanation: &'static str,
    /// A script that has it; empty where a few lines cannot show it.
    pub wrong: &'static str,
    /// The script as it should be; empty where there is nothing to show.
    pub mended: &'static str,
}

const GROUPS: [(&str, &[Code]); 8] = [
    ("Files", files::CODES),
    ("Syntax", syntax::CODES),
    ("Names and probes", names::CODES),
    ("Types", types::CODES),
    ("Calls", calls::CODES),
    ("Limits", limits::CODES),
    ("Kernel", kernel::CODES),
    ("Warnings", warnings::CODES),
];

/// All codes in order.
pub fn all() -> impl Iterator<Item = &'static Code> {
    GROUPS.iter().flat_map(|(_, codes)| codes.iter())
}

/// The entry of a code; upper and lower case are the same.
pub fn find(code: &str) -> Option<&'static Code> {
    all().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

/// What `hetsync-probe explain CODE` prints.
pub fn explain(code: &Code) -> String {
    let mut text = format!("{}: {}\n\n{}\n", code.code, code.title, code.explanation);
    let indented = |script: &str| {
        script
            .lines()
            .map(|line| format!("    {line}\n"))
            .collect::<String>()
    };
    if !code.wrong.is_empty() {
        let _ = write!(text, "\nWrong:\n\n{}", indented(code.wrong));
    }
    if !code.mended.is_empty() {
        let _ = write!(text, "\nMended:\n\n{}", indented(code.mended));
    }
    text
}

/// The error index as a page of the book.
pub fn book_page() -> String {
    let mut page = String::from(
        "# Error index\n\n\
         Every message of the compiler carries a code. `hetsync-probe explain E0212` shows the entry of one;\n\
         this page has them all. It is made from the compiler's own table, and a test keeps it so.\n",
    );
    for (group, codes) in GROUPS {
        let _ = write!(page, "\n## {group}\n");
        for code in codes {
            let _ = write!(
                page,
                "\n### {}: {}\n\n{}\n",
                code.code, code.title, code.explanation
            );
            for (word, script) in [("Wrong", code.wrong), ("Mended", code.mended)] {
                if !script.is_empty() {
                    let _ = write!(page, "\n{word}:\n\n```text\n{script}\n```\n");
                }
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_found() {
        let codes: Vec<&str> = all().map(|entry| entry.code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        assert_eq!(find("e0101").map(|entry| entry.code), Some("E0101"));
        assert_eq!(find("E9999"), None);
        assert!(explain(find("E0101").unwrap()).contains("Wrong:"));
    }
}
