//! Names of jobs and of workers, as they go over the wire and into logs.
//!
//! Invariant: 1 to 64 characters of `A-Z a-z 0-9 . _ : / -`, so that a name
//! can stand in a log line, a metric's label or a file name as it is, and
//! can be held for every worker of a large job.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// A name of a job or a worker. Cloning it copies no text.
///
/// ```
/// use hetsync_core::Name;
///
/// let name: Name = "trainer-3".parse()?;
/// assert_eq!(name.as_str(), "trainer-3");
/// assert!("two words".parse::<Name>().is_err());
/// # Ok::<(), hetsync_core::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or too much.
    #[error("a name has 1 to {MAX_NAME_BYTES} characters; this one has {found} bytes")]
    Length {
        /// Its length in bytes.
        found: usize,
    },
    /// A character that is not allowed.
    #[error("{found:?} may not stand in a name, only letters, digits and . _ : / -")]
    Character {
        /// The first such.
        found: char,
    },
}

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The job that is meant when none is named: `default`.
impl Default for Name {
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > MAX_NAME_BYTES {
            return Err(NameError::Length { found: text.len() });
        }
        let is_fine = |c: &char| c.is_ascii_alphanumeric() || "._:/-".contains(*c);
        match text.chars().find(|c| !is_fine(c)) {
            Some(found) => Err(NameError::Character { found }),
            None => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}
