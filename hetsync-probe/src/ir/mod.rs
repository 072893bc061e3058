//! Blocks, virtual registers, a text form; lowered from [`crate::sema::hir`].
