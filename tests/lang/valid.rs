//! Right scripts, `tests/data/valid/*.hp`: their trees, their types and their layout are snapshots.

use hetsync_probe::{sema, syntax};

use super::{files, program, snapshot};

#[test]
fn each_fixture_has_a_stable_tree_types_and_layout() {
    for (stem, path) in files("tests/data/valid", "hp") {
        let text = std::fs::read_to_string(path).unwrap();
        let (script, _) = syntax::parse(&text);
        snapshot(&format!("ast__{stem}"), &syntax::dump(&script));
        snapshot(&format!("types__{stem}"), &sema::dump(&program(&text)));
        snapshot(&format!("fmt__{stem}"), &syntax::format(&text).unwrap());
    }
}

#[test]
fn formatting_keeps_the_meaning_and_the_comments_and_is_idempotent() {
    for folder in ["tests/data/valid", "probe-scripts"] {
        for (stem, path) in files(folder, "hp") {
            let text = std::fs::read_to_string(path).unwrap();
            let (script, _) = syntax::parse(&text);
            let once = syntax::format(&text).unwrap();
            let (again, mistakes) = syntax::parse(&once);
            assert!(mistakes.is_empty(), "{stem}: {mistakes:?}\n{once}");
            assert_eq!(syntax::dump(&script), syntax::dump(&again), "{stem}");
            assert_eq!(
                script.comments.len(),
                again.comments.len(),
                "{stem}\n{once}"
            );
            assert_eq!(once, syntax::format(&once).unwrap(), "{stem}");
        }
    }
}
