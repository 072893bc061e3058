//! The emulated helpers.

use crate::asm::*;
use hetsync_probe::codegen::insn::{Insn, helper, op, reg::*};
use hetsync_probe::image::{MapKind, ProgramKind};
use hetsync_probe::interp::ebpf::{FIRST_FD, FaultKind, Machine};
use hetsync_probe::interp::{Firing, World};

/// Updates key 0 of the first map to `value` with `flags`; returns the helper's result.
fn update(key: i32, value: i32, flags: i32) -> Vec<Insn> {
    let mut code = vec![store_k(op::W, FP, -4, key), store_k(op::DW, FP, -16, value)];
    code.extend(immediate(R1, op::PSEUDO_MAP_FD, FIRST_FD as u64));
    code.extend([
        mov_reg(R2, FP),
        alu_k(op::ADD, R2, -4),
        mov_reg(R3, FP),
        alu_k(op::ADD, R3, -16),
        mov(R4, flags),
        call(helper::MAP_UPDATE_ELEM),
        exit(),
    ]);
    code
}

#[test]
fn updates_fail_with_the_kernels_numbers() {
    let mut machine = Machine::new(&[map(MapKind::Hash, 4, 8, 2)], 1).unwrap();
    let mut result = |key, flags| run(&mut machine, &update(key, 5, flags)).unwrap() as i64;
    assert_eq!(result(1, 2), -2, "BPF_EXIST of a missing key is ENOENT");
    assert_eq!(result(1, 1), 0);
    assert_eq!(result(1, 1), -17, "BPF_NOEXIST of a present key is EEXIST");
    assert_eq!(result(1, 0), 0);
    assert_eq!(result(2, 0), 0);
    assert_eq!(result(3, 0), -7, "a full map is E2BIG");
    assert_eq!(result(1, 9), -22);
    let mut array = Machine::new(&[map(MapKind::Array, 4, 8, 2)], 1).unwrap();
    assert_eq!(run(&mut array, &update(2, 5, 0)), Ok(-7i64 as u64));
    assert_eq!(run(&mut array, &update(1, 5, 1)), Ok(-17i64 as u64));
}

#[test]
fn a_per_cpu_value_is_this_cpus_alone() {
    let mut machine = Machine::new(&[map(MapKind::PercpuHash, 4, 8, 2)], 3).unwrap();
    for (cpu, value) in [(1, 5), (2, 6)] {
        let firing = Firing {
            cpu,
            ..Firing::default()
        };
        let code = update(7, value, 0);
        machine
            .run(&code, &ProgramKind::Run, &mut World::default(), &firing)
            .unwrap();
    }
    let words: Vec<u8> = machine.table(0)[&vec![7, 0, 0, 0]]
        .iter()
        .map(|value| value[0])
        .collect();
    assert_eq!(words, [0, 5, 6]);
}

#[test]
fn helpers_leave_their_argument_registers_unset_and_read_only_written_memory() {
    let mut code = update(1, 1, 0);
    let at = code.len() - 1;
    code[at] = mov_reg(R0, R2);
    let mut machine = Machine::new(&[map(MapKind::Hash, 4, 8, 2)], 1).unwrap();
    assert_eq!(
        run(&mut machine, &code),
        Err((at, FaultKind::UnsetRegister(R2)))
    );
    let mut code = update(1, 1, 0);
    code[1] = store_k(op::W, FP, -16, 1);
    assert_eq!(
        run(&mut machine, &code),
        Err((9, FaultKind::UnsetStack(-12)))
    );
}

#[test]
fn a_threads_name_does_not_clear_what_follows_it() {
    let code = [
        store_k(op::DW, FP, -16, -1),
        mov_reg(R1, FP),
        alu_k(op::ADD, R1, -16),
        mov(R2, 16),
        call(helper::GET_CURRENT_COMM),
        load(op::DW, R0, FP, -16),
        exit(),
    ];
    let run = |code: &[Insn]| {
        let firing = Firing::default().by("ab");
        let mut machine = Machine::new(&[], 1).unwrap();
        machine.run(code, &ProgramKind::Run, &mut World::default(), &firing)
    };
    assert_eq!(
        run(&code),
        Ok(u64::from_le_bytes(*b"ab\0\xff\xff\xff\xff\xff"))
    );
    let unset = u64::from_le_bytes(*b"ab\0\xaa\xaa\xaa\xaa\xaa");
    assert_eq!(run(&code[1..]), Ok(unset));
}

#[test]
fn records_are_released_once_and_count_against_the_ring() {
    let reserve = |size: i32, rest: &[Insn]| {
        let mut code = immediate(R1, op::PSEUDO_MAP_FD, FIRST_FD as u64).to_vec();
        code.extend([mov(R2, size), mov(R3, 0), call(helper::RINGBUF_RESERVE)]);
        code.extend([jump_k(op::JNE, R0, 0, 2), mov(R0, 1), exit()]);
        code.extend_from_slice(rest);
        code
    };
    let submit = [
        store_k(op::DW, R0, 0, 77),
        mov_reg(R1, R0),
        mov(R2, 0),
        call(helper::RINGBUF_SUBMIT),
        mov(R0, 0),
        exit(),
    ];
    let mut machine = Machine::new(&[map(MapKind::Ringbuf, 0, 0, 64)], 1).unwrap();
    assert_eq!(run(&mut machine, &reserve(8, &submit)), Ok(0));
    assert_eq!(machine.events(), [77u64.to_le_bytes().to_vec()]);
    assert_eq!(run(&mut machine, &reserve(64, &submit)), Ok(1), "no room");
    let kept = reserve(8, &[mov(R0, 0), exit()]);
    assert_eq!(run(&mut machine, &kept), Err((9, FaultKind::Unreleased)));
    let twice = reserve(
        8,
        &[
            mov_reg(R6, R0),
            mov_reg(R1, R0),
            mov(R2, 0),
            call(helper::RINGBUF_DISCARD),
            mov_reg(R1, R6),
            mov(R2, 0),
            call(helper::RINGBUF_SUBMIT),
        ],
    );
    assert!(matches!(
        run(&mut machine, &twice),
        Err((14, FaultKind::Argument { argument: 1, .. }))
    ));
}

