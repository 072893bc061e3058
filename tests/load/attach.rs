//! Attaching on a kernel that has kprobes, with exact counts. On one that has none each test prints so and ends; the
//! guest (`tests/kernel.rs`) runs this same file on 5.10, 6.1 and 6.12.
//!
//! The traced function is `unix_stream_sendmsg`: in the guest nothing but these tests calls it, and they take turns.

use crate::asm;
use crate::sessions::{loaders, numbered, plan_of};
use hetsync_probe::codegen::insn::reg;
use hetsync_probe::image::{
    Cookie, MapKind, Place, Program, ProgramKind, Relocation, RelocationKind,
};
use hetsync_probe::kernel::Kernel;
use hetsync_probe::kernel::features::{Support, kprobe_multi};
use hetsync_probe::kernel::running::Running;
use hetsync_probe::load::loader::Mechanism;
use hetsync_probe::load::plan::Tried;
use hetsync_probe::load::sys::{self, PerfProbe, ProgramType, has_kprobe_source, tracefs};
use hetsync_probe::load::{LoadError, LoaderName, Options, Plan, Session, plan};
use hetsync_probe::sema::hir::{self, AttachPoint, NameId, PointKind, Probe};
use hetsync_probe::span::Span;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const SEND: &str = "unix_stream_sendmsg";
const ACCEPT: &str = "unix_accept";
const SENDS: u64 = 2000;
const THREADS: u64 = 60;

static TURN: Mutex<()> = Mutex::new(());

/// The turn of a test, if this kernel has kprobes; else prints that it is skipped.
fn turn(test: &str) -> Option<MutexGuard<'static, ()>> {
    if !crate::bpf_allowed(test) {
        return None;
    }
    if !has_kprobe_source() {
        println!("{test}: skipped, this kernel has no kprobes (run in the guest)");
        return None;
    }
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn kprobe(function: &str) -> PointKind {
    PointKind::Kprobe {
        function: function.into(),
        offset: 0,
    }
}

fn kretprobe(function: &str) -> PointKind {
    PointKind::Kretprobe {
        function: function.into(),
    }
}

fn send(times: u64) {
    let (mut here, mut there) = UnixStream::pair().expect("pair");
    let mut byte = [0];
    for _ in 0..times {
        here.write_all(&[7]).expect("write");
        there.read_exact(&mut byte).expect("read");
    }
}

/// A session with one counter for `plan`'s only point.
fn counting(plan: &Plan) -> Result<Session, LoadError> {
    let program = asm::counter(plan.points[0][0].kind.clone());
    let image = asm::image(vec![program], vec![asm::map("counts", MapKind::Array, 1)]);
    let mut session = Session::load(&image, plan)?;
    session.attach()?;
    Ok(session)
}

fn count(session: &Session) -> u64 {
    let entries = session.read_map(0).expect("read");
    u64::from_le_bytes(entries[0].1.as_slice().try_into().unwrap())
}

/// The plan the running kernel gives for a script of these points.
fn planned(points: &[PointKind], options: &Options) -> Plan {
    let program = hir::Program {
        probes: points
            .iter()
            .map(|kind| Probe {
                points: vec![AttachPoint {
                    kind: kind.clone(),
                    probe_name: NameId(0),
                    func_name: NameId(0),
                    span: Span::new(3, 9),
                }],
                predicate: None,
                body: Vec::new(),
                locals: Vec::new(),
                span: Span::default(),
            })
            .collect(),
        names: vec!["the point".into()],
        ..hir::Program::default()
    };
    plan(&program, &Running::new(), &Tried, options)
}

