//! `hetsync bench`.
use crate::Failure;
use crate::args::BenchArgs;
pub(crate) fn run(_args: BenchArgs) -> Result<(), Failure> {
    Err("soon".into())
}