#[test]
fn stack_arguments_are_read_from_kernel_memory() {
    let kind = ProgramKind::Kprobe {
        function: "f".into(),
        offset: 0,
    };
    let firing = Firing {
        args: [0, 1, 2, 3, 4, 5, 60, 70, 80, 90],
        ..Firing::default()
    };
    for (n, expected) in [(6, Ok(60)), (9, Ok(90)), (10, Err(()))] {
        let code = [
            load(op::DW, R3, R1, 152),
            alu_k(op::ADD, R3, 8 * (n - 6) + 8),
            mov_reg(R1, FP),
            alu_k(op::ADD, R1, -8),
            mov(R2, 8),
            call(helper::PROBE_READ_KERNEL),
            jump_k(op::JEQ, R0, 0, 1),
            exit(),
            load(op::DW, R0, FP, -8),
            exit(),
        ];
        let mut machine = Machine::new(&[], 1).unwrap();
        let result = machine
            .run(&code, &kind, &mut World::default(), &firing)
            .unwrap();
        assert_eq!(result, expected.unwrap_or(-14i64 as u64));
    }
}

/// Fills a hash with keys 1 to 3 and calls `body` for each entry: a hundred times what the helper says, and the word that `body`
/// may count in.
fn for_each(body: &[Insn]) -> Result<u64, FaultKind> {
    let mut machine = Machine::new(&[map(MapKind::Hash, 4, 8, 4)], 1).unwrap();
    for key in 1u32..4 {
        machine.insert(0, &key.to_le_bytes(), &[vec![7; 8]]);
    }
    let mut code = vec![store_k(op::DW, FP, -8, 0)];
    code.extend(immediate(R1, op::PSEUDO_MAP_FD, FIRST_FD as u64));
    code.extend(immediate(R2, op::PSEUDO_FUNC, 8));
    code.extend([
        mov_reg(R3, FP),
        mov(R4, 0),
        call(helper::FOR_EACH_MAP_ELEM),
        load(op::DW, R1, FP, -8),
        alu_k(op::MUL, R0, 100),
        alu_x(op::ADD, R0, R1),
        exit(),
    ]);
    code.extend(body);
    run(&mut machine, &code).map_err(|(_, kind)| kind)
}

#[test]
fn functions_are_called_for_entries_until_they_say_stop() {
    assert_eq!(for_each(&[mov(R0, 0), exit()]), Ok(300));
    assert_eq!(for_each(&[mov(R0, 1), exit()]), Ok(100));
    // Key 2 is the last that is wanted.
    let code = [load(op::W, R0, R2, 0), alu_k(op::RSH, R0, 1), exit()];
    assert_eq!(for_each(&code), Ok(200));
    // The value can be written, and so can the caller's stack.
    let code = [
        store_k(op::DW, R3, 0, 9),
        load(op::DW, R5, R4, -8),
        alu_k(op::ADD, R5, 1),
        store(op::DW, R4, -8, R5),
        mov(R0, 0),
        exit(),
    ];
    assert_eq!(for_each(&code), Ok(303));
}

#[test]
fn functions_of_entries_keep_the_verifiers_rules() {
    let wrong = |code: &[Insn]| for_each(code).unwrap_err();
    assert!(matches!(
        wrong(&[mov(R0, 2), exit()]),
        FaultKind::Argument { argument: 2, .. }
    ));
    assert_eq!(
        wrong(&[store_k(op::W, R2, 0, 5), mov(R0, 0), exit()]),
        FaultKind::ReadOnly("a key")
    );
    // Registers of the caller are not seen, nor is its stack by an offset from one's own.
    assert_eq!(
        wrong(&[mov_reg(R0, R6), exit()]),
        FaultKind::UnsetRegister(6)
    );
    assert!(matches!(
        wrong(&[load(op::DW, R0, FP, -8), exit()]),
        FaultKind::UnsetStack(_)
    ));
    // One that calls itself runs out of frames.
    let mut endless = immediate(R2, op::PSEUDO_FUNC, -1i32 as u32 as u64).to_vec();
    endless.extend([
        mov_reg(R3, R4),
        mov(R4, 0),
        call(helper::FOR_EACH_MAP_ELEM),
        mov(R0, 0),
        exit(),
    ]);
    assert_eq!(wrong(&endless), FaultKind::Frames(8));
    // What is no function is none.
    let mut machine = Machine::new(&[map(MapKind::Hash, 4, 8, 4)], 1).unwrap();
    let mut code = immediate(R1, op::PSEUDO_MAP_FD, FIRST_FD as u64).to_vec();
    code.extend([
        mov(R2, 3),
        mov(R3, 0),
        mov(R4, 0),
        call(helper::FOR_EACH_MAP_ELEM),
        exit(),
    ]);
    assert!(matches!(
        run(&mut machine, &code),
        Err((_, FaultKind::Argument { argument: 2, .. }))
    ));
}
