//! The loader by redbpf: kprobes and kretprobes.
//!
//! redbpf 2.3.0 is used for what it does well and never for what it does not: it gets one program at a time as an ELF
//! file of our own without maps (theirs would have compile-time sizes and hidden descriptors), and none of its map
//! functions is called. It panics where files of the kernel are missing, so those are looked for first. Its load error
//! has neither errno nor log: the same program is loaded again by `load::sys`, which has both.

use super::error::LoadError;
use super::loader::{Loaded, Loader, Mechanism, Prepared};
use super::sys::{
    Program, ProgramInfo, ProgramType, attach_error, has_kprobe_source, program_info,
};
use crate::image::{self, Image, ProgramKind};
use crate::object::write_resolved;
use crate::span::Span;
use redbpf::{Module, ModuleBuilder};
use std::io;

/// Loads by redbpf.
#[derive(Debug, Clone, Copy, Default)]
pub struct RedbpfLoader;

impl Loader for RedbpfLoader {
    fn name(&self) -> &'static str {
        "redbpf"
    }

    fn load(&self, program: &Prepared<'_>) -> Result<Box<dyn Loaded>, LoadError> {
        if !matches!(
            program.kind,
            ProgramKind::Kprobe { .. } | ProgramKind::Kretprobe { .. }
        ) {
            return Err(LoadError::Unsupported {
                loader: self.name(),
                what: format!("`{}`", program.probe),
            });
        }
        let elf = elf(program)?;
        let bytes = Aligned::new(&elf);
        let broken = |error: redbpf::Error| {
            LoadError::Image(format!("redbpf does not read our ELF file: {error:?}"))
        };
        let mut module = ModuleBuilder::parse(bytes.as_slice())
            .and_then(ModuleBuilder::to_module)
            .map_err(broken)?;
        let [loaded] = module.programs.as_mut_slice() else {
            return Err(LoadError::Image(format!(
                "redbpf found {} programs in an ELF file of one",
                module.programs.len()
            )));
        };
        if let Err(error) = loaded.load(module.version, module.license.clone()) {
            return Err(refusal(program, &error));
        }
        Ok(Box::new(RedbpfProgram {
            module,
            kind: program.kind.clone(),
            name: program.name.to_owned(),
            probe: program.probe.to_owned(),
            span: program.span,
            mechanism: Mechanism::NotAttached,
        }))
    }
}

/// Loads the same instructions by `load::sys` for the reason.
fn refusal(program: &Prepared<'_>, error: &redbpf::Error) -> LoadError {
    match Program::load_described(
        program.name,
        ProgramType::Kprobe,
        program.insns,
        program.spans,
        program.debug,
    ) {
        Err(reason) => reason,
        Ok(_) => LoadError::Unsupported {
            loader: "redbpf",
            what: format!(
                "`{}` ({error:?}), though the kernel takes it",
                program.probe
            ),
        },
    }
}

struct RedbpfProgram {
    module: Module,
    kind: ProgramKind,
    name: String,
    probe: String,
    span: Option<Span>,
    mechanism: Mechanism,
}

// `redbpf::Module` has no Debug.
impl std::fmt::Debug for RedbpfProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbpfProgram")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

impl RedbpfProgram {
    /// Function and offset.
    fn place(&self) -> (String, u64, Mechanism) {
        match &self.kind {
            ProgramKind::Kprobe { function, offset } => (
                function.clone(),
                *offset,
                Mechanism::Kprobe { redbpf: true },
            ),
            ProgramKind::Kretprobe { function } => {
                (function.clone(), 0, Mechanism::Kretprobe { redbpf: true })
            }
            _ => (String::new(), 0, Mechanism::NotAttached),
        }
    }

    fn fail(&self, source: io::Error) -> LoadError {
        attach_error(&self.kind, &self.probe, self.span, source)
    }
}

impl Loaded for RedbpfProgram {
    fn attach(&mut self) -> Result<(), LoadError> {
        if self.mechanism != Mechanism::NotAttached {
            return Ok(());
        }
        if !has_kprobe_source() {
            return Err(self.fail(io::Error::from_raw_os_error(libc::ENODEV)));
        }
        let (function, offset, mechanism) = self.place();
        let attached = match self.module.kprobes_mut().next() {
            Some(probe) => probe.attach_kprobe(&function, offset),
            None => Err(redbpf::Error::ProgramNotLoaded),
        };
        match attached {
            Ok(()) => {
                self.mechanism = mechanism;
                Ok(())
            }
            Err(redbpf::Error::IO(source)) => Err(self.fail(source)),
            Err(other) => Err(self.fail(io::Error::other(format!("redbpf: {other:?}")))),
        }
    }

    fn detach(&mut self) {
        let (function, offset, _) = self.place();
        if let Some(probe) = self.module.kprobes_mut().next() {
            // It cannot fail: it only drops the attachment.
            let _ = probe.detach_kprobe(&function, offset);
        }
    }

    fn run(&self) -> Result<u32, LoadError> {
        Err(LoadError::Unsupported {
            loader: "redbpf",
            what: format!("`{}` to be run by user space", self.probe),
        })
    }

    fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    fn missed(&self) -> Option<u64> {
        // The probe counts them, and redbpf hides the probe.
        (self.mechanism == Mechanism::NotAttached).then_some(0)
    }

    fn info(&self) -> io::Result<ProgramInfo> {
        match self
            .module
            .programs
            .first()
            .and_then(|program| *program.fd())
        {
            Some(fd) => program_info(fd),
            None => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }
}

/// Bytes at an address that is a multiple of 8: redbpf casts sections to instructions where they lie.
struct Aligned {
    words: Vec<u64>,
    length: usize,
}

impl Aligned {
    fn new(bytes: &[u8]) -> Aligned {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        });
        Aligned {
            words: words.collect(),
            length: bytes.len(),
        }
    }

    fn as_slice(&self) -> &[u8] {
        // SAFETY: `words` holds at least `length` bytes, all initialised, and lives as long as the slice.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.length) }
    }
}

/// An ELF file with this one program, resolved, and no maps.
fn elf(program: &Prepared<'_>) -> Result<Vec<u8>, LoadError> {
    // Sanitised: a name with other characters would make the kernel say EINVAL.
    let name = (program.name.chars())
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(15)
        .collect();
    let image = Image {
        programs: vec![image::Program {
            name,
            point: (0, 0),
            kind: program.kind.clone(),
            insns: program.insns.to_vec(),
            relocations: Vec::new(),
            spans: program.spans.to_vec(),
            functions: vec![0],
        }],
        ..Image::default()
    };
    write_resolved(&image, &[], 0).map_err(|error| LoadError::Image(error.to_string()))
}
