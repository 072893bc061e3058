//! Command line: clap structs, one function per mode.
