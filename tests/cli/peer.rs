//! Side by side with real bpftrace, where it is installed and can run: the same one-liners, the same bytes.

use std::process::{Command, Stdio};

use crate::{hetsync_probe, kernel_runs_programs};

/// Scripts that need no function probe and whose output does not depend on the dialect.
const SAME: [&str; 12] = [
    "BEGIN { @x = hist(5); @x = hist(0); @x = hist(1); @x = hist(3); @x = hist(-4); @x = hist(1500); exit() }",
    "BEGIN { @x = hist(1048576); @x = hist(3000000000); exit() }",
    "BEGIN { @y = lhist(5, 0, 50, 10); @y = lhist(-1, 0, 50, 10); @y = lhist(100, 0, 50, 10); exit() }",
    "BEGIN { @a = lhist(1024, 0, 8192, 1024); @a = lhist(9999, 0, 8192, 1024); exit() }",
    "BEGIN { @c = lhist(1000000, 0, 5000000, 1000000); exit() }",
    "BEGIN { @h[1] = hist(3); @h[0] = hist(3); @h[0] = hist(4); print(@h, 1); exit() }",
    "BEGIN { @m = min(-3); @M = max(7); @c = count(); @n = sum(-4); exit() }",
    "BEGIN { @str = \"hello\"; @si[1] = \"b\"; @si[0] = \"c\"; @k[1, \"a\"] = count(); @k[1, \"a\"] = count(); @k[1, \"b\"] = count(); exit() }",
    "BEGIN { @[1] = sum(5); @[2] = sum(50); @[3] = sum(7); print(@, 2); print(@, 2, 10); print(@, 0, 5); exit() }",
    "BEGIN { printf(\"%d %ld %lx|%5d|%-5d|%05d|%x|%X|%o|%c|%s|%10s|%-10s|\\n\", -1, -1, -1, 3, 3, 3, 255, 255, 8, 65, \"abc\", \"abc\", \"abc\"); exit() }",
    "interval:ms:20 { @i++; print(@i); if (@i >= 3) { exit() } } END { printf(\"end %d\\n\", @i) }",
    "BEGIN { @c[5] = count(); zero(@c); @h[1] = hist(4); zero(@h); printf(\"no newline\"); exit() }",
];

#[test]
fn text_is_bpftraces_byte_for_byte() {
    let Some(_) = bpftrace("BEGIN { exit() }") else {
        println!("skipped: there is no bpftrace here that can run a script");
        return;
    };
    if !kernel_runs_programs() {
        return;
    }
    for script in SAME {
        let theirs = bpftrace(script).expect("it ran before");
        let ours = hetsync_probe(&["run", "-e", script]).succeeds();
        let lines = ours.stdout.split_inclusive('\n');
        let ours: String = lines
            .filter(|line| !line.starts_with("Attach") && !line.starts_with("lost: "))
            .collect();
        assert_eq!(ours, theirs, "{script}");
    }
}

/// What bpftrace prints, without its first line and without the space that old ones put behind a histogram's name.
fn bpftrace(script: &str) -> Option<String> {
    let output = Command::new("bpftrace")
        .args(["-e", script])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    let lines = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("Attach"));
    Some(
        lines
            .map(|line| {
                if line.ends_with(": \n") {
                    line.replace(": \n", ":\n")
                } else {
                    line.into()
                }
            })
            .collect(),
    )
}