#[test]
fn what_cannot_be_attached_with_many_others_is_left_out_and_named() {
    let test = "what_cannot_be_attached_with_many_others_is_left_out_and_named";
    let Some(_turn) = turn(test) else {
        return;
    };
    if let Support::No(reason) = kprobe_multi() {
        println!("{test}: skipped, this kernel attaches functions one by one ({reason})");
        return;
    }
    let functions = [ACCEPT, "no_such_function_a", SEND, "no_such_function_b"];
    for (on_return, kind) in [(false, "kprobe"), (true, "kretprobe")] {
        let places = functions.iter().enumerate().map(|(point, name)| Place {
            function: (*name).into(),
            point,
            cookie: Cookie(point as u64),
        });
        let mut plan = plan_of(&[kprobe(SEND)], LoaderName::Sys);
        let places = places.collect();
        plan.points[0][0].kind = ProgramKind::KprobeMulti { places, on_return };
        let mut session = counting(&plan).expect("attach");
        send(SENDS);
        session.detach();
        assert_eq!(count(&session), SENDS, "{:?}", session.account());
        let skipped = session.skipped().iter().map(ToString::to_string);
        let wanted = ["no_such_function_a", "no_such_function_b"]
            .map(|name| format!("no function `{name}` to probe in this kernel"));
        assert_eq!(skipped.collect::<Vec<_>>(), wanted);
        let how = session.account().expect("account").probes[0]
            .mechanism
            .to_string();
        assert_eq!(how, format!("{kind}.multi on 2 functions at once"));
    }
    // Where nothing is left, it is an error.
    let mut plan = plan_of(&[kprobe(SEND)], LoaderName::Sys);
    plan.points[0][0].kind = ProgramKind::KprobeMulti {
        places: vec![Place {
            function: "no_such_function".into(),
            point: 0,
            cookie: Cookie(0),
        }],
        on_return: false,
    };
    counting(&plan).expect_err("there is nothing to attach to");
}

#[test]
fn redbpf_and_sys_count_the_same() {
    let Some(_turn) = turn("redbpf_and_sys_count_the_same") else {
        return;
    };
    let mut sessions = Vec::new();
    for point in [kprobe(SEND), kretprobe(SEND)] {
        for loader in loaders() {
            let plan = plan_of(std::slice::from_ref(&point), loader);
            sessions.push(counting(&plan).expect("attach"));
        }
    }
    send(SENDS);
    for session in &mut sessions {
        assert_eq!(count(session), SENDS, "{:?}", session.account());
    }
    for session in &mut sessions {
        session.detach();
    }
    send(10);
    for session in &sessions {
        let account = session.account().expect("account");
        println!("{}", account.probes[0]);
        assert_eq!(count(session), SENDS, "detached: {account:?}");
        assert!(!account.lost_something(), "{account:?}");
    }
}

#[test]
fn probes_are_lowered_to_trampolines_that_count_the_same() {
    let Some(_turn) = turn("probes_are_lowered_to_trampolines_that_count_the_same") else {
        return;
    };
    let mut sessions = Vec::new();
    for (point, mechanism) in [
        (kprobe(SEND), Mechanism::Fentry),
        (kretprobe(SEND), Mechanism::Fexit),
    ] {
        let plan = planned(&[point], &Options::default());
        assert_eq!(plan.points[0][0].not_lowered, None);
        let session = counting(&plan).expect("attach");
        assert_eq!(session.account().unwrap().probes[0].mechanism, mechanism);
        sessions.push(session);
    }
    send(SENDS);
    for session in &sessions {
        assert_eq!(count(session), SENDS);
        println!("{}", session.account().unwrap().probes[0]);
    }
    drop(sessions);
    send(1);
}

/// Lets [`THREADS`] threads block in accept together, then go.
fn accept_together() {
    let entries = counting(&plan_of(&[kprobe(ACCEPT)], LoaderName::Sys)).expect("entry");
    let path = std::env::temp_dir().join(format!("hetsync-accept-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("bind");
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| listener.accept().expect("accept"));
        }
        // All are inside the function once its entry was hit sixty times.
        while count(&entries) < THREADS {
            std::thread::yield_now();
        }
        for _ in 0..THREADS {
            UnixStream::connect(&path).expect("connect");
        }
    });
    let _ = std::fs::remove_file(&path);
}

