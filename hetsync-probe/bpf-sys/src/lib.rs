//! The functions and types of `bpf-sys` that redbpf names, over raw bpf(2).
