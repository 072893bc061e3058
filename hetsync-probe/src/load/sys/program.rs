//! Programs: loading with a readable refusal, running, and what the kernel knows of them.

use super::btf;
use super::call::{self, Info, ProgLoad, TestRun, command};
use super::verifier::log_end;
use crate::codegen::insn::{self, Insn};
use crate::kernel::FunctionId;
use crate::load::error::LoadError;
use crate::object::{FunctionStart, Line, ProgramLines};
use crate::span::Span;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The helpers programs use (`ktime_get_ns`, `probe_read_kernel`) are given to GPL-compatible programs only.
const LICENCE: &std::ffi::CStr = c"GPL";
/// First size of the log buffer, and the largest: kernels before 5.19 take at most 2^24 - 1 bytes.
const LOG_BYTES: usize = 1 << 18;
const LOG_BYTES_MOST: usize = (1 << 24) - 1;

/// What the kernel is told a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProgramType {
    /// kprobe and kretprobe: the context is `struct pt_regs`.
    Kprobe,
    /// The same for many functions at once.
    KprobeMulti,
    /// A raw tracepoint: the context is its arguments. Also what user space runs by [`Program::test_run`].
    RawTracepoint,
    /// A tracepoint: the context is its record.
    Tracepoint,
    /// A perf event: may run in an interrupt that nothing can hold off.
    PerfEvent,
    /// fentry of this function.
    Fentry(FunctionId),
    /// fexit of this function.
    Fexit(FunctionId),
}

impl ProgramType {
    /// `BPF_PROG_TYPE_*`, `expected_attach_type`, `attach_btf_id`.
    fn numbers(self) -> (u32, u32, u32) {
        match self {
            ProgramType::Kprobe => (2, 0, 0),
            ProgramType::KprobeMulti => (2, call::TRACE_KPROBE_MULTI, 0),
            ProgramType::Tracepoint => (5, 0, 0),
            ProgramType::PerfEvent => (7, 0, 0),
            ProgramType::RawTracepoint => (17, 0, 0),
            ProgramType::Fentry(function) => (26, 24, function.id),
            ProgramType::Fexit(function) => (26, 25, function.id),
        }
    }

    /// The BTF object of the module whose function it is for.
    fn module(self) -> io::Result<Option<OwnedFd>> {
        match self {
            ProgramType::Fentry(function) | ProgramType::Fexit(function)
                if function.object != 0 =>
            {
                btf::open(function.object).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// What the kernel is told of a program beside its code, so that those who look at it there see the script's lines.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// The BTF object.
    pub btf: BorrowedFd<'a>,
    /// The program's function and lines in it.
    pub lines: &'a ProgramLines,
}

/// A program in the kernel; it lives as long as this value or something it is attached to.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
    name: String,
}

/// What the kernel knows of a program (`struct bpf_prog_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProgramInfo {
    /// Bytes of eBPF after the verifier's rewriting.
    pub translated_bytes: u32,
    /// Bytes of machine code; 0 without a JIT.
    pub compiled_bytes: u32,
    /// Nanoseconds spent in it and times it ran, while `kernel.bpf_stats_enabled` is 1; else 0.
    pub run_time_ns: u64,
    /// See `run_time_ns`.
    pub run_count: u64,
    /// Times it was not run because it (or another one) was running on that CPU; `None` on a kernel that does not say.
    pub recursion_misses: Option<u64>,
}

impl Program {
    /// Loads a resolved program (`crate::image::resolve`). `spans` are the places of its instructions in the script.
    ///
    /// # Errors
    /// [`LoadError::Refused`] with the verifier's last lines and the script's place; [`LoadError::NotPermitted`].
    pub fn load(
        name: &str,
        kind: ProgramType,
        insns: &[Insn],
        spans: &[Span],
    ) -> Result<Program, LoadError> {
        Program::load_described(name, kind, insns, spans, None)
    }

    /// As [`Program::load`], with the program's function and lines.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub fn load_described(
        name: &str,
        kind: ProgramType,
        insns: &[Insn],
        spans: &[Span],
        debug: Option<Described<'_>>,
    ) -> Result<Program, LoadError> {
        let code = insn::encode(insns);
        let wanted = Wanted {
            name,
            kind,
            code: &code,
            debug,
        };
        // Without a log first: the log costs time, and too small a buffer is an error by itself on older kernels.
        let source = match call::with_memlock(|| load(&wanted, None)) {
            Ok(fd) => {
                return Ok(Program {
                    fd,
                    name: name.to_owned(),
                });
            }
            Err(error) => error,
        };
        // Too many paths take seconds to give up on, and the log says no more than that.
        let end = if source.raw_os_error() == Some(libc::E2BIG) {
            log_end(&[])
        } else {
            match refusal_log(&wanted) {
                Again::Loaded(fd) => {
                    return Ok(Program {
                        fd,
                        name: name.to_owned(),
                    });
                }
                Again::Refused(log) => log_end(&log),
            }
        };
        if source.raw_os_error() == Some(libc::EPERM) && end.lines.is_empty() {
            return Err(LoadError::NotPermitted {
                action: format!("load program \"{name}\""),
                source,
            });
        }
        let span = end.insn.and_then(|at| spans.get(at).copied());
        Err(LoadError::Refused {
            program: name.to_owned(),
            log: end.lines,
            insn: end.insn,
            span,
            lowered: matches!(kind, ProgramType::Fentry(_) | ProgramType::Fexit(_)),
            source,
        })
    }

