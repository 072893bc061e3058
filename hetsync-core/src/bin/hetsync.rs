//! The `hetsync` command.
fn main() {}
