//! An interactive shell in a guest, on this terminal.

use std::{
    io::{IsTerminal, stdin},
    process::{Command, Stdio},
};

use crate::{
    boot::Prepared,
    error::{Error, Result, at},
    initramfs::find_program,
    kernel::Kernel,
    options::Options,
    qemu,
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
    let mut options = options.clone();
    // The shell that scripts get has no line editing.
    options.programs.push(find_program("bash", "bash")?);
    // Rows and columns reach the guest's init as its environment.
    let size = stty(&["size"]);
    let (rows, cols) = match size.trim().split_once(' ') {
        // A terminal that does not know its size says 0.
        Some((rows, cols)) if rows != "0" && cols != "0" => (rows, cols),
        _ => ("24", "80"),
    };
    options.append = format!("{} rows={rows} cols={cols}", options.append)
        .trim()
        .to_owned();
    let prepared = Prepared::new(&options)?;
    let machine = qemu::Machine {
        shell: true,
        ..prepared.machine(&options)
    };
    eprintln!(
        "guest: booting {} with {}; \"exit\" powers it off",
        prepared.files.release, prepared.accel
    );
    let saved = stty(&["-g"]);
    // Every key, Ctrl-C too, is the guest's.
    stty(&["raw", "-echo"]);
    let ended = machine
        .start(&prepared.folder.0)
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
