//! Whole sessions on this machine's own kernel: what needs no kprobe, and the words where it has none.

use crate::asm;
use crate::bpf_allowed;
use hetsync_probe::codegen::insn::{Insn, helper, reg};
use hetsync_probe::image::{Image, MapKind, MapSpec, ProgramKind, Relocation, RelocationKind};
use hetsync_probe::layout::Loss;
use hetsync_probe::load::loader::{Loader, Mechanism, Prepared};
use hetsync_probe::load::sys::{Map, Program, ProgramType, SysLoader, has_kprobe_source};
use hetsync_probe::load::{LoadError, LoaderName, Plan, Planned, Session};
use hetsync_probe::sema::hir::{MapId, PointKind};
use hetsync_probe::span::Span;

/// A plan that attaches program `i` of an image at `points[i]`, without lowering.
pub(crate) fn plan_of(points: &[PointKind], loader: LoaderName) -> Plan {
    let planned = |point: &PointKind| Planned {
        point: point.clone(),
        kind: match point {
            PointKind::Kprobe { function, offset } => ProgramKind::Kprobe {
                function: function.clone(),
                offset: *offset,
            },
            PointKind::Kretprobe { function } => ProgramKind::Kretprobe {
                function: function.clone(),
            },
            _ => ProgramKind::Run,
        },
        btf_id: None,
        arg_bytes: Vec::new(),
        loader: if matches!(
            point,
            PointKind::Kprobe { .. } | PointKind::Kretprobe { .. }
        ) {
            loader
        } else {
            LoaderName::Sys
        },
        not_lowered: Some("lowering is turned off"),
        probe: match point {
            PointKind::Kprobe { function, .. } => format!("kprobe:{function}"),
            PointKind::Kretprobe { function } => format!("kretprobe:{function}"),
            other => format!("{other:?}"),
        },
        span: Span::new(3, 9),
    };
    Plan {
        points: points.iter().map(|point| vec![planned(point)]).collect(),
        maps: Vec::new(),
        fronts: Vec::new(),
        atomic_fetch: false,
        percpu_lookup: false,
        tai_clock: false,
        socket_cookie: false,
        for_each: true,
        gate: false,
        groups: Vec::new(),
        cpus: 1,
        percpu_bytes: u64::MAX,
        shorter_loops: 0,
    }
}

/// An image of one program a point; program `i` is at probe `i`.
pub(crate) fn numbered(mut image: Image) -> Image {
    for (at, program) in image.programs.iter_mut().enumerate() {
        program.point = (at, 0);
    }
    image
}

#[test]
fn begin_interval_and_end_run_and_send() {
    if !bpf_allowed("begin_interval_and_end_run_and_send") {
        return;
    }
    let maps = vec![
        asm::map("counts", MapKind::Array, 1),
        asm::map("events", MapKind::Ringbuf, 4096),
    ];
    let programs = vec![
        asm::sender(1, 11),
        asm::counter(ProgramKind::Run),
        asm::sender(1, 22),
    ];
    let points = [
        PointKind::Begin,
        PointKind::Interval { period_ns: 5 },
        PointKind::End,
    ];
    let image = numbered(asm::image(programs, maps));
    let mut session = Session::load(&image, &plan_of(&points, LoaderName::Sys)).expect("load");
    let mut ring = session.take_events().expect("events");
    let mut drained = |expected: &[u64]| {
        let mut words = Vec::new();
        ring.drain(&mut |record| words.push(u64::from_le_bytes(record.try_into().unwrap())));
        assert_eq!(words, expected);
        assert_eq!(ring.pending_bytes(), 0);
    };
    drained(&[]);
    session.begin().expect("begin");
    drained(&[11]);
    session.attach().expect("attach");
    assert_eq!(session.intervals(), [(1, 5)]);
    for _ in 0..3 {
        session.run(1).expect("run");
    }
    assert_eq!(
        session.read_map(0).unwrap(),
        [(vec![0; 4], 3u64.to_le_bytes().to_vec())]
    );
    session.clear(0).unwrap();
    assert_eq!(session.read_map(0).unwrap(), [(vec![0; 4], vec![0; 8])]);
    session.detach();
    session.end().expect("end");
    drained(&[22]);
    assert!(session.run(9).is_err() && session.read_map(9).is_err());
    let account = session.account().expect("account");
    assert!(!account.lost_something() && account.probes.is_empty());
}

