//! Programs from Debian packages, as a file system image for the guest.
//!
//! They come from one release, trixie if no other is asked for, whatever the
//! kernel's release is, with every package they depend on, C library included, so they share nothing with the guest's
//! other programs. A wrapper on the guest's search path runs each with the
//! image as its root; `/proc`, `/sys`, `/dev`, `/run`, `/tmp`, `/root` and
//! `/usr/local` in it are the guest's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use crate::{
    apt::Archive,
    error::{Error, Result, at},
    initramfs::find_program,
    paths::{self, output},
};

/// A release of Debian that packages are taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    #[default]
    Trixie,
    /// What changes every day.
    Sid,
}

impl Suite {
    /// Its name in the archive.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Bookworm => "bookworm",
            Suite::Trixie => "trixie",
            Suite::Sid => "sid",
        }
    }
}

impl FromStr for Suite {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Suite::Bookworm, Suite::Trixie, Suite::Sid]
            .into_iter()
            .find(|suite| suite.name() == text)
            .ok_or_else(|| Error::Usage(format!("\"{text}\" is none of bookworm, trixie, sid")))
    }
}

/// Where the guest finds programs, below the root.
const PROGRAM_FOLDERS: [&str; 4] = ["usr/bin", "usr/sbin", "bin", "sbin"];

/// Folders of the guest that are mounted into the image's tree, and those that
/// every tree has.
const FOLDERS: [&str; 12] = [
    "proc",
    "sys",
    "dev",
    "run",
    "tmp",
    "root",
    "usr/local",
    "usr/bin",
    "usr/sbin",
    "usr/lib",
    "usr/lib64",
    "etc",
];

/// A built image.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// The ext4 image.
    pub(crate) path: PathBuf,
    /// The programs of the packages that were asked for, by their paths in it.
    programs: Vec<String>,
}

impl Image {
    /// A script for each program: its name and its text.
    pub(crate) fn wrappers(&self) -> Vec<(&str, String)> {
        let wrap = |path: &str| {
            // The program starts in the folder it was called in, if its own
            // root has that.
            format!(
                "#!/bin/sh\nexec chroot /packages /usr/bin/busybox sh -c \
                 'cd \"$0\" 2>/dev/null; exec \"$@\"' \"$PWD\" {path} \"$@\"\n"
            )
        };
        self.programs
            .iter()
            .filter_map(|path| Some((path.rsplit('/').next()?, wrap(path))))
            .collect()
    }
}

/// The image of these packages, built if there is none yet; `None` for none.
pub(crate) fn image(home: &Path, suite: Suite, packages: &[String]) -> Result<Option<Image>> {
    if packages.is_empty() {
        return Ok(None);
    }
    let mut names = packages.to_vec();
    names.sort();
    names.dedup();
    let _lock = paths::lock(home)?;
    let mut folder = home.join("packages").join(names.join("_"));
    if suite != Suite::default() {
        folder.as_mut_os_string().push(format!("@{}", suite.name()));
    }
    let path = folder.join("image.ext4");
    let list = folder.join("programs");
    // The list is written last: with it the image is whole.
    if let Ok(text) = fs::read_to_string(&list) {
        let programs = text.lines().map(str::to_owned).collect();
        return Ok(Some(Image { path, programs }));
    }
    paths::remove_folder(&folder)?;
    let archive = Archive::open(home, suite.name(), false)?;
    let closure = archive.closure(&names)?;
    eprintln!(
        "guest: fetching {} packages for {}",
        closure.len(),
        names.join(", ")
    );
    let debs = archive.download(&closure)?;
    let tree = folder.join("tree");
    for name in FOLDERS {
        let path = tree.join(name);
        fs::create_dir_all(&path).map_err(at(&path))?;
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), tree.join(name)).map_err(at(&tree))?;
    }
    let mut programs = Vec::new();
    for deb in &debs {
        unpack(deb, &tree)?;
        let file = deb
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if names
            .iter()
            .any(|name| file.split('_').next() == Some(name))
        {
            // Unpacked once more by itself, to see which programs are its own.
            let own = folder.join("own");
            unpack(deb, &own)?;
            programs.extend(programs_in(&own)?);
            paths::remove_folder(&own)?;
        }
    }
    archive.clean()?;
    add_shell(&tree)?;
    make_image(&tree, &path)?;
    paths::remove_folder(&tree)?;
    programs.sort();
    fs::write(&list, programs.join("\n")).map_err(at(&list))?;
    Ok(Some(Image { path, programs }))
}

