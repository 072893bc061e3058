//! bpftrace's bytes exactly, for who calls the program by its name: our text and JSON forms with the empty lines that
//! bpftrace 0.23 writes, and without what it does not know.
//!
//! Observed of 0.17 and 0.23: a map without entries is an empty line in text; one more follows every `avg` and `stats`; two
//! stand before the last maps, in JSON too; events that were lost are a line, and other losses are none. Those go to standard error here.

use crate::report::account::Account;
use crate::report::form::{Form, Output};
use crate::report::map::MapReport;
use crate::report::value::Scalar;
use crate::sema::hir::{Aggregation, MapValue};

/// A form of ours as bpftrace writes it.
pub struct Peer<F> {
    form: F,
    json: bool,
}

impl<F> Peer<F> {
    /// Wraps the form; `json` says which one it is.
    pub fn new(form: F, json: bool) -> Self {
        Self { form, json }
    }
}

impl<F: Form> Form for Peer<F> {
    fn attached(&mut self, out: &mut Output, probes: usize) {
        self.form.attached(out, probes);
    }

    fn message(&mut self, out: &mut Output, kind: &str, text: &[u8]) {
        self.form.message(out, kind, text);
    }

    fn value(&mut self, out: &mut Output, value: &Scalar) {
        self.form.value(out, value);
    }

    fn map(&mut self, out: &mut Output, map: &MapReport<'_>) {
        self.form.map(out, map);
        if self.json {
            return;
        }
        if map.entries.is_empty() {
            out.report.push(b'\n');
        }
        let own_line = matches!(
            map.map.value,
            MapValue::Aggregate(Aggregation::Avg { .. } | Aggregation::Stats { .. })
        );
        if own_line {
            out.report.push(b'\n');
        }
    }

    fn last_maps(&mut self, out: &mut Output) {
        out.report.extend_from_slice(b"\n\n");
    }

    fn account(&mut self, out: &mut Output, account: &Account, verbose: bool) {
        if account.events > 0 {
            let events = account.events;
            let line = if self.json {
                format!("{{\"type\": \"lost_events\", \"data\": {{\"events\": {events}}}}}\n")
            } else {
                format!("Lost {events} events\n")
            };
            out.report.extend_from_slice(line.as_bytes());
        }
        if verbose || !account.is_clean() {
            for line in account.lines(verbose) {
                out.aside.extend_from_slice(line.as_bytes());
                out.aside.push(b'\n');
            }
        }
    }
}
