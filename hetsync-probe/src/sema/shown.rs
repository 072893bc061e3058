//! What the functions of a script compute, and values that only user space can put into words.
//!
//! A [`Function`] is computed where the probe fires, from its arguments. A [`Shown`] value travels as a number (and, where
//! the number means something in one process only, that process); what stands for it in the output is looked up when it is
//! printed.

use std::fmt;
use std::sync::Arc;

use super::hir::MapId;

/// What a call computes from its arguments, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Function {
    /// An internet address from its family and the bytes as they are sent: an integer whose low four are version 4, or an array
    /// of 4 or 16 of which the family says how many count.
    Internet,
    /// A flow from its family, its own port and the peer's in the host's byte order, and both addresses as of
    /// [`Function::Internet`].
    Flow,
    /// A hardware address from an array of at least 6 bytes.
    Hardware,
    /// The low 2, 4 or 8 bytes of an integer in the other order.
    Swap(u8),
    /// The array of these bytes; it has no arguments.
    Constant(Arc<[u8]>),
    /// Bytes from an address and their number, of which at most one less than the buffer's capacity are taken: `true` for the
    /// memory of the process.
    Buffer {
        /// Whether the address is the process's.
        user: bool,
    },
    /// A string from an address and the most bytes of its text, which are kept below the capacity.
    Text {
        /// Whether the address is the process's.
        user: bool,
    },
    /// A buffer with all bytes of an array.
    Whole,
    /// 1 where the first bytes, this many, of two strings differ up to the end of either; else 0.
    Differ(u32),
    /// How the first bytes, this many, of two values compare: the difference of the first two bytes that differ, else 0. What
    /// a value has no more bytes for is zeros.
    Order(u32),
    /// 1 where the string contains these bytes, none of them NUL.
    Contains(Arc<[u8]>),
    /// Bytes of a string before its NUL.
    Length,
    /// 1 where the map has the key the arguments make.
    HasKey(MapId),
    /// How many keys the map has; it has no arguments.
    Entries(MapId),
    /// A value that means something in the current process: the number, then the process's id.
    InProcess,
    /// The number of the current stack of calls, at most this many, of the process or else of the kernel; negative where
    /// there is none.
    Stack {
        /// Most frames.
        frames: u16,
        /// Whether it is the process's own.
        user: bool,
    },
    /// Sends the current thread's process a signal; 0 once it is on its way.
    Signal,
    /// The kernel's number of the socket whose `struct sock` is at an address, which is made where there is none yet; 0 for no
    /// socket.
    SocketCookie,
}

impl Function {
    /// How it is called in messages and dumps.
    pub fn name(&self) -> &'static str {
        match self {
            Function::Internet => "ntop",
            Function::Flow => "flow",
            Function::Hardware => "macaddr",
            Function::Swap(_) => "bswap",
            Function::Constant(_) => "pton",
            Function::Buffer { .. } | Function::Whole => "buf",
            Function::Text { .. } => "str",
            Function::Differ(_) => "strncmp",
            Function::Order(_) => "memcmp",
            Function::Contains(_) => "strcontains",
            Function::Length => "strlen",
            Function::HasKey(_) => "has_key",
            Function::Entries(_) => "len",
            Function::InProcess => "in_process",
            Function::Stack { user: false, .. } => "kstack",
            Function::Stack { user: true, .. } => "ustack",
            Function::Signal => "signal",
            Function::SocketCookie => "socket_cookie",
        }
    }

    /// Whether a call changes something besides its value.
    pub fn has_effect(&self) -> bool {
        matches!(self, Function::Signal)
    }
}

/// A number that user space puts into words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Shown {
    /// An address in the kernel: function and offset.
    KernelAddress,
    /// An address in a process, then the process's id.
    UserAddress,
    /// Number of a stack of calls in the kernel.
    KernelStack(StackForm),
    /// Number of a stack of calls in a process, then the process's id.
    UserStack(StackForm),
    /// Nanoseconds since boot, as the date and time they were.
    Time(Arc<str>),
    /// A user's id.
    User,
    /// An error's number.
    Error,
    /// A signal's number.
    Signal,
    /// A system call's number.
    Syscall,
    /// A cgroup's id.
    Cgroup,
}

/// How a stack is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StackForm {
    /// Most frames kept.
    pub frames: u16,
    /// How a line looks.
    pub mode: StackMode,
}

/// How a frame of a stack is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StackMode {
    /// `function+offset`, indented.
    #[default]
    Plain,
    /// As `perf script` does: address, function, module.
    Perf,
    /// The address alone.
    Raw,
}

impl StackMode {
    /// The form of this name.
    pub fn named(name: &str) -> Option<StackMode> {
        match name {
            "bpftrace" => Some(StackMode::Plain),
            "perf" => Some(StackMode::Perf),
            "raw" => Some(StackMode::Raw),
            _ => None,
        }
    }
}

impl Shown {
    /// Bytes of such a value.
    pub fn size(&self) -> usize {
        match self {
            Shown::UserAddress | Shown::UserStack(_) => 16,
            _ => 8,
        }
    }

    /// What to call it in a message.
    pub fn describe(&self) -> &'static str {
        match self {
            Shown::KernelAddress | Shown::UserAddress => "a symbol",
            Shown::KernelStack(_) | Shown::UserStack(_) => "a stack",
            Shown::Time(_) => "a time",
            Shown::User => "a user's name",
            Shown::Error => "an error's text",
            Shown::Signal => "a signal's name",
            Shown::Syscall => "a system call's name",
            Shown::Cgroup => "a cgroup's path",
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::KernelAddress => f.write_str("ksym"),
            Shown::UserAddress => f.write_str("usym"),
            Shown::KernelStack(form) => write!(f, "kstack[{}]", form.frames),
            Shown::UserStack(form) => write!(f, "ustack[{}]", form.frames),
            Shown::Time(_) => f.write_str("timestamp"),
            Shown::User => f.write_str("username"),
            Shown::Error => f.write_str("strerror"),
            Shown::Signal => f.write_str("signal_name"),
            Shown::Syscall => f.write_str("syscall_name"),
            Shown::Cgroup => f.write_str("cgroup_path"),
        }
    }
}
