//! What the verifier would refuse, the machine stops at.

use crate::asm::*;
use hetsync_probe::codegen::insn::{Insn, helper, op, reg::*};
use hetsync_probe::image::{MapKind, ProgramKind};
use hetsync_probe::interp::ebpf::{FIRST_FD, FaultKind, Machine};
use hetsync_probe::interp::{Firing, World};

/// Looks key 0 up in the first map; the result is in R0.
fn lookup() -> Vec<Insn> {
    let mut code = vec![store_k(op::W, FP, -4, 0)];
    code.extend(immediate(R1, op::PSEUDO_MAP_FD, FIRST_FD as u64));
    code.extend([
        mov_reg(R2, FP),
        alu_k(op::ADD, R2, -4),
        call(helper::MAP_LOOKUP_ELEM),
    ]);
    code
}

fn machine() -> Machine {
    Machine::new(&[map(MapKind::Array, 4, 16, 1)], 1).unwrap()
}

#[test]
fn an_unset_register_or_stack_byte_is_not_read() {
    assert_eq!(
        fault(&[mov_reg(R0, R3), exit()], 0),
        FaultKind::UnsetRegister(R3)
    );
    let half = [store_k(op::W, FP, -8, 1), load(op::DW, R0, FP, -8), exit()];
    assert_eq!(fault(&half, 1), FaultKind::UnsetStack(-4));
    assert_eq!(fault(&[exit()], 0), FaultKind::UnsetRegister(R0));
}

#[test]
fn the_stack_is_512_bytes_and_aligned() {
    for (off, ok) in [(-512, true), (-520, false), (-8, true), (0, false)] {
        let code = [store_k(op::DW, FP, off, 1), mov(R0, 0), exit()];
        let mut machine = Machine::new(&[], 1).unwrap();
        assert_eq!(run(&mut machine, &code).is_ok(), ok, "{off}");
    }
    assert!(matches!(
        fault(&[store_k(op::DW, FP, -12, 1)], 0),
        FaultKind::Alignment { size: 8, .. }
    ));
}

#[test]
fn a_lookup_is_checked_before_it_is_used() {
    let mut unchecked = lookup();
    unchecked.extend([load(op::DW, R0, R0, 0), exit()]);
    assert_eq!(
        run(&mut machine(), &unchecked),
        Err((6, FaultKind::Unchecked))
    );

    // A copy in a register and one on the stack count as checked too.
    let mut checked = lookup();
    checked.extend([
        mov_reg(R6, R0),
        store(op::DW, FP, -16, R0),
        jump_k(op::JEQ, R0, 0, 4),
        load(op::DW, R7, FP, -16),
        store_k(op::DW, R7, 8, 42),
        load(op::DW, R0, R6, 8),
        exit(),
        mov(R0, 1),
        exit(),
    ]);
    assert_eq!(run(&mut machine(), &checked), Ok(42));

    let mut outside = lookup();
    outside.extend([jump_k(op::JEQ, R0, 0, 1), load(op::DW, R0, R0, 16), exit()]);
    assert!(matches!(
        run(&mut machine(), &outside),
        Err((7, FaultKind::Bounds { limit: 16, .. }))
    ));
}

#[test]
fn a_missing_key_is_the_number_0() {
    let mut machine = Machine::new(&[map(MapKind::Hash, 4, 8, 4)], 1).unwrap();
    let mut code = lookup();
    code.extend([jump_k(op::JNE, R0, 0, 1), alu_k(op::ADD, R0, 7), exit()]);
    assert_eq!(run(&mut machine, &code), Ok(7));
    machine.insert(0, &[0; 4], &[vec![1; 8]]);
    assert_eq!(run(&mut machine, &code), Err((8, FaultKind::Leak)));
}

#[test]
fn pointers_are_not_numbers() {
    let code = [alu_x(op::MUL, FP, R1)];
    assert_eq!(fault(&code, 0), FaultKind::Pointer);
    let code = [mov_reg(R2, FP), alu_k(op::AND, R2, -8)];
    assert_eq!(fault(&code, 1), FaultKind::Pointer);
    assert_eq!(
        fault(&[mov(R2, 1), load(op::B, R0, R2, 0)], 1),
        FaultKind::NotAPointer
    );
    assert_eq!(fault(&[mov_reg(R0, FP), exit()], 1), FaultKind::Leak);
    assert_eq!(fault(&[store(op::W, FP, -4, R1)], 0), FaultKind::Leak);
    assert_eq!(fault(&[mov(FP, 0)], 0), FaultKind::Register(FP));
    // A difference of two pointers into one region is a number.
    let code = [
        mov_reg(R0, FP),
        alu_k(op::ADD, R0, -24),
        alu_x(op::SUB, R0, FP),
        exit(),
    ];
    let mut machine = Machine::new(&[], 1).unwrap();
    assert_eq!(run(&mut machine, &code), Ok(-24i64 as u64));
}

#[test]
fn control_stays_in_the_program_and_ends() {
    assert_eq!(fault(&[mov(R0, 0)], 1), FaultKind::Target);
    assert_eq!(fault(&[jump_k(op::JA, 0, 0, -2)], 0), FaultKind::Target);
    let mut inside = vec![jump_k(op::JA, 0, 0, 1)];
    inside.extend(immediate(R0, 0, 1));
    inside.push(exit());
    assert_eq!(fault(&inside, 2), FaultKind::Opcode(0));
    let mut machine = Machine::new(&[], 1).unwrap();
    machine.budget = 100;
    let endless = [jump_k(op::JA, 0, 0, -1)];
    assert_eq!(
        run(&mut machine, &endless),
        Err((0, FaultKind::Budget(100)))
    );
    assert_eq!(machine.executed(), 100);
}

#[test]
fn a_context_has_the_size_of_its_kind_and_is_read_only() {
    let firing = Firing {
        args: [10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
        retval: 99,
        ..Firing::default()
    };
    let read = |kind: &ProgramKind, off: i16| {
        Machine::new(&[], 1).unwrap().run(
            &[load(op::DW, R0, R1, off), exit()],
            kind,
            &mut World::default(),
            &firing,
        )
    };
    let function = || "f".to_string();
    let kprobe = ProgramKind::Kprobe {
        function: function(),
        offset: 0,
    };
    for (off, value) in [
        (112, 10),
        (104, 11),
        (96, 12),
        (88, 13),
        (72, 14),
        (64, 15),
        (80, 99),
    ] {
        assert_eq!(read(&kprobe, off), Ok(value));
    }
    assert!(read(&kprobe, 168).is_err());
    let fexit = ProgramKind::Fexit {
        function: function(),
        args: 2,
    };
    assert_eq!(read(&fexit, 8), Ok(11));
    assert_eq!(read(&fexit, 16), Ok(99));
    assert!(read(&fexit, 24).is_err());
    assert!(read(&ProgramKind::Run, 0).is_err());
    let write = [store_k(op::DW, R1, 0, 1)];
    let result = Machine::new(&[], 1)
        .unwrap()
        .run(&write, &kprobe, &mut World::default(), &firing);
    assert_eq!(result.unwrap_err().kind, FaultKind::ReadOnly("the context"));
}
