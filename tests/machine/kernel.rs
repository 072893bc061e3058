//! Random arithmetic, jumps, stack traffic and atomic adds: the machine and the running kernel must leave the same
//! registers.

use crate::asm::*;
use hetsync_probe::codegen::insn::{Insn, op, reg::*};
use hetsync_probe::image::MapKind;
use hetsync_probe::interp::ebpf::{FIRST_FD, Machine};
use hetsync_probe::load::sys::{Map, Program, ProgramType};
use hetsync_probe::span::Span;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};
use std::os::fd::{AsFd, AsRawFd};

/// Stack slots the programs load and store: 8 of 8 bytes below the frame pointer.
const SLOTS: i16 = 8;
/// Registers the programs compute with; the next one points to the map's value.
const REGISTERS: u8 = 9;
/// Words of the map's value: start values, then what slots and registers end with, then words for atomic adds.
const START: i16 = 0;
const RESULT: i16 = REGISTERS as i16;
const SHARED: i16 = RESULT + SLOTS + REGISTERS as i16;
const WORDS: i16 = SHARED + 4;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..64u32).prop_map(|bit| 1u64 << bit),
        (0..64u32).prop_map(|bit| (1u64 << bit).wrapping_sub(1)),
        (-3..=3i64).prop_map(|n| n as u64),
        any::<i32>().prop_map(|n| n as u64),
    ]
}

fn immediate_32() -> impl Strategy<Value = i32> {
    number().prop_map(|n| n as i32)
}

fn arithmetic() -> impl Strategy<Value = Insn> {
    let class = prop_oneof![Just(op::ALU), Just(op::ALU64)];
    let operation = prop::sample::select(vec![
        op::ADD,
        op::SUB,
        op::MUL,
        op::DIV,
        op::OR,
        op::AND,
        op::LSH,
        op::RSH,
        op::NEG,
        op::MOD,
        op::XOR,
        op::MOV,
        op::ARSH,
        op::END,
    ]);
    let source = prop_oneof![Just(op::K), Just(op::X)];
    (
        class,
        operation,
        source,
        0..REGISTERS,
        0..REGISTERS,
        immediate_32(),
    )
        .prop_map(|(class, operation, source, dst, src, imm)| {
            let shift = matches!(operation, op::LSH | op::RSH | op::ARSH);
            let divides = matches!(operation, op::DIV | op::MOD);
            let (class, source, src, imm) = match (operation, source) {
                (op::END, _) => (op::ALU, source, 0, [16, 32, 64][imm as usize % 3]),
                (op::NEG, _) => (class, op::K, 0, 0),
                (_, op::X) => (class, source, src, 0),
                // The verifier refuses a constant count that is too large and a constant divisor of 0.
                _ if shift && class == op::ALU => (class, source, 0, imm & 31),
                _ if shift => (class, source, 0, imm & 63),
                _ if divides && imm == 0 => (class, source, 0, 1),
                _ => (class, source, 0, imm),
            };
            insn(class | operation | source, dst, src, 0, imm)
        })
}

fn memory() -> impl Strategy<Value = Insn> {
    let size = prop::sample::select(vec![op::B, op::H, op::W, op::DW]);
    (size, 0..REGISTERS, 0..8 * SLOTS, 0..5u8, immediate_32()).prop_map(
        |(size, register, at, what, imm)| {
            let bytes = match size {
                op::B => 1,
                op::H => 2,
                op::W => 4,
                _ => 8,
            };
            let off = at / bytes * bytes - 8 * SLOTS;
            // A fetch-add on the stack is left out: the verifier of 6.18 was seen to remove live code after one.
            let (atomic, shared) = if bytes < 4 {
                (op::DW, at / 8 % 4 * 8)
            } else {
                (size, at / bytes * bytes % 32)
            };
            let shared = 8 * SHARED + shared;
            match what {
                0 => load(size, register, FP, off),
                1 => store(size, FP, off, register),
                2 => store_k(size, FP, off, imm),
                3 => insn(
                    op::STX | op::ATOMIC | atomic,
                    REGISTERS,
                    register,
                    shared,
                    op::ATOMIC_ADD,
                ),
                _ => insn(
                    op::STX | op::ATOMIC | atomic,
                    REGISTERS,
                    register,
                    shared,
                    op::ATOMIC_ADD | op::FETCH,
                ),
            }
        },
    )
}

