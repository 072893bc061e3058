//! Compiles the in-guest agent as a static program, so that the library
//! always carries the one that speaks its own protocol, whatever the
//! guest's C library is, and whichever crate links it.

use std::{env, path::PathBuf, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/agent/main.rs");
    println!("cargo::rerun-if-changed=src/wire.rs");

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("agent");
    let target = env::var("TARGET").expect("cargo sets TARGET");
    if !target.starts_with("x86_64-") || !target.contains("-linux-") {
        // The guest is an x86-64 machine and its kernel a Linux one. Booting
        // says so when it finds the agent empty; everything else still works.
        std::fs::write(&out, b"").expect("OUT_DIR can be written");
        return;
    }

    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC");
    let status = Command::new(rustc)
        .args(["--crate-name", "agent", "--crate-type", "bin"])
        .args(["--edition", "2024", "--target", &target])
        .args(["-C", "target-feature=+crt-static", "-C", "opt-level=s"])
        .args(["-C", "panic=abort", "-C", "strip=symbols"])
        .arg("-o")
        .arg(&out)
        .arg("src/agent/main.rs")
        .status()
        .expect("rustc can be started");
    assert!(
        status.success(),
        "the guest's agent did not compile; a static program needs the C library's \
         development files (libc6-dev on Debian)"
    );
}
