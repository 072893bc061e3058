//! Probe kinds that are not kprobes, from the script to the count, with counts known beforehand. Tracepoints, raw
//! tracepoints, samples and uprobes work on most kernels; fentry is tested where the kernel takes it.

use hetsync_probe::kernel::running::Running;
use hetsync_probe::kernel::tracepoint::Tracefs;
use hetsync_probe::load::{LoadError, Session};
use hetsync_probe::{Target, compile, layout, plan, sema};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::time::{Duration, Instant};

const CALLS: u64 = 321;

/// Number of the system call `getppid`, which nothing else in this program makes.
const GETPPID: u64 = if cfg!(target_arch = "aarch64") {
    173
} else {
    110
};

/// A script that runs; `$1` is this process, `$2` the number of `getppid`.
fn attached(script: &str) -> Result<Session, LoadError> {
    let kernel = Running::new();
    let options = sema::Options {
        params: vec![std::process::id().to_string(), GETPPID.to_string()],
        kernel: &kernel,
        pid_filter: None,
        settings: vec![],
        max_keys: 64,
        allow_unsafe: false,
    };
    let compiled = compile(script, &options, &Target::running(plan::Options::default()))
        .unwrap_or_else(|mistakes| panic!("{script}: {mistakes:?}"));
    let mut session = Session::load(&compiled.image, &compiled.plan)?;
    session.attach()?;
    Ok(session)
}

/// What `count()` counted in the first map, over all CPUs; of `sum()`, how often it was called.
fn count(session: &Session) -> u64 {
    total(session, 0)
}

/// Word `word` of the first map's one value, summed over all CPUs.
fn total(session: &Session, word: usize) -> u64 {
    let stride = session.map(0).expect("a map").stride();
    let entries = session.read_map(0).expect("read");
    let cpus = entries
        .iter()
        .flat_map(|(_, value)| value.chunks_exact(stride));
    cpus.map(|cpu| layout::word(cpu, word)).sum()
}

fn getppid(times: u64) {
    for _ in 0..times {
        let _ = parent_id();
    }
}

fn has_tracefs(test: &str) -> bool {
    let found = Tracefs::find();
    if let Err(unreadable) = &found {
        println!("{test}: skipped, {unreadable}");
    }
    found.is_ok()
}

#[test]
fn a_tracepoint_counts_every_call() {
    let test = "a_tracepoint_counts_every_call";
    if !crate::bpf_allowed(test) || !has_tracefs(test) {
        return;
    }
    let script = "tracepoint:syscalls:sys_enter_getppid /pid == $1/ { @ = count(); }";
    let mut session = attached(script).expect("attached");
    getppid(CALLS);
    session.detach();
    getppid(7);
    assert_eq!(count(&session), CALLS);
    let account = session.account().expect("account");
    assert_eq!(account.probes[0].mechanism.to_string(), "tracepoint");
}

#[test]
fn a_wildcard_counts_at_each_of_its_tracepoints() {
    let test = "a_wildcard_counts_at_each_of_its_tracepoints";
    if !crate::bpf_allowed(test) || !has_tracefs(test) {
        return;
    }
    let script = "t:syscalls:sys_*_getppid /pid == $1/ { @ = count(); }";
    let session = attached(script).expect("attached");
    getppid(CALLS);
    assert_eq!(count(&session), 2 * CALLS);
}

#[test]
fn a_raw_tracepoint_sees_its_arguments() {
    if !crate::bpf_allowed("a_raw_tracepoint_sees_its_arguments") {
        return;
    }
    let script = "rawtracepoint:sys_enter /pid == $1 && arg1 == $2/ { @ = count(); }";
    let session = attached(script).expect("attached");
    getppid(CALLS);
    assert_eq!(count(&session), CALLS);
}

