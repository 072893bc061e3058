//! One run of one program: control flow, arithmetic, what each instruction does.

use super::alu;
use super::fault::FaultKind;
use super::maps::EmulatedMap;
use super::memory::{Region, Stack, Tag, Word};
use crate::codegen::insn::{Insn, op, reg};
use crate::image::ProgramKind;
use crate::interp::{Firing, World};

/// A record of a ring buffer during a run.
pub(super) struct Record {
    pub(super) bytes: Vec<u8>,
    pub(super) state: RecordState,
}

#[derive(PartialEq, Eq)]
pub(super) enum RecordState {
    Reserved,
    Submitted,
    Discarded,
}

/// One run of one program.
pub(super) struct Run<'a> {
    pub(super) maps: &'a mut Vec<EmulatedMap>,
    pub(super) world: &'a mut World,
    pub(super) firing: &'a Firing,
    pub(super) kind: &'a ProgramKind,
    pub(super) insns: &'a [Insn],
    pub(super) registers: [Word; 11],
    /// The stacks of the program and of the functions called in it, the innermost last.
    pub(super) frames: Vec<Stack>,
    /// Keys whose addresses functions were given.
    pub(super) keys: Vec<Vec<u8>>,
    /// Most instructions, and how many there were.
    pub(super) budget: u64,
    pub(super) executed: u64,
    pub(super) context: Vec<u8>,
    pub(super) regions: Vec<Region>,
    /// What each pointer that may be null really is.
    pub(super) nullable: Vec<Option<usize>>,
    pub(super) records: Vec<Record>,
    pub(super) pc: usize,
}

