//! The same commands on this machine's own kernel, for
//! `HETSYNC_KERNEL=host`.
//!
//! The agent that serves a guest runs here as a plain process, in a scratch
//! folder that stands in for the guest's `/root`. Only relative paths are
//! taken, so that a command written for a guest cannot overwrite the host's
//! files. Kernel modules, packages, and virtual sizes mean nothing here.

use std::{
    env, fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink},
    path::{Component, Path},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    boot::RunFolder,
    error::{Error, Result, at},
    guest::{BootReport, Machine},
    initramfs::{AGENT, find_program},
    link::Link,
    options::{Options, file_name},
    paths,
};

/// The agent as a process of this machine, and its folder.
pub(crate) struct Host {
    pub(crate) child: Child,
    // Held for its end: the folder goes after the process.
    _folder: RunFolder,
}

impl Host {
    /// Starts the agent, if this kernel can do what a guest is for.
    pub(crate) fn start(options: &Options) -> Result<(Link, Machine, BootReport)> {
        check_kernel()?;
        Host::serve(options)
    }

    /// Starts the agent, whatever this kernel can do.
    fn serve(options: &Options) -> Result<(Link, Machine, BootReport)> {
        let folder = RunFolder::new(&paths::home()?)?;
        let programs = folder.0.join(".bin");
        fs::create_dir_all(&programs).map_err(at(&programs))?;
        for path in &options.programs {
            let target = path.canonicalize().map_err(at(path))?;
            symlink(target, programs.join(file_name(path)?)).map_err(at(&programs))?;
        }
        for (host, guest) in &options.files {
            check_relative(guest)?;
            copy(host, &folder.0.join(guest))?;
        }
        for package in &options.packages {
            // Most packages of interest are named like their program.
            find_program(package, "the package itself").map_err(|_| {
                Error::Host(format!(
                    "{package} is not installed, and is not fetched for the host"
                ))
            })?;
        }
        let agent = folder.0.join(".agent");
        fs::write(&agent, AGENT).map_err(at(&agent))?;
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).map_err(at(&agent))?;
        let mut search = programs.into_os_string().as_bytes().to_vec();
        search.push(b':');
        search.extend_from_slice(env::var_os("PATH").unwrap_or_default().as_bytes());
        let mut command = Command::new(&agent);
        command
            .arg("--stdio")
            .current_dir(&folder.0)
            .env("PATH", std::ffi::OsStr::from_bytes(&search))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let start = Instant::now();
        let mut child = spawn(&mut command).map_err(at(&agent))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (link, ready) = Link::new(stdout.expect("it is piped"), stdin.expect("it is piped"));
        let mut host = Host {
            child,
            _folder: folder,
        };
        let limit = Duration::from_secs(10);
        let Ok(uptime) = ready.receive(Instant::now() + limit) else {
            host.end();
            return Err(Error::Host("the agent did not start".to_owned()));
        };
        let seconds: f64 = String::from_utf8_lossy(&uptime.body).parse().unwrap_or(0.0);
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        eprintln!("guest: using this machine's own kernel {}", release.trim());
        let report = BootReport {
            accel: None,
            release: release.trim().to_owned(),
            wall: start.elapsed(),
            uptime: Duration::from_secs_f64(seconds.clamp(0.0, 1e9)),
            tries: 1,
        };
        Ok((link, Machine::Host(host), report))
    }

    /// Refuses a path outside the scratch folder.
    pub(crate) fn check_path(&self, path: &str) -> Result<()> {
        check_relative(path)
    }

    /// Waits for the agent's end, for a moment.
    pub(crate) fn end(&mut self) {
        // The agent sees its input close and ends what it started; it is only
        // killed if it does not.
        let deadline = Instant::now() + Duration::from_secs(2);
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
    }
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to).map_err(at(to))?;
        for entry in fs::read_dir(from).map_err(at(from))? {
            let entry = entry.map_err(at(from))?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    fs::copy(from, to).map(drop).map_err(at(from))
}

/// A file just written cannot be started while another thread's fork still
/// holds it open for writing; that passes.
fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..50 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
    command.spawn()
}

fn check_relative(path: &str) -> Result<()> {
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if inside {
        return Ok(());
    }
    Err(Error::Host(format!(
        "{path}: only paths relative to the guest's folder, without \"..\""
    )))
}

/// The host stands in for a guest only if it can do what guests are for.
fn check_kernel() -> Result<()> {
    let kprobes = [
        "/sys/bus/event_source/devices/kprobe/type",
        "/sys/kernel/tracing/kprobe_events",
        "/sys/kernel/debug/tracing/kprobe_events",
    ];
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if !is_root() {
        return Err(Error::Host(
            "only root may use kprobes; run it with sudo".to_owned(),
        ));
    }
    if kprobes.iter().any(|path| Path::new(path).exists()) {
        return Ok(());
    }
    Err(Error::Host(format!(
        "this kernel ({}) has no kprobes: neither the event source \
         /sys/bus/event_source/devices/kprobe nor kprobe_events in tracefs is there; \
         unset the variable to boot a guest",
        release.trim()
    )))
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Guest, Kernel};

    const LIMIT: Duration = Duration::from_secs(60);

    /// A guest on this host, though its kernel may lack kprobes.
    fn guest(options: &Options) -> Guest {
        Guest::from_parts(Host::serve(options).unwrap())
    }

    #[test]
    fn commands_files_and_programs_work_as_in_a_guest() {
        let folder = tempfile::tempdir().unwrap();
        let tool = folder.path().join("a-tool");
        fs::write(&tool, "#!/bin/sh\necho tool $1\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let options = Options::new(Kernel::Host)
            .program(&tool)
            .file(folder.path(), "given");
        let guest = guest(&options);
        guest.put("folder/file", b"bytes\0\xff").unwrap();
        assert_eq!(guest.get("folder/file").unwrap(), b"bytes\0\xff");
        let output = guest
            .run("cat folder/file; ls given; a-tool 1; exit 6", LIMIT)
            .unwrap();
        assert_eq!(
            (output.status, &*output.stdout),
            (6, &b"bytes\0\xffa-tool\ntool 1\n"[..])
        );
        assert!(matches!(guest.put("/tmp/file", b""), Err(Error::Host(_))));
        guest.shutdown().unwrap();
    }

    #[test]
    fn a_late_command_is_ended_with_all_it_started() {
        let guest = guest(&Options::new(Kernel::Host));
        let folder = guest.check("pwd", LIMIT).unwrap();
        // The pipe's reader is told when the command is under way.
        guest.check("mkfifo up", LIMIT).unwrap();
        let job = guest
            .spawn("sleep 1000 & echo $! > pid; echo > up; wait")
            .unwrap();
        guest.check("cat up", LIMIT).unwrap();
        let error = job.wait(Duration::from_millis(1)).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        let pid = fs::read_to_string(Path::new(folder.trim()).join("pid")).unwrap();
        // The signal is sent; the system takes a moment to clear the process.
        let status = format!("/proc/{}/status", pid.trim());
        let runs = || fs::read_to_string(&status).is_ok_and(|text| text.contains("State:\tS"));
        let deadline = Instant::now() + LIMIT;
        while runs() {
            assert!(Instant::now() < deadline, "the command outlived its time");
            std::thread::yield_now();
        }
    }

    #[test]
    fn only_paths_in_the_scratch_folder_are_taken() {
        for good in ["a", "a/b.txt", "./a"] {
            assert!(check_relative(good).is_ok(), "{good}");
        }
        for bad in ["/etc/passwd", "../a", "a/../../b"] {
            assert!(check_relative(bad).is_err(), "{bad}");
        }
    }
}
