//! Arbitrary instructions end in a result or a fault, never in a panic.

use crate::asm::map;
use hetsync_probe::codegen::insn::{Insn, helper, op};
use hetsync_probe::image::{MapKind, ProgramKind};
use hetsync_probe::interp::ebpf::{FIRST_FD, Machine};
use hetsync_probe::interp::{Firing, World};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// Instructions that are often nearly right, so that runs get past the first few.
fn instruction() -> impl Strategy<Value = Insn> {
    const HELPERS: [i32; 13] = [
        helper::MAP_LOOKUP_ELEM,
        helper::MAP_UPDATE_ELEM,
        helper::MAP_DELETE_ELEM,
        helper::KTIME_GET_NS,
        helper::GET_SMP_PROCESSOR_ID,
        helper::GET_CURRENT_PID_TGID,
        helper::GET_CURRENT_COMM,
        helper::PROBE_READ_KERNEL,
        helper::RINGBUF_OUTPUT,
        helper::RINGBUF_RESERVE,
        helper::RINGBUF_SUBMIT,
        helper::RINGBUF_DISCARD,
        helper::GET_FUNC_ARG,
    ];
    let immediate = prop_oneof![
        4 => -16..=16i32,
        1 => any::<i32>(),
        1 => Just(i32::MIN),
        1 => FIRST_FD..FIRST_FD + 5,
    ];
    let offset =
        prop_oneof![4 => (-8..=8i16).prop_map(|n| n * 8), 1 => -4..=4i16, 1 => any::<i16>()];
    let any_code = (
        any::<u8>(),
        0..=15u8,
        0..=15u8,
        offset.clone(),
        immediate.clone(),
    );
    let moves = (
        prop_oneof![
            Just(op::ALU64 | op::MOV | op::K),
            Just(op::ALU64 | op::MOV | op::X),
            Just(op::ALU64 | op::ADD | op::K),
            Just(op::LDX | op::MEM | op::DW),
            Just(op::STX | op::MEM | op::DW),
            Just(op::ST | op::MEM | op::DW),
            Just(op::STX | op::ATOMIC | op::DW),
            Just(op::LD | op::IMM | op::DW),
            Just(0),
        ],
        0..=10u8,
        0..=10u8,
        offset,
        immediate,
    );
    let calls = prop::sample::select(&HELPERS[..]).prop_map(|h| (op::JMP | op::CALL, 0, 0, 0, h));
    prop_oneof![2 => any_code, 6 => moves, 1 => calls].prop_map(|(code, dst, src, off, imm)| Insn {
        code,
        dst,
        src,
        off,
        imm,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/proptest-regressions/machine.txt"
        )))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_instructions_are_safe_to_run(insns in prop::collection::vec(instruction(), 0..60), kind in 0..3) {
        let specs = [
            map(MapKind::Array, 4, 16, 1),
            map(MapKind::Hash, 8, 24, 2),
            map(MapKind::PercpuHash, 8, 8, 2),
            map(MapKind::PercpuArray, 4, 8, 3),
            map(MapKind::Ringbuf, 0, 0, 4096),
        ];
        let kind = match kind {
            0 => ProgramKind::Run,
            1 => ProgramKind::Kprobe { function: "f".into(), offset: 0 },
            _ => ProgramKind::Fexit { function: "f".into(), args: 12 },
        };
        let mut machine = Machine::new(&specs, 2).unwrap();
        machine.budget = 2000;
        let firing = Firing { cpu: 1, ..Firing::default() };
        if let Err(fault) = machine.run(&insns, &kind, &mut World::default(), &firing) {
            prop_assert!(!fault.to_string().is_empty());
        }
    }
}
