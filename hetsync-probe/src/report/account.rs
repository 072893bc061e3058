//! The account of what was lost, which ends every report. Plain data, filled by whoever loaded the script.

use serde::Serialize;

/// What a run lost, and how its probes were attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Events (`printf`, `print` and their like) that found the ring buffer full.
    pub events: u64,
    /// The probes that sent those events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<DroppedEvents>,
    /// Stacks of calls that were not kept, as another one had their number.
    #[serde(skip_serializing_if = "is_zero")]
    pub stacks: u64,
    /// Maps that were full when a sample or an assignment needed a new key.
    pub full_maps: Vec<FullMap>,
    /// Loops that were ended before their time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut_loops: Vec<CutLoop>,
    /// Probes that fired without their body being run.
    pub missed: Vec<Missed>,
    /// Probes that may have missed hits which nobody counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncounted: Vec<String>,
    /// How each probe was attached, in script order; shown with `-v`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<Attached>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A probe whose events found the ring buffer full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedEvents {
    /// Its name, such as `kprobe:tcp_sendmsg`.
    pub probe: String,
    /// How many.
    pub events: u64,
}

/// A map that had no room for a new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FullMap {
    /// `@name`.
    pub map: String,
    /// Samples and assignments dropped.
    pub samples: u64,
    /// Keys it can hold.
    pub max_keys: u32,
}

/// A loop that took more rounds than the kernel lets a program take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CutLoop {
    /// Its line in the script, from 1.
    pub line: usize,
    /// Rounds it may take.
    pub rounds: u32,
    /// How often it was cut.
    pub times: u64,
}

/// A probe that missed hits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// Its name, such as `kretprobe:tcp_sendmsg`.
    pub probe: String,
    /// How many.
    pub hits: u64,
}

/// How one probe was attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// Its name, such as `kretprobe:tcp_sendmsg`.
    pub probe: String,
    /// The mechanism, such as `fexit` or `perf event`.
    pub how: String,
}

impl Account {
    /// Samples and assignments dropped by full maps.
    pub fn samples(&self) -> u64 {
        self.full_maps
            .iter()
            .fold(0, |sum, full| sum.saturating_add(full.samples))
    }

    /// Hits that ran no body.
    pub fn hits(&self) -> u64 {
        self.missed
            .iter()
            .fold(0, |sum, missed| sum.saturating_add(missed.hits))
    }

    /// Whether nothing at all was lost.
    pub fn is_clean(&self) -> bool {
        self.events == 0
            && self.stacks == 0
            && self.samples() == 0
            && self.hits() == 0
            && self.cut_loops.is_empty()
    }

    /// The account as lines: one line of totals, then a line with its mend for each loss.
    pub fn lines(&self, verbose: bool) -> Vec<String> {
        let mut lines = vec![format!(
            "lost: {}, {}, {}",
            plural(self.events, "event"),
            plural(self.samples(), "sample"),
            match (self.uncounted.is_empty(), self.hits()) {
                (true, hits) => plural(hits, "probe hit"),
                (false, 0) => "unknown probe hits".to_string(),
                (false, hits) => format!("at least {}", plural(hits, "probe hit")),
            },
        )];
        for dropped in &self.dropped {
            lines.push(format!(
                "  {} of {} found the event buffer full: print less, or aggregate in a map",
                plural(dropped.events, "event"),
                dropped.probe
            ));
        }
        if self.stacks != 0 {
            lines.push(format!(
                "  {} of calls not kept, as others had their numbers: ask for fewer frames",
                plural(self.stacks, "stack")
            ));
        }
        for full in self.full_maps.iter().filter(|full| full.samples != 0) {
            let samples = plural(full.samples, "sample");
            let most = plural(full.max_keys.into(), "key");
            lines.push(format!(
                "  {} was full at {most}: {samples} of further keys dropped; raise it with --max-keys {}",
                full.map,
                u64::from(full.max_keys) * 4
            ));
        }
        for cut in &self.cut_loops {
            lines.push(format!(
                "  the loop at line {} was cut at {} {}",
                cut.line,
                plural(cut.rounds.into(), "round"),
                match cut.times {
                    1 => "once".to_string(),
                    times => format!("{times} times"),
                }
            ));
        }
        for missed in self.missed.iter().filter(|missed| missed.hits != 0) {
            lines.push(format!(
                "  {} missed {}",
                missed.probe,
                plural(missed.hits, "hit")
            ));
        }
        for probe in &self.uncounted {
            lines.push(format!(
                "  {probe}: a plain kretprobe, which may miss returns, and nothing counts them"
            ));
        }
        if verbose {
            lines.extend(
                self.attached
                    .iter()
                    .map(|a| format!("  {} attached by {}", a.probe, a.how)),
            );
        }
        lines
    }
}

fn plural(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
