//! The `hetsync-probe` command.
fn main() {}
