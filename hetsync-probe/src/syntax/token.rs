//! The smallest parts of the text: names, operators, comments, and what to call a piece of text in a message.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_until, take_while, take_while1};
use nom::character::complete::not_line_ending;
use nom::combinator::recognize;
use nom::sequence::pair;

use super::grammar::{Fail, Res, expected};

/// All operators and brackets; a longer one stands before its beginnings.
const OPERATORS: [&str; 47] = [
    "<<=", ">>=", "...", "->", "..", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
    "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "+", "-", "*", "/", "%", "&", "|", "^", "<",
    ">", "=", "!", "~", "?", ":", ";", ",", ".", "(", ")", "[", "]", "{", "}",
];

/// The longest operator or bracket at the start.
pub(super) fn operator(input: &str) -> Res<'_, &'static str> {
    match OPERATORS
        .iter()
        .find(|operator| input.starts_with(**operator))
    {
        Some(operator) => Ok((&input[operator.len()..], operator)),
        None => expected(input, "an operator"),
    }
}

/// A character a name may start with.
fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// A character a name may go on with.
pub(super) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A name: letters, digits and underscores, no digit first.
pub(super) fn identifier(input: &str) -> Res<'_, &str> {
    recognize(pair(take_while1(is_name_start), take_while(is_name))).parse(input)
}

/// A comment of either kind, without the line end. Fails on one that is not closed.
pub(super) fn comment(input: &str) -> Res<'_, &str> {
    let line = recognize(pair(tag("//"), not_line_ending::<&str, Fail>));
    let block = recognize((tag("/*"), take_until("*/"), tag("*/")));
    match alt((line, block)).parse(input) {
        Ok(found) => Ok(found),
        // `not_line_ending` refuses a bare carriage return; such a comment ends there.
        Err(_) if input.starts_with("//") => take_while(|c| c != '\n' && c != '\r')(input),
        Err(error) => Err(error),
    }
}

/// Behind the line of the preprocessor at the start, with the lines that a backslash continues.
pub(super) fn directive(input: &str) -> &str {
    let mut end = 0;
    loop {
        let line = input[end..].find('\n').map_or(input.len(), |at| end + at);
        let text = input[end..line].trim_end_matches('\r');
        if !text.ends_with('\\') || line == input.len() {
            return &input[end + text.len()..];
        }
        end = line + 1;
    }
}

/// Bytes of what stands at the start: a name, a number, an operator or one character; 0 at the end.
pub(super) fn found_len(input: &str) -> usize {
    let sigil = usize::from(input.starts_with(['$', '@']));
    let rest = &input[sigil..];
    let word = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    if sigil + word > 0 {
        return sigil + word;
    }
    match operator(input) {
        Ok((_, operator)) => operator.len(),
        Err(_) => input.chars().next().map_or(0, char::len_utf8),
    }
}

/// What stands at the start, for a message.
pub(super) fn describe(input: &str) -> String {
    match input.chars().next() {
        None => "the end of the script".into(),
        Some('"') => "a string".into(),
        Some('\n' | '\r') => "the end of the line".into(),
        Some(c) if c.is_ascii_digit() => format!("the number `{}`", &input[..found_len(input)]),
        Some(c) if c.is_control() => format!("the character U+{:04X}", u32::from(c)),
        Some(_) => format!("`{}`", &input[..found_len(input)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_operator_stands_before_its_beginnings() {
        for (at, operator) in OPERATORS.iter().enumerate() {
            for earlier in &OPERATORS[..at] {
                assert!(!operator.starts_with(earlier), "{earlier} hides {operator}");
            }
        }
    }

    #[test]
    fn directives_go_on_behind_a_backslash() {
        assert_eq!(directive("#a b\nc"), "\nc");
        assert_eq!(directive("#a \\\r\n b\r\nc"), "\r\nc");
        assert_eq!(directive("#a \\"), "");
    }

    #[test]
    fn comments_end_where_they_should() {
        assert_eq!(comment("// a\r\nb").unwrap().1, "// a");
        assert_eq!(comment("// a\rb").unwrap().1, "// a");
        assert_eq!(comment("/* a\n*/b").unwrap().1, "/* a\n*/");
        assert!(comment("/* a").is_err());
    }
}
