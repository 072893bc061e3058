//! Loading and attaching; all `unsafe` of the crate lives here.

pub mod error;
pub mod sys;

pub use error::LoadError;
