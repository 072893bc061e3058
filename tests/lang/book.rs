//! The scripts in the book are right, without warnings, and formatted as `fmt` would.

use hetsync_probe::kernel::NoKernel;
use hetsync_probe::{check, sema, syntax};

use super::files;

/// The texts between ```` ```text ```` and ```` ``` ```` that are whole scripts.
fn scripts(page: &str) -> impl Iterator<Item = &str> {
    page.split("```text\n").skip(1).filter_map(|rest| {
        let block = rest.split_once("```")?.0;
        let starts = ["#!/usr/bin/env", "kprobe:", "// How"];
        (starts.iter().any(|start| block.starts_with(start)) && block.contains("\nend {"))
            .then_some(block)
    })
}

#[test]
fn scripts_of_the_book_are_right_and_formatted() {
    let mut seen = 0;
    for (stem, path) in files("book/src", "md") {
        if stem == "errors" {
            continue; // It has scripts that are wrong on purpose, and a test of its own.
        }
        let page = std::fs::read_to_string(path).unwrap();
        for text in scripts(&page) {
            seen += 1;
            let options = sema::Options {
                params: vec!["500".into()],
                kernel: &NoKernel,
                pid_filter: None,
                settings: vec![],
                max_keys: 4096,
                allow_unsafe: false,
            };
            match check(text, &options) {
                Ok((_, warnings)) => assert!(warnings.is_empty(), "{stem}: {warnings:?}"),
                Err(mistakes) => panic!("{stem}: {mistakes:?}"),
            }
            assert_eq!(syntax::format(text).unwrap(), text, "{stem}");
        }
    }
    assert!(seen >= 3, "only {seen} scripts found");
}
