//! nom grammar, AST, printer. Knows no kernel and no types.
