//! Mistakes in scripts as values: code, place, labels, help. Rendering is in [`render`].

pub mod render;

use crate::span::Span;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The script cannot run.
    Error,
    /// It can, but probably not as meant.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// A stable code such as `E0103`, explained in the book's error index.
    pub code: &'static str,
    /// One lower-case sentence without a full stop.
    pub message: String,
    /// Where it is.
    pub span: Span,
    /// What stands under the marked place; may be empty.
    pub label: String,
    /// Other places that matter, each with its own text.
    pub secondary: Vec<(Span, String)>,
    /// How to mend it.
    pub help: Option<String>,
}
