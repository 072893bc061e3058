//! The compiler as a library: a script is compiled, its instructions are shown, and then they run without a kernel, over sends that are
//! only pretended. This is how scripts are tested.
//!
//! No root, no eBPF in the kernel, any system. Run it with `cargo run -p hetsync-probe --example script_without_kernel`.

use hetsync_probe::codegen::disasm;
use hetsync_probe::diagnostic::render;
use hetsync_probe::interp::ebpf::Machine;
use hetsync_probe::interp::{Firing, World};
use hetsync_probe::kernel::NoKernel;
use hetsync_probe::report::form::{FormKind, Output};
use hetsync_probe::report::map::MapReport;
use hetsync_probe::source::Source;
use hetsync_probe::{Compiled, Target, compile, image, sema};

const SCRIPT: &str = r#"
kprobe:tcp_sendmsg { @start[tid] = nsecs; }
kretprobe:tcp_sendmsg /@start[tid]/ {
    @latency[comm] = summary(us(nsecs - @start[tid]), 50, 99);
    delete(@start, tid);
}
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = sema::Options {
        params: Vec::new(),
        kernel: &NoKernel,
        pid_filter: None,
        settings: vec![],
        max_keys: 64,
        allow_unsafe: false,
    };
    let compiled = match compile(SCRIPT, &options, &Target::plain()) {
        Ok(compiled) => compiled,
        Err(mistakes) => {
            let source = Source::new("the script", SCRIPT);
            return Err(render::text(&mistakes, &source, false).into());
        }
    };
    for program in &compiled.image.programs {
        println!("{}: {} instructions", program.name, program.insns.len());
    }
    let listing = disasm::image(&compiled.image, SCRIPT);
    for line in listing.lines().take(9) {
        println!("{line}");
    }
    println!("..");

    let machine = pretend(&compiled)?;
    println!("{} instructions ran", machine.executed());
    let left = machine.contents(&compiled.image);
    let mut out = Output::default();
    let mut form = FormKind::Text.start(80);
    for (map, table) in compiled.program.maps.iter().zip(&left.maps) {
        let report = MapReport::decode(map, &compiled.program.names, table);
        form.map(&mut out, &report.arranged(0, 1));
    }
    print!("{}", String::from_utf8_lossy(&out.report));
    println!("lost: {}", left.losses.iter().sum::<u64>());
    Ok(())
}

/// A thousand sends: the server's take 1 to 10 microseconds in turn, the worker's three times as long.
fn pretend(compiled: &Compiled) -> Result<Machine, Box<dyn std::error::Error>> {
    let mut world = World::default();
    let mut machine =
        Machine::new(&compiled.image.maps, world.cpus).map_err(|fault| format!("{fault:?}"))?;
    for send in 0..500 {
        for (comm, times) in [("server", 1), ("worker", 3)] {
            let took_ns = times * (1 + send % 10) * 1_000;
            // Point 0 of probe 0 is the entry, of probe 1 the return.
            for (probe, wait_ns) in [(0, 10_000), (1, took_ns)] {
                world.now_ns += wait_ns;
                let program = &compiled.image.programs[probe];
                let insns = image::resolve(program, &machine.fds(), world.start_ns)?;
                let firing = Firing::default().at(probe, 0).by(comm);
                machine.run(&insns, &program.kind, &mut world, &firing)?;
            }
        }
    }
    Ok(machine)
}
