//! Whole programs in the style of bpftrace's network tools, of both its dialects, and of ours.

use super::super::files;
use super::tree;

#[test]
fn network_programs_are_read_and_formatted() {
    for (stem, path) in files("tests/data/network", "hp") {
        let text = std::fs::read_to_string(path).unwrap();
        let dump = tree(&text);
        assert!(dump.contains("probe "), "{stem}");
        super::super::snapshot(&format!("ast__network_{stem}"), &dump);
        let formatted = hetsync_probe::syntax::format(&text).unwrap();
        super::super::snapshot(&format!("fmt__network_{stem}"), &formatted);
    }
}
