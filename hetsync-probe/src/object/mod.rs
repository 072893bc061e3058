//! The ELF image of a compiled script.
