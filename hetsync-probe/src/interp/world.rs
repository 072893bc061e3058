//! What a script sees of the machine it runs on, scripted, and what it leaves behind.

use crate::sema::hir;
use std::collections::BTreeMap;

use super::Memory;

/// The machine around the probes. Time advances only when it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// CPUs of the machine: how many values a per-CPU map keeps for a key.
    pub cpus: usize,
    /// What the clock shows next, in nanoseconds since boot.
    pub now_ns: u64,
    /// How far each reading moves the clock.
    pub step_ns: u64,
    /// What the clock showed when the script was loaded; `elapsed` counts from here.
    pub start_ns: u64,
    /// Bytes of the ring buffer of events, a power of two. Nothing is taken out while probes fire.
    pub ring_bytes: u32,
    /// The kernel's memory.
    pub kernel: Memory,
    /// The memory of the process that fires.
    pub user: Memory,
}

impl Default for World {
    fn default() -> Self {
        Self {
            cpus: 1,
            now_ns: 1_000_000_000,
            step_ns: 0,
            start_ns: 0,
            ring_bytes: 1 << 20,
            kernel: Memory::default(),
            user: Memory::default(),
        }
    }
}

impl World {
    /// The memory of a space.
    pub fn memory(&self, space: hir::Space) -> &Memory {
        match space {
            hir::Space::Kernel => &self.kernel,
            hir::Space::User => &self.user,
        }
    }

    /// Reads the clock and moves it on.
    pub fn read_clock_ns(&mut self) -> u64 {
        let now = self.now_ns;
        self.now_ns = now.wrapping_add(self.step_ns);
        now
    }
}

/// One firing of one attach point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// Index of the probe in [`hir::Program::probes`] and of the point in [`hir::Probe::points`].
    pub point: (usize, usize),
    /// Process id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name of the thread, NUL-terminated; bytes after the NUL are not looked at.
    pub comm: [u8; 16],
    /// Address of the kernel's description of the thread.
    pub task: u64,
    /// The CPU it fires on; below [`World::cpus`].
    pub cpu: u32,
    /// Id of the user.
    pub uid: u32,
    /// Id of the user's group.
    pub gid: u32,
    /// Id of the thread's cgroup.
    pub cgroup: u64,
    /// What is drawn where a random number is asked for.
    pub random: u32,
    /// The kernel's count of ticks.
    pub jiffies: u64,
    /// The CPU's memory node.
    pub numa_node: u32,
    /// Numbers of the stacks of calls in the kernel and in the process.
    pub stacks: [u64; 2],
    /// The kernel's number of every socket.
    pub cookie: u64,
    /// Arguments of the function.
    pub args: [u64; 10],
    /// Return value of the function.
    pub retval: u64,
    /// The record of a tracepoint.
    pub record: Vec<u8>,
}

impl Default for Firing {
    fn default() -> Self {
        Self {
            point: (0, 0),
            pid: 100,
            tid: 101,
            comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
            task: 0xffff_8880_0400_0000,
            cpu: 0,
            uid: 1000,
            gid: 1001,
            cgroup: 77,
            random: 0x9e37_79b9,
            jiffies: 4_294_967_300,
            numa_node: 0,
            stacks: [5, 9],
            cookie: 4097,
            args: [0; 10],
            retval: 0,
            record: Vec::new(),
        }
    }
}

/// Where the traced function's stack is: its return address, then arguments 6 on.
pub(super) const KERNEL_STACK: u64 = 0xffff_c900_0012_3e00;
/// Words of `struct pt_regs` on x86-64 (arch/x86/include/asm/ptrace.h).
const REGISTERS: usize = 21;
/// Which of them are arguments 0 to 5 (di, si, dx, cx, r8, r9), the return value (ax), the stack pointer.
const ARGS: [usize; 6] = [14, 13, 12, 11, 9, 8];
const AX: usize = 10;
const SP: usize = 19;

impl Firing {
    /// The registers it fires with, as the kernel hands them over.
    pub fn registers(&self) -> Vec<u64> {
        let mut all = vec![0; REGISTERS];
        for (at, arg) in ARGS.into_iter().zip(self.args) {
            all[at] = arg;
        }
        all[AX] = self.retval;
        all[SP] = KERNEL_STACK;
        all
    }

    /// The kernel's number of the socket at an address: there is none at 0.
    pub fn cookie_of(&self, socket: u64) -> u64 {
        match socket {
            0 => 0,
            _ => self.cookie,
        }
    }

    /// The same firing at another point.
    pub fn at(mut self, probe: usize, point: usize) -> Self {
        self.point = (probe, point);
        self
    }

    /// The same firing by a thread of this name, cut to 15 bytes.
    pub fn by(mut self, comm: &str) -> Self {
        self.comm = [0; 16];
        for (to, from) in self.comm[..15].iter_mut().zip(comm.bytes()) {
            *to = from;
        }
        self
    }

    /// The thread's name up to its NUL.
    pub fn comm_bytes(&self) -> &[u8] {
        let end = self.comm.iter().position(|&byte| byte == 0);
        &self.comm[..end.unwrap_or(self.comm.len() - 1)]
    }
}

/// A map's entries: key bytes to values, one a CPU for per-CPU maps, else one.
pub type Table = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// Everything a run leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The script's maps by [`hir::MapId`]. A map without keys has the one key `[0; 4]`, always.
    pub maps: Vec<Table>,
    /// Event records in the order they were written.
    pub events: Vec<Vec<u8>>,
    /// Loss counters ([`crate::layout::Loss`]), summed over CPUs.
    pub losses: Vec<u64>,
}

impl Contents {
    /// The entries of a map.
    pub fn map(&self, id: hir::MapId) -> &Table {
        &self.maps[id.0 as usize]
    }
}

/// A ring buffer that nobody empties: how many records fit, as kernel/bpf/ringbuf.c counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    bytes: u64,
    used: u64,
}

impl Ring {
    /// An empty ring of this many bytes.
    pub fn new(bytes: u32) -> Self {
        Self {
            bytes: u64::from(bytes),
            used: 0,
        }
    }

    /// Takes room for a record of `len` bytes: its 8-byte header, then the record rounded up to 8.
    /// One byte always stays free. False if it does not fit.
    pub fn take(&mut self, len: u64) -> bool {
        let Some(need) = len
            .checked_add(8)
            .and_then(|n| n.checked_next_multiple_of(8))
        else {
            return false;
        };
        let fits = self
            .used
            .checked_add(need)
            .is_some_and(|used| used < self.bytes);
        if fits {
            self.used += need;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_one_byte_free() {
        let mut ring = Ring::new(64);
        assert!(ring.take(8));
        assert!(ring.take(17));
        assert!(!ring.take(8), "48 of 64 used, 16 more would fill it");
        assert!(!ring.take(u64::MAX));
        assert!(ring.take(0));
    }

    #[test]
    fn a_name_is_cut_and_read_up_to_its_nul() {
        assert_eq!(
            Firing::default().by("a-very-long-thread").comm_bytes(),
            b"a-very-long-thr"
        );
        assert_eq!(Firing::default().by("sh").comm_bytes(), b"sh");
    }
}