#[test]
fn the_ring_wraps_keeps_order_and_says_when_it_is_full() {
    if !bpf_allowed("the_ring_wraps_keeps_order_and_says_when_it_is_full") {
        return;
    }
    // 16 bytes a record: 255 fit a page, since the kernel keeps the buffer from filling to the last byte.
    let maps = vec![asm::map("events", MapKind::Ringbuf, 4096)];
    let points = [
        PointKind::Interval { period_ns: 1 },
        PointKind::Interval { period_ns: 1 },
    ];
    let image = numbered(asm::image(vec![asm::sender(0, 1), asm::sender(0, 2)], maps));
    let mut session = Session::load(&image, &plan_of(&points, LoaderName::Sys)).expect("load");
    let mut ring = session.take_events().expect("events");
    for lap in 0..20 {
        for at in 0..100 {
            session.run(at % 2).expect("run");
        }
        let mut words = Vec::new();
        let records = ring.drain(&mut |record| words.push(record[0]));
        assert_eq!(records, 100, "lap {lap}");
        assert!(
            words
                .iter()
                .enumerate()
                .all(|(at, word)| usize::from(*word) == at % 2 + 1)
        );
    }
    for _ in 0..1000 {
        session.run(0).expect("run");
    }
    let kept = ring.drain(&mut |_| {});
    assert!((200..=256).contains(&kept), "{kept}");
}

#[test]
fn waiting_for_events_ends_when_one_comes() {
    if !bpf_allowed("waiting_for_events_ends_when_one_comes") {
        return;
    }
    let image = numbered(asm::image(
        vec![asm::sender(0, 7)],
        vec![asm::map("events", MapKind::Ringbuf, 4096)],
    ));
    let plan = plan_of(&[PointKind::Begin], LoaderName::Sys);
    let mut session = Session::load(&image, &plan).expect("load");
    let mut ring = session.take_events().expect("events");
    // Sent from the other task only once this one waits or is about to: either order must wake it.
    smol::block_on(async {
        let wait = async { ring.readable().await };
        let send = async { session.begin().expect("begin") };
        let (ready, ()) = smol::future::zip(wait, send).await;
        ready.expect("readable");
    });
    assert_eq!(ring.drain(&mut |record| assert_eq!(record[0], 7)), 1);
}

#[test]
fn losses_are_summed_over_cpus() {
    if !bpf_allowed("losses_are_summed_over_cpus") {
        return;
    }
    // Three maps have loss counters: the compiler's own are never full.
    let losses = MapSpec {
        ..asm::map(
            "losses",
            MapKind::PercpuArray,
            Loss::counters(3, 0, 2) as u32,
        )
    };
    let script_map = |id| MapSpec {
        map: Some(MapId(id)),
        ..asm::map("map", MapKind::Array, 1)
    };
    let mut maps: Vec<MapSpec> = (0..3).map(script_map).collect();
    maps.push(losses);
    let mut image = asm::image(vec![lose(3, Loss::Events(0)), lose(3, Loss::Map(2))], maps);
    image.losses = Some(3);
    let points = [
        PointKind::Interval { period_ns: 1 },
        PointKind::Interval { period_ns: 1 },
    ];
    let session =
        Session::load(&numbered(image), &plan_of(&points, LoaderName::Sys)).expect("load");
    assert!(!session.account().unwrap().lost_something());
    for _ in 0..5 {
        session.run(0).unwrap();
    }
    for _ in 0..7 {
        session.run(1).unwrap();
    }
    let account = session.account().unwrap();
    assert!(account.lost_something());
    assert_eq!(
        (account.dropped_events, account.full_maps),
        (vec![(0, 5)], vec![(2, 7)])
    );
}

