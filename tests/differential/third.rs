//! The opinion of rbpf: an interpreter written by others, on maps emulated here.
//!
//! rbpf 0.4 has no atomic instructions, zero-extends negative immediates of 64-bit comparisons, keeps the upper
//! half of a 32-bit remainder by a zero register, and panics at the negation of the smallest number in builds
//! with overflow checks. Programs with such instructions, or that read other memory than their own, are left out.

use crate::generate::Case;
use crate::opinions::{Scene, program, start};
use hetsync_probe::codegen::insn::{self, Insn, helper, op};
use hetsync_probe::image::{self, Image, MapKind, MapSpec, ProgramKind};
use hetsync_probe::interp::{Contents, Firing, Ring, Table};
use hetsync_probe::layout;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Bytes for the values of all maps and for event records of one case.
const ARENA_BYTES: usize = 8 << 20;

/// A map whose values live in the arena: offsets, one a CPU.
struct Emulated {
    spec: MapSpec,
    entries: BTreeMap<Vec<u8>, Vec<usize>>,
}

struct State {
    /// Words, for alignment; never resized while programs run.
    arena: Vec<u64>,
    used: usize,
    maps: Vec<Emulated>,
    ring: Ring,
    /// Offset and length of the records handed over.
    events: Vec<(usize, usize)>,
    /// Lengths of the records reserved, by offset.
    reserved: BTreeMap<usize, usize>,
    firing: Firing,
    cpus: usize,
    now_ns: u64,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

fn with<T>(act: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(|state| act(state.as_mut().expect("a case is running")))
}

impl State {
    fn base(&self) -> u64 {
        self.arena.as_ptr() as u64
    }

    fn allocate(&mut self, bytes: usize) -> usize {
        let at = self.used;
        self.used += bytes.next_multiple_of(8);
        assert!(self.used <= ARENA_BYTES, "the arena is too small");
        at
    }

    fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        let words = self.arena[at / 8..(at + len).div_ceil(8)].iter();
        let mut bytes: Vec<u8> = words.flat_map(|word| word.to_ne_bytes()).collect();
        bytes.truncate(len);
        bytes
    }

    fn set_bytes(&mut self, at: usize, bytes: &[u8]) {
        for (i, chunk) in bytes.chunks(8).enumerate() {
            let word = &mut self.arena[at / 8 + i];
            let mut all = word.to_ne_bytes();
            all[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(all);
        }
    }

    fn add(&mut self, map: usize, key: Vec<u8>) -> Vec<usize> {
        let spec = self.maps[map].spec.clone();
        let copies = if spec.kind.is_percpu() { self.cpus } else { 1 };
        let values: Vec<usize> = (0..copies)
            .map(|_| self.allocate(spec.value_size as usize))
            .collect();
        self.maps[map].entries.insert(key, values.clone());
        values
    }

    /// Which of a map's values this CPU sees.
    fn copy(&self, map: usize) -> usize {
        if self.maps[map].spec.kind.is_percpu() {
            self.firing.cpu as usize
        } else {
            0
        }
    }

    fn table(&self, map: usize) -> Table {
        let Emulated { spec, entries } = &self.maps[map];
        let size = spec.value_size as usize;
        let entry = |(key, at): (&Vec<u8>, &Vec<usize>)| {
            (
                key.clone(),
                at.iter().map(|&at| self.bytes(at, size)).collect(),
            )
        };
        entries.iter().map(entry).collect()
    }
}

/// Bytes a program points to.
fn read(address: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    // SAFETY: programs that come here ran in our machine without a fault, which checks that helper arguments lie
    // inside the stack or a map value; both are live during the call.
    unsafe { std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), len) };
    bytes
}

fn lookup(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|state| {
        let map = map as usize - 1;
        let key = read(key, state.maps[map].spec.key_size as usize);
        let copy = state.copy(map);
        match state.maps[map].entries.get(&key) {
            Some(values) => state.base() + values[copy] as u64,
            None => 0,
        }
    })
}