impl Run<'_> {
    pub(super) fn execute(&mut self) -> Result<u64, FaultKind> {
        loop {
            if self.executed >= self.budget {
                return Err(FaultKind::Budget(self.budget));
            }
            self.executed += 1;
            let insn = *self.insns.get(self.pc).ok_or(FaultKind::Target)?;
            let mut next = self.pc + 1;
            match insn.code & 7 {
                op::ALU | op::ALU64 => self.arithmetic(insn)?,
                op::LD => {
                    self.load_immediate(insn)?;
                    next += 1;
                }
                op::LDX if insn.code & 0xe0 == op::MEM => {
                    let word = self.load(self.register(insn.src)?, insn.off, size(insn.code))?;
                    self.set(insn.dst, word)?;
                }
                op::ST if insn.code & 0xe0 == op::MEM => {
                    let word = Word::scalar(insn.imm as i64 as u64);
                    self.store(self.register(insn.dst)?, insn.off, size(insn.code), word)?;
                }
                op::STX if insn.code & 0xe0 == op::MEM => {
                    let word = self.register(insn.src)?;
                    self.store(self.register(insn.dst)?, insn.off, size(insn.code), word)?;
                }
                op::STX if insn.code & 0xe0 == op::ATOMIC => self.atomic(insn)?,
                op::JMP if insn.code == op::JMP | op::CALL && insn.src == 0 => {
                    self.call(insn.imm)?;
                }
                op::JMP if insn.code == op::JMP | op::EXIT => {
                    let reserved = |record: &Record| record.state == RecordState::Reserved;
                    if self.records.iter().any(reserved) {
                        return Err(FaultKind::Unreleased);
                    }
                    let result = self.register(reg::R0)?;
                    return match result.tag {
                        Tag::Scalar => Ok(result.bits),
                        _ => Err(FaultKind::Leak),
                    };
                }
                op::JMP | op::JMP32 => {
                    if self.jumps(insn)? {
                        next = next
                            .checked_add_signed(insn.off.into())
                            .ok_or(FaultKind::Target)?;
                    }
                }
                _ => return Err(FaultKind::Opcode(insn.code)),
            }
            self.pc = next;
        }
    }

    /// A register's value, which must have been set.
    pub(super) fn register(&self, number: u8) -> Result<Word, FaultKind> {
        match self.registers.get(number as usize) {
            None => Err(FaultKind::Register(number)),
            Some(word) if word.tag == Tag::Unset => Err(FaultKind::UnsetRegister(number)),
            Some(word) => Ok(*word),
        }
    }

    pub(super) fn set(&mut self, number: u8, word: Word) -> Result<(), FaultKind> {
        if number >= reg::FP {
            return Err(FaultKind::Register(number));
        }
        self.registers[number as usize] = word;
        Ok(())
    }

    /// The second operand of an arithmetic instruction or a jump.
    pub(super) fn operand(&self, insn: Insn) -> Result<Word, FaultKind> {
        if insn.code & op::X != 0 {
            self.register(insn.src)
        } else {
            Ok(Word::scalar(insn.imm as i64 as u64))
        }
    }

    pub(super) fn arithmetic(&mut self, insn: Insn) -> Result<(), FaultKind> {
        let wide = insn.code & 7 == op::ALU64;
        let operation = insn.code & 0xf0;
        let unknown = FaultKind::Opcode(insn.code);
        if insn.off != 0 {
            return Err(unknown);
        }
        let result = match operation {
            op::MOV if wide => self.operand(insn)?,
            op::MOV => {
                let from = self.operand(insn)?;
                if from.tag != Tag::Scalar {
                    return Err(FaultKind::Pointer);
                }
                Word::scalar(from.bits & 0xffff_ffff)
            }
            op::END => {
                let value = self.register(insn.dst)?;
                let big = insn.code & op::X != 0;
                if value.tag != Tag::Scalar {
                    return Err(FaultKind::Pointer);
                }
                match alu::byte_order(big, insn.imm, value.bits) {
                    Some(bits) if !wide => Word::scalar(bits),
                    _ => return Err(unknown),
                }
            }
            _ => {
                let left = self.register(insn.dst)?;
                let right = match operation {
                    op::NEG => Word::scalar(0),
                    _ => self.operand(insn)?,
                };
                let bits =
                    alu::arithmetic(operation, wide, left.bits, right.bits).ok_or(unknown)?;
                let tag = match (operation, left.tag, right.tag) {
                    (_, Tag::Scalar, Tag::Scalar) => Tag::Scalar,
                    (_, Tag::MaybeNull(_), _) | (_, _, Tag::MaybeNull(_)) => {
                        return Err(FaultKind::Unchecked);
                    }
                    (op::ADD | op::SUB, Tag::Pointer(region), Tag::Scalar) if wide => {
                        Tag::Pointer(region)
                    }
                    (op::ADD, Tag::Scalar, Tag::Pointer(region)) if wide => Tag::Pointer(region),
                    (op::SUB, Tag::Pointer(a), Tag::Pointer(b)) if wide && a == b => Tag::Scalar,
                    _ => return Err(FaultKind::Pointer),
                };
                Word { bits, tag }
            }
        };
        self.set(insn.dst, result)
    }

    pub(super) fn jumps(&mut self, insn: Insn) -> Result<bool, FaultKind> {
        let wide = insn.code & 7 == op::JMP;
        let operation = insn.code & 0xf0;
        if operation == op::JA {
            return if wide {
                Ok(true)
            } else {
                Err(FaultKind::Opcode(insn.code))
            };
        }
        let left = self.register(insn.dst)?;
        let right = self.operand(insn)?;
        let equality = matches!(operation, op::JEQ | op::JNE) && wide;
        let null_test = equality && insn.code & op::X == 0 && insn.imm == 0;
        match (left.tag, right.tag) {
            (Tag::Scalar, Tag::Scalar) => {}
            (Tag::MaybeNull(id), Tag::Scalar) if null_test => self.checked(id),
            (Tag::Pointer(_), Tag::Scalar) if null_test => {}
            (Tag::Pointer(a), Tag::Pointer(b)) if wide && a == b => {}
            _ => return Err(FaultKind::Pointer),
        }
        alu::compare(operation, wide, left.bits, right.bits).ok_or(FaultKind::Opcode(insn.code))
    }

    pub(super) fn load_immediate(&mut self, insn: Insn) -> Result<(), FaultKind> {
        let second = *self.insns.get(self.pc + 1).ok_or(FaultKind::Target)?;
        if insn.code != op::LD | op::IMM | op::DW || second.code != 0 {
            return Err(FaultKind::Opcode(insn.code));
        }
        let word = match insn.src {
            0 => {
                let low = u64::from(insn.imm as u32);
                Word::scalar(low | u64::from(second.imm as u32) << 32)
            }
            op::PSEUDO_MAP_FD => {
                let map = self.descriptor(insn.imm)?;
                Word::pointer(self.region(Region::Map(map)), 0)
            }
            op::PSEUDO_MAP_VALUE => {
                let map = self.descriptor(insn.imm)?;
                let spec = &self.maps[map].spec;
                let single = self.maps[map].is_array() && !spec.kind.is_percpu();
                if !single || spec.max_entries != 1 {
                    return Err(FaultKind::Descriptor(insn.imm));
                }
                let slot = 0;
                let region = self.region(Region::Value { map, slot, cpu: 0 });
                Word::pointer(region, i64::from(second.imm as u32))
            }
            op::PSEUDO_FUNC => {
                let behind = (self.pc + 1).checked_add_signed(insn.imm as isize);
                let start = behind.filter(|&start| start < self.insns.len());
                let start = start.ok_or(FaultKind::Target)?;
                Word::pointer(self.region(Region::Function(start)), 0)
            }
            _ => return Err(FaultKind::Opcode(insn.code)),
        };
        self.set(insn.dst, word)
    }
}

/// Bytes a load or store moves.
pub(super) fn size(code: u8) -> usize {
    match code & 0x18 {
        op::W => 4,
        op::H => 2,
        op::B => 1,
        _ => 8,
    }
}
