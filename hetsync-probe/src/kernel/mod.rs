//! Facts about a kernel: the running one, or files taken from one. Facts only; nothing here changes a kernel.

pub mod btf;
pub mod elf;
#[cfg(feature = "kernel")]
pub mod features;
pub mod files;
pub mod glob;
mod names;
pub(crate) use names::nearest;
pub mod running;
pub mod symbols;
pub mod tracepoint;
pub mod usdt;

use btf::{Btf, Function};
use std::sync::Arc;
use tracepoint::{Format, Unreadable};

/// What the rest of the compiler asks about a kernel. Every answer may be "not known":
/// a script can be checked on a machine that is not the one it will run on.
pub trait Kernel {
    /// Whether a function can be probed.
    fn function(&self, name: &str) -> FunctionFact;

    /// Names of probeable functions that match a glob of `*` and `?`, sorted; `None` if the list is not known.
    fn matching_functions(&self, glob: &str) -> Option<Vec<String>>;

    /// Whether the kernel lets nobody put a kprobe into a function; not where that is not known.
    fn is_forbidden(&self, _function: &str) -> bool {
        false
    }

    /// The function's prototype from BTF, if there is one that fentry can attach to.
    fn prototype(&self, name: &str) -> Option<Prototype>;

    /// Types of the kernel itself. Ids of one call hold for all later ones.
    fn btf(&self) -> Option<&Btf> {
        None
    }

    /// Types of a loaded module, which build on [`Kernel::btf`].
    fn module_btf(&self, _module: &str) -> Option<&Btf> {
        None
    }

    /// A function with its types, in the kernel or in a loaded module whose BTF is known, whatever fentry can do with it.
    fn typed_function(&self, name: &str) -> Option<(&Btf, Function)> {
        let btf = self.btf()?;
        Some((btf, btf.function(name)?))
    }

    /// The module a function is in, `vmlinux` for the kernel's own; `None` where that is not known.
    fn module_of(&self, _function: &str) -> Option<String> {
        None
    }

    /// The address of a symbol: none inside if there is no such symbol, none at all if symbols are not known.
    fn address(&self, _symbol: &str) -> Option<Option<u64>> {
        None
    }

    /// How far International Atomic Time is ahead of the time since boot, in nanoseconds; 0 where it is not known, as on
    /// another machine.
    fn tai_ahead_ns(&self) -> u64 {
        0
    }

    /// Tracepoints (`category:name`) that match a glob, sorted.
    ///
    /// # Errors
    /// Why they are not known.
    fn tracepoints(&self, _glob: &str) -> Result<Vec<String>, Unreadable> {
        Err(Unreadable::NoKernel)
    }

    /// What a tracepoint's record holds; `None` if there is no such tracepoint.
    ///
    /// # Errors
    /// Why it is not known.
    fn tracepoint(&self, _category: &str, _name: &str) -> Result<Option<Arc<Format>>, Unreadable> {
        Err(Unreadable::NoKernel)
    }

    /// Raw tracepoints that match a glob, sorted; `None` if they are not known.
    fn raw_tracepoints(&self, glob: &str) -> Option<Vec<String>> {
        let mut names: Vec<String> = self.btf()?.raw_tracepoints().collect();
        names.retain(|name| glob::matches(glob, name));
        names.sort_unstable();
        names.dedup();
        Some(names)
    }
}

/// Whether a function can be probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionFact {
    /// It is in the kernel's list.
    Present,
    /// It is not; names near to it, best first, at most three.
    Absent(Vec<String>),
    /// There is no list to look at.
    Unknown,
}

/// A function by its number in the BTF of the kernel or of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FunctionId {
    /// Its type's number.
    pub id: u32,
    /// The kernel's number of the BTF object of the module it is in; 0 for the kernel's own.
    pub object: u32,
}

impl From<u32> for FunctionId {
    /// A function of the kernel itself.
    fn from(id: u32) -> Self {
        FunctionId { id, object: 0 }
    }
}

/// What fentry and fexit need of a function's BTF prototype.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prototype {
    /// The function in BTF.
    pub btf_id: FunctionId,
    /// Number of arguments, at most 12; every one fits 8 bytes and none is a struct by value.
    pub args: u8,
    /// Names of the arguments.
    pub arg_names: Vec<String>,
    /// Bytes of each argument: 1, 2, 4 or 8. Trampolines before 6.6 save no more of it than that.
    pub arg_bytes: Vec<u8>,
    /// Whether the function returns something.
    pub returns: bool,
}

/// A kernel nothing is known of: every function is accepted, none can be lowered.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoKernel;

impl Kernel for NoKernel {
    fn function(&self, _: &str) -> FunctionFact {
        FunctionFact::Unknown
    }

    fn matching_functions(&self, _: &str) -> Option<Vec<String>> {
        None
    }

    fn prototype(&self, _: &str) -> Option<Prototype> {
        None
    }
}
