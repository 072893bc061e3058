//! How many instructions an event takes: counted by the machine, which repeats exactly, so a pass that gets worse shows here.

use crate::compiled;
use hetsync_probe::image::resolve;
use hetsync_probe::interp::ebpf::Machine;
use hetsync_probe::interp::{Firing, World};

/// Instructions executed by the last of `firings`, the maps warm from those before.
fn executed(source: &str, firings: &[Firing]) -> u64 {
    let (_, image) = compiled(source);
    let mut world = World {
        step_ns: 50_000,
        ..World::default()
    };
    let mut machine = Machine::new(&image.maps, world.cpus).expect("a machine");
    let fds = machine.fds();
    let mut last = 0;
    for firing in firings {
        let program = (image.programs.iter())
            .find(|p| p.point == firing.point)
            .expect("a program");
        let insns = resolve(program, &fds, 0).expect("resolves");
        let before = machine.executed();
        machine
            .run(&insns, &program.kind, &mut world, firing)
            .expect("runs");
        last = machine.executed() - before;
    }
    last
}

const PAIR: &str = "kprobe:tcp_sendmsg { @start[tid] = nsecs; }
kretprobe:tcp_sendmsg /@start[tid]/ {
    $us = (nsecs - @start[tid]) / 1000;
    @h[comm] = hist($us);
    @s[comm] = summary($us);
    delete(@start[tid]);
}";

#[test]
fn an_event_takes_no_more_instructions_than_it_did() {
    let entry = Firing::default().by("nginx");
    let back = entry.clone().at(1, 0);
    let once = |source: &str| executed(source, &[entry.clone(), entry.clone()]);
    let counts = [
        ("entry", executed(PAIR, std::slice::from_ref(&entry)), 15),
        (
            "return",
            executed(
                PAIR,
                &[entry.clone(), back.clone(), entry.clone(), back.clone()],
            ),
            91,
        ),
        (
            "return without entry",
            executed(PAIR, &[entry.clone(), back.clone(), back]),
            10,
        ),
        ("count", once("kprobe:f { @ = count(); }"), 11),
        ("count by comm", once("kprobe:f { @[comm] = count(); }"), 16),
        ("hist", once("kprobe:f { @ = hist(arg0); }"), 25),
        ("unkeyed increment", once("kprobe:f { @++; }"), 6),
        (
            "printf",
            once("kprobe:f { printf(\"%d %s\\n\", pid, comm); }"),
            21,
        ),
    ];
    let worse: Vec<_> = counts.iter().filter(|(_, is, was)| is > was).collect();
    println!("{counts:?}");
    assert!(worse.is_empty(), "{worse:?}");
}
