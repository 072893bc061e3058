//! `latency:` probes: entry and return paired, whatever threads and functions do in between.

use hetsync_probe::interp::Firing;

use crate::bench::{Bench, Left, Part};

/// One thread goes into or comes out of a function.
#[derive(Clone, Copy)]
enum Step {
    In(u32, u64),
    Out(u32, u64),
}
use Step::{In, Out};

/// Fires a script's one latency probe, whose return is probe 0 and whose entry is probe 1; steps are 10 ns apart and come
/// with the function.
fn run<T>(script: &str, steps: &[(usize, Step)], see: impl FnOnce(&Left<'_>) -> T) -> T {
    let mut bench = Bench::new(script);
    for (point, step) in steps {
        let mut firing = Firing::default();
        let probe = match *step {
            In(tid, arg) => {
                (firing.tid, firing.args[0], firing.args[1]) = (tid, arg, arg + 1000);
                1
            }
            Out(tid, retval) => {
                (firing.tid, firing.retval) = (tid, retval);
                0
            }
        };
        bench.fire_at(probe, *point, 10, firing);
    }
    see(&bench.run())
}

fn one(steps: &[Step]) -> Vec<(usize, Step)> {
    steps.iter().map(|step| (0, *step)).collect()
}

const SCRIPT: &str =
    "latency:f { @took[tid, arg0] = sum($elapsed); @got[tid, arg0] = sum(retval + arg1); }";

fn took(left: &Left<'_>, tid: i64, arg: i64) -> Option<(i64, i64)> {
    let key = [Part::Int(tid), Part::Int(arg)];
    let sum = |map| left.word(map, &key, 0, 1).map(|word| word as i64);
    Some((sum("took")?, sum("got")?))
}

fn nothing_kept(left: &Left<'_>) {
    for map in ["depth", "start", "inner", "arg0"] {
        assert_eq!(left.keys(&format!("latency#0.{map}")), 0, "{map}");
    }
}

#[test]
fn a_return_has_what_was_there_on_entry() {
    run(SCRIPT, &one(&[In(7, 5), Out(7, 3)]), |left| {
        assert_eq!(took(left, 7, 5), Some((10, 3 + 1005)));
        nothing_kept(left);
    });
}

#[test]
fn threads_do_not_mix() {
    let steps = one(&[
        In(7, 5),
        In(8, 6),
        Out(7, 1),
        In(7, 9),
        Out(8, 2),
        Out(7, 4),
    ]);
    run(SCRIPT, &steps, |left| {
        assert_eq!(took(left, 7, 5), Some((20, 1 + 1005)));
        assert_eq!(took(left, 8, 6), Some((30, 2 + 1006)));
        assert_eq!(took(left, 7, 9), Some((20, 4 + 1009)));
        nothing_kept(left);
    });
}

#[test]
fn a_function_that_calls_itself_has_a_frame_for_each_call() {
    let steps = one(&[
        In(7, 1),
        In(7, 2),
        In(7, 3),
        Out(7, 30),
        Out(7, 20),
        In(7, 4),
        Out(7, 40),
        Out(7, 10),
    ]);
    run(SCRIPT, &steps, |left| {
        assert_eq!(took(left, 7, 3), Some((10, 30 + 1003)));
        assert_eq!(took(left, 7, 2), Some((30, 20 + 1002)));
        assert_eq!(took(left, 7, 4), Some((10, 40 + 1004)));
        assert_eq!(took(left, 7, 1), Some((70, 10 + 1001)));
        nothing_kept(left);
    });
}

#[test]
fn a_return_without_an_entry_runs_no_body() {
    let steps = one(&[Out(7, 1), In(7, 5), Out(7, 3), Out(7, 9)]);
    run(SCRIPT, &steps, |left| {
        assert_eq!(took(left, 7, 5), Some((10, 3 + 1005)));
        assert_eq!(left.keys("took"), 1);
        nothing_kept(left);
    });
}

#[test]
fn functions_of_one_probe_may_call_each_other() {
    let script = "latency:f, latency:g { @took[func, arg0] = sum($elapsed); @n[probe] = count(); }";
    let steps = [
        (0, In(7, 1)),
        (1, In(7, 2)),
        (0, In(7, 3)),
        (0, Out(7, 0)),
        // The return of `g` was missed: that of `f` is still its own.
        (0, Out(7, 0)),
    ];
    run(script, &steps, |left| {
        let took = |func, arg| left.word("took", &[Part::Int(func), Part::Int(arg)], 0, 1);
        let (f, g) = (1, 3);
        assert_eq!(took(f, 3), Some(10));
        assert_eq!(took(f, 1), Some(40));
        assert_eq!(took(g, 2), None);
        assert_eq!(left.keys("latency#0.depth"), 1);
    });
}

#[test]
fn what_is_wanted_is_asked_on_return() {
    let script = "latency:f /$elapsed > 15 && retval == 1 && arg0 < 7/ { @n[arg0] = count(); if (tid == 7) { return; } @n[99] = count(); }";
    let steps = one(&[
        In(7, 1),
        Out(7, 1),
        In(7, 2),
        In(8, 3),
        Out(7, 1),
        Out(8, 2),
        In(8, 8),
        In(7, 4),
        Out(8, 1),
        Out(7, 1),
    ]);
    run(script, &steps, |left| {
        assert_eq!(left.value("n", &[Part::Int(2)]), Some(1));
        assert_eq!(left.value("n", &[Part::Int(4)]), Some(1));
        assert_eq!(left.keys("n"), 2);
        nothing_kept(left);
    });
}

#[test]
fn a_full_map_loses_the_call_and_says_so() {
    let mut bench = Bench::with("latency:f { @n = count(); }", &[], 2);
    for tid in [1, 2, 3] {
        let firing = Firing {
            tid,
            ..Firing::default()
        };
        bench.fire_at(1, 0, 1, firing);
    }
    for tid in [1, 2, 3] {
        let firing = Firing {
            tid,
            ..Firing::default()
        };
        bench.fire_at(0, 0, 1, firing);
    }
    let left = bench.run();
    assert_eq!(left.value("n", &[]), Some(2));
    assert_eq!(left.lost("latency#0.depth"), 1);
}
