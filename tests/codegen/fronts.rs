//! Fronts of maps where threads on different CPUs want the same slot.

use super::can_load;
use crate::checked;
use hetsync_probe::codegen::{self, Options};
use hetsync_probe::image::{Image, resolve};
use hetsync_probe::layout::{self, front};
use hetsync_probe::load::sys::{Map, Program, ProgramType};
use hetsync_probe::plan;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Rounds of each thread.
const ROUNDS: usize = 40_000;

/// Every thread must find what it wrote, and nothing after it has deleted that.
const SCRIPT: &str = "begin { @seen[tid] = 1; }
end {
    @start[tid] = nsecs + tid;
    if (@start[tid] < tid) { @wrong[0]++; }
    @start[tid] = tid * 7;
    if (@start[tid] != tid * 7) { @wrong[1]++; }
    delete(@start, tid);
    if (@start[tid]) { @wrong[2]++; }
    @rounds[0]++;
    delete(@start, tid);
}";

struct Loaded {
    maps: Vec<Map>,
    programs: Vec<Program>,
}

fn loaded(image: &Image) -> Loaded {
    let maps: Vec<Map> = (image.maps.iter())
        .map(|spec| Map::create(spec).expect("a map"))
        .collect();
    let fds: Vec<i32> = maps.iter().map(AsRawFd::as_raw_fd).collect();
    let program = |program: &hetsync_probe::image::Program| {
        let insns = resolve(program, &fds, 1).expect("resolves");
        let kind = ProgramType::RawTracepoint;
        Program::load(&program.name, kind, &insns, &program.spans).expect("loads")
    };
    let programs = image.programs.iter().map(program).collect();
    Loaded { maps, programs }
}

/// Keeps the calling thread on one of the first two CPUs, where there are two.
fn stay_on(cpu: usize) {
    // SAFETY: the set is plain bits, zeroed, of the size given. A refusal leaves the thread where it likes to be.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// Starts threads until two of them have numbers that share a slot, and lets those two go on.
fn rivals(loaded: &Loaded, seen: usize) {
    let number = |known: &[u64]| {
        loaded.programs[0].test_run(&[]).expect("runs");
        let entries = loaded.maps[seen].entries_one_by_one().expect("entries");
        let mut keys = entries.iter().map(|(key, _)| layout::word(key, 0));
        keys.find(|key| !known.contains(key)).expect("a new thread")
    };
    let rounds = || {
        for _ in 0..ROUNDS {
            loaded.programs[1].test_run(&[]).expect("runs");
        }
    };
    stay_on(0);
    let first = number(&[]);
    // Enough for every number of a slot, with room for what else runs on the machine.
    for _ in 0..8 * front::SLOTS {
        let met = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let rival = scope.spawn(|| {
                let mine = number(&[first]);
                let key = mine.to_le_bytes();
                loaded.maps[seen].delete(&key).expect("deletes");
                if mine % u64::from(front::SLOTS) == first % u64::from(front::SLOTS) {
                    stay_on(1);
                    met.store(true, Relaxed);
                    rounds();
                }
            });
            while !rival.is_finished() {
                if met.load(Relaxed) {
                    loaded.programs[1].test_run(&[]).expect("runs");
                } else {
                    std::thread::yield_now();
                }
            }
        });
        let met = met.load(Relaxed);
        if met {
            return;
        }
    }
    panic!("no two threads met");
}

#[test]
fn threads_that_share_a_slot_do_not_disturb_each_other() {
    if !can_load("threads_that_share_a_slot_do_not_disturb_each_other") {
        return;
    }
    let mut program = checked(SCRIPT);
    for map in &mut program.maps {
        map.max_entries = front::SLOTS;
    }
    let map = |name: &str| {
        let found = program.maps.iter().position(|map| map.name == name);
        found.expect("a map")
    };
    let mut fronts = plan::fronts::fronts(&program);
    assert!(fronts[map("start")], "{fronts:?}");
    // Read while programs run, by this test.
    fronts[map("seen")] = false;
    let options = Options {
        fronts: &fronts,
        ..Options::plain()
    };
    let image = codegen::compile(&program, &options).expect("compiles");
    let loaded = loaded(&image);
    rivals(&loaded, map("seen"));
    let entries = |name: &str| {
        loaded.maps[map(name)]
            .entries_one_by_one()
            .expect("entries")
    };
    assert_eq!(entries("wrong"), [], "what a thread wrote was not there");
    assert_eq!(entries("start"), [], "something was left behind");
    let slots = loaded.maps[image.front_of(map("start")).expect("a front")]
        .lookup(&[0; 4])
        .expect("the front")
        .expect("its value");
    assert_eq!(front::entries(&slots).count(), 0, "a slot was left taken");
    let claims = slots.chunks_exact(1 << front::SHIFT);
    assert!(
        claims.clone().all(|slot| layout::word(slot, 0) == 0),
        "a claim was left"
    );
    let rounds = layout::word(&entries("rounds")[0].1, 0);
    assert!(rounds >= ROUNDS as u64, "{rounds} rounds");
    let crowded = claims.filter(|slot| layout::word(slot, 3) != 0).count();
    println!("{rounds} rounds, {crowded} slots were wanted by two at once");
}
