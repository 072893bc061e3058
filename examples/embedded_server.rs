//! A parameter server inside another smol program, with workers that train:
//! each fits the same line to points of its own by gradient descent, and
//! the server averages their gradients.
//!
//! Run it with `cargo run --example embedded_server`.

use std::error::Error;

use hetsync_core::aggregate::Mean;
use hetsync_core::net::{Client, Notice, Server, listen};
use hetsync_core::policy::Deadline;
use hetsync_core::server::Event;
use hetsync_core::{Payload, Span};

const WORKERS: usize = 3;
const ROUNDS: usize = 200;
const RATE: f32 = 0.1;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    smol::block_on(async {
        // Port 0: any free one.
        let listener = listen(([127, 0, 0, 1], 0).into())?;
        let address = listener.get_ref().local_addr()?;
        let server = Server::builder()
            .workers(WORKERS)
            .policy(Deadline::new(Span::from_secs(2)))
            .aggregate(Mean)
            .observer(|_, notice| {
                if let Notice::Machine {
                    event: Event::Closed(report),
                    ..
                } = notice
                    && report.round.0.is_multiple_of(50)
                {
                    println!("round {}: {} in", report.round, report.arrivals.len());
                }
            })
            .build();
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let running = smol::spawn(server.run(listener, async move {
            let _ = stopped.recv().await;
        }));

        let workers: Vec<_> = (0..WORKERS)
            .map(|index| smol::spawn(train(Client::new(address), index)))
            .collect();
        let mut models = Vec::new();
        for worker in workers {
            models.push(worker.await?);
        }
        // Closing the channel is the server's signal to stop.
        drop(stop);
        let stats = running.await?;

        let [slope, offset] = models[0];
        println!(
            "after {} rounds: y = {slope:.3} x + {offset:.3}",
            stats.rounds()
        );
        assert!(models.iter().all(|model| *model == models[0]));
        println!("every worker ended with the same model");
        Ok(())
    })
}

/// Gradient descent on points of the line y = 3 x - 1; each worker has
/// other points.
async fn train(mut client: Client, index: usize) -> Result<[f32; 2], Box<dyn Error + Send + Sync>> {
    let points: Vec<(f32, f32)> = (0..20)
        .map(|at| at as f32 / 10.0 - 1.0 + index as f32 * 0.03)
        .map(|x| (x, 3.0 * x - 1.0))
        .collect();
    let mut model = [0.0_f32; 2];
    for _ in 0..ROUNDS {
        let mut gradient = [0.0_f32; 2];
        for (x, y) in &points {
            let error = model[0] * x + model[1] - y;
            gradient[0] += 2.0 * error * x / points.len() as f32;
            gradient[1] += 2.0 * error / points.len() as f32;
        }
        let mean = client.submit(Payload::from_floats(&gradient)).await?;
        for (weight, slope) in model.iter_mut().zip(mean.to_floats()) {
            *weight -= RATE * slope;
        }
    }
    Ok(model)
}
