//! What the numbers of a script stand for: symbols of addresses, stacks of calls, times, names of users and cgroups.
//!
//! Everything is read when it is first needed and kept, so that a process that has ended since is still known by what was seen of it.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::process::Process;
use super::readable::readable;
use crate::image::MapKind;
use crate::kernel::symbols::Symbols;
use crate::layout::word;
use crate::load::Session;
use crate::load::sys::{booted_at_ns, time_of_day};
use crate::report::names::{Lookup, signal_name};
use crate::sema::hir::{Shown, StackForm, StackMode};

/// Where cgroups are.
const CGROUPS: &str = "/sys/fs/cgroup";
/// Deepest cgroup looked at.
const CGROUP_DEPTH: usize = 16;

/// What has been looked up.
#[derive(Debug)]
pub(super) struct Words {
    booted_at_ns: i128,
    /// Whether names of C++ and Rust functions are made readable.
    demangle: bool,
    kernel: OnceCell<Symbols>,
    processes: RefCell<HashMap<u32, Process>>,
    stacks: RefCell<HashMap<(u16, i32), Vec<u64>>>,
    users: OnceCell<HashMap<u32, String>>,
    cgroups: RefCell<HashMap<u64, String>>,
}

impl Words {
    pub(super) fn new(demangle: bool) -> Self {
        Words {
            demangle,
            booted_at_ns: booted_at_ns(),
            kernel: OnceCell::new(),
            processes: RefCell::default(),
            stacks: RefCell::default(),
            users: OnceCell::new(),
            cgroups: RefCell::default(),
        }
    }

    /// The words with the maps of a session.
    pub(super) fn of<'a>(&'a self, session: &'a Session) -> Lookups<'a> {
        Lookups {
            words: self,
            session,
        }
    }
}

/// Looks up numbers of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookups<'a> {
    words: &'a Words,
    session: &'a Session,
}

impl Lookup for Lookups<'_> {
    fn text(&self, shown: &Shown, bytes: &[u8]) -> Vec<u8> {
        let number = word(bytes, 0);
        let process = || word(bytes, 1) as u32;
        let plain = || (number as i64).to_string();
        match shown {
            Shown::Time(form) => {
                let then = self.words.booted_at_ns + i128::from(number);
                return time_of_day(form, then).unwrap_or_default();
            }
            Shown::KernelAddress => self.kernel_symbol(number, false),
            Shown::UserAddress => self.user_symbol(process(), number, false),
            Shown::KernelStack(form) => self.stack(*form, number, None),
            Shown::UserStack(form) => self.stack(*form, number, Some(process())),
            Shown::User => self.user(number as u32),
            Shown::Error => error_text(number as i32),
            Shown::Signal => signal_name(number as i64).map_or_else(plain, str::to_owned),
            Shown::Syscall => syscall_name(number).map_or_else(plain, str::to_owned),
            Shown::Cgroup => self.cgroup(number),
        }
        .into_bytes()
    }
}