    /// The name it was loaded with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a raw-tracepoint program once on this CPU and returns its `r0`. `context` is what `r1` points to: at most 12
    /// words of 8 bytes, and at least as far as the program reads.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn test_run(&self, context: &[u64]) -> Result<u32, LoadError> {
        let mut attr = TestRun {
            prog_fd: self.fd.as_raw_fd() as u32,
            ctx_size_in: size_of_val(context) as u32,
            ctx_in: if context.is_empty() {
                0
            } else {
                context.as_ptr() as u64
            },
            ..TestRun::default()
        };
        // SAFETY: `context` is live and as long as said; nothing is written but the attribute.
        match unsafe { call::bpf(command::PROG_TEST_RUN, &mut attr) } {
            Ok(_) => Ok(attr.retval),
            Err(source) => Err(LoadError::Run {
                program: self.name.clone(),
                source,
            }),
        }
    }

    /// Sizes, run times and misses.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn info(&self) -> io::Result<ProgramInfo> {
        program_info(self.fd.as_raw_fd())
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Program {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// What the kernel knows of the program with this descriptor; one that is not a program's is an error.
///
/// # Errors
/// The kernel's reason.
pub fn program_info(fd: i32) -> io::Result<ProgramInfo> {
    // Offsets in `struct bpf_prog_info`; the kernel fills what it knows and says how much that was.
    const BYTES: usize = 216;
    let mut info = [0u8; BYTES];
    let mut attr = Info {
        bpf_fd: fd as u32,
        info_len: BYTES as u32,
        info: info.as_mut_ptr() as u64,
    };
    // SAFETY: `info` is `info_len` writable bytes; being zero it names no buffers of its own.
    unsafe { call::bpf(command::OBJ_GET_INFO_BY_FD, &mut attr) }?;
    let u32_at = |at: usize| info[at..at + 4].try_into().map_or(0, u32::from_ne_bytes);
    let u64_at = |at: usize| info[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
    Ok(ProgramInfo {
        compiled_bytes: u32_at(16),
        translated_bytes: u32_at(20),
        run_time_ns: u64_at(192),
        run_count: u64_at(200),
        recursion_misses: (attr.info_len as usize >= BYTES).then(|| u64_at(208)),
    })
}

/// A program as it is given to the kernel.
struct Wanted<'a> {
    name: &'a str,
    kind: ProgramType,
    code: &'a [u8],
    debug: Option<Described<'a>>,
}

fn load(wanted: &Wanted<'_>, log: Option<&mut [u8]>) -> io::Result<OwnedFd> {
    let code = wanted.code;
    let (prog_type, expected_attach_type, attach_btf_id) = wanted.kind.numbers();
    let module = wanted.kind.module()?;
    let (log_level, log_size, log_buf) = log.map_or((0, 0, 0), |log| {
        (1, log.len() as u32, log.as_mut_ptr() as u64)
    });
    let mut attr = ProgLoad {
        prog_type,
        expected_attach_type,
        attach_btf_id,
        attach_btf_obj_fd: module
            .as_ref()
            .map_or(0, |object| object.as_raw_fd() as u32),
        insn_cnt: (code.len() / 8) as u32,
        insns: code.as_ptr() as u64,
        license: LICENCE.as_ptr() as u64,
        log_level,
        log_size,
        log_buf,
        prog_name: call::object_name(wanted.name),
        ..ProgLoad::default()
    };
    if let Some(Described { btf, lines }) = wanted.debug {
        attr.prog_btf_fd = btf.as_raw_fd() as u32;
        attr.func_info_rec_size = size_of::<FunctionStart>() as u32;
        attr.func_info = lines.functions.as_ptr() as u64;
        attr.func_info_cnt = lines.functions.len() as u32;
        attr.line_info_rec_size = size_of::<Line>() as u32;
        attr.line_info = lines.lines.as_ptr() as u64;
        attr.line_info_cnt = lines.lines.len() as u32;
    }
    // SAFETY: instructions, licence, functions, lines and log are live and as long as said; only the log is written.
    unsafe { call::bpf_fd(command::PROG_LOAD, &mut attr) }
}

/// What came of loading once more with a log.
enum Again {
    /// It went well this time (memory had been short).
    Loaded(OwnedFd),
    /// What the verifier says.
    Refused(Vec<u8>),
}

fn refusal_log(wanted: &Wanted<'_>) -> Again {
    let mut bytes = LOG_BYTES;
    loop {
        let mut log = vec![0; bytes];
        match load(wanted, Some(&mut log)) {
            Ok(fd) => return Again::Loaded(fd),
            // Before 6.4 the buffer holds the log's beginning and its end, the part that matters, is lost.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && bytes < LOG_BYTES_MOST => {
                bytes = (bytes * 4).min(LOG_BYTES_MOST);
            }
            Err(_) => {
                let used = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
                log.truncate(used);
                return Again::Refused(log);
            }
        }
    }
}
