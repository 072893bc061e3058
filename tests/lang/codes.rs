//! The table of error codes: its examples do what it says, and the book's page is made of it.

use hetsync_probe::diagnostic::codes;

use super::{codes_of, compile, top};

#[test]
fn every_wrong_example_gives_its_code() {
    for entry in codes::all().filter(|entry| !entry.wrong.is_empty()) {
        let found = codes_of(entry.wrong);
        assert!(
            found.contains(&entry.code),
            "{} gives {found:?}: {}",
            entry.code,
            entry.wrong
        );
    }
}

#[test]
fn every_mended_example_is_accepted_without_a_warning() {
    for entry in codes::all().filter(|entry| !entry.mended.is_empty()) {
        let (program, diagnostics) = compile(entry.mended);
        assert!(
            program.is_some() && diagnostics.is_empty(),
            "{}: {diagnostics:?}",
            entry.code
        );
    }
}

#[test]
fn an_error_example_has_no_other_errors() {
    for entry in codes::all().filter(|entry| !entry.wrong.is_empty()) {
        let found = codes_of(entry.wrong);
        assert!(
            found.iter().all(|code| *code == entry.code),
            "{} gives {found:?}",
            entry.code
        );
    }
}

/// `UPDATE_BOOK=1 cargo test -p hetsync-probe --test lang book` writes the page.
#[test]
fn the_books_error_index_is_up_to_date() {
    let path = top().join("book/src/errors.md");
    let page = codes::book_page();
    if std::env::var_os("UPDATE_BOOK").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "book/src/errors.md differs from the table of codes; run this test with UPDATE_BOOK=1"
    );
}
