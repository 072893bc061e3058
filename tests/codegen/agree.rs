//! The compiled program does what the checked script says: same maps, same events, same losses.

use crate::compiled;
use crate::scripts::SCRIPTS;
use hetsync_probe::image::{Image, resolve};
use hetsync_probe::interp::ebpf::Machine;
use hetsync_probe::interp::{Contents, Firing, Memory, World, script};
use hetsync_probe::sema::hir;

/// A fixed sequence of numbers that look random (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Small, large, negative and odd ones alike.
    fn argument(&mut self) -> u64 {
        let n = self.next();
        match n % 7 {
            0 => n >> 8 & 7,
            1 => (n >> 8) & 0xfff,
            2 => (n >> 8) & 0xffff_ffff,
            3 => (n >> 8 & 0xff).wrapping_neg(),
            4 => [
                0,
                u64::MAX,
                1 << 63,
                i64::MAX as u64,
                1 << 31,
                (1 << 31) - 1,
            ][(n >> 8) as usize % 6],
            5 => n >> (n & 63),
            _ => n,
        }
    }
}

pub(crate) fn firings(program: &hir::Program, count: usize, seed: u64) -> Vec<Firing> {
    let mut numbers = Numbers(seed | 1);
    let points: Vec<(usize, usize)> = (program.probes.iter().enumerate())
        .flat_map(|(i, probe)| (0..probe.points.len()).map(move |j| (i, j)))
        .collect();
    (0..count)
        .map(|i| {
            let (probe, point) = points[i % points.len()];
            let comm = ["nginx", "a", "tokio-runtime-worker", ""][numbers.next() as usize % 4];
            let mut firing = Firing::default().at(probe, point).by(comm);
            firing.pid = (numbers.next() % 3) as u32 + 6;
            firing.tid = (numbers.next() % 3) as u32;
            firing.cpu = (numbers.next() % 2) as u32;
            for arg in &mut firing.args {
                *arg = numbers.argument();
            }
            firing.retval = numbers.argument();
            firing
        })
        .collect()
}

/// Bytes that scripts read, some of them NULs.
fn memory() -> Memory {
    let byte = |i: u8| if i % 9 == 4 { 0 } else { i.wrapping_mul(29) };
    let mut memory = Memory::default();
    memory.add(0xffff_8880_0010_0000, (0..100).map(byte).collect());
    memory
}

/// Runs both and compares.
pub(crate) fn agree(name: &str, program: &hir::Program, image: &Image, firings: &[Firing]) {
    let world = World {
        cpus: 2,
        now_ns: 5_000_000_000,
        step_ns: 1_234,
        start_ns: 4_000_000_000,
        ring_bytes: 1 << 14,
        kernel: memory(),
        ..World::default()
    };
    let meant = script::run(program, &mut world.clone(), firings);
    let done = run(name, image, world, firings);
    for (i, (meant, done)) in meant.maps.iter().zip(&done.maps).enumerate() {
        assert_eq!(meant, done, "{name}: map @{}", program.maps[i].name);
    }
    assert_eq!(meant.events, done.events, "{name}: events");
    assert_eq!(meant, done, "{name}");
}

fn run(name: &str, image: &Image, mut world: World, firings: &[Firing]) -> Contents {
    let mut specs = image.maps.clone();
    if let Some(events) = image.events {
        specs[events].max_entries = world.ring_bytes;
    }
    let mut machine = Machine::new(&specs, world.cpus).expect("a machine");
    let fds = machine.fds();
    for firing in firings {
        let program = (image.programs.iter())
            .find(|p| p.point == firing.point)
            .expect("a program for each point");
        let insns = resolve(program, &fds, world.start_ns).expect("resolves");
        if let Err(fault) = machine.run(&insns, &program.kind, &mut world, firing) {
            panic!("{name}: {fault:?}\n{:#?}", program.insns);
        }
    }
    machine.contents(image)
}

#[test]
fn the_machine_does_what_the_script_means() {
    for (name, source) in SCRIPTS {
        let (program, image) = compiled(source);
        for seed in 1..4 {
            agree(name, &program, &image, &firings(&program, 60, seed * 77));
        }
    }
}

#[test]
fn full_maps_are_counted_alike() {
    let source = "kprobe:f { @a[arg0] = count(); @b[arg1] = arg2; @c[arg3]++; }";
    let (program, image) = compiled(source);
    agree("full", &program, &image, &firings(&program, 400, 5));
}
