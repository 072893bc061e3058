//! What the textual forms of rules have in common: `name`, `name(..)`, rules
//! in rules, and errors that name their place.

use std::str::FromStr;

/// Longest text that is looked at, and how deep rules may lie in rules.
const MOST_CHARACTERS: usize = 1000;
const DEEPEST: usize = 8;

/// Why a text is no rule, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("in `{text}` at character {at}: {what}")]
pub struct ParseRuleError {
    text: String,
    pub(crate) at: usize,
    pub(crate) what: String,
}

/// A place in a text.
pub(crate) struct Parser<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

impl<'a> Parser<'a> {
    /// Reads a whole text as one rule.
    pub(crate) fn whole<T>(
        text: &'a str,
        rule: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, ParseRuleError> {
        let shown: String = text.chars().take(80).collect();
        let mut parser = Parser { text, at: 0 };
        let parsed = match text.len() {
            0..=MOST_CHARACTERS => rule(&mut parser).and_then(|rule| match parser.rest().trim() {
                "" => Ok(rule),
                _ => Err("expected nothing after the rule".into()),
            }),
            _ => Err(format!("a rule has at most {MOST_CHARACTERS} characters")),
        };
        parsed.map_err(|what| ParseRuleError {
            text: shown,
            at: text[..parser.at].chars().count() + 1,
            what,
        })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a symbol, if it is next.
    pub(crate) fn takes(&mut self, symbol: char) -> bool {
        self.skip_blanks();
        let is_next = self.rest().starts_with(symbol);
        self.at += if is_next { symbol.len_utf8() } else { 0 };
        is_next
    }

    pub(crate) fn expect(&mut self, symbol: char, after: &str) -> Result<(), String> {
        match self.takes(symbol) {
            true => Ok(()),
            false => Err(format!("expected `{symbol}` {after}")),
        }
    }

    /// Everything up to a symbol that ends a word; it is not taken yet.
    pub(crate) fn word(&mut self) -> &'a str {
        self.skip_blanks();
        let rest = self.rest();
        let end = rest.find(['(', ')', ',', '=']).unwrap_or(rest.len());
        rest[..end].trim_end()
    }

    /// Takes a word that [`word`](Self::word) has just shown.
    pub(crate) fn take(&mut self, word: &str) {
        self.at += word.len();
    }

    /// Takes the next word, read as a value.
    pub(crate) fn value<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let text = self.word();
        let value = text.parse().map_err(|_| format!("expected {what}"))?;
        self.take(text);
        Ok(value)
    }

    pub(crate) fn number(&mut self) -> Result<u64, String> {
        self.value("a whole number")
    }

    /// Goes back to before a name that is none of `names`.
    pub(crate) fn unknown(&mut self, name: &str, names: &str) -> String {
        self.at -= name.len();
        let shown: String = name.chars().take(30).collect();
        format!("no rule is called `{shown}`; there are {names}")
    }
}

/// Refuses rules that lie too deep in rules.
pub(crate) fn check_depth(depth: usize) -> Result<(), String> {
    match depth > DEEPEST {
        true => Err(format!("rules may lie {DEEPEST} deep in rules, no deeper")),
        false => Ok(()),
    }
}

/// `part/whole` as two numbers, if it is a share from 0 to 1.
pub(crate) fn share(part: &str, whole: &str) -> Option<(u32, u32)> {
    let part = part.trim().parse().ok()?;
    let whole = whole.trim().parse().ok()?;
    (part <= whole && whole > 0).then_some((part, whole))
}