fn unpack(deb: &Path, folder: &Path) -> Result<()> {
    output(
        Command::new("dpkg-deb").arg("-x").arg(deb).arg(folder),
        "dpkg",
    )
    .map(drop)
}

/// The programs of one unpacked package, as paths from its root.
fn programs_in(folder: &Path) -> Result<Vec<String>> {
    let mut programs = Vec::new();
    for place in PROGRAM_FOLDERS {
        for entry in fs::read_dir(folder.join(place)).into_iter().flatten() {
            let name = entry.map_err(at(folder))?.file_name();
            programs.push(format!("/{place}/{}", name.to_string_lossy()));
        }
    }
    Ok(programs)
}

/// The wrappers, and programs that call `system(3)`, need a shell in there;
/// dependencies bring none, as every Debian system has one.
fn add_shell(tree: &Path) -> Result<()> {
    let busybox = find_program("busybox", "busybox-static")?;
    fs::copy(&busybox, tree.join("usr/bin/busybox")).map_err(at(&busybox))?;
    let shell = tree.join("usr/bin/sh");
    if shell.symlink_metadata().is_err() {
        std::os::unix::fs::symlink("busybox", &shell).map_err(at(&shell))?;
    }
    for (name, text) in [
        ("passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("group", "root:x:0:\n"),
    ] {
        let path = tree.join("etc").join(name);
        if !path.exists() {
            fs::write(&path, text).map_err(at(&path))?;
        }
    }
    Ok(())
}

/// Packs a tree as ext4; without mounting, so without being root.
fn make_image(tree: &Path, image: &Path) -> Result<()> {
    let (bytes, files) = measure(tree)?;
    let kib = bytes / 1024 * 21 / 20 + files + 8192;
    let mke2fs = find_program("mke2fs", "e2fsprogs")?;
    let mut command = Command::new(mke2fs);
    // It is only ever mounted read-only: no journal, no reserve for root.
    command.args([
        "-q",
        "-t",
        "ext4",
        "-O",
        "^has_journal",
        "-m",
        "0",
        "-b",
        "4096",
    ]);
    command.args(["-N", &(files + 64).to_string(), "-d"]);
    command.arg(tree).arg(image).arg(format!("{kib}k"));
    match output(&mut command, "e2fsprogs") {
        Err(Error::Program { program, detail }) => Err(Error::Program {
            program,
            detail: format!("{detail} (packing {} MiB)", bytes >> 20),
        }),
        other => other.map(drop),
    }
}

/// The space that the files of a tree take, in bytes of whole blocks, and
/// their number.
fn measure(folder: &Path) -> Result<(u64, u64)> {
    let (mut bytes, mut files) = (4096, 1);
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let metadata = entry.metadata().map_err(at(entry.path()))?;
        if metadata.is_dir() {
            let inside = measure(&entry.path())?;
            bytes += inside.0;
            files += inside.1;
        } else {
            bytes += metadata.len().next_multiple_of(4096);
            files += 1;
        }
    }
    Ok((bytes, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_runs_the_program_in_the_image() {
        let image = Image {
            path: PathBuf::from("/image"),
            programs: vec!["/usr/bin/bpftrace".to_owned()],
        };
        let wrappers = image.wrappers();
        assert_eq!(wrappers.len(), 1);
        assert_eq!(wrappers[0].0, "bpftrace");
        assert!(
            wrappers[0]
                .1
                .starts_with("#!/bin/sh\nexec chroot /packages ")
        );
        assert!(wrappers[0].1.ends_with(" /usr/bin/bpftrace \"$@\"\n"));
    }

    #[test]
    fn a_tree_is_measured_in_whole_blocks() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), [0; 4097]).unwrap();
        assert_eq!(measure(folder.path()).unwrap(), (4 * 4096, 3));
    }
}
