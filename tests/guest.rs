//! The guest itself: what it promises to every test that runs in it.
//!
//! Most tests share one guest on 6.1, which ends when this process does.
//! Each that ends its guest boots one of its own.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::LazyLock,
    time::{Duration, Instant},
};

use hetsync_guest::{Error, Guest, Kernel, Options, Stream};

/// Long enough for an emulated machine on a busy one; nothing waits this long
/// when all is well.
const LIMIT: Duration = Duration::from_secs(90);

static SHARED: LazyLock<Guest> = LazyLock::new(|| boot(&Options::new(Kernel::V6_1)));

fn boot(options: &Options) -> Guest {
    Guest::boot(options).unwrap_or_else(|error| panic!("{error}"))
}

/// A megabyte in which every byte and every pair of bytes occurs.
fn all_bytes() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255_u8)
        .flat_map(|a| (0..=255).flat_map(move |b| [a, b]))
        .collect();
    bytes.resize(1 << 20, 0);
    let half = bytes.len() / 2;
    // The second half is the first one backwards: no period of the first.
    let (first, second) = bytes.split_at_mut(half);
    second.copy_from_slice(&first.iter().rev().copied().collect::<Vec<_>>());
    bytes
}

#[test]
fn a_command_gives_its_status_and_its_outputs_apart() {
    let status = |command: &str| SHARED.run(command, LIMIT).unwrap().status;
    assert_eq!(status("true"), 0);
    assert_eq!(status("exit 7"), 7);
    assert_eq!(status("exit 255"), 255);
    assert_eq!(status("no-such-command"), 127);
    assert_eq!(status("kill -9 $$"), 128 + 9);
    let output = SHARED.run("echo out; echo err >&2; exit 3", LIMIT).unwrap();
    assert_eq!(
        (output.status, &*output.stdout, &*output.stderr),
        (3, &b"out\n"[..], &b"err\n"[..])
    );
    assert_eq!(
        SHARED.check("id -u; pwd; hostname", LIMIT).unwrap(),
        "0\n/root\nguest\n"
    );
}

#[test]
fn a_megabyte_of_all_bytes_comes_back_unchanged() {
    let bytes = all_bytes();
    SHARED.put("/tmp/new/folder/bytes", &bytes).unwrap();
    assert!(
        SHARED.get("/tmp/new/folder/bytes").unwrap() == bytes,
        "by get"
    );
    let output = SHARED.run("cat /tmp/new/folder/bytes", LIMIT).unwrap();
    assert!(output.stdout == bytes, "by a command's output");
    let output = SHARED.run("cat /tmp/new/folder/bytes >&2", LIMIT).unwrap();
    assert!(output.stderr == bytes, "by a command's errors");
}

#[test]
fn the_last_output_arrives_though_a_child_keeps_the_pipe() {
    // The background process holds standard output until it is told to end.
    let command =
        "mkfifo /tmp/hold; { cat /tmp/hold; echo late; } & head -c 50000 /dev/zero; echo end";
    let output = SHARED.run(command, LIMIT).unwrap();
    assert_eq!(output.stdout.len(), 50_004);
    assert!(output.stdout.ends_with(b"end\n"));
    SHARED
        .check("echo go > /tmp/hold; rm /tmp/hold", LIMIT)
        .unwrap();
}

#[test]
fn background_processes_and_files_last_from_command_to_command() {
    SHARED
        .check("mkfifo /tmp/in; cat /tmp/in > /tmp/out &", LIMIT)
        .unwrap();
    SHARED.check("echo later > /tmp/in; wait", LIMIT).unwrap();
    // cat ends when the pipe is closed; its name is gone when it has.
    SHARED
        .check("while pidof cat; do usleep 10000; done", LIMIT)
        .unwrap();
    assert_eq!(SHARED.get("/tmp/out").unwrap(), b"later\n");
}

#[test]
fn commands_run_side_by_side_and_take_signals() {
    let waiting = SHARED
        .spawn("trap 'echo caught; exit 5' INT; mkfifo /tmp/up; echo > /tmp/up; while :; do usleep 1000; done")
        .unwrap();
    SHARED
        .check(
            "until [ -p /tmp/up ]; do usleep 1000; done; cat /tmp/up",
            LIMIT,
        )
        .unwrap();
    waiting.signal(2);
    let output = waiting.wait(LIMIT).unwrap();
    assert_eq!((output.status, output.text().as_str()), (5, "caught\n"));
}

