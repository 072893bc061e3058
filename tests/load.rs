//! The kernel side: maps, programs, attaching, BTF. Most of it needs bpf(2), that is root; a test that cannot run
//! prints why. Kprobes and fentry are tested in guests: `load/guests.rs` runs this whole program again in each.

#[path = "load/asm.rs"]
mod asm;
#[path = "load/attach.rs"]
mod attach;
#[path = "load/guests.rs"]
mod guests;
#[path = "load/kernel.rs"]
mod kernel;
#[path = "load/kinds.rs"]
mod kinds;
#[path = "load/maps.rs"]
mod maps;
#[path = "load/plans.rs"]
mod plans;
#[path = "load/programs.rs"]
mod programs;
#[path = "load/sessions.rs"]
mod sessions;

/// Whether bpf(2) can be used here; prints the reason if not.
fn bpf_allowed(test: &str) -> bool {
    use hetsync_probe::image::{MapKind, MapSpec};
    let spec = MapSpec {
        name: "probe".into(),
        kind: MapKind::Array,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        map: None,
    };
    match hetsync_probe::load::sys::Map::create(&spec) {
        Ok(_) => true,
        Err(error) => {
            println!("{test}: skipped, {error}");
            false
        }
    }
}
