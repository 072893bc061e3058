//! The kernel this process runs on: its functions by tracefs or kallsyms, their prototypes by BTF.
//!
//! Everything is read when first asked for and kept; [`Running::forget`] gives the memory back.

use super::btf::{Btf, VMLINUX};
use super::names::Names;
use super::symbols::{KALLSYMS, Symbols};
use super::tracepoint::{Format, Tracefs, Unreadable};
use super::{FunctionFact, Kernel, Prototype, glob};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

/// The kernel's own list of functions that can be traced; tracefs at its place or under debugfs.
const TRACEABLE: [&str; 2] = [
    "/sys/kernel/tracing/available_filter_functions",
    "/sys/kernel/debug/tracing/available_filter_functions",
];
/// Functions that kprobes may not be put into: `0xffffffff81000000-0xffffffff81000040 name`, one a line.
const FORBIDDEN: &str = "/sys/kernel/debug/kprobes/blacklist";
/// Where the kernel keeps BTF of itself and its modules.
const BTF_FOLDER: &str = "/sys/kernel/btf";

/// The running kernel.
#[derive(Debug, Default)]
pub struct Running {
    names: OnceLock<Option<Names>>,
    forbidden: OnceLock<Option<Names>>,
    btf: OnceLock<Option<Arc<Btf>>>,
    modules: OnceLock<Vec<Module>>,
    tracefs: OnceLock<Result<Tracefs, Unreadable>>,
    formats: Mutex<HashMap<String, Option<Arc<Format>>>>,
    prototypes: Mutex<HashMap<String, Option<Prototype>>>,
    symbols: OnceLock<Symbols>,
    #[cfg(feature = "kernel")]
    tai_ahead_ns: OnceLock<u64>,
    /// Whether the script may be for another kernel: what this one lacks is not known then.
    one_of_many: bool,
}

/// A loaded module that has BTF.
#[derive(Debug)]
struct Module {
    name: String,
    btf: OnceLock<Option<Btf>>,
}

impl Running {
    /// Nothing is read yet.
    pub fn new() -> Running {
        Running::default()
    }

    /// The same for a script that may run on another kernel: functions that this one lacks are taken on trust.
    pub fn one_of_many() -> Running {
        Running {
            one_of_many: true,
            ..Running::default()
        }
    }

    /// Gives back the memory of what was read (up to some 10 MB). It is read again if asked for.
    pub fn forget(&mut self) {
        self.names.take();
        self.forbidden.take();
        self.symbols.take();
        self.modules.take();
        self.btf.take();
    }

    fn base(&self) -> Option<&Arc<Btf>> {
        self.btf.get_or_init(|| read_btf().map(Arc::new)).as_ref()
    }

    fn names(&self) -> Option<&Names> {
        self.names.get_or_init(read_names).as_ref()
    }

    fn modules(&self) -> &[Module] {
        self.modules.get_or_init(|| {
            let entries = std::fs::read_dir(BTF_FOLDER).into_iter().flatten();
            entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| name != "vmlinux")
                .map(|name| Module {
                    name,
                    btf: OnceLock::new(),
                })
                .collect()
        })
    }

    /// The prototype of a function that only a module has.
    #[cfg(feature = "kernel")]
    fn module_prototype(&self, name: &str) -> Option<Prototype> {
        if self.btf()?.has_function(name) {
            return None;
        }
        let module = self.names()?.module_of(name)?;
        let mut prototype = self.module_btf(module)?.prototype(name)?;
        prototype.btf_id.object = crate::load::sys::module_btf_id(module).ok()?;
        Some(prototype)
    }

    #[cfg(not(feature = "kernel"))]
    fn module_prototype(&self, _: &str) -> Option<Prototype> {
        None
    }

    fn tracefs(&self) -> Result<&Tracefs, Unreadable> {
        self.tracefs
            .get_or_init(Tracefs::find)
            .as_ref()
            .map_err(Unreadable::clone)
    }
}

impl Kernel for Running {
    fn function(&self, name: &str) -> FunctionFact {
        // BTF is read in milliseconds, the list in tens of them; what BTF knows needs no list.
        if self.btf().is_some_and(|btf| btf.has_function(name)) {
            return FunctionFact::Present;
        }
        match self.names() {
            Some(names) => match names.fact(name) {
                FunctionFact::Absent(_) if self.one_of_many => FunctionFact::Unknown,
                fact => fact,
            },
            None => FunctionFact::Unknown,
        }
    }