#[test]
fn output_streams_while_the_command_runs() {
    let job = SHARED
        .spawn("mkfifo /tmp/go; echo first; cat /tmp/go; echo second")
        .unwrap();
    let mut seen = Vec::new();
    let mut release = None;
    let status = job
        .stream(LIMIT, |stream, bytes| {
            assert_eq!(stream, Stream::Stdout);
            seen.extend_from_slice(bytes);
            // The command goes on only because its first line was seen here.
            if seen == b"first\n" {
                release = Some(SHARED.spawn("echo go > /tmp/go").unwrap());
            }
        })
        .unwrap();
    assert_eq!(status, 0);
    assert_eq!(seen, b"first\ngo\nsecond\n");
    assert!(release.unwrap().wait(LIMIT).unwrap().success());
}

#[test]
fn what_the_guest_cannot_do_is_said() {
    let error = SHARED.get("/no/such/file").unwrap_err().to_string();
    assert_eq!(
        error,
        "in the guest: /no/such/file: No such file or directory (os error 2)"
    );
    let error = SHARED.put("/proc/none/file", b"").unwrap_err().to_string();
    assert!(
        error.starts_with("in the guest: /proc/none/file: "),
        "{error}"
    );
    let error = SHARED.run(&"x".repeat(70_000), LIMIT).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
    let error = SHARED
        .check("echo why >&2; exit 4", LIMIT)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("status 4") && error.contains("why"),
        "{error}"
    );
}

#[test]
fn networks_can_be_built_and_tracing_is_there() {
    let script = "set -e
        ip netns add far
        ip link add near0 type veth peer name far0 netns far
        ip addr add 10.9.0.1/24 dev near0
        ip -n far addr add 10.9.0.2/24 dev far0
        ip link set near0 up; ip -n far link set far0 up; ip -n far link set lo up
        tc qdisc add dev near0 root netem delay 1ms 100us distribution normal
        ip link add shaped type ifb
        ping -c 1 -W 20 10.9.0.2 >/dev/null
        test -e /sys/kernel/tracing/kprobe_events
        test -e /sys/kernel/debug/tracing/kprobe_events
        test -s /sys/kernel/btf/vmlinux
        grep -q '^bpf /sys/fs/bpf\\|^none /sys/fs/bpf' /proc/mounts
        ip netns del far
        ip link del shaped
        modprobe -r ifb && modprobe ifb";
    SHARED.check(script, LIMIT).unwrap();
}

#[test]
fn a_command_that_takes_too_long_ends_the_guest() {
    let guest = boot(&Options::new(Kernel::V6_1));
    let error = guest.run("sleep 1000", Duration::from_secs(1)).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "no answer within 1 s, so the guest was ended: sleep 1000"
    );
    let error = guest.run("true", LIMIT).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
}

#[test]
fn a_panic_in_a_command_is_told_with_the_console() {
    let guest = boot(&Options::new(Kernel::V6_1));
    let error = guest
        .run("echo c > /proc/sysrq-trigger", LIMIT)
        .unwrap_err();
    let Error::Ended { console } = error else {
        panic!("{error}")
    };
    assert!(console.contains("sysrq triggered crash"), "{console}");
}

#[test]
fn a_panic_before_user_space_is_tried_twice_and_told() {
    let mut options = Options::new(Kernel::V6_1);
    options.append = "rdinit=/no/init".to_owned();
    let Err(error) = Guest::boot(&options) else {
        panic!("it booted without init")
    };
    let Error::Panic { console } = error else {
        panic!("{error}")
    };
    assert!(console.contains("Unable to mount root fs"), "{console}");
}

#[test]
fn a_boot_that_takes_too_long_is_ended() {
    let mut options = Options::new(Kernel::V6_1);
    options.boot_timeout = Duration::from_millis(50);
    let Err(error) = Guest::boot(&options) else {
        panic!("it booted in 50 ms")
    };
    assert!(matches!(error, Error::BootTimeout { .. }), "{error}");
}

#[test]
fn a_counted_guest_skips_its_idle_time() {
    let mut options = Options::new(Kernel::V6_1);
    options.icount = true;
    let guest = boot(&options);
    // Half an hour on its clock, done before 90 s have passed on ours.
    let script = "read a rest < /proc/uptime; sleep 1800; read b rest < /proc/uptime
        echo $((${b%.*} - ${a%.*})); nproc";
    let output = guest.check(script, LIMIT).unwrap();
    let (seconds, cpus) = output.trim().split_once('\n').unwrap();
    assert!(
        (1799..=1802).contains(&seconds.parse::<u32>().unwrap()),
        "{seconds}"
    );
    assert_eq!(cpus, "1");
    guest.shutdown().unwrap();
}

