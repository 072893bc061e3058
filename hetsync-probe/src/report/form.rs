//! What every form of output can write. A form appends to buffers and never fails; the caller moves them on.

use crate::report::account::Account;
use crate::report::map::MapReport;
use crate::report::value::Scalar;
use crate::report::{csv::Csv, json::Json, peer::Peer, text::Text};

/// Two buffers: the report itself, and what is said beside it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Output {
    /// For standard output, or the file of `-o`.
    pub report: Vec<u8>,
    /// For standard error.
    pub aside: Vec<u8>,
}

/// A form of output. All methods append to the output.
pub trait Form {
    /// Probes are being attached.
    fn attached(&mut self, out: &mut Output, probes: usize);
    /// The text of a `printf`, or of another function that prints one: `kind` is what bpftrace calls its line in JSON.
    fn message(&mut self, out: &mut Output, kind: &str, text: &[u8]);
    /// The text of a `printf`.
    fn printf(&mut self, out: &mut Output, text: &[u8]) {
        self.message(out, "printf", text);
    }
    /// `print(value)`.
    fn value(&mut self, out: &mut Output, value: &Scalar);
    /// A map, arranged as it is to be shown; nothing if it has no entries.
    fn map(&mut self, out: &mut Output, map: &MapReport<'_>);
    /// The run is over and what the maps still hold follows.
    fn last_maps(&mut self, out: &mut Output);
    /// What was lost; with `verbose` also how each probe was attached.
    fn account(&mut self, out: &mut Output, account: &Account, verbose: bool);
}

/// The forms by the names of `-f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FormKind {
    /// As bpftrace prints, with tables for `summary()`.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// Tables of maps for spreadsheets and data frames.
    Csv,
    /// The bytes of bpftrace's text.
    PeerText,
    /// The bytes of bpftrace's JSON.
    PeerJson,
}

impl FormKind {
    /// A writer of this form; tables are kept within `width` columns where that is possible.
    pub fn start(self, width: u16) -> Box<dyn Form> {
        match self {
            FormKind::Text => Box::new(Text::new(width)),
            FormKind::Json => Box::new(Json),
            FormKind::Csv => Box::new(Csv::default()),
            FormKind::PeerText => Box::new(Peer::new(Text::new(width), false)),
            FormKind::PeerJson => Box::new(Peer::new(Json, true)),
        }
    }
}
