//! Whether the machine's virtualisation can be used, or software emulation
//! must do.
//!
//! A `/dev/kvm` that opens proves little: on some hosts a stock kernel hangs
//! on it. So a boot is tried once, under a short limit, and the verdict is
//! kept next to the kernels.

use std::{env, fmt, fs, path::Path, time::Duration};

use crate::error::{Error, Result};

/// How the guest's instructions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// By the processor.
    Kvm,
    /// By QEMU, in software. Times measured in such a guest only compare with
    /// each other.
    Tcg,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Accel::Kvm => "KVM",
            Accel::Tcg => "software emulation",
        })
    }
}

/// How long the trial boot may take; with working KVM it takes about one second.
pub(crate) const TRIAL_LIMIT: Duration = Duration::from_secs(5);

/// Chooses: what `HETSYNC_ACCEL` says (`kvm` or `tcg`), else KVM if it works.
/// `trial` boots a kernel with KVM and says whether user space was reached.
pub(crate) fn choose(home: &Path, trial: impl FnOnce() -> bool) -> Result<Accel> {
    match env::var("HETSYNC_ACCEL").as_deref() {
        Ok("kvm") => return Ok(Accel::Kvm),
        Ok("tcg") => return Ok(Accel::Tcg),
        Ok("") | Err(_) => {}
        Ok(other) => {
            return Err(Error::Usage(format!(
                "HETSYNC_ACCEL={other}: it is kvm or tcg"
            )));
        }
    }
    let device = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    if device.is_err() {
        return Ok(Accel::Tcg);
    }
    // Another kernel under the same checkout may behave differently.
    let host = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let verdict = home.join("kvm-verdict");
    let known = fs::read_to_string(&verdict).unwrap_or_default();
    if let Some((kernel, word)) = known.trim().rsplit_once(' ')
        && kernel == host.trim()
    {
        return Ok(if word == "works" {
            Accel::Kvm
        } else {
            Accel::Tcg
        });
    }
    eprintln!(
        "guest: trying /dev/kvm for up to {} s, once",
        TRIAL_LIMIT.as_secs()
    );
    let works = trial();
    let word = if works { "works" } else { "fails" };
    // Only a cache: if it cannot be kept, the next boot tries again.
    let _ = fs::write(&verdict, format!("{} {word}\n", host.trim()));
    Ok(if works { Accel::Kvm } else { Accel::Tcg })
}
