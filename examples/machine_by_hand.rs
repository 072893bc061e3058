//! The parameter server driven by hand: no sockets, no runtime, and a clock
//! that is only a variable. This is how it is tested, simulated, and put
//! into a program that has its own way of moving bytes.
//!
//! Three workers; the third needs five seconds where the others need one
//! tenth. Run it with `cargo run --example machine_by_hand`.

use hetsync_core::policy::Deadline;
use hetsync_core::server::{Config, ConnId, Event, Machine, Output};
use hetsync_core::{Payload, Span, Time};

/// A pretended worker: when its next gradient will be ready.
struct Worker {
    id: ConnId,
    step: Span,
    ready: Option<Time>,
}

fn main() {
    let mut machine = Machine::new(Config {
        workers: 3,
        policy: Box::new(Deadline::new(Span::from_secs(2))),
        ..Config::default()
    });
    let mut now = Time::ZERO;
    let mut workers: Vec<Worker> = [100, 100, 5_000]
        .into_iter()
        .enumerate()
        .map(|(id, step_ms)| Worker {
            id: ConnId(id as u64),
            step: Span::from_millis(step_ms),
            ready: Some(now + Span::from_millis(step_ms)),
        })
        .collect();
    for worker in &workers {
        machine.handle_connect(now, worker.id);
    }
    drain(&mut machine, now, &mut workers);

    // One change, then drain: whichever is next, a gradient or a timeout.
    while now < Time::ZERO + Span::from_secs(8) {
        let next = workers
            .iter()
            .filter_map(|worker| Some((worker.ready?, worker.id)))
            .min();
        let due = machine.poll_timeout();
        match (next, due) {
            (Some((ready, id)), due) if due.is_none_or(|due| ready < due) => {
                now = ready;
                workers[id.0 as usize].ready = None;
                machine.handle_gradient(now, id, None, Payload::from_floats(&[1.0]));
            }
            (_, Some(due)) => {
                now = due;
                machine.handle_timeout(now);
            }
            (_, None) => break,
        }
        drain(&mut machine, now, &mut workers);
    }
    let stats = machine.stats();
    println!(
        "{} rounds, {} of them closed by their deadline; {} gradients taken, {} late",
        stats.rounds(),
        stats.deadline_rounds,
        stats.accepted,
        stats.late
    );
}

/// Does what the machine wants: results set their receivers to work again.
fn drain(machine: &mut Machine, now: Time, workers: &mut [Worker]) {
    while let Some(output) = machine.poll_output() {
        match output {
            Output::Deliver { to, .. } => {
                let worker = &mut workers[to.0 as usize];
                worker.ready = Some(now + worker.step);
            }
            Output::CatchUp { .. } => {}
            Output::Disconnect { conn } => println!("{now:?}: {conn} is thrown out"),
            Output::Event(Event::Closed(report)) if !report.missed.is_empty() => println!(
                "{now:?}: round {} closed by its deadline with {} in, without {:?}",
                report.round,
                report.arrivals.len(),
                report.missed
            ),
            Output::Event(Event::Late { conn, missed, .. }) => {
                println!("{now:?}: {conn} is late by {missed} rounds; its gradient is dropped");
            }
            Output::Event(_) => {}
        }
    }
}
