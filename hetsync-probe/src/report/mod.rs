//! Values to tables, histograms, JSON, CSV, pictures.
//!
//! What it is: [`value`] turns the bytes of maps and events into typed values, merging the parts of all CPUs;
//! [`map`] puts a map's entries in order; one file a form ([`text`], [`json`], [`csv`], [`plot`]) writes them.
//!
//! What it is not: it opens nothing and reads no clock. It gets bytes and plain values and appends to buffers
//! ([`form::Output`]); where those go is the caller's business, so every form is tested without a kernel.
//!
//! Invariants: bytes from a kernel never make it panic (too short is `None`); nothing is rounded before it is
//! printed; what could not be counted is said, in [`account`].

pub mod account;
pub mod baseline;
pub mod csv;
pub mod form;
pub mod histogram;
pub mod json;
pub mod map;
pub mod names;
pub mod peer;
pub mod plot;
pub mod printf;
pub mod summary;
pub mod table;
pub mod text;
pub mod value;
