//! A booted kernel with our programs in it, and short ways to run a script there.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hetsync_guest::{Guest, Kernel, Options, Output, quote};
use serde_json::Value;

/// The longest one command may take; emulation is slow and the machine may be busy.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// Guests share two processors, so one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Whether this run is to use the kernel.
pub(crate) fn wanted(kernel: Kernel) -> bool {
    let host = std::env::var("HETSYNC_KERNEL").is_ok_and(|name| name == "host");
    match std::env::var("HETSYNC_KERNELS") {
        _ if host || kernel == Kernel::Host => host && kernel == Kernel::Host,
        Ok(names) => names
            .split_whitespace()
            .any(|name| name == kernel.to_string()),
        Err(_) => true,
    }
}

/// Whether this run is to make the check: all, or those with `HETSYNC_CHECKS` in their name.
pub(crate) fn picked(check: &str) -> bool {
    std::env::var("HETSYNC_CHECKS").map_or(true, |part| check.contains(&part))
}

/// A kernel to measure on.
pub(crate) struct Lab {
    pub(crate) guest: Guest,
    kernel: Kernel,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    pub(crate) fn boot(kernel: Kernel) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let probe = Path::new(env!("CARGO_BIN_EXE_hetsync-probe"));
        let options = Options::new(kernel)
            .program(probe)
            .program(hetsync_guest::workload(probe).expect("the workload builds"))
            .program(hetsync_guest::server(probe).expect("the server builds"))
            .package("bpftrace")
            .package("bpftool");
        let guest = Guest::boot(&options).unwrap_or_else(|error| panic!("{kernel}: {error}"));
        Self {
            guest,
            kernel,
            _turn: turn,
        }
    }

    /// Which kernel it is.
    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Runs a command in the guest's shell.
    pub(crate) fn run(&self, command: &str) -> Output {
        self.guest
            .run(command, LIMIT)
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// What is said of a script that this kernel cannot run.
    pub(crate) fn refused(&self, script: &str) -> String {
        let output = self.run(&format!("hetsync-probe run -q -e {}", quote(script)));
        assert_eq!(output.status, 1, "{}", output.text());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs a script over a workload and returns what it reported.
    pub(crate) fn probe(&self, flags: &str, script: &str, workload: &str) -> Report {
        self.probe_over(flags, script, &format!("hetsync-workload {workload}"))
    }

    /// Runs a script over a command and returns what it reported.
    pub(crate) fn probe_over(&self, flags: &str, script: &str, over: &str) -> Report {
        self.guest
            .put("/tmp/script.hp", script.as_bytes())
            .expect("the script gets in");
        let command = format!(
            "hetsync-probe run -v -f json -o /tmp/report.json {flags} -c {} /tmp/script.hp",
            quote(over)
        );
        let output = self.run(&command);
        assert!(
            output.success(),
            "status {} from {command}\n{script}\n{}{}",
            output.status,
            output.text(),
            String::from_utf8_lossy(&output.stderr)
        );
        let report = self
            .guest
            .get("/tmp/report.json")
            .expect("the report gets out");
        Report::new(
            &String::from_utf8(report).expect("a report is text"),
            output.text(),
        )
    }
}

/// The JSON lines of a run, and what its workload said.
pub(crate) struct Report {
    lines: Vec<Value>,
    pub(crate) workload: String,
}

impl Report {
    pub(crate) fn new(text: &str, workload: String) -> Self {
        let lines = text
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
            })
            .collect();
        Self { lines, workload }
    }

    /// The data of the map, whatever it holds.
    pub(crate) fn map(&self, name: &str) -> &Value {
        self.lines
            .iter()
            .find_map(|line| line["data"].get(name))
            .unwrap_or_else(|| panic!("no {name} in {:#?}", self.lines))
    }

    /// The data of the map, each time it was printed.
    pub(crate) fn every<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines
            .iter()
            .filter_map(move |line| line["data"].get(name))
    }

    /// The map's one number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.map(name)
            .as_u64()
            .unwrap_or_else(|| panic!("{name} is {}", self.map(name)))
    }

    /// Whether the map was printed.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.lines
            .iter()
            .any(|line| line["data"].get(name).is_some())
    }

    /// Every printf's text, in order.
    pub(crate) fn printed(&self) -> Vec<&str> {
        self.of("printf")
            .filter_map(|line| line["data"].as_str())
            .collect()
    }

    pub(crate) fn account(&self) -> &Value {
        &self
            .of("account")
            .last()
            .expect("every report ends in an account")["data"]
    }

    /// Nothing was lost, by the report's own account.
    pub(crate) fn assert_nothing_lost(&self) {
        let account = self.account();
        assert_eq!(account["events"], 0, "{account:#}");
        for part in ["full_maps", "missed"] {
            let lost = account[part].as_array().map_or(0, Vec::len);
            assert_eq!(lost, 0, "{part}: {account:#}");
        }
    }

    /// A figure `key=N` that the workload printed.
    pub(crate) fn said(&self, key: &str) -> u64 {
        self.workload
            .split_whitespace()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
            .unwrap_or_else(|| panic!("no {key}= in {:?}", self.workload))
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(move |line| line["type"] == kind)
    }
}

/// The `(min, count)` of each row of a histogram that holds something.
pub(crate) fn rows(hist: &Value) -> Vec<(i64, u64)> {
    hist.as_array()
        .unwrap_or_else(|| panic!("{hist} is no histogram"))
        .iter()
        .filter_map(|row| Some((row["min"].as_i64()?, row["count"].as_u64()?)))
        .filter(|&(_, count)| count > 0)
        .collect()
}
