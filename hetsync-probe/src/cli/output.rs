//! Where output goes: standard output or a file. Buffered; the caller flushes at quiet moments.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::report::form::Output;

/// Bytes that are written even if the moment is not quiet.
const MOST_BUFFERED: usize = 1 << 16;

/// Why output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The reader went away (`| head`): no error to tell anyone.
    #[error("the reader of the output has closed it")]
    Closed,
    /// Anything else: a full disk, say.
    #[error("cannot write to {to}: {source}")]
    Failed {
        /// The file, or `standard output`.
        to: String,
        /// Why.
        source: io::Error,
    },
}

/// A writer of what forms append to an [`Output`].
#[derive(Debug)]
pub struct Writer {
    /// What forms append to.
    pub out: Output,
    file: Option<(PathBuf, File)>,
}

impl Writer {
    /// Writes to a file, made or emptied now, or else to standard output.
    ///
    /// # Errors
    /// [`WriteError::Failed`] if the file cannot be made.
    pub fn open(path: Option<&Path>) -> Result<Writer, WriteError> {
        let file = match path {
            None => None,
            Some(path) => {
                let file = File::create(path).map_err(|source| WriteError::Failed {
                    to: path.display().to_string(),
                    source,
                })?;
                Some((path.to_path_buf(), file))
            }
        };
        Ok(Writer {
            out: Output::default(),
            file,
        })
    }

    /// Columns a table may take: the terminal's, or 100 where there is none.
    pub fn width(&self) -> u16 {
        match self.file {
            Some(_) => 100,
            None => comfy_table::Table::new().width().unwrap_or(100),
        }
    }

    /// Writes if much has gathered.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn flush_if_full(&mut self) -> Result<(), WriteError> {
        if self.out.report.len() >= MOST_BUFFERED {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes everything gathered.
    ///
    /// # Errors
    /// [`WriteError::Closed`] if the reader is gone, else [`WriteError::Failed`]. What was gathered is dropped.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        if !self.out.aside.is_empty() {
            // Standard error is where problems are told; there is no place to tell this one.
            let _ = io::stderr().write_all(&self.out.aside);
            self.out.aside.clear();
        }
        let result = match &mut self.file {
            Some((_, file)) => file.write_all(&self.out.report),
            None => {
                let mut stdout = io::stdout().lock();
                stdout
                    .write_all(&self.out.report)
                    .and_then(|()| stdout.flush())
            }
        };
        self.out.report.clear();
        result.map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> WriteError {
        match &self.file {
            None if source.kind() == io::ErrorKind::BrokenPipe => WriteError::Closed,
            None => WriteError::Failed {
                to: "standard output".into(),
                source,
            },
            Some((path, _)) => WriteError::Failed {
                to: path.display().to_string(),
                source,
            },
        }
    }
}