fn update(map: u64, key: u64, value: u64, flags: u64, _: u64) -> u64 {
    with(|state| {
        let map = map as usize - 1;
        let spec = state.maps[map].spec.clone();
        let key = read(key, spec.key_size as usize);
        let value = read(value, spec.value_size as usize);
        let known = state.maps[map].entries.get(&key).cloned();
        let values = match known {
            Some(_) if flags == 1 => return -17i64 as u64,
            Some(values) if spec.kind.is_percpu() => values,
            None if state.maps[map].entries.len() >= spec.max_entries as usize => {
                return -7i64 as u64;
            }
            _ => state.add(map, key),
        };
        let copy = state.copy(map);
        state.set_bytes(values[copy], &value);
        0
    })
}

fn delete(map: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|state| {
        let map = map as usize - 1;
        let key = read(key, state.maps[map].spec.key_size as usize);
        match state.maps[map].entries.remove(&key) {
            Some(_) => 0,
            None => -2i64 as u64,
        }
    })
}

fn reserve(_: u64, size: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|state| {
        if !state.ring.take(size) {
            return 0;
        }
        let at = state.allocate(size as usize);
        state.reserved.insert(at, size as usize);
        state.base() + at as u64
    })
}

fn submit(record: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|state| {
        let at = (record - state.base()) as usize;
        let len = state.reserved.remove(&at).expect("a reserved record");
        state.events.push((at, len));
        0
    })
}

fn discard(record: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|state| {
        let at = (record - state.base()) as usize;
        state.reserved.remove(&at);
        0
    })
}

fn output(_: u64, data: u64, size: u64, _: u64, _: u64) -> u64 {
    with(|state| {
        if !state.ring.take(size) {
            return -11i64 as u64;
        }
        let at = state.allocate(size as usize);
        state.set_bytes(at, &read(data, size as usize));
        state.events.push((at, size as usize));
        0
    })
}

fn comm(buffer: u64, size: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|state| {
        let mut name = state.firing.comm_bytes().to_vec();
        name.truncate(size as usize - 1);
        name.push(0);
        // SAFETY: as in `read`: the machine has checked that `size` bytes may be written there.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), buffer as *mut u8, name.len()) };
        0
    })
}

fn pid_tgid(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|state| u64::from(state.firing.pid) << 32 | u64::from(state.firing.tid))
}

fn cpu(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|state| u64::from(state.firing.cpu))
}

fn clock(_: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    with(|state| state.now_ns)
}

const HELPERS: [(i32, rbpf::ebpf::Helper); 12] = [
    (helper::MAP_LOOKUP_ELEM, lookup),
    (helper::MAP_UPDATE_ELEM, update),
    (helper::MAP_DELETE_ELEM, delete),
    (helper::RINGBUF_RESERVE, reserve),
    (helper::RINGBUF_SUBMIT, submit),
    (helper::RINGBUF_DISCARD, discard),
    (helper::RINGBUF_OUTPUT, output),
    (helper::GET_CURRENT_COMM, comm),
    (helper::GET_CURRENT_PID_TGID, pid_tgid),
    (helper::GET_SMP_PROCESSOR_ID, cpu),
    (helper::KTIME_GET_NS, clock),
    (helper::KTIME_GET_BOOT_NS, clock),
];

/// Whether rbpf runs an instruction as the kernel does.
fn sound(insn: &Insn) -> bool {
    let class = insn.code & 7;
    let atomic = class == op::STX && insn.code & 0xe0 == op::ATOMIC;
    let jumps = class == op::JMP && !matches!(insn.code & 0xf0, op::CALL | op::EXIT | op::JA);
    let negative = jumps && insn.code & op::X == 0 && insn.imm < 0;
    let remainder = insn.code == op::ALU | op::MOD | op::X;
    let negation = insn.code == op::ALU64 | op::NEG;
    let reads = class == op::JMP
        && insn.code & 0xf0 == op::CALL
        && matches!(
            insn.imm,
            helper::PROBE_READ_USER..=helper::PROBE_READ_KERNEL_STR
        );
    // It calls no functions for the entries of a map.
    let function = insn.code == op::JMP | op::CALL && insn.imm == helper::FOR_EACH_MAP_ELEM;
    !(atomic || negative || remainder || negation || reads || function)
}

