//! What each kind of bad input says, and its exit code. The kernel's refusals are tested where there is a kernel to refuse.

use crate::{hetsync_probe, with_stdin};

#[test]
fn a_binary_file_as_script() {
    let program = env!("CARGO_BIN_EXE_hetsync-probe");
    for mode in ["check", "run", "fmt"] {
        hetsync_probe(&[mode, program]).fails(1, &["E000", program]);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.hp");
    std::fs::write(&file, b"begin { @x = 1 }\0").unwrap();
    hetsync_probe(&["check", file.to_str().unwrap()]).fails(1, &["E0002", "NUL", "binary"]);
    std::fs::write(&file, b"begin { @x = \"\xff\" }").unwrap();
    hetsync_probe(&["check", file.to_str().unwrap()]).fails(1, &["E0001", "UTF-8"]);
}

#[test]
fn a_script_that_is_not_there_or_a_folder() {
    hetsync_probe(&["check", "/no/such/script.hp"])
        .fails(1, &["cannot read the script /no/such/script.hp"]);
    hetsync_probe(&["run", "/no/such/script.hp"]).fails(1, &["cannot read the script"]);
    hetsync_probe(&["check", "/"]).fails(1, &["cannot read the script /"]);
}

#[test]
fn a_script_over_the_limits() {
    let long = format!("begin {{ @x = 1; }} // {}", "x".repeat(2 << 20));
    with_stdin(&["check", "-"], &long).fails(1, &["E0003", "limit"]);
    let deep = format!(
        "begin {{ @x = {}1{}; }}",
        "(".repeat(5000),
        ")".repeat(5000)
    );
    let done = with_stdin(&["check", "-"], &deep);
    assert_eq!(done.code, Some(1), "{}", done.all());
    let many: String = (0..2000)
        .map(|n| format!("kprobe:f{n} {{ @x = 1; }}\n"))
        .collect();
    with_stdin(&["check", "-"], &many).fails(1, &["1024"]);
}

#[test]
fn empty_scripts_and_stray_bytes() {
    for script in ["", " ", "\n\n", "// nothing\n"] {
        let done = with_stdin(&["check", "-"], script);
        assert_eq!(done.code, Some(1), "{script:?}: {}", done.all());
        assert!(!done.stderr.is_empty());
    }
    with_stdin(&["check", "-"], "begin { @x = 1; }\r\n").succeeds();
}

#[cfg(feature = "kernel")]
#[test]
fn a_missing_command_is_said_before_anything_else() {
    for (command, says) in [
        (
            "/no/such/program -x",
            "there is no command `/no/such/program`",
        ),
        (
            "no-such-program-anywhere",
            "there is no command `no-such-program-anywhere`",
        ),
        ("/etc/passwd", "`/etc/passwd` is not an executable file"),
        ("'unclosed", "a quote is not closed"),
        ("", "is empty"),
    ] {
        let done = hetsync_probe(&[
            "run",
            "-c",
            command,
            "-e",
            "kprobe:tcp_sendmsg { @ = count(); }",
        ])
        .fails(1, &["-c", says]);
        assert_eq!(done.stdout, "", "nothing was attached");
    }
}

#[cfg(feature = "kernel")]
#[test]
fn a_process_that_is_not_there() {
    // The largest number a process can have is below 2^22.
    hetsync_probe(&["run", "-p", "4194305", "-e", "begin {}"])
        .fails(1, &["-p", "4194305", "there is none"]);
}

#[cfg(feature = "kernel")]
#[test]
fn an_unknown_function_names_near_ones() {
    let done = hetsync_probe(&["run", "-e", "kprobe:tcp_sendmsgg { @ = count(); }"]);
    assert_eq!(done.code, Some(1), "{}", done.all());
    if hetsync_probe(&["list", "tcp_sendmsg"]).code == Some(0) {
        assert!(done.stderr.contains("tcp_sendmsg`"), "{}", done.all());
        assert!(done.stderr.contains("did you mean"), "{}", done.all());
    } else {
        println!("only seen to fail: this kernel's functions cannot be listed");
    }
}

#[cfg(feature = "kernel")]
#[test]
fn without_root_it_says_what_is_needed() {
    use std::os::unix::process::CommandExt;
    if !rustix_is_root() {
        let done = hetsync_probe(&["run", "-e", "begin { @x = 1 }"]).fails(1, &["root", "CAP_BPF"]);
        assert!(!done.stderr.contains("panicked"), "{}", done.all());
        return;
    }
    // The build's folder may be closed to others, so the program is copied to where nobody can run it.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("hetsync-probe");
    std::fs::copy(env!("CARGO_BIN_EXE_hetsync-probe"), &copy).unwrap();
    open_to_all(folder.path());
    open_to_all(&copy);
    let nobody = 65_534;
    let output = std::process::Command::new(&copy)
        .args(["run", "-e", "begin { @x = 1 }"])
        .uid(nobody)
        .gid(nobody)
        .current_dir("/")
        .output()
        .unwrap();
    let done = crate::Done::of(output).fails(1, &["root", "CAP_BPF", "E0601"]);
    assert!(!done.stderr.contains("panicked"), "{}", done.all());
}

#[cfg(feature = "kernel")]
fn rustix_is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

#[cfg(feature = "kernel")]
fn open_to_all(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