#[test]
fn sixty_threads_let_go_give_sixty_returns() {
    let Some(_turn) = turn("sixty_threads_let_go_give_sixty_returns") else {
        return;
    };
    let tracefs = counting(&plan_of(&[kretprobe(ACCEPT)], LoaderName::Sys)).expect("tracefs");
    let fexit = counting(&planned(&[kretprobe(ACCEPT)], &Options::default())).expect("fexit");
    #[cfg(feature = "redbpf")]
    let plain = counting(&plan_of(&[kretprobe(ACCEPT)], LoaderName::Redbpf)).expect("plain");

    accept_together();
    for session in [&tracefs, &fexit] {
        println!(
            "{} of {THREADS} returns: {}",
            count(session),
            session.account().unwrap().probes[0]
        );
    }
    #[cfg(feature = "redbpf")]
    println!(
        "{} of {THREADS} returns: {}",
        count(&plain),
        plain.account().unwrap().probes[0]
    );
    assert_eq!((count(&tracefs), count(&fexit)), (THREADS, THREADS));
    let mechanism = tracefs.account().unwrap().probes[0].mechanism;
    assert_eq!(
        mechanism,
        Mechanism::TracefsKretprobe {
            maxactive: tracefs::MAXACTIVE
        }
    );
}

#[test]
fn returns_without_room_are_counted() {
    let Some(_turn) = turn("returns_without_room_are_counted") else {
        return;
    };
    let insns = [asm::mov(reg::R0, 0), asm::exit()];
    let program = sys::Program::load("nothing", ProgramType::Kprobe, &insns, &[]).expect("load");
    let probe = tracefs::Kretprobe::create(ACCEPT, 1).expect("kretprobe");
    let _event = PerfProbe::tracefs_event(&program, probe.id()).expect("event");
    accept_together();
    assert_eq!(probe.missed(), Some(THREADS - 1));
}

/// Adds the second argument's register to the counter: what fentry and kprobe must agree on.
fn adds_length(kind: ProgramKind) -> Program {
    // Third argument: `len`. `struct pt_regs` keeps it at 96, the trampoline in the third word.
    let offset = if matches!(kind, ProgramKind::Fentry { .. }) {
        16
    } else {
        96
    };
    let mut insns = vec![asm::load(reg::R2, reg::R1, offset)];
    insns.extend(asm::immediate(reg::R1));
    insns.extend([
        asm::atomic_add(reg::R1, 0, reg::R2),
        asm::mov(reg::R0, 0),
        asm::exit(),
    ]);
    let at = Relocation {
        insn: 1,
        what: RelocationKind::MapValue(0, 0),
    };
    asm::program("lengths", kind, insns, vec![at])
}

#[test]
fn a_kprobe_and_its_lowered_form_see_the_same_arguments() {
    let Some(_turn) = turn("a_kprobe_and_its_lowered_form_see_the_same_arguments") else {
        return;
    };
    let mut plans = vec![planned(&[kprobe(SEND)], &Options::default())];
    plans.extend(
        loaders()
            .into_iter()
            .map(|loader| plan_of(&[kprobe(SEND)], loader)),
    );
    let mut sessions: Vec<Session> = plans
        .iter()
        .map(|plan| {
            let program = adds_length(plan.points[0][0].kind.clone());
            let image = asm::image(vec![program], vec![asm::map("bytes", MapKind::Array, 1)]);
            let mut session = Session::load(&image, plan).expect("load");
            session.attach().expect("attach");
            session
        })
        .collect();
    let (mut here, _there) = UnixStream::pair().expect("pair");
    for length in 1..=100usize {
        here.write_all(&vec![0; length]).expect("write");
    }
    for session in &mut sessions {
        assert_eq!(count(session), 5050, "{:?}", session.account());
    }
}

