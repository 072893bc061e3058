//! The server's shared secret.

use std::fmt;

use subtle::ConstantTimeEq;

/// A secret that workers must know. Not shown by `{:?}`.
///
/// ```
/// use hetsync_core::server::Token;
///
/// let token = Token::new("correct horse");
/// assert!(token.matches(b"correct horse"));
/// assert!(!token.matches(b"correct house"));
/// assert_eq!(format!("{token:?}"), "Token(..)");
/// ```
#[derive(Clone)]
pub struct Token(Vec<u8>);

impl Token {
    /// The secret's bytes, as the workers send them.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    /// Whether `offered` is the same, in a time that does not tell how much
    /// of it is. (That a length is wrong can be told by the time.)
    pub fn matches(&self, offered: &[u8]) -> bool {
        self.0.ct_eq(offered).into()
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
