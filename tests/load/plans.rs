//! How attach points are planned, for kernels made up here: no system call is made.

use hetsync_probe::image::ProgramKind;
use hetsync_probe::kernel::{FunctionFact, FunctionId, Kernel, Prototype};
use hetsync_probe::load::{Facts, LoaderName, Options, Planned, plan};
use hetsync_probe::plan::Plain;
use hetsync_probe::sema::hir::{
    AttachPoint, Builtin, Expr, ExprKind, NameId, PointKind, Probe, Program, Stmt, StmtKind, Type,
};
use hetsync_probe::span::Span;

/// Knows `send` (3 arguments, returns), `close` (1, returns nothing), `wide` (7).
struct Made;

impl Kernel for Made {
    fn function(&self, _: &str) -> FunctionFact {
        FunctionFact::Present
    }

    fn matching_functions(&self, _: &str) -> Option<Vec<String>> {
        None
    }

    fn prototype(&self, name: &str) -> Option<Prototype> {
        let (btf_id, args, returns) = match name {
            "send" => (10, 3, true),
            "close" => (11, 1, false),
            "wide" => (12, 7, true),
            "refused" => (13, 0, true),
            _ => return None,
        };
        Some(Prototype {
            btf_id: FunctionId::from(btf_id),
            args,
            arg_names: (0..args).map(|n| format!("a{n}")).collect(),
            arg_bytes: vec![8; usize::from(args)],
            returns,
        })
    }
}

impl Facts for Made {
    fn takes_trampoline(&self, btf_id: FunctionId, _: bool) -> bool {
        btf_id.id != 13
    }

    fn atomic_fetch(&self) -> bool {
        true
    }

    fn cpus(&self) -> u32 {
        3
    }

    fn kprobe_multi(&self) -> bool {
        true
    }
}