#[test]
fn an_unknown_function_is_named_with_its_neighbours() {
    let Some(_turn) = turn("an_unknown_function_is_named_with_its_neighbours") else {
        return;
    };
    for point in [kprobe("tcp_sendmgs"), kretprobe("tcp_sendmgs")] {
        for loader in loaders() {
            let error = counting(&plan_of(std::slice::from_ref(&point), loader)).unwrap_err();
            let error = error.with_suggestions(&Running::new());
            assert_eq!(error.span(), Some(Span::new(3, 9)));
            let text = error.to_string();
            assert!(
                text.starts_with(
                    "no function `tcp_sendmgs` to probe in this kernel; did you mean `tcp_sendmsg`"
                ),
                "{text}"
            );
        }
    }
}

#[test]
fn a_place_that_cannot_be_probed_says_so() {
    let Some(_turn) = turn("a_place_that_cannot_be_probed_says_so") else {
        return;
    };
    // Inside the first instruction, and code that kprobes itself runs on.
    let inside = PointKind::Kprobe {
        function: "tcp_sendmsg".into(),
        offset: 1,
    };
    for point in [inside, kprobe("kprobe_int3_handler")] {
        for loader in loaders() {
            let error = counting(&plan_of(std::slice::from_ref(&point), loader)).unwrap_err();
            println!("{error}");
            let LoadError::Attach {
                by, lowered: false, ..
            } = &error
            else {
                panic!("{error:?}")
            };
            assert_eq!(by, "by a kprobe");
        }
    }
}

#[test]
fn a_place_past_the_function_is_not_probed() {
    let Some(_turn) = turn("a_place_past_the_function_is_not_probed") else {
        return;
    };
    let past = PointKind::Kprobe {
        function: "tcp_sendmsg".into(),
        offset: 1 << 20,
    };
    for loader in loaders() {
        let error = counting(&plan_of(std::slice::from_ref(&past), loader)).unwrap_err();
        let LoadError::PastEnd { function_bytes, .. } = error else {
            panic!("{error:?}");
        };
        assert!((1..1 << 12).contains(&function_bytes), "{function_bytes}");
    }
}

/// Our entries in `kprobe_events`.
fn entries_of(pid: u32) -> usize {
    let Some(place) = tracefs::find() else {
        return 0;
    };
    let list = std::fs::read_to_string(place.join("kprobe_events")).expect("kprobe_events");
    list.lines()
        .filter(|line| line.contains(&format!("hetsync_{pid}/")))
        .count()
}