#[test]
fn samples_come_on_their_own() {
    if !crate::bpf_allowed("samples_come_on_their_own") {
        return;
    }
    for probe in [
        "profile:hz:997",
        "profile:1ms",
        "software:cpu-clock:1000000",
    ] {
        let session = attached(&format!("{probe} {{ @ = count(); }}")).expect("attached");
        let until = Instant::now() + Duration::from_secs(30);
        while count(&session) == 0 {
            assert!(
                Instant::now() < until,
                "{probe}: no sample in half a minute"
            );
        }
    }
}

#[test]
fn every_page_fault_is_counted() {
    if !crate::bpf_allowed("every_page_fault_is_counted") {
        return;
    }
    let script = "software:page-faults:1 /pid == $1/ { @ = count(); }";
    let session = attached(script).expect("attached");
    // More than the allocator keeps, so that the pages are new ones of the kernel's; large pages may be used.
    let megabytes = 256;
    let mut memory = vec![0u8; megabytes << 20];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    assert!(count(&session) >= megabytes as u64 / 2);
    drop(memory);
}

#[test]
fn what_cannot_be_attached_is_left_out_of_several_and_an_error_alone() {
    if !crate::bpf_allowed("what_cannot_be_attached_is_left_out_of_several_and_an_error_alone") {
        return;
    }
    let impossible = format!("software:cpu-clock:{}", u64::MAX);
    let error = attached(&format!("{impossible} {{ @ = count(); }}")).unwrap_err();
    assert!(error.to_string().contains(&impossible), "{error}");
    let script = format!(
        "{impossible}, rawtracepoint:sys_enter /pid == $1 && probe != \"x\"/ {{ @ = count(); }}"
    );
    let session = attached(&script).expect("attached");
    let skipped: Vec<String> = session.skipped().iter().map(|e| e.to_string()).collect();
    assert!(
        skipped.len() == 1 && skipped[0].contains(&impossible),
        "{skipped:?}"
    );
    getppid(CALLS);
    assert!(count(&session) >= CALLS);
}

#[test]
fn fentry_and_fexit_as_such_count_every_call() {
    let test = "fentry_and_fexit_as_such_count_every_call";
    if !crate::bpf_allowed(test) {
        return;
    }
    for probe in ["fentry", "fexit"] {
        let script = format!("{probe}:unix_stream_sendmsg /pid == $1/ {{ @ = count(); }}");
        let session = match attached(&script) {
            Ok(session) => session,
            Err(error) => {
                println!("{test}: skipped, {error}");
                return;
            }
        };
        let (mut here, mut there) = UnixStream::pair().expect("pair");
        let mut byte = [0];
        for _ in 0..CALLS {
            here.write_all(&[7]).expect("write");
            there.read_exact(&mut byte).expect("read");
        }
        assert_eq!(count(&session), CALLS, "{probe}");
    }
}

/// Probed by its name. Not inlined, and its result depends on its arguments.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn hetsync_probed(first: u64, second: u64) -> u64 {
    std::hint::black_box(first) + 3 * std::hint::black_box(second)
}

#[test]
fn uprobes_count_calls_and_see_arguments_and_results() {
    let test = "uprobes_count_calls_and_see_arguments_and_results";
    if !crate::bpf_allowed(test) {
        return;
    }
    let own = std::env::current_exe().expect("own path");
    let own = own.display();
    for (probe, body) in [
        (
            "uprobe",
            format!("uprobe:{own}:hetsync_probed /pid == $1 && arg0 == 5/ {{ @ = sum(arg1); }}"),
        ),
        (
            "uretprobe",
            format!("uretprobe:{own}:hetsync_prob?d /pid == $1/ {{ @ = sum(retval); }}"),
        ),
    ] {
        let session = attached(&body).expect("attached");
        for n in 0..CALLS {
            std::hint::black_box(hetsync_probed(5, n));
        }
        let sum = CALLS * (CALLS - 1) / 2;
        let expected = if probe == "uprobe" {
            sum
        } else {
            5 * CALLS + 3 * sum
        };
        assert_eq!(
            (count(&session), total(&session, 1)),
            (CALLS, expected),
            "{probe}"
        );
    }
}
