//! Finding the next sound place after a mistake. Both functions always move on, and know strings, comments and nested
//! braces, so that a brace inside a string does not mislead them.

use super::token;

/// Behind the end of the broken statement: past its `;`, past a block it opens, or at the `}` of the block around it.
pub(super) fn statement(input: &str) -> &str {
    let mut rest = input;
    loop {
        match rest.as_bytes().first() {
            None | Some(b'}') => return rest,
            Some(b';') => return &rest[1..],
            Some(b'{') => return block(rest),
            _ => rest = skip_one(rest),
        }
    }
}

/// Behind the broken probe: past the next block, or at the end.
pub(super) fn probe(input: &str) -> &str {
    let mut rest = input;
    loop {
        match rest.as_bytes().first() {
            None => return rest,
            Some(b'}' | b';') => return &rest[1..],
            Some(b'{') => return block(rest),
            _ => rest = skip_one(rest),
        }
    }
}

/// Past the block at the start.
fn block(input: &str) -> &str {
    let mut rest = input;
    let mut open = 0usize;
    loop {
        match rest.as_bytes().first() {
            None => return rest,
            Some(b'{') => {
                open += 1;
                rest = &rest[1..];
            }
            Some(b'}') => {
                rest = &rest[1..];
                open -= 1;
                if open == 0 {
                    return rest;
                }
            }
            _ => rest = skip_one(rest),
        }
    }
}

/// Past one character, comment or string.
fn skip_one(input: &str) -> &str {
    if let Ok((rest, _)) = token::comment(input) {
        return rest;
    }
    let mut chars = input.chars();
    if chars.next() != Some('"') {
        return chars.as_str();
    }
    loop {
        match chars.next() {
            None | Some('"' | '\n') => return chars.as_str(),
            Some('\\') => {
                chars.next();
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_strings_and_comments_do_not_count() {
        assert_eq!(statement(r#"$x = "a;}"; b"#), " b");
        assert_eq!(statement("a /* ; */ } c"), "} c");
        assert_eq!(statement("for (x) { a; { b } } c"), " c");
        assert_eq!(probe("macro f() { \"}\" } x"), " x");
        assert_eq!(statement("\"open"), "");
    }
}
