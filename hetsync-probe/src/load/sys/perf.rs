//! perf_event_open(2): kprobes by the kernel's kprobe PMU, and events of tracefs, with a program hung on them.

use super::call::{self, Info, LinkCreate, command};
use super::cpus::online_cpus;
use super::program::Program;
use crate::sema::hir::Sampling;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// `struct perf_event_attr` as of its second version (72 bytes); the kernel takes any published length.
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    /// Address of the function's name for the kprobe PMU.
    config1: u64,
    /// Offset in bytes for the kprobe PMU.
    config2: u64,
}

const TYPE_HARDWARE: u32 = 0;
const TYPE_SOFTWARE: u32 = 1;
const TYPE_TRACEPOINT: u32 = 2;
/// `PERF_COUNT_SW_CPU_CLOCK`: counts nanoseconds.
const CPU_CLOCK: u64 = 0;
/// `freq` of `struct perf_event_attr`: the period is a number of samples a second.
const FLAG_FREQUENCY: u64 = 1 << 10;
const FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const IOC_ENABLE: libc::c_ulong = 0x2400;
const IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
/// `BPF_PERF_EVENT` of include/uapi/linux/bpf.h.
const ATTACH_PERF_EVENT: u32 = 41;

/// Where the kernel lists its event sources.
const SOURCES: &str = "/sys/bus/event_source/devices";

/// Whether this kernel can make kprobes from perf_event_open(2).
pub fn has_kprobe_source() -> bool {
    source_type("kprobe").is_ok()
}

/// Whether this kernel has an event source of this name (`uprobe`, `tracepoint`).
pub fn has_source(name: &str) -> bool {
    Path::new(SOURCES).join(name).exists()
}

/// A perf event with a program on it; closing it detaches and removes the probe.
#[derive(Debug)]
pub struct PerfProbe {
    event: OwnedFd,
    /// A link where the kernel has perf links (5.15 on): it can tell missed hits.
    link: Option<OwnedFd>,
}

impl PerfProbe {
    /// A kprobe (or kretprobe) on `function` plus `offset` bytes, running `program`.
    ///
    /// # Errors
    /// The kernel's reason: `ENOENT` no such function, `EADDRNOTAVAIL` ambiguous, `EINVAL` and `EILSEQ` not to be probed.
    pub fn kprobe(
        program: &Program,
        function: &str,
        offset: u64,
        on_return: bool,
    ) -> io::Result<PerfProbe> {
        let event = open_kprobe(function, offset, on_return)?;
        PerfProbe::attach(event, program)
    }

