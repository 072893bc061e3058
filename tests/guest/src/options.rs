//! What a guest is to be: its kernel, its size, and what lies in it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    error::{Error, Result},
    kernel::Kernel,
    packages::Suite,
};

/// What to boot. Start from [`Options::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kernel; [`Kernel::Host`] needs no guest.
    pub kernel: Kernel,
    /// Files and folders of the host and their paths in the guest; a relative
    /// path is taken from the folder that commands start in, `/root`.
    pub files: Vec<(PathBuf, String)>,
    /// Programs of the host, put on the guest's search path with the shared
    /// libraries they need.
    pub programs: Vec<PathBuf>,
    /// Debian packages whose programs the guest has, each run with its own
    /// release's libraries.
    pub packages: Vec<String>,
    /// The release that they are taken from.
    pub suite: Suite,
    /// Kernel modules to load beside the usual ones.
    pub modules: Vec<String>,
    /// Processors; one if [`Options::icount`] is set.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Let the guest's clock advance with the instructions it executes: what
    /// is timed in it then repeats within about one percent.
    pub icount: bool,
    /// The longest a boot may take before it is ended.
    pub boot_timeout: Duration,
    /// Further words for the kernel's command line.
    pub append: String,
    /// Further arguments for QEMU, such as a second network card.
    pub qemu_args: Vec<String>,
}

impl Options {
    /// Two processors, 1 GiB of memory, nothing added.
    pub fn new(kernel: Kernel) -> Self {
        Options {
            kernel,
            files: Vec::new(),
            programs: Vec::new(),
            packages: Vec::new(),
            suite: Suite::default(),
            modules: Vec::new(),
            cpus: 2,
            memory_mib: 1024,
            icount: false,
            boot_timeout: Duration::from_secs(120),
            append: String::new(),
            qemu_args: Vec::new(),
        }
    }

    /// Adds a file or a folder of the host.
    #[must_use]
    pub fn file(mut self, host: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.files.push((host.into(), guest.into()));
        self
    }

    /// Adds a program of the host.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.programs.push(path.into());
        self
    }

    /// Adds a Debian package.
    #[must_use]
    pub fn package(mut self, name: impl Into<String>) -> Self {
        self.packages.push(name.into());
        self
    }

    /// Takes the packages from another release.
    #[must_use]
    pub fn suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Checks the sizes before anything is started with them.
    pub(crate) fn check(&self) -> Result<()> {
        let usage = |text: String| Err(Error::Usage(text));
        if !(1..=64).contains(&self.cpus) {
            return usage(format!("{} processors: it is 1 to 64", self.cpus));
        }
        if !(256..=65_536).contains(&self.memory_mib) {
            return usage(format!(
                "{} MiB of memory: it is 256 to 65536",
                self.memory_mib
            ));
        }
        if self.append.len() > 1024 {
            return usage("the kernel's command line is longer than 1024 bytes".to_owned());
        }
        if let Some(name) = self.packages.iter().find(|name| !is_package_name(name)) {
            return usage(format!("\"{name}\" is no package name"));
        }
        Ok(())
    }
}

/// Debian Policy 5.6.7: lower-case letters, digits, plus, minus, full stop.
fn is_package_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.len() <= 128
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ['+', '-', '.'].contains(&c))
}

/// The last part of a path, as the name of a file in the guest.
pub(crate) fn file_name(path: &Path) -> Result<String> {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .ok_or_else(|| Error::Usage(format!("{} does not name a file", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_names_that_cannot_be_are_refused() {
        let good = Options::new(Kernel::V6_1).package("libc6").package("g++");
        assert!(good.check().is_ok());
        let mut bad = good.clone();
        bad.cpus = 0;
        assert_eq!(
            bad.check().unwrap_err().to_string(),
            "0 processors: it is 1 to 64"
        );
        let mut bad = good.clone();
        bad.memory_mib = 16;
        assert!(bad.check().is_err());
        for name in ["--option", "a b", "", "Upper", "a;b"] {
            assert!(good.clone().package(name).check().is_err(), "{name}");
        }
    }
}
