//! Exit codes, all of them.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well; also Ctrl-C and SIGTERM.
    Ok,
    /// It did not, and standard error says why.
    Failure,
    /// The command line was wrong.
    Usage,
    /// The status of the child of `-c` (128 + the signal that ended it), or the code of the script's `exit(code)`.
    Code(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Code(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
