//! Memory of a running program: regions, their bounds, loads and stores.

use super::FIRST_FD;
use super::fault::FaultKind;
use super::memory::{Region, Tag, Word};
use super::run::{RecordState, Run, size};
use crate::codegen::insn::{Insn, op};
use crate::limits::STACK_BYTES;

impl Run<'_> {
    pub(super) fn descriptor(&self, fd: i32) -> Result<usize, FaultKind> {
        let map = i64::from(fd) - i64::from(FIRST_FD);
        let map = usize::try_from(map)
            .ok()
            .filter(|&map| map < self.maps.len());
        map.ok_or(FaultKind::Descriptor(fd))
    }

    /// The number of a region, the same for the same memory.
    pub(super) fn region(&mut self, region: Region) -> usize {
        if let Some(known) = self.regions.iter().position(|&other| other == region) {
            return known;
        }
        self.regions.push(region);
        self.regions.len() - 1
    }

    /// What a lookup returns: the start of a region or null, not yet told apart.
    pub(super) fn maybe_null(&mut self, region: Option<Region>) -> Word {
        let region = region.map(|region| self.region(region));
        self.nullable.push(region);
        Word {
            bits: region.map_or(0, |region| Word::pointer(region, 0).bits),
            tag: Tag::MaybeNull(self.nullable.len() - 1),
        }
    }

    /// A pointer was compared with 0: all its copies are now pointers, or the number 0.
    pub(super) fn checked(&mut self, id: usize) {
        let tag = match self.nullable[id] {
            Some(region) => Tag::Pointer(region),
            None => Tag::Scalar,
        };
        let stacks = self.frames.iter_mut();
        let spilled = stacks.flat_map(|stack| stack.spilled.iter_mut().flatten());
        for word in self.registers.iter_mut().chain(spilled) {
            if word.tag == Tag::MaybeNull(id) {
                word.tag = tag;
            }
        }
        for slot in self.frames.iter_mut().flat_map(|stack| &mut stack.spilled) {
            if slot.is_some_and(|word| word.tag == Tag::Scalar) {
                *slot = None;
            }
        }
    }

    /// Where `len` bytes at `off` from a pointer are: its region and the offset in it, in bounds.
    pub(super) fn locate(
        &self,
        pointer: Word,
        off: i16,
        len: usize,
    ) -> Result<(Region, usize), FaultKind> {
        let number = match pointer.tag {
            Tag::Pointer(region) => region,
            Tag::MaybeNull(_) => return Err(FaultKind::Unchecked),
            Tag::Scalar | Tag::Unset => return Err(FaultKind::NotAPointer),
        };
        let region = self.regions[number];
        let limit = match region {
            Region::Stack(frame) if frame < self.frames.len() => STACK_BYTES,
            Region::Stack(_) | Region::Function(_) => 0,
            Region::Key(key) => self.keys[key].len(),
            Region::Context => self.context.len(),
            Region::Map(_) => 0,
            Region::Value { map, .. } => self.maps[map].spec.value_size as usize,
            Region::Record(record) => match self.records[record].state {
                RecordState::Reserved => self.records[record].bytes.len(),
                _ => 0,
            },
        };
        let offset = pointer.offset(number).wrapping_add(off.into());
        let start = usize::try_from(offset).ok();
        match start.filter(|start| start.checked_add(len).is_some_and(|end| end <= limit)) {
            Some(start) => Ok((region, start)),
            None => Err(FaultKind::Bounds {
                region: region.name(),
                offset,
                size: len,
                limit,
            }),
        }
    }

    pub(super) fn bytes(&self, region: Region, at: usize, len: usize) -> Result<&[u8], FaultKind> {
        Ok(match region {
            Region::Stack(frame) => self.frames[frame].read(at, len)?,
            Region::Key(key) => &self.keys[key][at..at + len],
            Region::Context => &self.context[at..at + len],
            Region::Map(_) | Region::Function(_) => &[],
            Region::Value { map, slot, cpu } => &self.maps[map].value(slot, cpu)[at..at + len],
            Region::Record(record) => &self.records[record].bytes[at..at + len],
        })
    }

    pub(super) fn bytes_mut(
        &mut self,
        region: Region,
        at: usize,
        len: usize,
    ) -> Result<&mut [u8], FaultKind> {
        Ok(match region {
            Region::Stack(frame) => self.frames[frame].write(at, len),
            Region::Context | Region::Map(_) | Region::Function(_) | Region::Key(_) => {
                return Err(FaultKind::ReadOnly(region.name()));
            }
            Region::Value { map, slot, cpu } => {
                &mut self.maps[map].value_mut(slot, cpu)[at..at + len]
            }
            Region::Record(record) => &mut self.records[record].bytes[at..at + len],
        })
    }

    /// Bytes a helper reads.
    pub(super) fn read_bytes(&self, pointer: Word, len: usize) -> Result<Vec<u8>, FaultKind> {
        let (region, at) = self.locate(pointer, 0, len)?;
        Ok(self.bytes(region, at, len)?.to_vec())
    }

    /// A helper's `len` bytes of output, of which it writes only the first few.
    pub(super) fn write_bytes(
        &mut self,
        pointer: Word,
        len: usize,
        bytes: &[u8],
    ) -> Result<(), FaultKind> {
        let (region, at) = self.locate(pointer, 0, len)?;
        let to = match region {
            Region::Stack(frame) => self.frames[frame].write_partly(at, len),
            _ => self.bytes_mut(region, at, len)?,
        };
        to[..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn load(&self, pointer: Word, off: i16, len: usize) -> Result<Word, FaultKind> {
        let (region, at) = self.aligned(pointer, off, len)?;
        if let Region::Stack(frame) = region
            && len == 8
            && let Some(word) = self.frames[frame].spilled[at / 8]
        {
            return Ok(word);
        }
        let mut bits = [0; 8];
        bits[..len].copy_from_slice(self.bytes(region, at, len)?);
        Ok(Word::scalar(u64::from_le_bytes(bits)))
    }

    pub(super) fn store(
        &mut self,
        pointer: Word,
        off: i16,
        len: usize,
        word: Word,
    ) -> Result<(), FaultKind> {
        let (region, at) = self.aligned(pointer, off, len)?;
        if word.tag != Tag::Scalar {
            let Region::Stack(frame) = region else {
                return Err(FaultKind::Leak);
            };
            if len != 8 {
                return Err(FaultKind::Leak);
            }
            self.frames[frame].spill(at, word);
            return Ok(());
        }
        let bits = word.bits.to_le_bytes();
        self.bytes_mut(region, at, len)?
            .copy_from_slice(&bits[..len]);
        Ok(())
    }

    pub(super) fn aligned(
        &self,
        pointer: Word,
        off: i16,
        len: usize,
    ) -> Result<(Region, usize), FaultKind> {
        let (region, at) = self.locate(pointer, off, len)?;
        if at % len == 0 {
            Ok((region, at))
        } else {
            let offset = at as i64;
            Err(FaultKind::Alignment { offset, size: len })
        }
    }

    pub(super) fn atomic(&mut self, insn: Insn) -> Result<(), FaultKind> {
        let len = size(insn.code);
        if len < 4 || insn.imm & !op::FETCH != op::ATOMIC_ADD {
            return Err(FaultKind::Opcode(insn.code));
        }
        let pointer = self.register(insn.dst)?;
        let addend = self.register(insn.src)?;
        let old = self.load(pointer, insn.off, len)?;
        if old.tag != Tag::Scalar || addend.tag != Tag::Scalar {
            return Err(FaultKind::Pointer);
        }
        let sum = Word::scalar(old.bits.wrapping_add(addend.bits));
        self.store(pointer, insn.off, len, sum)?;
        if insn.imm & op::FETCH != 0 {
            self.set(insn.src, old)?;
        }
        Ok(())
    }
}