#[test]
fn every_kernel_boots_and_has_debian_programs() {
    for kernel in Kernel::GUESTS {
        let guest = boot(&Options::new(kernel).package("bpftrace").package("bpftool"));
        let release = guest.check("uname -r", LIMIT).unwrap();
        assert!(release.starts_with(&format!("{kernel}.")), "{release}");
        assert_eq!(release.trim(), guest.report().release);
        let version = guest.check("bpftrace --version", LIMIT).unwrap();
        assert!(version.starts_with("bpftrace v0.23"), "{version}");
        // It sees the guest's own folders and processes.
        let script = r#"BEGIN { printf("%s %d\n", str($1), pid > 0); exit(); }"#;
        guest.put("/tmp/seen.bt", script.as_bytes()).unwrap();
        let script = "cd /tmp && bpftrace -q seen.bt seen && bpftool prog list >/dev/null";
        assert_eq!(guest.check(script, LIMIT).unwrap().trim(), "seen 1");
        println!(
            "{kernel}: {:?}, {:?} KiB",
            guest.report(),
            guest.peak_memory_kib()
        );
        guest.shutdown().unwrap();
    }
}

#[test]
fn the_command_line_gives_status_bytes_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = all_bytes();
    let (from, to) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir(&from).unwrap();
    fs::write(from.join("bytes"), &bytes).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hetsync-guest"))
        .args(["run", "--kernel", "6.1", "--report"])
        .arg("--file")
        .arg(format!("{}:given", from.display()))
        .args(["--bin", env!("CARGO_BIN_EXE_hetsync-guest")])
        .arg("--get")
        .arg(format!("copy:{}", to.display()))
        .args([
            "--",
            "cat given/bytes; cp given/bytes copy; hetsync-guest --version >&2; exit 9",
        ])
        .env_remove("HETSYNC_KERNEL")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{errors}");
    assert!(output.stdout == bytes);
    assert!(fs::read(&to).unwrap() == bytes);
    assert!(errors.contains("hetsync-guest 0."), "{errors}");
    assert!(errors.contains("in user space after"), "{errors}");
}

#[test]
fn a_guest_ends_with_the_process_that_booted_it() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_hetsync-guest"))
        .args(["run", "--kernel", "6.1", "--", "echo up; sleep 1000"])
        .env_remove("HETSYNC_KERNEL")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut up = [0; 3];
    owner.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    let pid = owner.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let qemu: u32 = children.trim().parse().expect("one child");
    owner.kill().unwrap();
    owner.wait().unwrap();
    let running = || {
        let status = fs::read_to_string(format!("/proc/{qemu}/status")).unwrap_or_default();
        status.contains("qemu") && !status.contains("State:\tZ")
    };
    let deadline = Instant::now() + LIMIT;
    while running() {
        assert!(Instant::now() < deadline, "qemu {qemu} outlived its owner");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_shell_works_on_a_terminal() {
    if !Path::new("/usr/bin/script").exists() {
        println!("skipped: no script(1) on this machine to make a terminal with");
        return;
    }
    let command = format!("{} shell --kernel 6.1", env!("CARGO_BIN_EXE_hetsync-guest"));
    let mut terminal = Command::new("/usr/bin/script")
        .args(["-qec", &command, "/dev/null"])
        .env_remove("HETSYNC_KERNEL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut screen = Vec::new();
    let mut output = terminal.stdout.take().unwrap();
    let mut read_until = |wanted: &str| {
        let mut byte = [0];
        while !String::from_utf8_lossy(&screen).contains(wanted) {
            let text = String::from_utf8_lossy(&screen).into_owned();
            assert_eq!(
                output.read(&mut byte).unwrap(),
                1,
                "it ended before {wanted:?}: {text}"
            );
            screen.push(byte[0]);
        }
        screen.clear();
    };
    let mut input = terminal.stdin.take().unwrap();
    read_until("guest:~# ");
    input.write_all(b"echo $((6 * 7))-is-it\r").unwrap();
    read_until("42-is-it");
    read_until("guest:~# ");
    input.write_all(b"exit\r").unwrap();
    read_until("Restarting system");
    assert!(terminal.wait().unwrap().success());
}

#[test]
fn the_host_serves_in_place_of_a_guest_or_says_why_not() {
    match Guest::boot(&Options::new(Kernel::Host)) {
        Ok(guest) => {
            guest.put("folder/file", b"bytes").unwrap();
            assert_eq!(guest.check("cat folder/file", LIMIT).unwrap(), "bytes");
            assert_eq!(guest.get("folder/file").unwrap(), b"bytes");
            assert!(
                guest.put("/tmp/file", b"").is_err(),
                "the host's own files are safe"
            );
            guest.shutdown().unwrap();
        }
        Err(Error::Host(why)) => {
            println!("this host cannot serve: {why}");
            assert!(why.contains("kprobes"), "{why}");
        }
        Err(error) => panic!("{error}"),
    }
}
