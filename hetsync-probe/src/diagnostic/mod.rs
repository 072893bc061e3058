//! Mistakes in scripts as values: code, place, labels, help. Rendering is in [`render`], the explanation
//! of every code in [`codes`].
//!
//! Messages are lower-case sentences without a full stop that name the cause; the help names the mend.

pub mod codes;
pub mod render;
pub mod suggest;

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

impl Diagnostic {
    /// An error without labels.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span,
            label: String::new(),
            secondary: Vec::new(),
            help: None,
        }
    }

    /// A warning without labels.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// Puts a text under the marked place.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Marks another place.
    pub fn with_place(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push((span, text.into()));
        self
    }

    /// Says how to mend it.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Leaves a mark of the compiler's own out of all its texts.
    pub(crate) fn forget(&mut self, mark: &str) {
        let texts = [&mut self.message, &mut self.label];
        let places = self.secondary.iter_mut().map(|(_, text)| text);
        for text in texts.into_iter().chain(&mut self.help).chain(places) {
            if text.contains(mark) {
                *text = text.replace(mark, "");
            }
        }
    }

    /// Whether the script cannot run because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