/// A conditional jump over up to four instructions.
fn jump() -> impl Strategy<Value = Insn> {
    let class = prop_oneof![Just(op::JMP), Just(op::JMP32)];
    let operation = prop::sample::select(vec![
        op::JEQ,
        op::JGT,
        op::JGE,
        op::JSET,
        op::JNE,
        op::JSGT,
        op::JSGE,
        op::JLT,
        op::JLE,
        op::JSLT,
        op::JSLE,
    ]);
    let source = prop_oneof![Just(op::K), Just(op::X)];
    (
        class,
        operation,
        source,
        0..REGISTERS,
        0..REGISTERS,
        immediate_32(),
        1..5i16,
    )
        .prop_map(|(class, operation, source, dst, src, imm, off)| {
            let (src, imm) = if source == op::X { (src, 0) } else { (0, imm) };
            insn(class | operation | source, dst, src, off, imm)
        })
}

/// A body and the words of the map's value.
fn program() -> impl Strategy<Value = (Vec<u64>, Vec<Insn>)> {
    let block = (
        prop::collection::vec(prop_oneof![4 => arithmetic(), 2 => memory()], 4..10),
        jump(),
    );
    let blocks = prop::collection::vec(block, 1..5);
    (prop::collection::vec(number(), WORDS as usize), blocks).prop_map(|(start, blocks)| {
        let body = blocks
            .into_iter()
            // The jump goes before the instructions it may skip.
            .flat_map(|(mut code, jump)| {
                code.insert(0, jump);
                code
            })
            .collect();
        (start, body)
    })
}

/// The program around a body: its start values come from the map, so that the verifier knows none of them; its
/// registers and slots go back there.
fn wrap(body: &[Insn], fd: i32) -> Vec<Insn> {
    let value = REGISTERS;
    let mut code = immediate(value, op::PSEUDO_MAP_VALUE, fd as u32 as u64).to_vec();
    for slot in 0..SLOTS {
        code.push(load(op::DW, R1, value, 8 * (RESULT + slot)));
        code.push(store(op::DW, FP, 8 * (slot - SLOTS), R1));
    }
    for register in 0..REGISTERS {
        code.push(load(
            op::DW,
            register,
            value,
            8 * (START + i16::from(register)),
        ));
    }
    code.extend_from_slice(body);
    for register in 0..REGISTERS {
        let word = RESULT + SLOTS + i16::from(register);
        code.push(store(op::DW, value, 8 * word, register));
    }
    for slot in 0..SLOTS {
        code.push(load(op::DW, R0, FP, 8 * (slot - SLOTS)));
        code.push(store(op::DW, value, 8 * (RESULT + slot), R0));
    }
    code.extend([mov(R0, 0), exit()]);
    code
}

#[test]
fn the_machine_computes_what_the_kernel_computes() {
    let spec = map(MapKind::Array, 4, 8 * WORDS as u32, 1);
    let kernel_map = match Map::create(&spec) {
        Ok(map) => map,
        Err(error) => {
            println!("the_machine_computes_what_the_kernel_computes: skipped, {error}");
            return;
        }
    };
    let config = Config {
        cases: std::env::var("HETSYNC_CASES").map_or(300, |n| n.parse().unwrap()),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/proptest-regressions/machine.txt"
        )))),
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&program(), |(start, body)| {
            let value: Vec<u8> = start.iter().flat_map(|n| n.to_le_bytes()).collect();
            let mut machine = Machine::new(std::slice::from_ref(&spec), 1).unwrap();
            machine.insert(0, &[0; 4], std::slice::from_ref(&value));
            let ours = run(&mut machine, &wrap(&body, FIRST_FD));
            prop_assert_eq!(ours, Ok(0));

            kernel_map.update(&[0; 4], &value).unwrap();
            let code = wrap(&body, kernel_map.as_fd().as_raw_fd());
            let spans = vec![Span::default(); code.len()];
            Program::load("random", ProgramType::RawTracepoint, &code, &spans)
                .and_then(|program| program.test_run(&[]))
                .map_err(|error| TestCaseError::fail(error.to_string()))?;
            let theirs = kernel_map.lookup(&[0; 4]).unwrap().unwrap();
            prop_assert_eq!(&machine.table(0)[&vec![0; 4]][0], &theirs);
            Ok(())
        })
        .unwrap();
}
