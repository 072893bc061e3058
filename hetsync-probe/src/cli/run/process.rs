//! Names of addresses in a process: what is mapped where, and the symbols of those files.

use std::collections::HashMap;
use std::fs;

use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

/// Largest file whose symbols are read.
const FILE_BYTES: u64 = 1 << 30;

/// What is known of a process; it may have ended since.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    mappings: Vec<Mapping>,
    /// By path; empty where there is nothing to read.
    files: HashMap<String, Symbols>,
}

/// A part of a file in memory.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    /// Where in the file it begins.
    offset: u64,
    path: String,
}

/// Functions of a file.
#[derive(Debug, Default)]
struct Symbols {
    /// Parts of the file that are loaded: offset in the file, bytes, address.
    segments: Vec<(u64, u64, u64)>,
    /// Sorted by address: address, bytes, name.
    functions: Vec<(u64, u64, String)>,
}

impl Process {
    /// Looks at a process.
    pub(super) fn new(pid: u32) -> Process {
        Process {
            pid,
            mappings: mappings(pid),
            files: HashMap::new(),
        }
    }

    /// The function at an address and bytes past its start.
    pub(super) fn find(&mut self, address: u64) -> Option<(&str, u64)> {
        if self.mapping(address).is_none() {
            // Something may have been loaded since; a process that has ended keeps what it had.
            let now = mappings(self.pid);
            if !now.is_empty() {
                self.mappings = now;
            }
        }
        let mapping = self.mapping(address)?;
        let (path, in_file) = (
            mapping.path.clone(),
            address - mapping.start + mapping.offset,
        );
        let pid = self.pid;
        let symbols = self.files.entry(path);
        let symbols =
            symbols.or_insert_with_key(|path| Symbols::read(pid, path).unwrap_or_default());
        symbols.find(in_file)
    }

    /// The file an address is in.
    pub(super) fn file(&self, address: u64) -> Option<&str> {
        Some(&self.mapping(address)?.path)
    }

    fn mapping(&self, address: u64) -> Option<&Mapping> {
        let inside = |m: &&Mapping| (m.start..m.end).contains(&address);
        self.mappings.iter().find(inside)
    }
}

fn mappings(pid: u32) -> Vec<Mapping> {
    let text = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    text.lines().filter_map(mapping).collect()
}

/// A line of `/proc/PID/maps` that is code of a file.
fn mapping(line: &str) -> Option<Mapping> {
    // `7f3a1c000000-7f3a1c021000 r-xp 00002000 08:01 131 /usr/lib/libc.so.6`
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let may = words.next()?;
    let offset = words.next()?;
    let path = words.nth(2)?.trim_start();
    let hex = |text| u64::from_str_radix(text, 16).ok();
    (may.contains('x') && path.starts_with('/')).then_some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        path: path.to_owned(),
    })
}

impl Symbols {
    /// The functions of a file as the process sees it.
    fn read(pid: u32, path: &str) -> Option<Symbols> {
        let seen = format!("/proc/{pid}/root{path}");
        let path = if fs::metadata(&seen).is_ok() {
            seen.as_str()
        } else {
            path
        };
        if fs::metadata(path).ok()?.len() > FILE_BYTES {
            return None;
        }
        Self::parse(&fs::read(path).ok()?)
    }

    fn parse(bytes: &[u8]) -> Option<Symbols> {
        let file = object::File::parse(bytes).ok()?;
        let segments = file.segments().map(|segment| {
            let (offset, bytes) = segment.file_range();
            (offset, bytes, segment.address())
        });
        let symbols = file.symbols().chain(file.dynamic_symbols());
        let function = |symbol: object::Symbol<'_, '_>| {
            let named = symbol.kind() == SymbolKind::Text && symbol.is_definition();
            let name = symbol
                .name()
                .ok()
                .filter(|name| !name.is_empty() && named)?;
            Some((symbol.address(), symbol.size(), name.to_owned()))
        };
        let mut functions: Vec<_> = symbols.filter_map(function).collect();
        functions.sort();
        functions.dedup_by_key(|function| function.0);
        Some(Symbols {
            segments: segments.collect(),
            functions,
        })
    }

    fn find(&self, in_file: u64) -> Option<(&str, u64)> {
        let inside = |(offset, bytes, _): &&(u64, u64, u64)| {
            in_file
                .checked_sub(*offset)
                .is_some_and(|past| past < *bytes)
        };
        let (offset, _, start) = self.segments.iter().find(inside)?;
        let address = in_file - offset + start;
        let after = self.functions.partition_point(|f| f.0 <= address);
        let (at, bytes, name) = self.functions.get(after.checked_sub(1)?)?;
        let past = address - at;
        (past < (*bytes).max(1)).then_some((name, past))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps_are_read() {
        let line = "7f00-8f00 r-xp 00002000 08:01 131                 /usr/lib/a b.so";
        let expected = Mapping {
            start: 0x7f00,
            end: 0x8f00,
            offset: 0x2000,
            path: "/usr/lib/a b.so".into(),
        };
        assert_eq!(mapping(line), Some(expected));
        for other in [
            "7f00-8f00 rw-p 00002000 08:01 131 /usr/lib/a.so",
            "7f00-8f00 r-xp 00000000 00:00 0 [vdso]",
            "7f00-8f00 r-xp 00000000 00:00 0 ",
            "7f00 r-xp",
            "",
        ] {
            assert_eq!(mapping(other), None, "{other}");
        }
    }

    #[test]
    fn a_function_of_this_process_has_its_name() {
        let mut process = Process::new(std::process::id());
        let address = lines_of_maps_are_read as fn() as usize as u64;
        let (name, offset) = process.find(address + 1).unwrap();
        assert!(name.contains("lines_of_maps_are_read"), "{name}");
        assert_eq!(offset, 1);
        assert!(process.find(1).is_none());
    }
}
