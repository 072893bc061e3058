//! Where the guest keeps its things: `target/guest`, or the folder named by
//! `HETSYNC_GUEST_DIR`. Nothing outside it is ever written.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use crate::error::{Error, Result, at};

/// The folder for all caches and running guests; made when it is missing.
pub fn home() -> Result<PathBuf> {
    let home = if let Some(dir) = env::var_os("HETSYNC_GUEST_DIR") {
        PathBuf::from(dir)
    } else if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        PathBuf::from(target).join("guest")
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest")
    };
    fs::create_dir_all(&home).map_err(at(&home))?;
    // An absolute path without `..`: apt and QEMU are given it.
    home.canonicalize().map_err(at(&home))
}

/// Holds a lock on a folder until it is dropped, so that tests in several
/// processes fetch and build a thing once.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(at(&path))?;
    file.lock().map_err(at(&path))?;
    Ok(file)
}

/// Removes a folder and what is in it; none there is fine.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(folder)(error)),
        _ => Ok(()),
    }
}

/// Runs a program to its end and returns its standard output; `package` is
/// the Debian package to name when it is not installed.
pub(crate) fn output(command: &mut Command, package: &'static str) -> Result<Vec<u8>> {
    let program = name(command.get_program());
    // Messages are read for names and versions, so they must be English.
    let output = command
        .env("LC_ALL", "C")
        .output()
        .map_err(|source| Error::Missing {
            program: program.clone(),
            package,
            source,
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = said.lines().rev().take(6).collect();
    let detail = match tail.is_empty() {
        true => output.status.to_string(),
        false => tail.into_iter().rev().collect::<Vec<_>>().join("\n"),
    };
    Err(Error::Program { program, detail })
}

fn name(program: &OsStr) -> String {
    Path::new(program)
        .file_name()
        .unwrap_or(program)
        .to_string_lossy()
        .into_owned()
}
