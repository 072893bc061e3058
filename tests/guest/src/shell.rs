//! An interactive shell in a guest, on this terminal.

use std::{
    fs,
    io::{IsTerminal, stdin},
    process::{Command, Stdio},
};

use crate::{
    accel::Accel,
    boot::{RunFolder, pack},
    error::{Error, Result, at},
    initramfs::find_program,
    kernel::Kernel,
    options::Options,
    packages, paths, qemu,
};

/// Boots a guest and connects its console to this terminal until its shell
/// ends.
///
/// # Errors
/// [`Error::Usage`] if standard input is no terminal, or for
/// [`Kernel::Host`]; those of a boot.
pub fn shell(options: &Options) -> Result<()> {
    options.check()?;
    if options.kernel == Kernel::Host {
        return Err(Error::Usage(
            "a shell on the host needs no guest".to_owned(),
        ));
    }
    if !stdin().is_terminal() {
        let what = "a shell needs a terminal; to run commands without one: hetsync-guest run";
        return Err(Error::Usage(what.to_owned()));
    }
    let home = paths::home()?;
    let files = options.kernel.fetch()?;
    let disk = packages::image(&home, &options.packages)?;
    let folder = RunFolder::new(&home)?;
    let initrd = folder.0.join("initrd.cpio");
    // The shell that scripts get has no line editing.
    let mut options = options.clone();
    options.programs.push(find_program("bash", "bash")?);
    fs::write(&initrd, pack(&options, &files, disk.as_ref())?).map_err(at(&initrd))?;
    // Rows and columns reach the guest's init as its environment.
    let size = stty(&["size"]);
    let (rows, cols) = size.trim().split_once(' ').unwrap_or(("24", "80"));
    let append = format!("{} rows={rows} cols={cols}", options.append);
    let machine = qemu::Machine {
        accel: Accel::Tcg,
        cpus: options.cpus,
        memory_mib: options.memory_mib,
        icount: options.icount,
        kernel: &files.vmlinuz,
        initrd: &initrd,
        disk: disk.as_ref().map(|image| image.path.as_path()),
        shell: true,
        append: append.trim(),
        extra: &options.qemu_args,
    };
    eprintln!(
        "guest: booting {} with {}; \"exit\" powers it off",
        files.release, machine.accel
    );
    let saved = stty(&["-g"]);
    // Every key, Ctrl-C too, is the guest's.
    stty(&["raw", "-echo"]);
    let ended = machine
        .start(&folder.0)
        .and_then(|mut process| process.child.wait().map_err(at("qemu-system-x86_64")));
    stty(&[saved.trim()]);
    ended.map(drop)
}

/// Asks or sets the terminal; what cannot be set is left as it is.
fn stty(arguments: &[&str]) -> String {
    let output = Command::new("stty")
        .args(arguments)
        .stdin(Stdio::inherit())
        .output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}
