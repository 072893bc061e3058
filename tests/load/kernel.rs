//! Facts about the running kernel: BTF, function names, features.

use crate::bpf_allowed;
use hetsync_probe::kernel::btf::{Btf, VMLINUX};
use hetsync_probe::kernel::features::{Features, attachable};
use hetsync_probe::kernel::running::Running;
use hetsync_probe::kernel::{FunctionFact, Kernel};
use hetsync_probe::load::sys::vmlinux_btf;
use std::path::Path;
use std::time::Instant;

/// Peak resident memory of this process.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("VmHWM");
    line.trim_end_matches("kB")
        .trim()
        .parse()
        .expect("a number")
}

#[test]
fn the_kernels_btf_is_read_fast_and_right() {
    if !Path::new(VMLINUX).exists() {
        println!("the_kernels_btf_is_read_fast_and_right: skipped, no {VMLINUX}");
        return;
    }
    let bytes = std::fs::metadata(VMLINUX).unwrap().len();
    let peak_before = peak_kib();
    let start = Instant::now();
    let btf = Btf::read(Path::new(VMLINUX)).expect("BTF");
    let read = start.elapsed();
    let start = Instant::now();
    let sendmsg = btf.prototype("tcp_sendmsg").expect("tcp_sendmsg");
    let looked_up = start.elapsed();
    let functions = btf.functions();
    println!(
        "{bytes} bytes of BTF with {functions} functions: read in {read:?}, a prototype in {looked_up:?}"
    );
    // Meaningful when this test runs alone.
    println!(
        "peak memory before {peak_before} KiB, after {} KiB",
        peak_kib()
    );
    assert_eq!(sendmsg.arg_names, ["sk", "msg", "size"]);
    assert!(sendmsg.returns && sendmsg.args == 3 && sendmsg.btf_id.id > 0);
    assert!(!btf.prototype("tcp_close").expect("tcp_close").returns);
    assert_eq!(btf.prototype("no_such_function"), None);
}

#[test]
fn the_kernels_own_btf_object_holds_the_files_bytes() {
    if !bpf_allowed("the_kernels_own_btf_object_holds_the_files_bytes") {
        return;
    }
    let start = Instant::now();
    let object = match vmlinux_btf() {
        Ok(bytes) => bytes,
        Err(error) => {
            println!("skipped, this kernel gives no BTF object: {error}");
            return;
        }
    };
    let by_object = start.elapsed();
    let start = Instant::now();
    let file = std::fs::read(VMLINUX).expect("file");
    println!(
        "BTF by its object {by_object:?}, by its file {:?}",
        start.elapsed()
    );
    assert!(object == file);
}

#[test]
fn the_running_kernel_knows_its_functions() {
    let kernel = Running::new();
    match kernel.function("tcp_sendmsg") {
        FunctionFact::Present => {}
        FunctionFact::Unknown => {
            println!("the_running_kernel_knows_its_functions: skipped, no list of functions");
            return;
        }
        FunctionFact::Absent(near) => panic!("tcp_sendmsg is absent, near it {near:?}"),
    }
    match kernel.function("tcp_sendmgs") {
        FunctionFact::Absent(near) => {
            assert_eq!(near.first().map(String::as_str), Some("tcp_sendmsg"))
        }
        fact => panic!("{fact:?}"),
    }
    let matching = kernel.matching_functions("tcp_sendms?").expect("list");
    assert_eq!(matching, ["tcp_sendmsg"]);
    assert!(kernel.matching_functions("tcp_*").unwrap().len() > 50);
}

#[test]
fn features_are_found_by_trying() {
    if !bpf_allowed("features_are_found_by_trying") {
        return;
    }
    let features = Features::probe(&Running::new());
    for (name, support) in features.rows() {
        println!("{name}: {support:?}");
    }
    assert!(features.bpf.yes() && features.ring_buffer.yes());
    if !features.kprobe.yes() {
        let clause = attachable();
        assert!(!clause.contains("kprobes"), "{clause}");
        assert_eq!(
            clause.contains("raw tracepoints"),
            features.raw_tracepoint.yes(),
            "{clause}"
        );
    }
}