fn script(points: &[PointKind], reads: Option<Builtin>) -> Program {
    let expr = |builtin| Expr {
        kind: ExprKind::Builtin(builtin),
        ty: Type::INT,
        span: Span::default(),
    };
    let point = |kind: &PointKind| AttachPoint {
        kind: kind.clone(),
        probe_name: NameId(0),
        func_name: NameId(0),
        span: Span::new(1, 2),
    };
    // Deep inside: a condition of a conditional statement.
    let inner = reads.map(|builtin| Stmt {
        kind: StmtKind::Expr(expr(builtin)),
        span: Span::default(),
    });
    let body = Stmt {
        kind: StmtKind::If {
            cond: expr(Builtin::Pid),
            then: Vec::new(),
            otherwise: inner.into_iter().collect(),
        },
        span: Span::default(),
    };
    Program {
        probes: vec![Probe {
            points: points.iter().map(point).collect(),
            predicate: None,
            body: vec![body],
            locals: Vec::new(),
            span: Span::default(),
        }],
        names: vec!["kprobe:it".to_owned()],
        ..Program::default()
    }
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

fn planned(point: PointKind, reads: Option<Builtin>, options: &Options) -> Planned {
    let mut plan = plan(&script(&[point], reads), &Made, &Made, options);
    assert!(plan.atomic_fetch && plan.cpus == 3);
    plan.points.remove(0).remove(0)
}

#[test]
fn probes_are_lowered_where_the_kernel_can() {
    let options = Options::default();
    let entry = planned(kprobe("send"), Some(Builtin::Arg(2)), &options);
    assert_eq!(
        entry.kind,
        ProgramKind::Fentry {
            function: "send".into(),
            args: 3
        }
    );
    assert_eq!(
        (entry.btf_id, entry.loader, entry.not_lowered),
        (Some(10.into()), LoaderName::Sys, None)
    );
    assert_eq!(entry.arg_bytes, [8, 8, 8]);
    assert_eq!(
        (entry.probe.as_str(), entry.span),
        ("kprobe:it", Span::new(1, 2))
    );
    let exit = planned(kretprobe("send"), Some(Builtin::Retval), &options);
    assert_eq!(
        exit.kind,
        ProgramKind::Fexit {
            function: "send".into(),
            args: 3
        }
    );
    let exit = planned(kretprobe("close"), None, &options);
    assert_eq!(
        exit.kind,
        ProgramKind::Fexit {
            function: "close".into(),
            args: 1
        }
    );
}

#[test]
fn what_cannot_be_lowered_says_why() {
    let options = Options::default();
    let offset = PointKind::Kprobe {
        function: "send".into(),
        offset: 4,
    };
    for (point, reads, reason) in [
        (
            kprobe("send"),
            Some(Builtin::Arg(3)),
            "reads an argument the function does not have",
        ),
        (
            kretprobe("close"),
            Some(Builtin::Retval),
            "reads the result of a function that has none",
        ),
        (kprobe("wide"), None, "more than 6 arguments"),
        (kprobe("unknown"), None, "BTF does not describe"),
        (kretprobe("refused"), None, "refuses fentry"),
        (offset, None, "not at the function's start"),
    ] {
        let planned = planned(point.clone(), reads, &options);
        let why = planned.not_lowered.expect("not lowered");
        assert!(why.contains(reason), "{why}");
        assert_eq!(planned.btf_id, None);
        match (point, planned.kind) {
            (
                PointKind::Kprobe {
                    function: a,
                    offset: x,
                },
                ProgramKind::Kprobe {
                    function: b,
                    offset: y,
                },
            ) => {
                assert_eq!((a, x), (b, y));
            }
            (PointKind::Kretprobe { function: a }, ProgramKind::Kretprobe { function: b }) => {
                assert_eq!(a, b)
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn many_functions_of_one_probe_are_attached_together() {
    let mut points: Vec<PointKind> = (0..9).map(|n| kprobe(&format!("f{n}"))).collect();
    points.insert(1, kretprobe("send"));
    points.insert(
        2,
        PointKind::Kprobe {
            function: "send".into(),
            offset: 4,
        },
    );
    let planned = |points: &[PointKind], options: &Options| {
        let mut plan = plan(&script(points, None), &Made, &Made, options);
        plan.points.remove(0)
    };
    let together = planned(&points, &Options::default());
    let ProgramKind::KprobeMulti { places, on_return } = &together[0].kind else {
        panic!("{:?}", together[0]);
    };
    let found: Vec<(&str, usize)> = (places.iter())
        .map(|place| (place.function.as_str(), place.point))
        .collect();
    let wanted = (0..9).map(|n| (format!("f{n}"), if n == 0 { 0 } else { n + 2 }));
    let wanted: Vec<(String, usize)> = wanted.collect();
    assert!(!on_return);
    assert!(
        found
            .iter()
            .copied()
            .eq(wanted.iter().map(|(name, at)| (name.as_str(), *at)))
    );
    assert_eq!(together[0].probe, "kprobe:it and 8 more");
    assert!(matches!(together[1].kind, ProgramKind::Fexit { .. }));
    assert!(matches!(together[2].kind, ProgramKind::Kprobe { .. }));
    assert!(
        together[3..]
            .iter()
            .all(|one| one.kind == ProgramKind::Joined)
    );
    // A few are cheaper by trampolines, and redbpf knows nothing of this.
    let alone = |planned: &[Planned]| {
        !planned.iter().any(|one| {
            matches!(
                one.kind,
                ProgramKind::KprobeMulti { .. } | ProgramKind::Joined
            )
        })
    };
    assert!(alone(&planned(&points[..9], &Options::default())));
    let redbpf = Options {
        loader: Some(LoaderName::Redbpf),
        ..Options::default()
    };
    assert!(alone(&planned(&points, &redbpf)));
}

#[test]
fn the_user_can_turn_lowering_off_and_choose_the_loader() {
    let off = Options {
        lower: false,
        loader: None,
        ..Default::default()
    };
    let default = if cfg!(feature = "redbpf") {
        LoaderName::Redbpf
    } else {
        LoaderName::Sys
    };
    assert_eq!(planned(kprobe("send"), None, &off).loader, default);
    // Only sys can ask for room for many calls.
    assert_eq!(
        planned(kretprobe("send"), None, &off).loader,
        LoaderName::Sys
    );

    let redbpf = Options {
        lower: true,
        loader: Some(LoaderName::Redbpf),
        ..Default::default()
    };
    for point in [kprobe("send"), kretprobe("send")] {
        let planned = planned(point, None, &redbpf);
        assert_eq!(planned.loader, LoaderName::Redbpf);
        assert_eq!(planned.not_lowered, Some("the redbpf loader has no fentry"));
    }
    let sys = Options {
        lower: false,
        loader: Some(LoaderName::Sys),
        ..Default::default()
    };
    assert_eq!(planned(kprobe("send"), None, &sys).loader, LoaderName::Sys);
}

#[test]
fn what_user_space_runs_is_left_alone() {
    for point in [
        PointKind::Begin,
        PointKind::End,
        PointKind::Interval { period_ns: 3 },
    ] {
        let planned = planned(point.clone(), None, &Options::default());
        assert_eq!((planned.kind, planned.point), (ProgramKind::Run, point));
        assert_eq!(
            (planned.loader, planned.not_lowered),
            (LoaderName::Sys, None)
        );
    }
}

#[test]
fn a_plain_kernel_lowers_nothing() {
    let points = [kprobe("send"), kretprobe("send")];
    let plan = plan(&script(&points, None), &Made, &Plain, &Options::default());
    assert!(!plan.atomic_fetch && plan.cpus == 1);
    assert!(
        plan.points[0]
            .iter()
            .all(|planned| planned.not_lowered.is_some())
    );
}

#[test]
fn only_what_a_thread_keeps_for_itself_has_a_front() {
    let fronts = |source: &str, max_keys: u32| {
        let (script, mistakes) = hetsync_probe::syntax::parse(source);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let options = hetsync_probe::sema::Options {
            params: vec![],
            kernel: &hetsync_probe::kernel::NoKernel,
            pid_filter: None,
            settings: vec![],
            max_keys,
            allow_unsafe: false,
        };
        let (program, _) = hetsync_probe::sema::check(&script, &options).expect("no mistakes");
        hetsync_probe::plan::fronts::fronts(&program)[0]
    };
    let pair =
        "kprobe:f { @s[tid] = nsecs; } kretprobe:f /@s[tid]/ { $x = @s[tid]; delete(@s, tid); }";
    assert!(fronts(pair, 4096));
    assert!(
        !fronts(pair, 4095),
        "it may hold fewer keys than a front has slots"
    );
    for and in [
        "interval:s:1 { print(@s); }",
        "interval:s:1 { clear(@s); }",
        "interval:s:1 { zero(@s); }",
        "kprobe:g { @s[pid] = 1; }",
        "kprobe:g { $y = @s[tid + 1]; }",
        "kprobe:g { delete(@s, arg0); }",
        "kprobe:g { @s[tid]++; }",
    ] {
        assert!(!fronts(&format!("{pair} {and}"), 4096), "{and}");
    }
    assert!(
        !fronts("kprobe:f { @s[tid] = comm; }", 4096),
        "not an integer"
    );
    assert!(
        !fronts("kprobe:f { @s[tid] = count(); }", 4096),
        "statistics"
    );
    assert!(!fronts("kprobe:f { @s[tid, 1] = 1; }", 4096), "two parts");
}
