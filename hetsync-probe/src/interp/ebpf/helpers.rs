//! The kernel's helper functions, emulated.

use super::context;
use super::fault::FaultKind;
use super::maps::errno;
use super::memory::{GARBAGE, Region, Stack, Tag, Word};
use super::run::{Record, RecordState, Run};
use crate::codegen::insn::{helper, reg};
use crate::image::{MapKind, ProgramKind};
use crate::limits::STACK_BYTES;

/// Largest block of memory a helper is given.
const BLOCK_BYTES: u64 = 1 << 16;
/// Functions that may be called in one another (`MAX_CALL_FRAMES`).
const FRAMES: usize = 8;

impl Run<'_> {
    /// Calls a helper: arguments in registers 1 to 5, which it leaves unset, the result in register 0.
    pub(super) fn call(&mut self, number: i32) -> Result<(), FaultKind> {
        let result = self.helper(number)?;
        self.registers[1..=5].fill(Word::UNSET);
        self.registers[0] = result;
        Ok(())
    }

    fn helper(&mut self, number: i32) -> Result<Word, FaultKind> {
        let cpu = self.firing.cpu;
        let status = |code: i64| Ok(Word::scalar(code as u64));
        match number {
            helper::MAP_LOOKUP_ELEM => {
                let (map, key) = self.map_and_key(number)?;
                let slot = self.maps[map].lookup(&key);
                Ok(self.maybe_null(slot.map(|slot| Region::Value { map, slot, cpu })))
            }
            helper::MAP_LOOKUP_PERCPU_ELEM => {
                let (map, key) = self.map_and_key(number)?;
                if !self.maps[map].spec.kind.is_percpu() {
                    return Err(argument(number, 1, "a map with a part for each CPU"));
                }
                let cpu = self.number(number, 3)?;
                let slot = self.maps[map].lookup(&key);
                let slot = slot.filter(|_| cpu < self.world.cpus as u64);
                let cpu = cpu as u32;
                Ok(self.maybe_null(slot.map(|slot| Region::Value { map, slot, cpu })))
            }
            helper::MAP_UPDATE_ELEM => {
                let (map, key) = self.map_and_key(number)?;
                let size = self.maps[map].spec.value_size as usize;
                let value = self.read_bytes(self.registers[3], size)?;
                let flags = self.number(number, 4)?;
                status(self.maps[map].update(&key, &value, flags, cpu))
            }
            helper::MAP_DELETE_ELEM => {
                let (map, key) = self.map_and_key(number)?;
                status(self.maps[map].delete(&key))
            }
            helper::FOR_EACH_MAP_ELEM => self.for_each(number),
            helper::KTIME_GET_NS | helper::KTIME_GET_BOOT_NS | helper::KTIME_GET_TAI_NS => {
                Ok(Word::scalar(self.world.read_clock_ns()))
            }
            helper::GET_SOCKET_COOKIE => {
                let socket = self.number(number, 1)?;
                Ok(Word::scalar(self.firing.cookie_of(socket)))
            }
            helper::GET_SMP_PROCESSOR_ID => Ok(Word::scalar(u64::from(cpu))),
            helper::GET_CURRENT_TASK => Ok(Word::scalar(self.firing.task)),
            helper::GET_CURRENT_PID_TGID => {
                let both = u64::from(self.firing.pid) << 32 | u64::from(self.firing.tid);
                Ok(Word::scalar(both))
            }
            helper::GET_CURRENT_UID_GID => {
                let both = u64::from(self.firing.gid) << 32 | u64::from(self.firing.uid);
                Ok(Word::scalar(both))
            }
            helper::GET_CURRENT_CGROUP_ID => Ok(Word::scalar(self.firing.cgroup)),
            helper::GET_NUMA_NODE_ID => Ok(Word::scalar(self.firing.numa_node.into())),
            helper::GET_PRANDOM_U32 => Ok(Word::scalar(self.firing.random.into())),
            helper::JIFFIES64 => Ok(Word::scalar(self.firing.jiffies)),
            helper::GET_ATTACH_COOKIE => {
                let ProgramKind::KprobeMulti { places, .. } = self.kind else {
                    return status(0);
                };
                let mut places = places.iter();
                let place = places.find(|place| place.point == self.firing.point.1);
                Ok(Word::scalar(place.map_or(0, |place| place.cookie.0)))
            }
            helper::GET_STACKID => {
                let map = self.map_in(number, 2)?;
                if self.maps[map].spec.kind != MapKind::StackTrace {
                    return Err(argument(number, 2, "a map of stacks"));
                }
                let user = self.number(number, 3)? & 1 << 8 != 0;
                Ok(Word::scalar(self.firing.stacks[usize::from(user)]))
            }
            helper::SEND_SIGNAL => {
                self.number(number, 1)?;
                status(0)
            }
            helper::GET_CURRENT_COMM => {
                let size = self.size(number, 2)?;
                // Kernel 6.1 leaves what follows the name's NUL as it was.
                let mut name = self.firing.comm_bytes().to_vec();
                name.truncate(size - 1);
                name.push(0);
                self.write_bytes(self.registers[1], size, &name)?;
                status(0)
            }
            helper::PROBE_READ_KERNEL | helper::PROBE_READ_USER => {
                let size = self.size(number, 2)?;
                let found = self.probed(number, size, false)?;
                let code = if found.is_some() { 0 } else { errno::FAULT };
                let bytes = found.unwrap_or_else(|| vec![0; size]);
                self.write_bytes(self.registers[1], size, &bytes)?;
                status(code)
            }
            helper::PROBE_READ_KERNEL_STR | helper::PROBE_READ_USER_STR => {
                let size = self.size(number, 2)?;
                let found = self.probed(number, size, true)?;
                let code = found
                    .as_ref()
                    .map_or(errno::FAULT, |text| text.len() as i64);
                // What follows the NUL stays as it was; after a fault everything is zeros.
                let bytes = found.unwrap_or_else(|| vec![0; size]);
                self.write_bytes(self.registers[1], size, &bytes)?;
                status(code)
            }
            helper::GET_FUNC_ARG => {
                let argument = self.number(number, 2)?;
                let value = context::function_argument(self.kind, self.firing, argument);
                let Some(value) = value else {
                    self.write_bytes(self.registers[3], 8, &[])?;
                    return status(errno::INVAL);
                };
                self.write_bytes(self.registers[3], 8, &value.to_le_bytes())?;
                status(0)
            }
            helper::RINGBUF_RESERVE => {
                let map = self.ring(number)?;
                let size = self.size(number, 2)?;
                self.no_flags(number, 3)?;
                if !self.maps[map].ring.take(size as u64) {
                    return Ok(self.maybe_null(None));
                }
                self.records.push(Record {
                    bytes: vec![GARBAGE; size],
                    state: RecordState::Reserved,
                });
                let record = self.records.len() - 1;
                Ok(self.maybe_null(Some(Region::Record(record))))
            }
            helper::RINGBUF_SUBMIT => self.release(number, RecordState::Submitted),
            helper::RINGBUF_DISCARD => self.release(number, RecordState::Discarded),
            helper::RINGBUF_OUTPUT => {
                let map = self.ring(number)?;
                let size = self.size(number, 3)?;
                let bytes = self.read_bytes(self.registers[2], size)?;
                self.no_flags(number, 4)?;
                if !self.maps[map].ring.take(size as u64) {
                    return status(-11);
                }
                self.records.push(Record {
                    bytes,
                    state: RecordState::Submitted,
                });
                status(0)
            }
            _ => Err(FaultKind::Helper(number)),
        }
    }

    /// What a probe read finds at the address in register 3; a string with its NUL, cut to `size` bytes.
    fn probed(&self, helper: i32, size: usize, text: bool) -> Result<Option<Vec<u8>>, FaultKind> {
        let from = self.register(3)?;
        let user = matches!(
            helper,
            helper::PROBE_READ_USER | helper::PROBE_READ_USER_STR
        );
        // Memory of the program's own is kernel memory as any other.
        if let (Tag::Pointer(_), false) = (from.tag, user) {
            if !text {
                return Ok(Some(self.read_bytes(from, size)?));
            }
            let mut found = Vec::new();
            while found.len() + 1 < size && found.last() != Some(&0) {
                found = self.read_bytes(from, found.len() + 1)?;
            }
            if found.last() != Some(&0) {
                found.push(0);
            }
            return Ok(Some(found));
        }
        let address = self.number(helper, 3)?;
        let memory = if user {
            &self.world.user
        } else {
            &self.world.kernel
        };
        if text {
            return Ok(memory.read_text(address, size - 1));
        }
        let stack = context::kernel_memory(self.firing, address, size).filter(|_| !user);
        Ok(stack.or_else(|| memory.read(address, size)))
    }

    /// Calls a function for each of the keys a map has now, as far as they are still there then; how often it was called.
    fn for_each(&mut self, helper: i32) -> Result<Word, FaultKind> {
        let map = self.map(helper)?;
        let start = match self.registers[2].tag {
            Tag::Pointer(region) => match self.regions[region] {
                Region::Function(start) => start,
                _ => return Err(argument(helper, 2, "a function")),
            },
            _ => return Err(argument(helper, 2, "a function")),
        };
        let link = self.register(3)?;
        if self.number(helper, 4)? != 0 {
            return Err(argument(helper, 4, "no flags"));
        }
        if self.frames.len() >= FRAMES {
            return Err(FaultKind::Frames(FRAMES));
        }
        let cpu = self.firing.cpu;
        let mut count = 0;
        for key in self.maps[map].keys() {
            let Some(slot) = self.maps[map].lookup(&key) else {
                continue;
            };
            count += 1;
            self.keys.push(key);
            let key = self.region(Region::Key(self.keys.len() - 1));
            let value = self.region(Region::Value { map, slot, cpu });
            let stack = self.region(Region::Stack(self.frames.len()));
            let (registers, pc) = (self.registers, self.pc);
            self.registers = [Word::UNSET; 11];
            self.registers[1] = registers[1];
            self.registers[2] = Word::pointer(key, 0);
            self.registers[3] = Word::pointer(value, 0);
            self.registers[4] = link;
            self.registers[usize::from(reg::FP)] = Word::pointer(stack, STACK_BYTES as i64);
            self.frames.push(Stack::new());
            self.pc = start;
            let more = self.execute()?;
            self.frames.pop();
            (self.registers, self.pc) = (registers, pc);
            match more {
                0 => {}
                1 => break,
                _ => return Err(argument(helper, 2, "a function that returns 0 or 1")),
            }
        }
        Ok(Word::scalar(count))
    }

    fn release(&mut self, helper: i32, state: RecordState) -> Result<Word, FaultKind> {
        let fault = argument(helper, 1, "the start of a reserved record");
        self.no_flags(helper, 2)?;
        let word = self.registers[1];
        let Tag::Pointer(region) = word.tag else {
            return Err(fault);
        };
        match self.regions[region] {
            Region::Record(record)
                if word.offset(region) == 0
                    && self.records[record].state == RecordState::Reserved =>
            {
                self.records[record].state = state;
                Ok(Word::scalar(0))
            }
            _ => Err(fault),
        }
    }

    fn map(&self, helper: i32) -> Result<usize, FaultKind> {
        self.map_in(helper, 1)
    }

    fn map_in(&self, helper: i32, register: u8) -> Result<usize, FaultKind> {
        let word = self.registers[usize::from(register)];
        if let Tag::Pointer(region) = word.tag
            && let Region::Map(map) = self.regions[region]
            && word.offset(region) == 0
        {
            return Ok(map);
        }
        Err(argument(helper, register, "a map"))
    }

    fn ring(&self, helper: i32) -> Result<usize, FaultKind> {
        let map = self.map(helper)?;
        if self.maps[map].is_ring() {
            Ok(map)
        } else {
            Err(argument(helper, 1, "a ring buffer"))
        }
    }

    fn map_and_key(&self, helper: i32) -> Result<(usize, Vec<u8>), FaultKind> {
        let map = self.map(helper)?;
        if self.maps[map].is_ring() {
            return Err(argument(helper, 1, "a map with keys"));
        }
        let size = self.maps[map].spec.key_size as usize;
        let key = self.read_bytes(self.registers[2], size)?;
        Ok((map, key))
    }

    fn number(&self, helper: i32, register: u8) -> Result<u64, FaultKind> {
        let word = self.register(register)?;
        if word.tag == Tag::Scalar {
            Ok(word.bits)
        } else {
            Err(argument(helper, register, "a number"))
        }
    }

    fn size(&self, helper: i32, register: u8) -> Result<usize, FaultKind> {
        let size = self.number(helper, register)?;
        if size == 0 || size > BLOCK_BYTES {
            return Err(argument(helper, register, "a size in 1..=65536"));
        }
        Ok(size as usize)
    }

    fn no_flags(&self, helper: i32, register: u8) -> Result<(), FaultKind> {
        // The wake-up flags of a ring buffer; they change no bytes.
        if self.number(helper, register)? > 3 {
            return Err(argument(helper, register, "flags this machine knows"));
        }
        Ok(())
    }
}

fn argument(helper: i32, argument: u8, expected: &'static str) -> FaultKind {
    FaultKind::Argument {
        helper,
        argument,
        expected,
    }
}
