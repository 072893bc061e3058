//! What a program of this machine needs to run elsewhere: its interpreter and
//! its shared libraries, as the machine's own dynamic linker resolves them.
//!
//! Libraries that a program opens while it runs are not found this way.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    error::{Error, Result, at},
    paths::output,
};

/// The libraries and the interpreter of the program at `path`; none for a
/// static program or a script.
pub(crate) fn libraries(path: &Path) -> Result<BTreeSet<PathBuf>> {
    let bytes = fs::read(path).map_err(at(path))?;
    if interpreter(&bytes).is_none() {
        return Ok(BTreeSet::new());
    }
    let text = output(Command::new("ldd").arg(path), "libc-bin")?;
    let text = String::from_utf8_lossy(&text);
    if let Some(missing) = text.lines().find(|line| line.contains("not found")) {
        return Err(Error::Malformed {
            path: path.to_owned(),
            what: format!("a library is missing: {}", missing.trim()),
        });
    }
    Ok(text.lines().filter_map(resolved).collect())
}

/// The interpreter that an ELF program names; its presence is what makes a
/// program dynamic.
fn interpreter(program: &[u8]) -> Option<&[u8]> {
    use object::read::elf::{ElfFile64, ProgramHeader};
    let file = ElfFile64::<object::Endianness>::parse(program).ok()?;
    let endian = file.endian();
    file.elf_program_headers()
        .iter()
        .find_map(|header| header.interpreter(endian, program).ok()?)
}

/// The path in a line of `ldd`: `libc.so.6 => /lib/libc.so.6 (0x..)` or
/// `/lib64/ld-linux-x86-64.so.2 (0x..)`; the kernel's own page has none.
fn resolved(line: &str) -> Option<PathBuf> {
    let (path, _) = line.trim().rsplit_once(" (0x")?;
    let path = path.rsplit_once(" => ").map_or(path, |(_, path)| path);
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_ldd_give_paths() {
        let path = |line: &str| resolved(line).map(|path| path.display().to_string());
        assert_eq!(
            path("\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f00)").as_deref(),
            Some("/lib/x86_64-linux-gnu/libc.so.6")
        );
        assert_eq!(
            path("\t/lib64/ld-linux-x86-64.so.2 (0x00007f00)").as_deref(),
            Some("/lib64/ld-linux-x86-64.so.2")
        );
        assert_eq!(path("\tlinux-vdso.so.1 (0x00007f00)"), None);
        assert_eq!(path("\tstatically linked"), None);
    }

    #[test]
    fn a_dynamic_program_has_libraries_and_a_script_has_none() {
        let own = std::env::current_exe().unwrap();
        let libraries = libraries(&own).unwrap();
        assert!(
            libraries
                .iter()
                .any(|path| path.to_string_lossy().contains("libc.so"))
        );
        assert!(
            libraries
                .iter()
                .any(|path| path.to_string_lossy().contains("ld-linux"))
        );
        let script = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(script.path(), "#!/bin/sh\n").unwrap();
        assert!(super::libraries(script.path()).unwrap().is_empty());
    }
}
