//! Facts about a kernel: the running one, or files taken from one. Facts only; nothing here changes a kernel.

pub mod btf;
#[cfg(feature = "kernel")]
pub mod features;
pub mod glob;
pub mod running;
pub mod symbols;

/// What the rest of the compiler asks about a kernel. Every answer may be "not known":
/// a script can be checked on a machine that is not the one it will run on.
pub trait Kernel {
    /// Whether a function can be probed.
    fn function(&self, name: &str) -> FunctionFact;

    /// Names of probeable functions that match a glob of `*` and `?`, sorted; `None` if the list is not known.
    fn matching_functions(&self, glob: &str) -> Option<Vec<String>>;

    /// The function's prototype from BTF, if there is one that fentry can attach to.
    fn prototype(&self, name: &str) -> Option<Prototype>;
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

/// What fentry and fexit need of a function's BTF prototype.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prototype {
    /// BTF type id of the function in vmlinux.
    pub btf_id: u32,
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
