//! The checked script as text.

use super::hir::Program;

/// A text form of a checked script.
pub fn dump(program: &Program) -> String {
    format!("{program:#?}\n")
}
