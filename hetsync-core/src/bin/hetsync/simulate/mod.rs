//! `hetsync simulate`: closing rules judged in virtual time.
//!
//! First the scenes with names, as a table of rounds per second; then many
//! scenarios drawn at random, in which each rule is measured against the
//! best fixed deadline of that scenario.

mod chart;
mod report;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hetsync_core::Span;
use hetsync_core::policy::{Enough, Policy, Rule};
use hetsync_core::sim::{Ewma, Family, Judged, Outcome, Scenario, Scene};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Failure;
use crate::args::SimulateArgs;
use crate::signals::Stop;
use report::Report;

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entrant {
    /// A rule that a server can be told.
    Rule(Rule),
    /// The timer that does not work.
    Ewma,
    /// A fixed deadline in the server that it comes from.
    Original(Span),
}

impl Entrant {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Rule(rule) => rule.to_string(),
            Self::Ewma => String::from("ewma"),
            Self::Original(span) => {
                let text = Rule::Deadline(Some(*span)).to_string();
                format!("{text}, original")
            }
        }
    }

    fn policy(&self) -> Option<Box<dyn Policy>> {
        match self {
            Self::Rule(rule) => Some(rule.policy()),
            Self::Ewma => Some(Box::new(Ewma::default())),
            Self::Original(_) => None,
        }
    }

    fn play(&self, scene: Scene, seed: u64) -> Outcome {
        match (self, self.policy()) {
            (Self::Original(wait), _) => scene.run_original(seed, *wait),
            (_, Some(policy)) => scene.run(seed, policy),
            (_, None) => scene.run(seed, Rule::Strict.policy()),
        }
    }
}

/// A rule and what it came to in each scenario.
pub(super) struct Record {
    pub(super) rule: String,
    pub(super) judged: Vec<(Family, Judged)>,
}

pub(crate) fn run(args: SimulateArgs) -> Result<(), Failure> {
    args.files.check(&[])?;
    let stop = Stop::install()?;
    let fixed = Span::from_secs(2);
    let three_of_four = Rule::Quorum(Enough::Share(3, 4), Span::ZERO);
    let rules = match args.policy.is_empty() {
        true => vec![
            Rule::Replay,
            three_of_four.clone(),
            Rule::Deadline(Some(fixed)),
        ],
        false => args.policy.clone(),
    };
    let mut entrants = vec![
        Entrant::Rule(Rule::Strict),
        Entrant::Original(fixed),
        Entrant::Rule(Rule::Deadline(Some(fixed))),
        Entrant::Rule(three_of_four),
        Entrant::Ewma,
    ];
    for rule in &rules {
        let entrant = Entrant::Rule(rule.clone());
        if !entrants.contains(&entrant) {
            entrants.push(entrant);
        }
    }
    let scenes = Scene::ALL.map(|scene| {
        let outcomes = entrants.iter().map(|e| e.play(scene, args.seed));
        (scene, outcomes.collect())
    });
    let records = judge(&args, &rules, &stop)?;
    let judged = records.first().map_or(0, |record| record.judged.len());
    if stop.is_requested() && !args.files.quiet {
        crate::lines::say(format!(
            "stopped: the figures are those of {judged} scenarios"
        ));
    }
    let report = Report {
        seed: args.seed,
        scenarios: judged as u64,
        entrants: entrants.iter().map(Entrant::name).collect(),
        scenes: scenes.into(),
        records,
    };
    if !args.files.takes_stdout(&[]) {
        crate::print(report.text().as_bytes())?;
    }
    args.files.write(&report, || report.json())
}

/// Tries all rules on all scenarios, on all processors, or on as many as there
/// is time for before a stop is requested.
fn judge(args: &SimulateArgs, rules: &[Rule], stop: &Stop) -> Result<Vec<Record>, Failure> {
    let bar = match args.files.quiet {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(args.scenarios),
    };
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos} of {len} scenarios, {elapsed}",
    )?);
    let next = AtomicU64::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= args.scenarios || stop.is_requested() {
                return;
            }
            let families = Family::ALL;
            let family = families[number as usize % families.len()];
            // Neighbouring seeds of the command share no scenario.
            let seed = args.seed.wrapping_mul(1_000_003).wrapping_add(number);
            let scenario = Scenario::draw(family, seed);
            let judged: Vec<Judged> = rules.iter().map(|r| scenario.judge(r.policy())).collect();
            if let Ok(mut done) = done.lock() {
                done.push((number, family, judged));
            }
            bar.inc(1);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    let mut done = done.into_inner().map_err(|_| "a scenario failed")?;
    done.sort_by_key(|(number, ..)| *number);
    let record = |(index, rule): (usize, &Rule)| Record {
        rule: rule.to_string(),
        judged: done
            .iter()
            .map(|(_, f, judged)| (*f, judged[index]))
            .collect(),
    };
    Ok(rules.iter().enumerate().map(record).collect())
}