/// What a case leaves behind in rbpf; `None` where its programs use what rbpf gets wrong, or
/// have a context. The case must have run in our
/// machine without a fault.
pub(crate) fn rbpf(case: &Case, image: &Image, scene: &Scene) -> Option<Result<Contents, String>> {
    let sound = image
        .programs
        .iter()
        .flat_map(|program| &program.insns)
        .all(sound);
    let run = |program: &image::Program| program.kind == ProgramKind::Run;
    // Fronts are changed by atomics; groups have their values elsewhere.
    if !sound
        || !image.fronts.is_empty()
        || !image.parts.is_empty()
        || !image.programs.iter().all(run)
    {
        return None;
    }
    let world = scene.world(case);
    let mut state = State {
        arena: vec![0; ARENA_BYTES / 8],
        used: 0,
        maps: Vec::new(),
        ring: Ring::new(case.ring_bytes),
        events: Vec::new(),
        reserved: BTreeMap::new(),
        firing: scene.firing.clone(),
        cpus: scene.cpus,
        now_ns: world.now_ns,
    };
    for (map, spec) in image.maps.iter().enumerate() {
        state.maps.push(Emulated {
            spec: spec.clone(),
            entries: BTreeMap::new(),
        });
        if matches!(spec.kind, MapKind::Array | MapKind::PercpuArray) {
            for index in 0..spec.max_entries {
                state.add(map, index.to_le_bytes().to_vec());
            }
        }
    }
    for (map, key, value) in &start(case, scene) {
        let map = map.0 as usize;
        let known = state.maps[map].entries.get(key).cloned();
        let values = known.unwrap_or_else(|| state.add(map, key.clone()));
        for at in values {
            state.set_bytes(at, value);
        }
    }
    let memory = state.base()..state.base() + ARENA_BYTES as u64;
    STATE.set(Some(state));
    let ran = case.firings.iter().try_for_each(|&at| {
        let code = resolved(program(image, at)?, world.start_ns)?;
        execute(&code, memory.clone()).map_err(|error| error.to_string())
    });
    let state = STATE.take()?;
    Some(ran.map(|()| contents(&state, case, image)))
}

fn execute(code: &[u8], memory: std::ops::Range<u64>) -> Result<(), std::io::Error> {
    let mut vm = rbpf::EbpfVmNoData::new(Some(code))?;
    for (number, function) in HELPERS {
        vm.register_helper(number as u32, function)?;
    }
    vm.register_allowed_memory(memory);
    vm.execute_program().map(drop)
}

/// The bytes of a program with maps as numbers from 1 and values as addresses.
fn resolved(program: &image::Program, start_ns: u64) -> Result<Vec<u8>, String> {
    let numbers: Vec<i32> = with(|state| (1..).take(state.maps.len()).collect());
    let mut insns = image::resolve(program, &numbers, start_ns).map_err(|e| e.to_string())?;
    for i in 0..insns.len() {
        if insns[i].code != op::LD | op::IMM | op::DW || insns[i].src == 0 {
            continue;
        }
        if insns[i].src == op::PSEUDO_MAP_VALUE {
            let offset = insns[i + 1].imm as u64;
            let value = with(|state| {
                let entries = &state.maps[insns[i].imm as usize - 1].entries;
                state.base() + entries[&vec![0; 4]][0] as u64 + offset
            });
            (insns[i].imm, insns[i + 1].imm) = (value as i32, (value >> 32) as i32);
        }
        insns[i].src = 0;
    }
    Ok(insn::encode(&insns))
}

fn contents(state: &State, case: &Case, image: &Image) -> Contents {
    let script_maps = case.program.maps.len();
    let mut losses = vec![0; image.loss_counters];
    if let Some(map) = image.losses {
        for (total, values) in losses.iter_mut().zip(state.table(map).values()) {
            *total = values.iter().map(|value| layout::word(value, 0)).sum();
        }
    }
    Contents {
        maps: (0..script_maps).map(|map| state.table(map)).collect(),
        events: state
            .events
            .iter()
            .map(|&(at, len)| state.bytes(at, len))
            .collect(),
        losses,
    }
}
