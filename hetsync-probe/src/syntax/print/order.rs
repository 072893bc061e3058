//! Whether the formatter has left everything where it was, relative to the lines of the preprocessor.

use crate::syntax::literal;

/// Whether two texts say the same in the same order, not counting white space, separators and comments.
pub(in crate::syntax) fn same_order(before: &str, after: &str) -> bool {
    let says = |text: &str| -> String {
        literal::without_comments(text)
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, ';' | ','))
            .collect()
    };
    says(before) == says(after)
}
