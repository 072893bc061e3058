//! What planning asks of a kernel: what it takes, beyond the functions that it has.

use crate::kernel::FunctionId;

/// What planning needs to know of a kernel beyond its functions.
pub trait Facts {
    /// Whether the kernel takes an fentry (or fexit) program for the function with this BTF id.
    fn takes_trampoline(&self, btf_id: FunctionId, on_return: bool) -> bool;

    /// Whether it has atomic fetch-and-add.
    fn atomic_fetch(&self) -> bool;

    /// Whether a program can look at what other CPUs keep in a map (5.19 on).
    fn percpu_lookup(&self) -> bool {
        false
    }

    /// Whether a program can ask for International Atomic Time (6.1 on).
    fn tai_clock(&self) -> bool {
        false
    }

    /// Whether an fentry program can ask for the number of the socket that is the first argument of the function with this
    /// BTF id (5.12 on).
    fn socket_cookie(&self, _btf_id: FunctionId) -> bool {
        false
    }

    /// Whether the kernel can call a function of a program for each entry of a map (5.13 on).
    fn for_each(&self) -> bool {
        true
    }

    /// Whether one program can be attached to many functions at once (5.18 on).
    fn kprobe_multi(&self) -> bool {
        false
    }

    /// Whether a [`Session`](crate::load::Session) loads the programs, which shuts their gate before it detaches them
    /// ([`crate::image::Image::gate`]) and knows where maps of a group have their values ([`groups`](super::groups)).
    fn session(&self) -> bool {
        false
    }

    /// Its possible CPUs.
    fn cpus(&self) -> u32;

    /// Whether maps may have fronts ([`crate::layout::front`]): whoever reads such a map has to know of them, and the
    /// processor must keep the order of writes.
    fn fronts(&self) -> bool {
        false
    }
}

/// The running kernel, asked by trying.
#[cfg(feature = "kernel")]
#[derive(Debug, Clone, Copy, Default)]
pub struct Tried;

#[cfg(feature = "kernel")]
impl Facts for Tried {
    fn takes_trampoline(&self, btf_id: FunctionId, on_return: bool) -> bool {
        crate::kernel::features::try_fentry(btf_id, on_return).is_ok()
    }

    fn atomic_fetch(&self) -> bool {
        crate::kernel::features::atomic_fetch()
    }

    fn percpu_lookup(&self) -> bool {
        crate::kernel::features::percpu_lookup()
    }

    fn tai_clock(&self) -> bool {
        crate::kernel::features::tai_clock()
    }

    fn socket_cookie(&self, btf_id: FunctionId) -> bool {
        crate::kernel::features::socket_cookie(btf_id)
    }

    fn for_each(&self) -> bool {
        crate::kernel::features::for_each()
    }

    fn kprobe_multi(&self) -> bool {
        crate::kernel::features::kprobe_multi().yes()
    }

    fn fronts(&self) -> bool {
        cfg!(target_arch = "x86_64")
    }

    fn session(&self) -> bool {
        true
    }

    fn cpus(&self) -> u32 {
        // Without the file a map cannot be made either, and that error is the one to show.
        crate::load::sys::possible_cpus().map_or(1, |cpus| cpus as u32)
    }
}

/// A kernel that has nothing but kprobes: what `build` and `--emit` compile for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Facts for Plain {
    fn takes_trampoline(&self, _: FunctionId, _: bool) -> bool {
        false
    }

    fn atomic_fetch(&self) -> bool {
        false
    }

    fn cpus(&self) -> u32 {
        1
    }
}
