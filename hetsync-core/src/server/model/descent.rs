//! Parameters that the server holds and changes by gradient descent.
//!
//! Invariants: what is finite stays so, whatever the gradients; the state is
//! in f32 and each element depends on the same element of the gradients
//! alone, so equal results give equal bits. An array that a checkpoint still
//! holds is copied before it is changed.

use std::fmt;
use std::sync::Arc;

use super::{Model, Optimizer, RoundResult};
use crate::checkpoint::{Array, Part};
use crate::payload::{FLOAT_BYTES, Payload};

/// A model that takes a step of gradient descent with each round.
///
/// A worker that does the same arithmetic with the mean gradient
/// `r / divisor`, in f32 and without fusing, holds the same bits.
///
/// ```
/// use hetsync_core::Payload;
/// use hetsync_core::server::{Descent, Optimizer};
///
/// let mut model = Descent::with(vec![1.0, 2.0], "momentum(0.5, 0.5)".parse()?);
/// for _ in 0..2 {
///     // The sum of two workers' gradients.
///     model.step(&Payload::from_floats(&[2.0, -2.0]), 2.0);
/// }
/// assert_eq!(model.parameters(), [-0.25, 3.25]);
/// # Ok::<(), hetsync_core::aggregate::ParseRuleError>(())
/// ```
#[derive(Clone)]
pub struct Descent {
    parameters: Arc<Vec<f32>>,
    optimizer: Optimizer,
    /// The velocity, or the mean; empty if the rule has none.
    first: Arc<Vec<f32>>,
    /// The mean square; empty if the rule has none.
    second: Arc<Vec<f32>>,
    steps: u64,
}

/// Never leaves the range of f32: finite state must not be lost to one wild
/// result.
fn finite(value: f32) -> f32 {
    value.clamp(f32::MIN, f32::MAX)
}

impl Descent {
    /// Plain gradient descent from these parameters.
    pub fn new(parameters: Vec<f32>, rate: f32) -> Self {
        Self::with(parameters, Optimizer::Sgd { rate })
    }

    /// Begins with these parameters.
    pub fn with(parameters: Vec<f32>, optimizer: Optimizer) -> Self {
        let zeros =
            |is_wanted: bool| Arc::new(vec![0.0; if is_wanted { parameters.len() } else { 0 }]);
        Self {
            first: zeros(!matches!(optimizer, Optimizer::Sgd { .. })),
            second: zeros(matches!(optimizer, Optimizer::Adam { .. })),
            parameters: Arc::new(parameters),
            optimizer,
            steps: 0,
        }
    }

    /// The parameters as they are now.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// One step.
    pub fn step(&mut self, result: &Payload, divisor: f32) {
        self.step_bytes(result.as_bytes(), divisor);
    }

    fn step_bytes(&mut self, bytes: &[u8], divisor: f32) {
        self.steps += 1;
        let (words, _) = bytes.as_chunks::<FLOAT_BYTES>();
        let gradients = words.iter().map(|word| f32::from_le_bytes(*word) / divisor);
        let parameters = Arc::make_mut(&mut self.parameters).iter_mut();
        let (first, second) = (
            Arc::make_mut(&mut self.first),
            Arc::make_mut(&mut self.second),
        );
        match self.optimizer {
            Optimizer::Sgd { rate } => {
                for (parameter, gradient) in parameters.zip(gradients) {
                    *parameter = finite(*parameter - rate * gradient);
                }
            }
            Optimizer::Momentum { rate, decay } => {
                for ((parameter, gradient), velocity) in parameters.zip(gradients).zip(first) {
                    *velocity = finite(decay * *velocity + gradient);
                    *parameter = finite(*parameter - rate * *velocity);
                }
            }
            Optimizer::Adam {
                rate,
                first_decay,
                second_decay,
                epsilon,
            } => {
                let correct = |decay: f32| {
                    let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
                    (1.0 - f64::from(decay).powi(steps)) as f32
                };
                let state = first.iter_mut().zip(second);
                let (first, second) = (correct(first_decay), correct(second_decay));
                for ((parameter, gradient), (mean, square)) in parameters.zip(gradients).zip(state)
                {
                    *mean = finite(first_decay * *mean + (1.0 - first_decay) * gradient);
                    // Where the square leaves f32, the step is small instead.
                    let news = (1.0 - second_decay) * gradient * gradient;
                    *square = finite(second_decay * *square + finite(news));
                    let step = *mean / first / (finite(*square / second).sqrt() + epsilon);
                    *parameter = finite(*parameter - rate * step);
                }
            }
        }
    }

    /// Its arrays, by the names that they are saved under.
    fn arrays(&mut self) -> [(&'static str, &mut Arc<Vec<f32>>); 3] {
        [
            ("parameters", &mut self.parameters),
            ("first", &mut self.first),
            ("second", &mut self.second),
        ]
    }
}

impl Model for Descent {
    fn floats(&self) -> usize {
        self.parameters.len()
    }

    fn apply(&mut self, result: &RoundResult) {
        self.step_bytes(result.as_bytes(), result.divisor());
    }

    fn write(&self, out: &mut [u8]) {
        let (words, _) = out.as_chunks_mut::<FLOAT_BYTES>();
        for (word, parameter) in words.iter_mut().zip(self.parameters.iter()) {
            *word = parameter.to_le_bytes();
        }
    }

    fn name(&self) -> &'static str {
        self.optimizer.name()
    }

    fn save(&self) -> Vec<Part> {
        let part = |name: &str, content: Array| Part {
            name: name.into(),
            content,
        };
        vec![
            part("parameters", Arc::clone(&self.parameters).into()),
            part("first", Arc::clone(&self.first).into()),
            part("second", Arc::clone(&self.second).into()),
            part("steps", self.steps.to_le_bytes().to_vec().into()),
        ]
    }

    fn restore(&mut self, parts: &[Part]) -> Result<(), String> {
        let find = |name: &str| {
            let part = parts.iter().find(|part| part.name == name);
            part.map(|part| &part.content)
                .ok_or(format!("it has no {name}"))
        };
        for (name, array) in self.arrays() {
            let (found, expected) = (find(name)?, array.len());
            let floats = found.to_floats().filter(|floats| floats.len() == expected);
            let Some(floats) = floats else {
                let found = found.len();
                return Err(format!("{found} bytes of {name} for {expected} floats"));
            };
            *array = floats;
            if !array.iter().all(|value| value.is_finite()) {
                return Err(format!("a NaN or an infinity among its {name}"));
            }
        }
        let steps = find("steps")?.to_bytes();
        let steps = steps
            .try_into()
            .map_err(|_| "its number of steps is none")?;
        self.steps = u64::from_le_bytes(steps);
        Ok(())
    }
}

impl fmt::Debug for Descent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.parameters.len();
        write!(f, "Descent({count} parameters, {})", self.optimizer)
    }
}
