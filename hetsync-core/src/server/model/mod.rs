//! A model that the server holds: what workers that missed too much are
//! sent, and those that begin.
//!
//! Most jobs need none: each worker holds its own replica and does with the
//! results what it likes. Where the server applies them as well, a worker
//! can come back from anywhere.
//!
//! Invariant: a model changes only when a round closes, by that round's
//! result, so what a worker is sent is the model before a certain round.

mod descent;
mod optimizer;

pub use descent::Descent;
pub use optimizer::Optimizer;

use std::fmt;

use super::RoundResult;
use crate::checkpoint::Part;

/// Parameters that the server holds, and how a result changes them.
pub trait Model: fmt::Debug + Send {
    /// How many parameters there are.
    fn floats(&self) -> usize;

    /// Takes a result in. It has as many elements as there are parameters.
    fn apply(&mut self, result: &RoundResult);

    /// The parameters, as little-endian f32s, into `out`, which is as long.
    fn write(&self, out: &mut [u8]);

    /// What kind of model it is; a saved one is restored to its own kind.
    fn name(&self) -> &'static str {
        "model"
    }

    /// All of its state, for a checkpoint. By default a copy of the
    /// parameters. Rounds wait for it, so a large model should hand out
    /// arrays that it shares, as [`Descent`] does, and not copies.
    fn save(&self) -> Vec<Part> {
        let mut bytes = vec![0; super::config::model_bytes(self.floats())];
        self.write(&mut bytes);
        let name = "parameters".into();
        let content = bytes.into();
        vec![Part { name, content }]
    }

    /// Takes back what [`save`](Self::save) gave. The lengths are to be
    /// checked; a checkpoint may be of another model.
    ///
    /// # Errors
    /// Why it does not take it, in words. By default it takes nothing.
    fn restore(&mut self, parts: &[Part]) -> Result<(), String> {
        let _ = parts;
        Err("this kind of model cannot be restored".into())
    }
}