impl Lookups<'_> {
    fn kernel_symbol(&self, address: u64, with_offset: bool) -> String {
        let symbols = self.words.kernel.get_or_init(Symbols::read);
        match symbols.find(address) {
            Some(found) if with_offset => format!("{}+{}", found.name, found.offset),
            Some(found) => found.name.to_owned(),
            None => format!("{address:#x}"),
        }
    }

    fn user_symbol(&self, process: u32, address: u64, with_offset: bool) -> String {
        let mut processes = self.words.processes.borrow_mut();
        let process = processes
            .entry(process)
            .or_insert_with_key(|pid| Process::new(*pid));
        let Some((name, offset)) = process.find(address) else {
            return format!("{address:#x}");
        };
        let name = match self.words.demangle {
            true => readable(name),
            false => name.into(),
        };
        match with_offset {
            true => format!("{name}+{offset}"),
            false => name.into_owned(),
        }
    }

    /// Frames one a line, innermost first, behind an empty line; one empty line where there is no stack.
    fn stack(&self, form: StackForm, number: u64, process: Option<u32>) -> String {
        let mut text = String::from("\n");
        for address in self.frames(form.frames, number) {
            // Writing to a string cannot fail.
            let _ = match (form.mode, process) {
                (StackMode::Raw, _) => writeln!(text, "{address:x}"),
                (StackMode::Plain, None) => {
                    writeln!(text, "        {}", self.kernel_symbol(address, true))
                }
                (StackMode::Plain, Some(process)) => {
                    writeln!(text, "        {}", self.user_symbol(process, address, true))
                }
                (StackMode::Perf, None) => {
                    let symbol = self.kernel_symbol(address, true);
                    writeln!(text, "\t{address:x} {symbol}")
                }
                (StackMode::Perf, Some(process)) => {
                    let symbol = self.user_symbol(process, address, true);
                    let file = self.user_file(process, address);
                    writeln!(text, "\t{address:x} {symbol} ({file})")
                }
            };
        }
        text
    }

    /// The file an address is in.
    fn user_file(&self, process: u32, address: u64) -> String {
        let mut processes = self.words.processes.borrow_mut();
        let process = processes
            .entry(process)
            .or_insert_with_key(|pid| Process::new(*pid));
        process.file(address).unwrap_or("[unknown]").to_owned()
    }

    fn frames(&self, depth: u16, number: u64) -> Vec<u64> {
        let Ok(id) = i32::try_from(number as i64) else {
            return Vec::new();
        };
        if id < 0 {
            return Vec::new();
        }
        let mut known = self.words.stacks.borrow_mut();
        let read = || self.read_stack(depth, id).unwrap_or_default();
        known.entry((depth, id)).or_insert_with(read).clone()
    }

    fn read_stack(&self, depth: u16, id: i32) -> Option<Vec<u64>> {
        let bytes = 8 * u32::from(depth);
        let maps = (0..).map_while(|map| self.session.map(map).ok());
        let mut stacks = maps
            .filter(|map| map.spec().kind == MapKind::StackTrace && map.spec().value_size == bytes);
        let value = stacks.next()?.lookup(&id.to_le_bytes()).ok()??;
        let frames = (0..value.len() / 8).map(|at| word(&value, at));
        Some(frames.take_while(|&address| address != 0).collect())
    }

    fn user(&self, uid: u32) -> String {
        let users = self.words.users.get_or_init(users);
        match users.get(&uid) {
            Some(name) => name.clone(),
            None => uid.to_string(),
        }
    }

    fn cgroup(&self, id: u64) -> String {
        let mut known = self.words.cgroups.borrow_mut();
        let find = || find_cgroup(Path::new(CGROUPS), id, CGROUP_DEPTH);
        if let Some(path) = known.get(&id) {
            return path.clone();
        }
        let found = find().unwrap_or_else(|| id.to_string());
        known.insert(id, found.clone());
        found
    }
}

/// Names of users by their ids.
fn users() -> HashMap<u32, String> {
    let table = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.parse().ok()?, name))
    };
    table.lines().filter_map(user).collect()
}

/// The path of the cgroup with this id: its folder's inode has the same number.
fn find_cgroup(folder: &Path, id: u64, depth: usize) -> Option<String> {
    if std::fs::metadata(folder).ok()?.ino() == id {
        let below = folder.strip_prefix(CGROUPS).ok()?.display().to_string();
        return Some(format!("/{below}"));
    }
    let depth = depth.checked_sub(1)?;
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders
        .into_iter()
        .find_map(|entry| find_cgroup(&entry.path(), id, depth))
}

/// The C library's words for an error.
fn error_text(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The name of a system call of this machine.
fn syscall_name(number: u64) -> Option<&'static str> {
    let number = usize::try_from(number).ok()?;
    Some(syscalls::Sysno::new(number)?.name())
}