    fn matching_functions(&self, pattern: &str) -> Option<Vec<String>> {
        Some(self.names()?.matching(pattern))
    }

    fn is_forbidden(&self, function: &str) -> bool {
        let read = || {
            Some(Names::of_forbidden(
                std::fs::read_to_string(FORBIDDEN).ok()?,
            ))
        };
        let forbidden = self.forbidden.get_or_init(read).as_ref();
        forbidden.is_some_and(|names| names.contains(function))
    }

    fn prototype(&self, name: &str) -> Option<Prototype> {
        // Each stage asks again.
        let mut known = self.prototypes.lock().ok()?;
        if let Some(prototype) = known.get(name) {
            return prototype.clone();
        }
        let own = self.btf().and_then(|btf| btf.prototype(name));
        let prototype = own.or_else(|| self.module_prototype(name));
        known.insert(name.to_owned(), prototype.clone());
        prototype
    }

    fn address(&self, symbol: &str) -> Option<Option<u64>> {
        let symbols = self.symbols.get_or_init(Symbols::read);
        (!symbols.is_empty()).then(|| symbols.address(symbol))
    }

    #[cfg(feature = "kernel")]
    fn tai_ahead_ns(&self) -> u64 {
        *self
            .tai_ahead_ns
            .get_or_init(crate::load::sys::tai_ahead_ns)
    }

    fn btf(&self) -> Option<&Btf> {
        self.base().map(AsRef::as_ref)
    }

    fn module_btf(&self, module: &str) -> Option<&Btf> {
        let known = self.modules().iter().find(|known| known.name == module)?;
        let read = || {
            let path = Path::new(BTF_FOLDER).join(&known.name);
            Btf::read_module(&path, self.base()?.clone()).ok()
        };
        known.btf.get_or_init(read).as_ref()
    }

    fn typed_function(&self, name: &str) -> Option<(&Btf, super::btf::Function)> {
        let own = self.btf().and_then(|btf| Some((btf, btf.function(name)?)));
        own.or_else(|| {
            // Only the module that has it is read: its name is in the list of functions.
            let btf = self.module_btf(self.names()?.module_of(name)?)?;
            Some((btf, btf.function(name)?))
        })
    }

    fn module_of(&self, function: &str) -> Option<String> {
        let names = self.names()?;
        names.contains(function).then(|| {
            let module = names.module_of(function);
            module.unwrap_or("vmlinux").to_owned()
        })
    }

    fn tracepoints(&self, pattern: &str) -> Result<Vec<String>, Unreadable> {
        let mut names = self.tracefs()?.names()?;
        names.retain(|name| glob::matches(pattern, name));
        Ok(names)
    }

    fn tracepoint(&self, category: &str, name: &str) -> Result<Option<Arc<Format>>, Unreadable> {
        let key = format!("{category}:{name}");
        if let Ok(known) = self.formats.lock()
            && let Some(format) = known.get(&key)
        {
            return Ok(format.clone());
        }
        let format = self.tracefs()?.format(category, name)?.map(Arc::new);
        if let Ok(mut known) = self.formats.lock() {
            known.insert(key, format.clone());
        }
        Ok(format)
    }
}

/// Whether the kernel shows functions that ftrace can trace, on which fentry and fexit rest.
pub fn has_ftrace() -> bool {
    TRACEABLE.iter().any(|path| Path::new(path).exists())
}

/// Whether the kernel has kprobes, as its files show it: perf events of them.
pub fn has_kprobes() -> bool {
    Path::new("/sys/bus/event_source/devices/kprobe").exists()
}

fn read_btf() -> Option<Btf> {
    // In one piece where the kernel gives it so; the file works everywhere and for everybody.
    #[cfg(feature = "kernel")]
    if let Ok(bytes) = crate::load::sys::vmlinux_btf()
        && let Ok(btf) = Btf::parse(bytes)
    {
        return Some(btf);
    }
    Btf::read(Path::new(VMLINUX)).ok()
}

fn read_names() -> Option<Names> {
    let text = |path: &str| {
        let bytes = std::fs::read(path).ok()?;
        String::from_utf8(bytes)
            .ok()
            .filter(|text| text.len() < u32::MAX as usize)
    };
    let traceable = TRACEABLE.into_iter().find_map(text);
    let names = match traceable {
        Some(text) => Names::of_functions(text),
        None => Names::of_symbols(text(KALLSYMS)?),
    };
    (!names.is_empty()).then_some(names)
}
