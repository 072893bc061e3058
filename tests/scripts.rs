//! Scripts run without a kernel: scripted events in, expected maps, events and losses out. Each runs twice, by the
//! meaning of the checked script and as compiled code in our eBPF machine, which must agree.

#[path = "scripts/bench.rs"]
mod bench;
#[path = "scripts/examples.rs"]
mod examples;
#[path = "scripts/functions.rs"]
mod functions;
#[path = "scripts/groups.rs"]
mod groups;
#[path = "scripts/language.rs"]
mod language;
#[path = "scripts/latency.rs"]
mod latency;
#[path = "scripts/shipped.rs"]
mod shipped;
