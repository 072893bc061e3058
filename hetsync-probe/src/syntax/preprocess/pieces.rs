//! A text as the preprocessor sees it: names, comments, and everything else.

use crate::syntax::token;

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::syntax) enum Kind {
    /// A name that could be a macro: no `$` or `@` before it.
    Name,
    /// A comment, or the part of one.
    Comment,
    /// A string, a number, an operator, white space, ..
    Other,
}

/// The pieces of a text, each with its start and length; they cover it.
pub(in crate::syntax) struct Pieces<'a, 'c> {
    text: &'a str,
    at: usize,
    /// Whether a `/*` is still open.
    in_comment: &'c mut bool,
}

impl<'a, 'c> Pieces<'a, 'c> {
    pub(in crate::syntax) fn new(text: &'a str, in_comment: &'c mut bool) -> Self {
        Self {
            text,
            at: 0,
            in_comment,
        }
    }

    fn take(&mut self) -> (Kind, usize) {
        let rest = &self.text[self.at..];
        if *self.in_comment {
            return (Kind::Comment, self.comment(rest, 0));
        }
        if rest.starts_with("/*") {
            return (Kind::Comment, self.comment(rest, 2));
        }
        if rest.starts_with("//") {
            return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
        }
        let word = |from: usize| {
            rest[from..]
                .find(|c| !token::is_name(c))
                .map_or(rest.len(), |len| from + len)
        };
        match rest.chars().next() {
            Some('"') => (Kind::Other, string(rest)),
            Some('$' | '@') => (Kind::Other, word(1)),
            Some(c) if c.is_ascii_digit() => (Kind::Other, word(0)),
            Some(c) if token::is_name(c) => (Kind::Name, word(0)),
            Some(c) => (Kind::Other, c.len_utf8()),
            None => (Kind::Other, 0),
        }
    }

    /// Length of the comment at the start, whose end is looked for from `from` on.
    fn comment(&mut self, rest: &str, from: usize) -> usize {
        let end = rest[from..].find("*/");
        *self.in_comment = end.is_none();
        end.map_or(rest.len(), |end| from + end + 2)
    }
}

/// Length of the string at the start; it ends with its line.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return at,
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

impl Iterator for Pieces<'_, '_> {
    type Item = (Kind, usize, usize);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.text.len() {
            return None;
        }
        let start = self.at;
        let (kind, len) = self.take();
        self.at += len;
        Some((kind, start, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_could_be_macros_are_names() {
        let text = r#"A $B @C "D \" E" 0xF G // H"#;
        let names: Vec<&str> = Pieces::new(text, &mut false)
            .filter(|(kind, ..)| *kind == Kind::Name)
            .map(|(_, start, len)| &text[start..start + len])
            .collect();
        assert_eq!(names, ["A", "G"]);
        let mut open = false;
        assert_eq!(Pieces::new("a /* b", &mut open).count(), 3);
        assert!(open);
        let text = "c */ d";
        let last = Pieces::new(text, &mut open).last().unwrap();
        assert_eq!(last, (Kind::Name, 5, 1));
        assert!(!open);
    }
}