/// Adds 1 to this CPU's counter of a loss, in map `map`; there are three maps with counters and no loops.
fn lose(map: usize, loss: Loss) -> hetsync_probe::image::Program {
    let mut insns = vec![
        asm::store_imm(reg::FP, -8, loss.counter(3, 0) as i32),
        asm::mov_reg(reg::R2, reg::FP),
        asm::add(reg::R2, -8),
    ];
    insns.extend(asm::immediate(reg::R1));
    insns.extend([
        asm::call(helper::MAP_LOOKUP_ELEM),
        asm::jump_if_zero(reg::R0, 2),
        asm::mov(reg::R1, 1),
        asm::atomic_add(reg::R0, 0, reg::R1),
        asm::mov(reg::R0, 0),
        asm::exit(),
    ]);
    let at = Relocation {
        insn: 3,
        what: RelocationKind::Map(map),
    };
    asm::program("lose", ProgramKind::Run, insns, vec![at])
}

#[test]
fn a_kernel_without_kprobes_says_what_it_has() {
    if !bpf_allowed("a_kernel_without_kprobes_says_what_it_has") {
        return;
    }
    if has_kprobe_source() {
        println!("a_kernel_without_kprobes_says_what_it_has: skipped, this kernel has kprobes");
        return;
    }
    let point = PointKind::Kprobe {
        function: "tcp_sendmsg".into(),
        offset: 0,
    };
    for loader in loaders() {
        let program = asm::counter(ProgramKind::Kprobe {
            function: "tcp_sendmsg".into(),
            offset: 0,
        });
        let image = asm::image(vec![program], vec![asm::map("counts", MapKind::Array, 1)]);
        let mut session =
            Session::load(&image, &plan_of(std::slice::from_ref(&point), loader)).expect("load");
        let error = session.attach().unwrap_err();
        assert_eq!(error.span(), Some(Span::new(3, 9)));
        assert_eq!(
            error.to_string(),
            "this kernel has no kprobes, which `kprobe:tcp_sendmsg` needs; \
             it does have: tracepoints, raw tracepoints, uprobes",
            "{loader:?}"
        );
        assert_eq!(
            session.account().unwrap().probes[0].mechanism,
            Mechanism::NotAttached
        );
    }
}

/// The loaders that are built in.
pub(crate) fn loaders() -> Vec<LoaderName> {
    let mut loaders = vec![LoaderName::Sys];
    if cfg!(feature = "redbpf") {
        loaders.push(LoaderName::Redbpf);
    }
    loaders
}

fn prepared<'a>(kind: &'a ProgramKind, insns: &'a [Insn], spans: &'a [Span]) -> Prepared<'a> {
    Prepared {
        name: "it",
        kind,
        insns,
        spans,
        debug: None,
        btf_id: None,
        probe: "kprobe:tcp_sendmsg",
        span: None,
    }
}

#[test]
fn a_refusal_reads_the_same_whichever_loader() {
    if !bpf_allowed("a_refusal_reads_the_same_whichever_loader") {
        return;
    }
    let kind = ProgramKind::Kprobe {
        function: "tcp_sendmsg".into(),
        offset: 0,
    };
    let insns = [
        asm::mov(reg::R0, 1),
        asm::load(reg::R0, reg::R0, 0),
        asm::exit(),
    ];
    let spans = [Span::new(0, 4), Span::new(5, 9), Span::new(10, 11)];
    let bad = prepared(&kind, &insns, &spans);
    let by_sys = SysLoader::default().load(&bad).unwrap_err();
    assert_eq!(by_sys.span(), Some(Span::new(5, 9)));
    assert!(
        by_sys.to_string().contains("invalid mem access"),
        "{by_sys}"
    );
    #[cfg(feature = "redbpf")]
    {
        use hetsync_probe::load::redbpf::RedbpfLoader;
        let by_redbpf = RedbpfLoader.load(&bad).unwrap_err();
        assert_eq!(by_sys.to_string(), by_redbpf.to_string());
        assert_eq!(by_sys.errno(), by_redbpf.errno());
    }
}

