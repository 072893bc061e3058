//! Names, types, and the table of built-ins: an AST in, a [`hir::Program`] or diagnostics out.

pub mod hir;
