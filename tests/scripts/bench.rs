//! The bench scripts are run on: source in, what it leaves behind out.

use hetsync_probe::codegen::{self, Options};
use hetsync_probe::image::{self, ProgramKind};
use hetsync_probe::interp::ebpf::Machine;
use hetsync_probe::interp::script::{self, Store};
use hetsync_probe::interp::{Contents, Firing, World};
use hetsync_probe::kernel::NoKernel;
use hetsync_probe::layout;
use hetsync_probe::sema::hir::{MapId, PointKind, Program};
use hetsync_probe::{sema, syntax};

/// A checked script and the world it runs in.
pub(crate) struct Bench {
    pub(crate) program: Program,
    pub(crate) world: World,
    /// Whether the script needs what only fentry and fexit have.
    pub(crate) only_traced: bool,
    firings: Vec<(u64, Firing)>,
}

/// Checks a script; its mistakes fail the test.
pub(crate) fn checked(source: &str, params: &[&str], max_keys: u32) -> Program {
    let (ast, mistakes) = syntax::parse(source);
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    let options = sema::Options {
        params: params.iter().map(|param| param.to_string()).collect(),
        kernel: &NoKernel,
        pid_filter: None,
        settings: vec![],
        max_keys,
        allow_unsafe: false,
    };
    match sema::check(&ast, &options) {
        Ok((program, _)) => program,
        Err(mistakes) => panic!("{mistakes:#?}"),
    }
}

impl Bench {
    pub(crate) fn new(source: &str) -> Self {
        Self::with(source, &[], 4096)
    }

    pub(crate) fn with(source: &str, params: &[&str], max_keys: u32) -> Self {
        Self {
            program: checked(source, params, max_keys),
            world: World {
                cpus: 2,
                ..World::default()
            },
            only_traced: false,
            firings: Vec::new(),
        }
    }

    /// Fires every point of this name (as `probe` shows it) `after_ns` after the firing before.
    pub(crate) fn fire(&mut self, name: &str, after_ns: u64, firing: Firing) -> &mut Self {
        let mut found = false;
        for (i, probe) in self.program.probes.iter().enumerate() {
            for (j, point) in probe.points.iter().enumerate() {
                if self.program.names[point.probe_name.0 as usize] == name {
                    let wait = if found { 0 } else { after_ns };
                    self.firings.push((wait, firing.clone().at(i, j)));
                    found = true;
                }
            }
        }
        assert!(found, "no probe is called {name}");
        self
    }

    /// Fires one point of one probe.
    pub(crate) fn fire_at(&mut self, probe: usize, point: usize, after_ns: u64, firing: Firing) {
        self.firings.push((after_ns, firing.at(probe, point)));
    }

    /// Runs what was fired: by meaning, and compiled both ways a function can be probed.
    pub(crate) fn run(&self) -> Left<'_> {
        let mut world = self.world.clone();
        let mut store = Store::new(&self.program, &world);
        for (after_ns, firing) in &self.firings {
            world.now_ns += after_ns;
            script::fire(&self.program, &mut world, &mut store, firing);
        }
        let contents = store.contents().clone();
        let plain = Options {
            percpu_lookup: true,
            tai_clock: true,
            cpus: world.cpus as u32,
            ..Options::plain()
        };
        if !self.only_traced {
            assert_eq!(self.compiled(&plain), contents, "by kprobes");
        }
        let traced = |probe: usize, point: usize| self.traced(probe, point);
        let groups = hetsync_probe::plan::groups::groups(&self.program);
        let options = Options {
            lower: &traced,
            groups: &groups,
            atomic_fetch: true,
            socket_cookie: true,
            gate: true,
            ..plain
        };
        assert_eq!(self.compiled(&options), contents, "by fentry and fexit");
        Left {
            program: &self.program,
            contents,
        }
    }

    /// The fentry or fexit program for a point, where there is one.
    fn traced(&self, probe: usize, point: usize) -> Option<ProgramKind> {
        match &self.program.probes[probe].points[point].kind {
            PointKind::Kprobe { function, .. } => Some(ProgramKind::Fentry {
                function: function.clone(),
                args: 6,
            }),
            PointKind::Kretprobe { function } => Some(ProgramKind::Fexit {
                function: function.clone(),
                args: 6,
            }),
            _ => None,
        }
    }

    fn compiled(&self, options: &Options<'_>) -> Contents {
        let mut image = codegen::compile(&self.program, options).expect("the script compiles");
        if let Some(events) = image.events {
            image.maps[events].max_entries = self.world.ring_bytes;
        }
        let mut world = self.world.clone();
        let mut machine = Machine::new(&image.maps, world.cpus).expect("small maps");
        for (after_ns, firing) in &self.firings {
            world.now_ns += after_ns;
            let found = image
                .programs
                .iter()
                .find(|program| program.point == firing.point);
            let program = found.expect("a program for every point");
            let insns =
                image::resolve(program, &machine.fds(), world.start_ns).expect("known maps");
            if let Err(fault) = machine.run(&insns, &program.kind, &mut world, firing) {
                panic!("{}: {fault}", program.name);
            }
        }
        machine.contents(&image)
    }
}

/// What a run left behind, by name.
pub(crate) struct Left<'a> {
    program: &'a Program,
    pub(crate) contents: Contents,
}

impl Left<'_> {
    fn id(&self, map: &str) -> MapId {
        let found = self.program.maps.iter().position(|m| m.name == map);
        MapId(found.unwrap_or_else(|| panic!("no map @{map}")) as u32)
    }

    /// Keys of a map.
    pub(crate) fn keys(&self, map: &str) -> usize {
        self.contents.map(self.id(map)).len()
    }

    /// Word `index` of the value at a key on one CPU.
    pub(crate) fn word(
        &self,
        map: &str,
        key: &[Part<'_>],
        cpu: usize,
        index: usize,
    ) -> Option<u64> {
        let id = self.id(map);
        let types = &self.program.maps[id.0 as usize].key;
        let mut bytes = Vec::new();
        for (part, ty) in key.iter().zip(types) {
            let end = bytes.len() + ty.size();
            match part {
                Part::Int(n) => bytes.extend_from_slice(&n.to_le_bytes()),
                Part::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            }
            bytes.resize(end, 0);
        }
        if key.is_empty() {
            bytes = vec![0; 4];
        }
        let values = self.contents.map(id).get(&bytes)?;
        Some(layout::word(&values[cpu], index))
    }

    /// The first word of the value at a key on the first CPU.
    pub(crate) fn value(&self, map: &str, key: &[Part<'_>]) -> Option<i64> {
        self.word(map, key, 0, 0).map(|word| word as i64)
    }

    /// Losses of a map.
    pub(crate) fn lost(&self, map: &str) -> u64 {
        let loss = layout::Loss::Map(self.id(map).0);
        // The counters of loops lie behind those of maps.
        self.contents.losses[loss.counter(self.contents.maps.len(), 0) as usize]
    }
}

/// A part of a key.
#[derive(Clone, Copy)]
pub(crate) enum Part<'a> {
    Int(i64),
    Text(&'a str),
}
