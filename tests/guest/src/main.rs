//! Boots a stock Debian kernel in QEMU and runs commands in it.
fn main() {}
