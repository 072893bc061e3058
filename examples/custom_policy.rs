//! A closing rule and a way of combining gradients that the library does not
//! have, in a server on a thread of its own, watched from a plain program.
//!
//! Run it with `cargo run --example custom_policy`.

use std::error::Error;

use hetsync_core::aggregate::{Aggregate, Reduced};
use hetsync_core::net::{Client, Server, listen};
use hetsync_core::policy::{Outcome, Policy, RoundView, Verdict};
use hetsync_core::{Payload, Span, Time};

const WORKERS: usize = 4;
const ROUNDS: usize = 5;

/// Waits for half of the workers, and then as long again as that took, but no
/// less than the given span.
#[derive(Debug)]
struct AsLongAgain {
    least: Span,
    /// When half were in, of the round that opened then.
    half: Option<(Time, Time)>,
}

impl Policy for AsLongAgain {
    fn name(&self) -> &'static str {
        "as_long_again"
    }

    fn decide(&mut self, now: Time, round: &RoundView<'_>) -> Verdict {
        if round.awaited == 0 {
            return Verdict::Close(Outcome::Full);
        }
        if round.arrived < round.workers.div_ceil(2) {
            return Verdict::Wait;
        }
        let half = match self.half {
            Some((opened, half)) if opened == round.opened => half,
            _ => now,
        };
        self.half = Some((round.opened, half));
        let until = half + (half - round.opened).max(self.least);
        match now >= until {
            true => Verdict::Close(Outcome::Deadline),
            false => Verdict::WaitUntil(until),
        }
    }
}

/// Of each element, the one farthest from zero.
#[derive(Debug)]
struct Strongest;

impl Aggregate for Strongest {
    fn name(&self) -> &'static str {
        "strongest"
    }

    fn reduce(&self, inputs: &[&[u8]], out: &mut [u8]) -> Reduced {
        let float = |input: &[u8], at: usize| {
            let word: [u8; 4] = input[at * 4..at * 4 + 4].try_into().expect("four bytes");
            f32::from_le_bytes(word)
        };
        for (at, word) in out.chunks_exact_mut(4).enumerate() {
            let all = inputs.iter().map(|input| float(input, at));
            // In the order of the inputs, so that equal ones give equal bits.
            let strongest = all.reduce(|a, b| if b.abs() > a.abs() { b } else { a });
            word.copy_from_slice(&strongest.unwrap_or(0.0).to_le_bytes());
        }
        Reduced::default()
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Port 0: any free one.
    let listener = listen(([127, 0, 0, 1], 0).into())?;
    let policy = AsLongAgain {
        least: Span::from_secs(5),
        half: None,
    };
    let server = Server::builder()
        .workers(WORKERS)
        .policy(policy)
        .aggregate(Strongest)
        .build();
    let reports = server.handle().reports();
    let running = server.start(listener)?;
    let address = running.address();

    let workers: Vec<_> = (0..WORKERS)
        .map(|index| {
            std::thread::spawn(move || {
                let mut client = Client::new(address);
                let gradient = [index as f32, -(index as f32) / 2.0, 1.0];
                let rounds = (0..ROUNDS).map(|_| {
                    let submit = client.submit(Payload::from_floats(&gradient));
                    smol::block_on(submit)
                });
                rounds.collect::<Result<Vec<_>, _>>()
            })
        })
        .collect();
    for worker in workers {
        for result in worker.join().expect("no worker panics")? {
            assert_eq!(result.to_floats()[2], 1.0);
        }
    }
    let stats = running.stop()?;
    for reported in smol::stream::block_on(reports) {
        let report = reported.report;
        println!(
            "round {}: {} in, closed by {} ({})",
            report.round,
            report.arrivals.len(),
            report.why.rule,
            report.outcome.name(),
        );
    }
    println!("{} rounds, {} gradients", stats.rounds(), stats.accepted);
    Ok(())
}
