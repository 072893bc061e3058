//! The guest's root file system, packed for the kernel to unpack: busybox,
//! and `sh`, `ip` and `tc` of this machine, the kernel modules in load order, the
//! agent, and what the caller adds.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    closure,
    cpio::Archive,
    error::{Error, Result, at},
    kernel::Files,
    modules::{self, Module},
    paths::output,
};

/// The agent as the build script compiled it; empty where it could not.
pub(crate) const AGENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/agent"));

/// What every guest loads: the port to the host, disks, network cards, and
/// what tests build networks from.
const MODULES: [&str; 7] = [
    "virtio_pci",
    "virtio_console",
    "virtio_blk",
    "virtio_net",
    "veth",
    "ifb",
    "sch_netem",
];

/// The largest file taken in, in bytes; the guest's memory is not larger.
const MAX_FILE: u64 = 1 << 30;

/// A root file system under construction.
pub(crate) struct Initramfs {
    archive: Archive,
    libraries: BTreeSet<PathBuf>,
}

impl Initramfs {
    /// The parts that every guest on this kernel has.
    pub(crate) fn new(files: &Files, extra_modules: &[String]) -> Result<Self> {
        if AGENT.is_empty() {
            let what = "the guest is an x86-64 Linux machine and so must be the host that boots it";
            return Err(Error::Usage(what.to_owned()));
        }
        let mut this = Initramfs {
            archive: Archive::default(),
            libraries: BTreeSet::new(),
        };
        let archive = &mut this.archive;
        for folder in [
            "dev",
            "proc",
            "sys",
            "run",
            "tmp",
            "root",
            "mnt",
            "packages",
            "usr/bin",
            "usr/sbin",
            "usr/local/bin",
            "usr/local/sbin",
            "lib",
            "lib64",
            "etc",
            "var/tmp",
        ] {
            archive.folder(folder);
        }
        archive.link("bin", "usr/bin");
        archive.link("sbin", "usr/sbin");
        archive.link("var/run", "/run");
        // The kernel opens this before init has mounted anything.
        archive.device("dev/console", 5, 1);
        archive.file("init", 0o755, include_bytes!("init.sh"));
        archive.file("usr/libexec/hetsync-guest-agent", 0o755, AGENT);
        archive.file(
            "etc/passwd",
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        );
        archive.file("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n");
        archive.file(
            "etc/hosts",
            0o644,
            b"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 guest\n",
        );
        this.busybox()?;
        this.modules(files, extra_modules)?;
        // Debian's busybox runs its own `ip` and `tc` from its own shell, even
        // if others come first on the search path; so the shell is not its.
        for (program, package, place) in [
            ("dash", "dash", "usr/bin/sh"),
            ("ip", "iproute2", "usr/sbin/ip"),
            ("tc", "iproute2", "usr/sbin/tc"),
        ] {
            this.program(&find_program(program, package)?, place)?;
        }
        // The tables of `tc qdisc add .. netem .. distribution`.
        for folder in ["/usr/lib/tc", "/usr/lib/x86_64-linux-gnu/tc"] {
            if Path::new(folder).is_dir() {
                this.share(Path::new(folder), folder)?;
            }
        }
        Ok(this)
    }

    fn busybox(&mut self) -> Result<()> {
        let path = find_program("busybox", "busybox-static")?;
        if !closure::libraries(&path)?.is_empty() {
            // The dynamic one lacks applets that the guest's init uses.
            return Err(Error::Usage(format!(
                "{} is not the static one; on Debian or Ubuntu: apt-get install busybox-static",
                path.display()
            )));
        }
        let applets = output(Command::new(&path).arg("--list"), "busybox-static")?;
        self.program(&path, "usr/bin/busybox")?;
        for applet in String::from_utf8_lossy(&applets).lines() {
            if !["busybox", "sh", "ip", "tc"].contains(&applet) {
                self.archive.link(&format!("usr/bin/{applet}"), "busybox");
            }
        }
        Ok(())
    }

    fn modules(&mut self, files: &Files, extra: &[String]) -> Result<()> {
        let wanted: Vec<&str> = MODULES
            .into_iter()
            .chain(extra.iter().map(String::as_str))
            .collect();
        let modules = modules::resolve(files, &wanted)?;
        let folder = format!("lib/modules/{}", files.release);
        let mut order = String::new();
        let mut dep = String::new();
        for Module {
            name,
            bytes,
            depends,
        } in &modules
        {
            self.archive
                .file(&format!("{folder}/{name}.ko"), 0o644, bytes);
            // A test makes the devices it wants; ifb would start with two.
            let options = if name == "ifb" { " numifbs=0" } else { "" };
            order.push_str(&format!("{name}{options}\n"));
            let needs: Vec<String> = depends
                .iter()
                .filter(|need| modules.iter().any(|module| module.name == **need))
                .map(|need| format!(" {need}.ko"))
                .collect();
            dep.push_str(&format!("{name}.ko:{}\n", needs.concat()));
        }
        // For modprobe in tests that unload a module and load it again.
        self.archive
            .file(&format!("{folder}/modules.dep"), 0o644, dep.as_bytes());
        self.archive
            .file("lib/modules/load-order", 0o644, order.as_bytes());
        Ok(())
    }

    /// Adds a file of the host with its mode.
    pub(crate) fn file(&mut self, host: &Path, guest: &str) -> Result<()> {
        let metadata = fs::metadata(host).map_err(at(host))?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err(Error::Malformed {
                path: host.to_owned(),
                what: "not a regular file of at most 1 GiB".to_owned(),
            });
        }
        let bytes = fs::read(host).map_err(at(host))?;
        self.archive
            .file(guest, metadata.permissions().mode() & 0o7777, &bytes);
        Ok(())
    }

    /// Adds a file from memory.
    pub(crate) fn bytes(&mut self, guest: &str, mode: u32, bytes: &[u8]) {
        self.archive.file(guest, mode, bytes);
    }

    /// Adds a program of the host and the libraries it needs.
    pub(crate) fn program(&mut self, host: &Path, guest: &str) -> Result<()> {
        self.file(host, guest)?;
        self.libraries.extend(closure::libraries(host)?);
        Ok(())
    }

    /// Adds a file, or a folder with all that is in it.
    pub(crate) fn share(&mut self, host: &Path, guest: &str) -> Result<()> {
        if !host.is_dir() {
            return self.file(host, guest);
        }
        self.archive.folder(guest);
        for entry in fs::read_dir(host).map_err(at(host))? {
            let entry = entry.map_err(at(host))?;
            let name = entry.file_name();
            self.share(
                &entry.path(),
                &format!("{guest}/{}", name.to_string_lossy()),
            )?;
        }
        Ok(())
    }

    /// The archive, libraries included.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>> {
        for library in std::mem::take(&mut self.libraries) {
            self.file(&library, &library.to_string_lossy())?;
        }
        Ok(self.archive.finish())
    }
}

/// A program on the search path, or where administrators' programs are.
pub(crate) fn find_program(name: &str, package: &'static str) -> Result<PathBuf> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Missing {
            program: name.to_owned(),
            package,
            source: std::io::ErrorKind::NotFound.into(),
        })
}
