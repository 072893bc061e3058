//! One release of the archive, with an apt state of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::sources::{self, Source};
use crate::{
    error::{Error, Result, at},
    paths::{self, output},
};

/// A release of Debian and the folder that holds apt's state for it.
pub(crate) struct Archive {
    suite: &'static str,
    folder: PathBuf,
    sources: Vec<Source>,
}

impl Archive {
    /// The release `suite` with an up-to-date list of its packages.
    ///
    /// The caller holds the lock on `home`. `frozen` says that the release
    /// gets no more updates, so that its signed date may have passed.
    pub(crate) fn open(home: &Path, suite: &'static str, frozen: bool) -> Result<Self> {
        let sources = machine_sources();
        let stanzas = sources::derive(&sources, suite, frozen);
        let archive = Archive {
            suite,
            folder: home.join("apt").join(suite),
            sources,
        };
        let Some(main) = stanzas.first() else {
            return Err(Error::NoArchive);
        };
        archive.lay_out()?;
        eprintln!("guest: reading the package lists of {suite}");
        if let Err(error) = archive.update(&stanzas.join("\n")) {
            if stanzas.len() == 1 {
                return Err(error);
            }
            // An old release's security updates may have moved away before
            // the release itself has.
            eprintln!("guest: {error}\nguest: trying {suite} without its security updates");
            archive.update(main)?;
        }
        Ok(archive)
    }

    /// Makes apt's folders and its configuration.
    fn lay_out(&self) -> Result<()> {
        for name in ["lists/partial", "cache/archives/partial", "etc", "debs"] {
            let path = self.folder.join(name);
            fs::create_dir_all(&path).map_err(at(&path))?;
        }
        // No package counts as installed: every dependency is followed.
        self.write("status", "")?;
        let folder = self.folder.display();
        // apt reads this after the machine's own configuration, which may hold
        // a proxy that is needed; but what the machine does after its own
        // updates is not done after ours.
        self.write(
            "etc/apt.conf",
            &format!(
                r#"#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear AptCli::Hooks;
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/etc/archive.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Default-Release "";
APT::Update::Error-Mode "any";
// apt's own user usually may not enter a source checkout.
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
"#
            ),
        )
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(at(&path))
    }

    fn update(&self, sources: &str) -> Result<()> {
        self.write("etc/archive.sources", sources)?;
        output(self.apt("apt-get").args(["-q", "update"]), "apt")
            .map(drop)
            .map_err(|error| self.no_package("its package lists", &error))
    }

    /// apt with its state in our folder.
    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.folder.join("etc/apt.conf"));
        command
    }

    /// The versioned package that a meta package stands for, as
    /// `linux-image-cloud-amd64` does for one kernel.
    pub(crate) fn follow(&self, package: &str) -> Result<String> {
        let text = output(
            self.apt("apt-cache")
                .args(["depends", "--no-recommends", package]),
            "apt",
        )
        .map_err(|error| self.no_package(package, &error))?;
        String::from_utf8_lossy(&text)
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "))
            .map(str::to_owned)
            .ok_or_else(|| Error::NoPackage {
                package: package.to_owned(),
                suite: self.suite,
                detail: "it depends on nothing".to_owned(),
            })
    }

    /// The named packages and all they depend on, as `name=version`.
    pub(crate) fn closure(&self, packages: &[String]) -> Result<Vec<String>> {
        let text = output(
            self.apt("apt-get")
                .args(["-s", "-q", "--no-install-recommends", "install", "--"])
                .args(packages),
            "apt",
        )
        .map_err(|error| self.no_package(&packages.join(" "), &error))?;
        let mut names: Vec<String> = String::from_utf8_lossy(&text)
            .lines()
            .filter_map(installed)
            .collect();
        names.sort();
        Ok(names)
    }

    /// Fetches packages (each a name or `name=version`) and returns their files.
    /// apt refuses any whose signature chain does not hold.
    pub(crate) fn download(&self, packages: &[String]) -> Result<Vec<PathBuf>> {
        let debs = self.folder.join("debs");
        paths::remove_folder(&debs)?;
        fs::create_dir_all(&debs).map_err(at(&debs))?;
        output(
            self.apt("apt-get")
                .current_dir(&debs)
                .args(["-q", "download"])
                .args(packages),
            "apt",
        )
        .map_err(|error| self.no_package(&packages.join(" "), &error))?;
        let entries = fs::read_dir(&debs).map_err(at(&debs))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "deb"))
            .collect();
        files.sort();
        Ok(files)
    }

    /// Removes what was downloaded; the lists stay for the next time.
    pub(crate) fn clean(&self) -> Result<()> {
        paths::remove_folder(&self.folder.join("debs"))
    }

    fn no_package(&self, package: &str, error: &Error) -> Error {
        Error::NoPackage {
            package: package.to_owned(),
            suite: self.suite,
            detail: sources::without_hosts(&self.sources, &error.to_string()),
        }
    }
}

/// The package in a line of a simulated installation:
/// `Inst libc6 (2.41-12 Debian:13/stable [amd64])`.
fn installed(line: &str) -> Option<String> {
    let mut words = line.strip_prefix("Inst ")?.split_whitespace();
    let name = words.next()?;
    let version = words.find_map(|word| word.strip_prefix('('))?;
    Some(format!("{name}={version}"))
}

/// The sources of this machine, or the one that `HETSYNC_APT_URI` names.
fn machine_sources() -> Vec<Source> {
    if let Ok(uri) = env::var("HETSYNC_APT_URI") {
        return vec![Source::from_uri(&uri)];
    }
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    let mut sources = Vec::new();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        match file.extension().and_then(|end| end.to_str()) {
            Some("list") => sources.extend(sources::parse_list(&text)),
            Some("sources") => sources.extend(sources::parse_deb822(&text)),
            _ => {}
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::installed;

    #[test]
    fn a_simulated_installation_names_packages_and_versions() {
        let line = "Inst libcap2 (1:2.75-10+b3 Debian:13.7/stable [amd64]) []";
        assert_eq!(installed(line).as_deref(), Some("libcap2=1:2.75-10+b3"));
        let upgrade = "Inst libc6 [2.36-9] (2.41-12 Debian:13.7/stable [amd64])";
        assert_eq!(installed(upgrade).as_deref(), Some("libc6=2.41-12"));
        assert_eq!(
            installed("Conf libcap2 (1:2.75-10+b3 Debian [amd64])"),
            None
        );
        assert_eq!(installed("Inst"), None);
    }
}
