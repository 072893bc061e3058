//! The tree as text, without places: one line a statement, expressions in prefix form.
