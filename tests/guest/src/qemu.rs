//! The QEMU process: its command line, its console, and its end.
//!
//! The guest's port to us is QEMU's standard input and output, its console
//! is a file. So no socket and no terminal is involved, and when this
//! process dies, however it dies, the guest sees its port close and powers
//! off. QEMU is only ever ended by the handle of the child we started.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    accel::Accel,
    error::{Error, Result},
    wire::PORT_NAME,
};

/// What to boot and how.
pub(crate) struct Machine<'a> {
    pub(crate) accel: Accel,
    pub(crate) cpus: u32,
    pub(crate) memory_mib: u32,
    /// One CPU whose clock advances with executed instructions.
    pub(crate) icount: bool,
    pub(crate) kernel: &'a Path,
    pub(crate) initrd: &'a Path,
    /// A file system image, attached read-only as `/dev/vda`.
    pub(crate) disk: Option<&'a Path>,
    /// A shell on this terminal in place of the agent.
    pub(crate) shell: bool,
    /// Further words for the kernel's command line.
    pub(crate) append: &'a str,
    /// Further words for QEMU's own command line.
    pub(crate) extra: &'a [String],
}

impl Machine<'_> {
    /// QEMU's command line; `console` is where the console goes.
    fn command(&self, console: &Path) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ]);
        match (self.accel, self.icount) {
            (Accel::Kvm, _) => qemu.args(["-accel", "kvm", "-cpu", "host"]),
            // 6.12 panics with the plain model, and with cmpxchg16b.
            (Accel::Tcg, false) => qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max,-cx16"]),
            (Accel::Tcg, true) => qemu
                .args(["-accel", "tcg,thread=single", "-cpu", "max,-cx16"])
                .args(["-icount", "shift=0,sleep=off"]),
        };
        let cpus = if self.icount { 1 } else { self.cpus };
        qemu.args(["-machine", "pc", "-smp", &cpus.to_string()]);
        qemu.args(["-m", &format!("{}M", self.memory_mib)]);
        qemu.arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initrd);
        // Panics and reboots end QEMU; mitigations would only cost time. The kernel's test whether the timer's interrupts
        // arrive in time panics where the machine is so busy that they do not.
        let mut append = "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check".to_owned();
        for word in [self.append, if self.shell { "hetsync.shell" } else { "" }] {
            if !word.is_empty() {
                append.push(' ');
                append.push_str(word);
            }
        }
        qemu.args(["-append", &append]);
        if let Some(disk) = self.disk {
            let mut drive =
                std::ffi::OsString::from("if=none,id=packages,format=raw,readonly=on,file=");
            drive.push(escaped(disk));
            qemu.arg("-drive")
                .arg(drive)
                .args(["-device", "virtio-blk-pci,drive=packages"]);
        }
        if self.shell {
            qemu.args([
                "-chardev",
                "stdio,id=console,signal=off",
                "-serial",
                "chardev:console",
            ]);
        } else {
            let mut serial = std::ffi::OsString::from("file:");
            serial.push(console);
            qemu.arg("-serial").arg(serial);
            qemu.args(["-chardev", "stdio,id=agent,signal=off"]);
            qemu.args(["-device", "virtio-serial-pci"]);
            qemu.args([
                "-device",
                &format!("virtserialport,chardev=agent,name={PORT_NAME}"),
            ]);
        }
        qemu.args(self.extra);
        qemu
    }

    /// Starts QEMU with its console in `folder` and its port on pipes, or with
    /// the console on this terminal for a shell.
    pub(crate) fn start(&self, folder: &Path) -> Result<Process> {
        let console = folder.join("console.log");
        let errors = folder.join("qemu.log");
        let mut command = self.command(&console);
        if !self.shell {
            let log = fs::File::create(&errors).map_err(crate::error::at(&errors))?;
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(log);
        }
        let child = command.spawn().map_err(|source| Error::Missing {
            program: "qemu-system-x86_64".to_owned(),
            package: "qemu-system-x86",
            source,
        })?;
        Ok(Process {
            child,
            console,
            errors,
        })
    }
}

/// QEMU reads a comma in an option as the end of a value; two mean one.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// A running QEMU. Dropping it ends it.
pub(crate) struct Process {
    pub(crate) child: Child,
    console: PathBuf,
    errors: PathBuf,
}

impl Process {
    /// Ends QEMU at once if it still runs.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// True if the console shows a kernel panic.
    pub(crate) fn panicked(&self) -> bool {
        self.console_text().contains("Kernel panic")
    }

    /// The last lines of the console, and what QEMU itself complained of.
    pub(crate) fn tail(&self) -> String {
        let text = self.console_text();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let start = lines.len().saturating_sub(25);
        let mut tail = lines[start..].join("\n");
        // What the kernel died of stands above the trace of its calls.
        let cause = ["Kernel panic", "BUG:", "Oops:"];
        for line in lines[..start]
            .iter()
            .filter(|line| cause.iter().any(|word| line.contains(word)))
        {
            tail = format!("{line}\n[...]\n{tail}");
        }
        if let Ok(errors) = fs::read_to_string(&self.errors)
            && !errors.trim().is_empty()
        {
            tail.push_str("\nqemu: ");
            tail.push_str(errors.trim());
        }
        match tail.is_empty() {
            true => "(nothing was written there)".to_owned(),
            false => tail,
        }
    }

    /// The most memory QEMU has held so far, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    fn console_text(&self) -> String {
        let bytes = fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(machine: &Machine<'_>) -> String {
        let command = machine.command(Path::new("/run/console.log"));
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    }

    #[test]
    fn the_command_line_says_what_was_asked_for() {
        let mut machine = Machine {
            accel: Accel::Tcg,
            cpus: 2,
            memory_mib: 1024,
            icount: false,
            kernel: Path::new("/k"),
            initrd: Path::new("/i"),
            disk: Some(Path::new("/a,b.img")),
            shell: false,
            append: "",
            extra: &[],
        };
        let plain = line(&machine);
        assert!(
            plain.contains("-accel tcg,thread=multi -cpu max,-cx16"),
            "{plain}"
        );
        assert!(plain.contains("-smp 2 -m 1024M"), "{plain}");
        assert!(plain.contains("file=/a,,b.img"), "{plain}");
        assert!(plain.contains("-serial file:/run/console.log"), "{plain}");
        machine.icount = true;
        let counted = line(&machine);
        assert!(counted.contains("tcg,thread=single"), "{counted}");
        assert!(counted.contains("-icount shift=0,sleep=off"), "{counted}");
        assert!(counted.contains("-smp 1 "), "{counted}");
    }
}
