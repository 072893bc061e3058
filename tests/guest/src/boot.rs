//! From options to a guest that answers: fetch, pack, start, wait, and try
//! once more if the kernel panics before user space.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::{
    accel::{self, Accel},
    error::{Error, Result, at},
    guest::{BootReport, Machine},
    initramfs::Initramfs,
    kernel::Files,
    link::{Link, Silence},
    options::{Options, file_name},
    packages, paths,
    qemu::{self, Process},
};

/// Files of one running guest; removed with it.
pub(crate) struct RunFolder(pub(crate) PathBuf);

impl RunFolder {
    pub(crate) fn new(home: &Path) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let runs = home.join("run");
        sweep(&runs);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = runs.join(format!("{}-{number}", std::process::id()));
        paths::remove_folder(&folder)?;
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(RunFolder(folder))
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes the folders of processes that were killed before they could.
fn sweep(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some((pid, _)) = name.split_once('-')
            && !Path::new("/proc").join(pid).exists()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// All that a machine is started with, fetched and packed.
pub(crate) struct Prepared {
    pub(crate) files: Files,
    pub(crate) accel: Accel,
    pub(crate) folder: RunFolder,
    initrd: PathBuf,
    disk: Option<packages::Image>,
}

impl Prepared {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let home = paths::home()?;
        let files = options.kernel.fetch()?;
        let disk = packages::image(&home, options.suite, &options.packages)?;
        let folder = RunFolder::new(&home)?;
        let initrd = folder.0.join("initrd.cpio");
        fs::write(&initrd, pack(options, &files, disk.as_ref())?).map_err(at(&initrd))?;
        let accel = match options.icount {
            true => Accel::Tcg,
            false => accel::choose(&home, || trial(options, &files, &home))?,
        };
        Ok(Prepared {
            files,
            accel,
            folder,
            initrd,
            disk,
        })
    }

    pub(crate) fn machine<'a>(&'a self, options: &'a Options) -> qemu::Machine<'a> {
        qemu::Machine {
            accel: self.accel,
            cpus: options.cpus,
            memory_mib: options.memory_mib,
            icount: options.icount,
            kernel: &self.files.vmlinuz,
            initrd: &self.initrd,
            disk: self.disk.as_ref().map(|image| image.path.as_path()),
            shell: false,
            append: &options.append,
            extra: &options.qemu_args,
        }
    }
}

/// Boots what the options describe.
pub(crate) fn boot(options: &Options) -> Result<(Link, Machine, BootReport)> {
    let prepared = Prepared::new(options)?;
    let (release, accel) = (prepared.files.release.clone(), prepared.accel);
    eprintln!("guest: booting {release} with {accel}");
    let mut tries = 1;
    loop {
        let start = Instant::now();
        let booted = start_and_wait(
            &prepared.machine(options),
            &prepared.folder.0,
            options.boot_timeout,
        );
        match booted {
            Ok((process, link, uptime)) => {
                let wall = start.elapsed();
                let report = BootReport {
                    accel: Some(accel),
                    release,
                    wall,
                    uptime,
                    tries,
                };
                let machine = Machine::Qemu {
                    process,
                    _folder: prepared.folder,
                };
                return Ok((link, machine, report));
            }
            // Emulated kernels do, about once in thirty boots under load.
            Err(Error::Panic { .. }) if tries == 1 => {
                eprintln!("guest: the kernel panicked before user space; trying once more");
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The root file system with what the options add.
fn pack(options: &Options, files: &Files, disk: Option<&packages::Image>) -> Result<Vec<u8>> {
    let mut initramfs = Initramfs::new(files, &options.modules)?;
    for path in &options.programs {
        initramfs.program(path, &format!("usr/local/bin/{}", file_name(path)?))?;
    }
    for (host, guest) in &options.files {
        let place = if guest.starts_with('/') {
            guest.clone()
        } else {
            format!("root/{guest}")
        };
        initramfs.share(host, &place)?;
    }
    for (name, script) in disk.into_iter().flat_map(packages::Image::wrappers) {
        initramfs.bytes(&format!("usr/local/bin/{name}"), 0o755, script.as_bytes());
    }
    initramfs.finish()
}

fn start_and_wait(
    machine: &qemu::Machine<'_>,
    folder: &Path,
    limit: Duration,
) -> Result<(Process, Link, Duration)> {
    let mut process = machine.start(folder)?;
    let (stdin, stdout) = (process.child.stdin.take(), process.child.stdout.take());
    let (link, ready) = Link::new(stdout.expect("it is piped"), stdin.expect("it is piped"));
    match ready.receive(Instant::now() + limit) {
        Ok(uptime) => {
            let seconds: f64 = String::from_utf8_lossy(&uptime.body).parse().unwrap_or(0.0);
            Ok((
                process,
                link,
                Duration::from_secs_f64(seconds.clamp(0.0, 1e9)),
            ))
        }
        Err(Silence::Late) => {
            process.kill();
            Err(Error::BootTimeout {
                limit,
                console: process.tail(),
            })
        }
        Err(Silence::Closed) => {
            process.kill();
            let console = process.tail();
            Err(match process.panicked() {
                true => Error::Panic { console },
                false => Error::Ended { console },
            })
        }
    }
}

/// Boots once with KVM, to see whether it reaches user space.
fn trial(options: &Options, files: &Files, home: &Path) -> bool {
    let attempt = || -> Result<()> {
        let folder = RunFolder::new(home)?;
        let initrd = folder.0.join("initrd.cpio");
        fs::write(&initrd, Initramfs::new(files, &[])?.finish()?).map_err(at(&initrd))?;
        let machine = qemu::Machine {
            accel: Accel::Kvm,
            cpus: options.cpus,
            memory_mib: options.memory_mib,
            icount: false,
            kernel: &files.vmlinuz,
            initrd: &initrd,
            disk: None,
            shell: false,
            append: "",
            extra: &[],
        };
        start_and_wait(&machine, &folder.0, accel::TRIAL_LIMIT).map(drop)
    };
    attempt().is_ok()
}
