//! Two ways to run a script without a kernel: an interpreter of the checked script and one of its eBPF.
