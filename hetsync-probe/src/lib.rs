//! A bpftrace-style profiler with its own compiler.
