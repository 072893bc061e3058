//! The scripts in `probe-scripts/`: right, without warnings, formatted, and with the header they promise.

use hetsync_probe::syntax;

use super::{compile, files, program, snapshot};

#[test]
fn shipped_scripts_are_right_and_formatted() {
    for (stem, path) in files("probe-scripts", "hp") {
        let text = std::fs::read_to_string(path).unwrap();
        // A server that has the markers need not be built here.
        let stand_in = super::top().join("tests/data/markers/hetsync");
        let marked = text.replace("usdt:hetsync:", &format!("usdt:{}:", stand_in.display()));
        let (program, diagnostics) = compile(&marked);
        assert!(
            program.is_some() && diagnostics.is_empty(),
            "{stem}: {diagnostics:?}"
        );
        let formatted = syntax::format(&text).unwrap();
        assert_eq!(formatted, text, "{stem} is not formatted");
        for part in ["Sample output", "Needs", "Cost"] {
            assert!(
                text.contains(part),
                "{stem}: the header does not say: {part}"
            );
        }
    }
}

#[test]
fn the_demo_script_has_two_columns_in_microseconds() {
    let text = std::fs::read_to_string(super::top().join("probe-scripts/tcp_sendmsg.hp")).unwrap();
    snapshot(
        "types__tcp_sendmsg_demo",
        &hetsync_probe::sema::dump(&program(&text)),
    );
}