#[cfg(feature = "redbpf")]
#[test]
fn redbpf_loads_kprobes_and_nothing_else() {
    use hetsync_probe::load::redbpf::RedbpfLoader;
    if !bpf_allowed("redbpf_loads_kprobes_and_nothing_else") {
        return;
    }
    let insns = [asm::mov(reg::R0, 0), asm::exit()];
    for kind in [
        ProgramKind::Kprobe {
            function: "tcp_sendmsg".into(),
            offset: 4,
        },
        ProgramKind::Kretprobe {
            function: "tcp_sendmsg".into(),
        },
    ] {
        // A name the kernel would refuse is mended, not passed on.
        let program = Prepared {
            name: "a name:with/odd.things",
            ..prepared(&kind, &insns, &[])
        };
        let loaded = RedbpfLoader.load(&program).expect("load");
        assert_eq!(loaded.mechanism(), Mechanism::NotAttached);
        assert!(loaded.info().unwrap().translated_bytes >= 16);
        assert!(matches!(loaded.run(), Err(LoadError::Unsupported { .. })));
    }
    for kind in [
        ProgramKind::Run,
        ProgramKind::Fentry {
            function: "f".into(),
            args: 1,
        },
    ] {
        let error = RedbpfLoader
            .load(&prepared(&kind, &insns, &[]))
            .unwrap_err();
        assert!(
            matches!(
                error,
                LoadError::Unsupported {
                    loader: "redbpf",
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[test]
fn the_loaders_say_their_names() {
    assert_eq!(SysLoader::default().name(), "sys");
    #[cfg(feature = "redbpf")]
    assert_eq!(hetsync_probe::load::redbpf::RedbpfLoader.name(), "redbpf");
}

#[test]
fn an_image_that_does_not_fit_its_plan_is_refused() {
    if !bpf_allowed("an_image_that_does_not_fit_its_plan_is_refused") {
        return;
    }
    let image = asm::image(
        vec![asm::counter(ProgramKind::Run)],
        vec![asm::map("counts", MapKind::Array, 1)],
    );
    let other = plan_of(
        &[PointKind::Kretprobe {
            function: "f".into(),
        }],
        LoaderName::Sys,
    );
    for plan in [other, plan_of(&[], LoaderName::Sys)] {
        let error = Session::load(&image, &plan).unwrap_err();
        assert!(matches!(error, LoadError::Image(_)), "{error:?}");
    }
    let mut image = image;
    image.events = Some(0);
    let error = Session::load(&image, &plan_of(&[PointKind::Begin], LoaderName::Sys)).unwrap_err();
    assert!(error.to_string().contains("not a ring buffer"), "{error}");
    image.events = Some(5);
    assert!(Session::load(&image, &plan_of(&[PointKind::Begin], LoaderName::Sys)).is_err());
}

#[test]
fn refusals_speak_of_the_scripts_names() {
    if !bpf_allowed("refusals_speak_of_the_scripts_names") {
        return;
    }
    let mut spec = asm::map("map0", MapKind::Hash, 8);
    spec.max_entries = 0;
    spec.map = Some(hetsync_probe::sema::hir::MapId(0));
    let image = asm::image(vec![], vec![spec]);
    let mut plan = plan_of(&[], LoaderName::Sys);
    plan.maps.push("@".to_owned());
    let error = Session::load(&image, &plan).unwrap_err().to_string();
    assert!(error.starts_with("cannot create map \"@\""), "{error}");
}

/// What a thread without rights is told. The bare system call changes this one thread only.
#[test]
fn without_rights_it_says_which_are_needed() {
    if !bpf_allowed("without_rights_it_says_which_are_needed") {
        return;
    }
    let told = std::thread::spawn(|| {
        const NOBODY: libc::uid_t = 65_534;
        // SAFETY: changes the credentials of this thread, which does nothing else and ends below.
        if unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) } != 0 {
            return None;
        }
        let map = Map::create(&asm::map("counts", MapKind::Hash, 8)).err();
        let insns = [asm::mov(reg::R0, 0), asm::exit()];
        let program = Program::load("it", ProgramType::Kprobe, &insns, &[]).unwrap_err();
        Some((map.map(|error| error.to_string()), program.to_string()))
    });
    let Some((map, program)) = told.join().expect("thread") else {
        println!("without_rights_it_says_which_are_needed: skipped, cannot give up root");
        return;
    };
    let how =
        "(EPERM): run as root (CAP_BPF and CAP_PERFMON do where all probes become fentry or fexit)";
    assert_eq!(program, format!("not allowed to load program \"it\" {how}"));
    match map {
        Some(map) => assert_eq!(map, format!("not allowed to create map \"counts\" {how}")),
        None => println!("this kernel lets everybody create maps"),
    }
}
