//! Packages from the Debian archive that the machine already trusts.
//!
//! The machine's own apt sources say where the archive is and which keys
//! sign it; only the release is changed, and all state lies in a folder of
//! ours. apt checks the signatures as it always does. Nothing on the machine
//! is changed, and no host name is known to this code.

mod archive;
mod sources;

pub(crate) use archive::Archive;