#[test]
fn tracefs_entries_go_with_the_session_and_with_a_panic() {
    let Some(_turn) = turn("tracefs_entries_go_with_the_session_and_with_a_panic") else {
        return;
    };
    let own = std::process::id();
    let plan = plan_of(&[kretprobe(SEND)], LoaderName::Sys);
    let mut session = counting(&plan).expect("attach");
    assert_eq!(entries_of(own), 1);
    session.detach();
    assert_eq!(entries_of(own), 0);
    let unwound = std::panic::catch_unwind(|| {
        let _session = counting(&plan).expect("attach");
        assert_eq!(entries_of(own), 1);
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(unwound.is_err());
    assert_eq!(entries_of(own), 0);
}

/// Set for the child of the next test.
const CHILD: &str = "HETSYNC_TEST_CHILD";

/// Whether `done` comes true soon: the kernel, or another process, is at it.
fn soon(mut done: impl FnMut() -> bool) -> bool {
    (0..400).any(|_| done() || (std::thread::sleep(Duration::from_millis(50)), false).1)
}

#[test]
fn entries_of_a_killed_process_are_removed_at_once() {
    let name = "attach::entries_of_a_killed_process_are_removed_at_once";
    if std::env::var_os(CHILD).is_some() {
        let _session = counting(&plan_of(&[kretprobe(SEND)], LoaderName::Sys)).expect("attach");
        eprintln!("attached");
        // Until it is killed; the parent never writes.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    let Some(_turn) = turn(name) else { return };
    let mut child = Command::new(std::env::current_exe().expect("own path"))
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("child");
    let pid = child.id();
    let lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
    let attached = lines.map_while(Result::ok).any(|line| line == "attached");
    assert!(attached, "the child did not attach");
    assert_eq!(entries_of(pid), 1);
    child.kill().expect("kill");
    child.wait().expect("wait");
    // The kernel keeps the entry, but not the shell that watches over it.
    assert!(soon(|| entries_of(pid) == 0), "the entry stays");
}

#[test]
fn entries_without_their_process_are_removed_by_the_next() {
    let Some(_turn) = turn("entries_without_their_process_are_removed_by_the_next") else {
        return;
    };
    let Some(place) = tracefs::find() else { return };
    let mut gone = Command::new("/bin/sh")
        .args(["-c", ":"])
        .spawn()
        .expect("child");
    let pid = gone.id();
    gone.wait().expect("wait");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(place.join("kprobe_events"))
        .expect("kprobe_events");
    // In one write: the kernel takes each as a line of its own.
    let line = format!("r16:hetsync_{pid}/r{pid}_0 {SEND}\n");
    file.write_all(line.as_bytes()).expect("an entry");
    assert_eq!(entries_of(pid), 1);
    drop(counting(&plan_of(&[kprobe(SEND)], LoaderName::Sys)).expect("attach"));
    assert_eq!(entries_of(pid), 0);
}

#[test]
fn a_failed_attachment_takes_the_others_back() {
    let Some(_turn) = turn("a_failed_attachment_takes_the_others_back") else {
        return;
    };
    let points = [kretprobe(SEND), kprobe("no_such_function_here")];
    let plan = plan_of(&points, LoaderName::Sys);
    let programs = plan
        .points
        .iter()
        .map(|points| asm::counter(points[0].kind.clone()))
        .collect();
    let image = numbered(asm::image(
        programs,
        vec![asm::map("counts", MapKind::Array, 1)],
    ));
    let mut session = Session::load(&image, &plan).expect("load");
    assert!(matches!(
        session.attach(),
        Err(LoadError::UnknownFunction { .. })
    ));
    assert_eq!(entries_of(std::process::id()), 0);
    send(5);
    assert_eq!(count(&session), 0);
}

#[test]
fn functions_of_the_running_kernel_match_globs() {
    let Some(_turn) = turn("functions_of_the_running_kernel_match_globs") else {
        return;
    };
    let kernel = Running::new();
    let matching = kernel
        .matching_functions("unix_stream_sendms?")
        .expect("a list");
    assert_eq!(matching, [SEND]);
    let prototype = kernel.prototype(SEND).expect("BTF");
    assert_eq!(prototype.arg_names, ["sock", "msg", "len"]);
    assert_eq!(prototype.arg_bytes, [8, 8, 8]);
}

/// Where the time from start to attached goes. Nothing is judged: the numbers are for a person to read.
#[test]
fn the_stages_of_attaching_are_timed() {
    let Some(_turn) = turn("the_stages_of_attaching_are_timed") else {
        return;
    };
    let points = [kprobe("tcp_sendmsg"), kretprobe("tcp_sendmsg")];
    for lower in [true, false] {
        let stage =
            |name: &str, since: Instant| println!("lower={lower} {name}: {:?}", since.elapsed());
        let start = Instant::now();
        let options = Options {
            lower,
            loader: None,
            ..Default::default()
        };
        let plan = planned(&points, &options);
        stage("plan (reads BTF, tries)", start);
        let programs = plan
            .points
            .iter()
            .map(|points| asm::counter(points[0].kind.clone()))
            .collect();
        let image = numbered(asm::image(
            programs,
            vec![asm::map("counts", MapKind::Array, 1)],
        ));
        let start = Instant::now();
        let mut session = Session::load(&image, &plan).expect("load");
        stage("load", start);
        let start = Instant::now();
        session.attach().expect("attach");
        stage("attach", start);
        let start = Instant::now();
        session.account().expect("account");
        stage("account", start);
        let start = Instant::now();
        session.detach();
        stage("detach", start);
    }
}
