//! Statistics that get their samples together, under one key, share a value; nobody sees that but by the cost.

use crate::bench::{Bench, Part, checked};
use hetsync_probe::interp::Firing;
use hetsync_probe::plan::groups::groups;

/// The groups of a script, by the names of their maps.
fn names(source: &str) -> Vec<Vec<String>> {
    let program = checked(source, &[], 4096);
    let name = |map: &hetsync_probe::sema::hir::MapId| program.maps[map.0 as usize].name.clone();
    let groups = groups(&program);
    (groups.iter().map(|group| group.iter().map(name).collect())).collect()
}

#[test]
fn what_is_always_sampled_together_is_a_group() {
    for (script, expected) in [
        (
            "kprobe:f { @a[comm] = count(); @b[comm] = hist(arg0); }",
            "a b",
        ),
        (
            "kprobe:f { @b[tid, 1] = sum(arg1); @a[tid, 1] = summary(arg0); @c[tid, 1] = count(); }",
            "b a c",
        ),
        (
            "kprobe:f { if (arg0 > 1) { $x = arg0; @a[$x] = count(); @b[$x] = max($x); } }",
            "a b",
        ),
        (
            "kprobe:f { @a[comm] = count(); @b[comm] = count(); } interval:s:1 { print(@a); print(@b, 3); }",
            "a b",
        ),
        (
            "kprobe:f { @a[pid] = count(); @b[pid] = count(); } kprobe:g { @a[tid] = count(); @b[tid] = count(); }",
            "a b",
        ),
    ] {
        let found: Vec<String> = names(script).iter().map(|group| group.join(" ")).collect();
        assert_eq!(found, [expected], "{script}");
    }
}

#[test]
fn what_is_used_in_another_way_is_not() {
    for script in [
        "kprobe:f { @a[comm] = count(); @b[pid] = count(); }",
        "kprobe:f { @a[pid] = count(); @b[tid] = count(); }",
        "kprobe:f { @a = count(); @b = hist(arg0); }",
        "kprobe:f { @a[nsecs] = count(); @b[nsecs] = count(); }",
        "kprobe:f { @a[comm] = count(); @x = 1; @b[comm] = count(); }",
        "kprobe:f { @a[comm] = count(); @b[comm] = count(); @b[comm] = count(); }",
        "kprobe:f { @a[comm] = count(); @b[comm] = count(); } kprobe:g { @a[comm] = count(); }",
        "kprobe:f { @a[comm] = count(); @b[comm] = count(); } interval:s:1 { clear(@b); }",
        "kprobe:f { @a[comm] = count(); @b[comm] = count(); } interval:s:1 { zero(@a); }",
        "kprobe:f { @a[comm] = count(); @b[comm] = count(); delete(@a, comm); }",
        "kprobe:f { @a[comm] = count(); @b[comm] = count(); if (@a[comm] > 5) { @x = 1; } }",
        "kprobe:f { @a[comm] = count(); @b[comm] = count(); if (has_key(@b, comm)) { @x = 1; } }",
        "kprobe:f { @a[comm] = count(); @b[comm] = sum(@n++); }",
        "kprobe:f { @a[comm] = count(); @b[comm] = count(); } interval:s:1 { for $kv : @b { @x = $kv.1; } }",
        "kprobe:f { @a[comm] = count(); @b[comm] = count(); } interval:s:1 { @x = len(@a); }",
    ] {
        assert_eq!(names(script), Vec::<Vec<String>>::new(), "{script}");
    }
}

#[test]
fn a_group_holds_what_its_maps_would() {
    let mut bench = Bench::new(
        "kprobe:f { @h[comm] = hist(arg0); @s[comm] = summary(arg0); @n[comm] = count(); @m[comm] = min(arg0); }",
    );
    for (at, comm) in ["a", "b", "a", "a"].into_iter().enumerate() {
        let mut firing = Firing::default().by(comm);
        firing.args[0] = [5, 700, 1 << 40, (-3i64) as u64][at];
        firing.cpu = at as u32 % 2;
        bench.fire("kprobe:f", 10, firing);
    }
    let left = bench.run();
    assert_eq!(left.keys("h"), 2);
    let key = [Part::Text("a")];
    assert_eq!(left.word("n", &key, 0, 0), Some(2));
    assert_eq!(left.word("n", &key, 1, 0), Some(1));
    assert_eq!(left.word("s", &key, 0, 0), Some(2));
}

#[test]
fn a_full_group_is_a_loss_of_each_of_its_maps() {
    let script = "kprobe:f { @a[arg0] = count(); @b[arg0] = sum(arg1); }";
    let mut bench = Bench::with(script, &[], 2);
    for number in 0..5 {
        let mut firing = Firing::default();
        firing.args[0] = number;
        bench.fire("kprobe:f", 0, firing);
    }
    let left = bench.run();
    assert_eq!((left.keys("a"), left.keys("b")), (2, 2));
    assert_eq!((left.lost("a"), left.lost("b")), (3, 3));
}