    /// The event of tracefs with this id, running `program`.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn tracefs_event(program: &Program, id: u64) -> io::Result<PerfProbe> {
        let event = open(&Attr {
            kind: TYPE_TRACEPOINT,
            config: id,
            ..Attr::default()
        })?;
        PerfProbe::attach(event, program)
    }

    /// Samples on every CPU that is online, each running `program`.
    ///
    /// # Errors
    /// The kernel's reason: `ENOENT` or `EOPNOTSUPP` where the processor (or the virtual machine) has no such counter.
    pub fn samples(program: &Program, sampling: &Sampling) -> io::Result<Vec<PerfProbe>> {
        let (kind, config, sample_period, flags) = match *sampling {
            Sampling::Hz(hz) => (TYPE_SOFTWARE, CPU_CLOCK, hz, FLAG_FREQUENCY),
            Sampling::PeriodNs(ns) => (TYPE_SOFTWARE, CPU_CLOCK, ns, 0),
            Sampling::Events {
                hardware: true,
                event,
                count,
            } => (TYPE_HARDWARE, event, count, 0),
            Sampling::Events { event, count, .. } => (TYPE_SOFTWARE, event, count, 0),
        };
        let attr = Attr {
            kind,
            config,
            sample_period,
            flags,
            ..Attr::default()
        };
        online_cpus()?
            .into_iter()
            .map(|cpu| PerfProbe::attach(open_on(&attr, cpu)?, program))
            .collect()
    }

    /// A uprobe `offset` bytes into a file, running `program`, in every process that maps the file. The counter at `semaphore`
    /// bytes into the file, unless that is 0, is raised in each of them meanwhile.
    ///
    /// # Errors
    /// The kernel's reason; `EINVAL` for a counter beyond the first 4 GiB.
    pub fn uprobe(
        program: &Program,
        path: &str,
        offset: u64,
        semaphore: u64,
    ) -> io::Result<PerfProbe> {
        let counter =
            u32::try_from(semaphore).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        // `ref_ctr_offset` is `config:32-63` since it is there (4.20).
        let event = open_uprobe(path, offset, u64::from(counter) << 32)?;
        PerfProbe::attach(event, program)
    }

    /// The same on return from the function that begins there.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn uretprobe(program: &Program, path: &str, offset: u64) -> io::Result<PerfProbe> {
        let event = open_uprobe(path, offset, 1 << return_bit("uprobe")?)?;
        PerfProbe::attach(event, program)
    }

    fn attach(event: OwnedFd, program: &Program) -> io::Result<PerfProbe> {
        let mut attr = LinkCreate {
            prog_fd: program.as_raw_fd() as u32,
            target_fd: event.as_raw_fd() as u32,
            attach_type: ATTACH_PERF_EVENT,
            flags: 0,
        };
        // SAFETY: the structure of this command; it holds no addresses; the command returns a new descriptor.
        let link = unsafe { call::bpf_fd(command::LINK_CREATE, &mut attr) }.ok();
        // Older kernels have no perf links; what is really wrong comes out again here.
        if link.is_none() {
            ioctl(&event, IOC_SET_BPF, program.as_raw_fd())?;
        }
        ioctl(&event, IOC_ENABLE, 0)?;
        Ok(PerfProbe { event, link })
    }

    /// Hits of a kprobe that could not be handled (`missed` of the link's information); `None` where not told.
    pub fn missed(&self) -> Option<u64> {
        // `struct bpf_link_info`: its kind at 0, the perf event's kind at 16, a kprobe's address at 40, missed at 48.
        const BYTES: usize = 56;
        const LINK_PERF_EVENT: u32 = 7;
        const KPROBE_OR_KRETPROBE: [u32; 2] = [3, 4];
        let mut info = [0u8; BYTES];
        let mut attr = Info {
            bpf_fd: self.link.as_ref()?.as_raw_fd() as u32,
            info_len: BYTES as u32,
            info: info.as_mut_ptr() as u64,
        };
        // SAFETY: `info` is `info_len` writable bytes; being zero it names no buffers of its own.
        unsafe { call::bpf(command::OBJ_GET_INFO_BY_FD, &mut attr) }.ok()?;
        let u32_at = |at: usize| info[at..at + 4].try_into().map_or(0, u32::from_ne_bytes);
        let kinds = (u32_at(0), u32_at(16));
        let told = kinds.0 == LINK_PERF_EVENT
            && KPROBE_OR_KRETPROBE.contains(&kinds.1)
            && attr.info_len as usize >= BYTES;
        told.then(|| info[48..56].try_into().map_or(0, u64::from_ne_bytes))
    }

    /// What keeps the program attached, in the order in which it is to be closed.
    pub(super) fn into_fds(self) -> Vec<OwnedFd> {
        self.link.into_iter().chain([self.event]).collect()
    }

    /// The event's descriptor number, for messages.
    pub fn raw(&self) -> i32 {
        self.event.as_raw_fd()
    }
}

/// Opens and closes a kprobe without a program: whether the kernel would take it.
///
/// # Errors
/// The kernel's reason.
pub fn try_kprobe(function: &str) -> io::Result<()> {
    open_kprobe(function, 0, false).map(drop)
}

fn open_kprobe(function: &str, offset: u64, on_return: bool) -> io::Result<OwnedFd> {
    let name = CString::new(function)?;
    open(&Attr {
        kind: source_type("kprobe")?,
        config: if on_return {
            1 << return_bit("kprobe")?
        } else {
            0
        },
        config1: name.as_ptr() as u64,
        config2: offset,
        ..Attr::default()
    })
}

fn open_uprobe(path: &str, offset: u64, config: u64) -> io::Result<OwnedFd> {
    let path = CString::new(path)?;
    open(&Attr {
        kind: source_type("uprobe")?,
        config,
        config1: path.as_ptr() as u64,
        config2: offset,
        ..Attr::default()
    })
}

fn open(attr: &Attr) -> io::Result<OwnedFd> {
    // Probes fire on every CPU whichever one the event is opened on.
    open_on(attr, 0)
}

fn open_on(attr: &Attr, cpu: u32) -> io::Result<OwnedFd> {
    let attr = Attr {
        size: size_of::<Attr>() as u32,
        ..*attr
    };
    // SAFETY: `attr` is live and as long as its `size` says; `config1` is 0 or a C string that outlives the call.
    unsafe {
        let fd = libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            -1 as libc::pid_t,
            cpu as libc::c_int,
            -1 as libc::c_int,
            FLAG_FD_CLOEXEC,
        );
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

fn ioctl(event: &OwnedFd, request: libc::c_ulong, argument: i32) -> io::Result<()> {
    // SAFETY: both requests used take a number, not an address.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), request as _, argument) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The number of a dynamic event source.
fn source_type(name: &str) -> io::Result<u32> {
    let text = std::fs::read_to_string(Path::new(SOURCES).join(name).join("type"))?;
    text.trim()
        .parse()
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// The bit of `config` that makes a probe of this source a return probe; the file says `config:0`.
fn return_bit(source: &str) -> io::Result<u32> {
    let file = Path::new(SOURCES).join(source).join("format/retprobe");
    let text = std::fs::read_to_string(file)?;
    let bit = text
        .trim()
        .strip_prefix("config:")
        .and_then(|bit| bit.parse().ok());
    bit.filter(|bit| *bit < 64)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}
