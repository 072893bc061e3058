//! The kernels the guest can boot: Debian's cloud kernels by version, fetched
//! as packages once and kept under the guest's folder.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    str::FromStr,
};

use crate::{
    apt::Archive,
    error::{Error, Result, at},
    paths::{self, output},
};

/// Which kernel a guest runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// 5.10, from Debian 11 (bullseye).
    V5_10,
    /// 6.1, from Debian 12 (bookworm).
    V6_1,
    /// 6.12, from Debian 13 (trixie).
    V6_12,
    /// No guest at all: this machine's own kernel.
    Host,
}

impl Kernel {
    /// The kernels that are booted in a guest, oldest first.
    pub const GUESTS: [Kernel; 3] = [Kernel::V5_10, Kernel::V6_1, Kernel::V6_12];

    /// What `HETSYNC_KERNEL` names, if it is set to something.
    ///
    /// # Errors
    /// [`Error::Usage`] if it names no kernel.
    pub fn from_env() -> Result<Option<Kernel>> {
        match env::var("HETSYNC_KERNEL") {
            Ok(name) if !name.is_empty() => name.parse().map(Some),
            _ => Ok(None),
        }
    }

    /// The kernels a test should run on: the one that `HETSYNC_KERNEL` names,
    /// else all of [`Kernel::GUESTS`].
    ///
    /// # Errors
    /// [`Error::Usage`] if `HETSYNC_KERNEL` names no kernel.
    pub fn under_test() -> Result<Vec<Kernel>> {
        Ok(match Kernel::from_env()? {
            Some(kernel) => vec![kernel],
            None => Kernel::GUESTS.to_vec(),
        })
    }

    /// The Debian release that has it; `None` for the host.
    fn suite(self) -> Option<&'static str> {
        match self {
            Kernel::V5_10 => Some("bullseye"),
            Kernel::V6_1 => Some("bookworm"),
            Kernel::V6_12 => Some("trixie"),
            Kernel::Host => None,
        }
    }

    /// Fetches the kernel if it is not there yet, and says where its parts are.
    ///
    /// # Errors
    /// Any of apt, with what it said; [`Error::Usage`] for [`Kernel::Host`].
    pub fn fetch(self) -> Result<Files> {
        let Some(suite) = self.suite() else {
            return Err(Error::Usage(
                "the host's own kernel is not fetched".to_owned(),
            ));
        };
        let home = paths::home()?;
        let _lock = paths::lock(&home)?;
        let folder = home.join(format!("kernel-{self}"));
        // The file `release` is written last: with it the folder is whole.
        if let Ok(release) = fs::read_to_string(folder.join("release")) {
            return Files::in_folder(&folder, release.trim());
        }
        paths::remove_folder(&folder)?;
        let archive = Archive::open(&home, suite, self == Kernel::V5_10)?;
        let package = archive.follow("linux-image-cloud-amd64")?;
        eprintln!("guest: fetching {package}");
        for deb in archive.download(std::slice::from_ref(&package))? {
            output(
                Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&folder),
                "dpkg",
            )?;
        }
        archive.clean()?;
        let release = package
            .strip_prefix("linux-image-")
            .unwrap_or(&package)
            .to_owned();
        let files = Files::in_folder(&folder, &release)?;
        fs::write(folder.join("release"), &release).map_err(at(&folder))?;
        Ok(files)
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kernel::V5_10 => "5.10",
            Kernel::V6_1 => "6.1",
            Kernel::V6_12 => "6.12",
            Kernel::Host => "host",
        })
    }
}

impl FromStr for Kernel {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Kernel::V5_10, Kernel::V6_1, Kernel::V6_12, Kernel::Host]
            .into_iter()
            .find(|kernel| kernel.to_string() == name)
            .ok_or_else(|| {
                Error::Usage(format!(
                    "no kernel \"{name}\": it is 5.10, 6.1, 6.12, or host"
                ))
            })
    }
}

/// The parts of a fetched kernel.
#[derive(Clone, Debug)]
pub struct Files {
    /// What `uname -r` says on it.
    pub release: String,
    /// The compressed image that boots.
    pub vmlinuz: PathBuf,
    /// The folder that holds `kernel/` with the modules.
    pub modules: PathBuf,
}

impl Files {
    fn in_folder(folder: &Path, release: &str) -> Result<Self> {
        let vmlinuz = folder.join("boot").join(format!("vmlinuz-{release}"));
        fs::metadata(&vmlinuz).map_err(at(&vmlinuz))?;
        // Newer packages have the modules where /lib really is.
        let modules = ["lib/modules", "usr/lib/modules"]
            .map(|path| folder.join(path).join(release))
            .into_iter()
            .find(|path| path.is_dir())
            .ok_or_else(|| Error::Malformed {
                path: folder.to_owned(),
                what: format!("no modules for {release} in the package"),
            })?;
        Ok(Files {
            release: release.to_owned(),
            vmlinuz,
            modules,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Kernel;

    #[test]
    fn names_are_read_back() {
        for kernel in Kernel::GUESTS {
            assert_eq!(kernel.to_string().parse::<Kernel>().unwrap(), kernel);
        }
        assert_eq!("host".parse::<Kernel>().unwrap(), Kernel::Host);
        let error = "6.2".parse::<Kernel>().unwrap_err().to_string();
        assert_eq!(error, "no kernel \"6.2\": it is 5.10, 6.1, 6.12, or host");
    }
}
