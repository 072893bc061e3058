//! Functions in ELF files: where in the file a symbol's first instruction is. uprobes are attached by that place.
//!
//! A symbol's value is an address; the segment that is loaded there says where its bytes are in the file. The two are
//! equal in many programs, and differ in those that LLD links.

use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Endianness, Object, ObjectSymbol, ReadCache, SymbolKind, elf};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Why a program's functions are not known.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is no 64-bit ELF file, or a broken one.
    #[error("{} is no 64-bit ELF file: {reason}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A function of a program or library.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ElfFunction {
    /// Its symbol, without a version.
    pub name: String,
    /// Where in the file it begins.
    pub offset: u64,
    /// Its length; 0 where the symbol does not tell.
    pub bytes: u64,
}

/// Opens a regular file.
pub(super) fn open(path: &Path) -> Result<File, ElfError> {
    let read = |source| ElfError::Read {
        path: path.to_owned(),
        source,
    };
    // Opening a pipe would wait for somebody to write to it.
    if !path.metadata().map_err(read)?.is_file() {
        return Err(ElfError::Elf {
            path: path.to_owned(),
            reason: "not a regular file".to_owned(),
        });
    }
    File::open(path).map_err(read)
}

/// The functions a file defines, by its full and its dynamic symbol table, sorted by name; each name once.
///
/// # Errors
/// The file cannot be read or is no 64-bit ELF file.
pub fn functions(path: &Path) -> Result<Vec<ElfFunction>, ElfError> {
    let broken = |error: object::Error| ElfError::Elf {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let file = open(path)?;
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<Endianness, _>::parse(&cache).map_err(broken)?;
    let endian = elf.endian();
    let headers = elf
        .elf_header()
        .program_headers(endian, &cache)
        .map_err(broken)?;
    let file_offset = |address: u64| {
        let loaded = headers
            .iter()
            .filter(|header| header.p_type(endian) == elf::PT_LOAD);
        loaded
            .filter(|header| {
                let start = header.p_vaddr(endian);
                address >= start && address - start < header.p_filesz(endian)
            })
            .find_map(|header| {
                header
                    .p_offset(endian)
                    .checked_add(address - header.p_vaddr(endian))
            })
    };
    let symbols = elf.symbols().chain(elf.dynamic_symbols());
    let mut found: Vec<ElfFunction> = symbols
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
        .filter_map(|symbol| {
            Some(ElfFunction {
                name: symbol
                    .name()
                    .ok()
                    .filter(|name| !name.is_empty())?
                    .to_owned(),
                offset: file_offset(symbol.address())?,
                bytes: symbol.size(),
            })
        })
        .collect();
    found.sort();
    found.dedup_by(|a, b| a.name == b.name);
    Ok(found)
}

/// The file a script's attach point names: a path, a program on the search path, or a library by its bare name
/// (`libc` is `libc.so.6` where the loader looks for libraries).
pub fn find(written: &str) -> Option<PathBuf> {
    if written.contains('/') {
        return Path::new(written).canonicalize().ok();
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    let program = std::env::split_paths(&search).map(|folder| folder.join(written));
    let libraries = LIBRARIES.iter().flat_map(|folder| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        paths.into_iter().filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.strip_prefix(written))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(".so"))
                // `libc.so` is a text for the linker where compilers are installed.
                && is_elf(path)
        })
    });
    program
        .chain(libraries)
        .find(|path| path.is_file())
        .and_then(|path| path.canonicalize().ok())
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

/// Where the loader looks for libraries on the systems we know.
const LIBRARIES: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/usr/lib",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_librarys_bare_name_means_the_library_and_no_text_for_the_linker() {
        let found = find("libc").expect("this program is linked with it");
        assert!(is_elf(&found), "{}", found.display());
        assert_eq!(find("libnothing_of_this_name"), None);
    }
}
