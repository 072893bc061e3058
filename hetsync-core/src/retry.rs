//! How a worker gets its connection back: attempts further and further
//! apart, and an end to them. What the workers of both protocols share; what
//! is said on the connection is theirs.

use crate::time::{Span, Time};

/// How a worker tries to get its connection back.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Wait before the second attempt; doubled after each one that fails.
    pub first: Span,
    /// Never wait longer than this.
    pub max: Span,
    /// Attempts without a result before giving up, at least 1.
    pub attempts: u32,
}

/// Ten attempts over about ten seconds.
impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Span::from_millis(50),
            max: Span::from_secs(2),
            attempts: 10,
        }
    }
}

impl Retry {
    /// How long to wait after this many failures in a row; `None` to give
    /// up.
    fn after(&self, failed: u32) -> Option<Span> {
        if failed >= self.attempts {
            return None;
        }
        let doubled = 1_u64
            .checked_shl(failed.saturating_sub(1))
            .unwrap_or(u64::MAX);
        let wait = self.first.as_nanos().saturating_mul(doubled);
        Some(Span::from_nanos(wait).min(self.max))
    }
}

/// The wait between two attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    retry: Retry,
    /// Connections that failed or broke since the last result: a server that
    /// accepts and then refuses is no better than none.
    failed: u32,
    /// When to try again, while there is a wait.
    until: Option<Time>,
}

impl Backoff {
    pub(crate) fn new(retry: Retry) -> Self {
        Self {
            retry,
            failed: 0,
            until: None,
        }
    }

    /// An attempt failed, or the connection broke. False if it is to be the
    /// last.
    pub(crate) fn fail(&mut self, now: Time) -> bool {
        self.failed += 1;
        self.until = self.retry.after(self.failed).map(|wait| now + wait);
        self.until.is_some()
    }

    /// There is nothing to wait for: there is a connection, be it any good or
    /// not, or none is wanted any more.
    pub(crate) fn stop(&mut self) {
        self.until = None;
    }

    /// There is a result.
    pub(crate) fn succeed(&mut self) {
        self.failed = 0;
    }

    /// Whether the wait is over. True once.
    pub(crate) fn is_over(&mut self, now: Time) -> bool {
        self.until.take_if(|until| now >= *until).is_some()
    }

    /// When the wait is over.
    pub(crate) fn until(&self) -> Option<Time> {
        self.until
    }
}
