//! A running guest: commands, files, and its end.

use std::{
    ffi::OsStr,
    process::Child,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::{
    accel::Accel,
    boot,
    error::{Error, Result},
    host::Host,
    kernel::Kernel,
    link::{Conversation, Link, Silence},
    options::Options,
    qemu::Process,
    wire::{Kind, MAX_BODY},
};

/// What answers behind the link. Dropping it ends it.
pub(crate) enum Machine {
    /// A virtual machine, and the folder with its files.
    Qemu {
        process: Process,
        _folder: boot::RunFolder,
    },
    /// The agent as a process of this machine.
    Host(Host),
}

impl Machine {
    fn child(&mut self) -> &mut Child {
        match self {
            Machine::Qemu { process, .. } => &mut process.child,
            Machine::Host(host) => &mut host.child,
        }
    }

    /// Ends it at once. On the host the agent is asked to, as it has to end
    /// what it started.
    fn end(&mut self, link: &Link) {
        match self {
            Machine::Qemu { process, .. } => process.kill(),
            Machine::Host(host) => {
                link.open().send(Kind::Shutdown, Vec::new());
                host.end();
            }
        }
    }

    fn tail(&self) -> String {
        match self {
            Machine::Qemu { process, .. } => process.tail(),
            Machine::Host(_) => "(none: the commands ran on the host)".to_owned(),
        }
    }
}

/// Facts about a boot.
#[derive(Clone, Debug)]
pub struct BootReport {
    /// How it runs; `None` on the host.
    pub accel: Option<Accel>,
    /// `uname -r` in it.
    pub release: String,
    /// Wall time from starting QEMU to the agent's first word.
    pub wall: Duration,
    /// The guest's own clock at that word.
    pub uptime: Duration,
    /// Boots it took: 2 after a panic before user space.
    pub tries: u32,
}

/// A booted kernel that runs commands as root. Dropping it ends it.
///
/// ```no_run
/// use hetsync_guest::{Guest, Kernel, Options};
/// use std::time::Duration;
///
/// # fn main() -> hetsync_guest::Result<()> {
/// let guest = Guest::boot(&Options::new(Kernel::V6_1).program("target/debug/hetsync"))?;
/// guest.put("numbers", b"1 2 3")?;
/// let output = guest.run("wc -w < numbers; uname -r", Duration::from_secs(30))?;
/// assert!(output.success());
/// guest.shutdown()
/// # }
/// ```
pub struct Guest {
    // The link is dropped first: the agent sees its port close.
    link: Link,
    machine: Mutex<Machine>,
    report: BootReport,
}

/// How long one file may take to get in or out.
const FILE_LIMIT: Duration = Duration::from_secs(120);
/// How long the guest may take to power off before it is ended.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(20);
/// The most output that [`Guest::run`] keeps, in bytes.
const MAX_OUTPUT: usize = 256 << 20;

impl Guest {
    /// Boots a guest, or gets the host ready for [`Kernel::Host`].
    ///
    /// # Errors
    /// Whatever is missing on the host; a kernel that cannot be fetched; a
    /// boot that panics twice or takes too long.
    pub fn boot(options: &Options) -> Result<Guest> {
        options.check()?;
        Ok(Guest::from_parts(match options.kernel {
            Kernel::Host => Host::start(options)?,
            _ => boot::boot(options)?,
        }))
    }

    pub(crate) fn from_parts((link, machine, report): (Link, Machine, BootReport)) -> Guest {
        Guest {
            link,
            machine: Mutex::new(machine),
            report,
        }
    }

    /// Facts about the boot.
    pub fn report(&self) -> &BootReport {
        &self.report
    }

    /// The most memory the virtual machine has taken from the host so far, in
    /// KiB; `None` on the host.
    pub fn peak_memory_kib(&self) -> Option<u64> {
        match &*self.machine() {
            Machine::Qemu { process, .. } => process.peak_memory_kib(),
            Machine::Host(_) => None,
        }
    }

    /// Runs a command with `/bin/sh -c` to its end.
    ///
    /// A process that it leaves in the background goes on running; what that
    /// writes after the command's end is lost unless it goes to a file.
    ///
    /// # Errors
    /// [`Error::Timeout`], and then the guest has been ended; [`Error::Ended`] if
    /// it ended by itself. A status other than 0 is no error.
    pub fn run(&self, command: &str, timeout: Duration) -> Result<Output> {
        self.spawn(command)?.wait(timeout)
    }

    /// As [`Guest::run`], and a status other than 0 is an error that carries
    /// what the command wrote. Returns its standard output as text.
    ///
    /// # Errors
    /// As [`Guest::run`]; [`Error::Agent`] for the status.
    pub fn check(&self, command: &str, timeout: Duration) -> Result<String> {
        let output = self.run(command, timeout)?;
        if output.success() {
            return Ok(output.text());
        }
        Err(Error::Agent(format!(
            "status {} from: {command}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            output.text()
        )))
    }

    /// As [`Guest::run`], with the output handed over as it comes.
    ///
    /// # Errors
    /// As [`Guest::run`].
    pub fn stream(
        &self,
        command: &str,
        timeout: Duration,
        sink: impl FnMut(Stream, &[u8]),
    ) -> Result<i32> {
        self.spawn(command)?.stream(timeout, sink)
    }

    /// Starts a command and returns at once.
    ///
    /// # Errors
    /// [`Error::Usage`] if the text is longer than 64 KiB.
    pub fn spawn(&self, command: &str) -> Result<Job<'_>> {
        check_length("a command", command.len())?;
        let conversation = self.link.open();
        conversation.send(Kind::Run, command.as_bytes().to_vec());
        Ok(Job {
            guest: self,
            conversation,
            command: command.to_owned(),
        })
    }

    /// Writes a file that anyone may read and run; folders on its way are made.
    ///
    /// # Errors
    /// [`Error::Agent`] with the guest's reason; those of [`Guest::run`].
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.check_path(path)?;
        let conversation = self.link.open();
        let mut head = 0o755_u32.to_be_bytes().to_vec();
        head.extend_from_slice(path.as_bytes());
        conversation.send(Kind::Put, head);
        for chunk in bytes.chunks(MAX_BODY) {
            conversation.send(Kind::PutData, chunk.to_vec());
        }
        conversation.send(Kind::PutEnd, Vec::new());
        self.receive_file(&conversation, "writing", path).map(drop)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`Guest::put`].
    pub fn get(&self, path: &str) -> Result<Vec<u8>> {
        self.check_path(path)?;
        let conversation = self.link.open();
        conversation.send(Kind::Get, path.as_bytes().to_vec());
        self.receive_file(&conversation, "reading", path)
    }

    /// Powers the guest off and waits for its end.
    ///
    /// # Errors
    /// [`Error::Timeout`] if it had to be ended.
    pub fn shutdown(self) -> Result<()> {
        let conversation = self.link.open();
        conversation.send(Kind::Shutdown, Vec::new());
        let deadline = Instant::now() + SHUTDOWN_LIMIT;
        // The port closes when the machine is off; nothing else is awaited.
        while let Ok(_late) = conversation.receive(deadline) {}
        let mut machine = self.machine();
        while Instant::now() < deadline {
            if let Ok(Some(_)) = machine.child().try_wait() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(Error::Timeout {
            limit: SHUTDOWN_LIMIT,
            what: "powering off".to_owned(),
        })
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().expect("no holder panics")
    }

    fn receive_file(&self, conversation: &Conversation, verb: &str, path: &str) -> Result<Vec<u8>> {
        let deadline = Instant::now() + FILE_LIMIT;
        let mut bytes = Vec::new();
        loop {
            let frame = conversation
                .receive(deadline)
                .map_err(|silence| self.silent(silence, FILE_LIMIT, format!("{verb} {path}")))?;
            match frame.kind {
                Kind::Data => bytes.extend_from_slice(&frame.body),
                Kind::Failed => return Err(agent_said(&frame.body)),
                _ => return Ok(bytes),
            }
        }
    }

    /// Ends the guest, as it no longer answers, and says why.
    fn silent(&self, silence: Silence, limit: Duration, what: String) -> Error {
        let mut machine = self.machine();
        if silence == Silence::Closed {
            // QEMU closes the port a moment before the console's file is whole.
            let deadline = Instant::now() + Duration::from_secs(2);
            while Instant::now() < deadline && matches!(machine.child().try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        machine.end(&self.link);
        match silence {
            Silence::Late => Error::Timeout { limit, what },
            Silence::Closed => Error::Ended {
                console: machine.tail(),
            },
        }
    }

    fn check_path(&self, path: &str) -> Result<()> {
        check_length("a path", path.len())?;
        match &*self.machine() {
            Machine::Host(host) => host.check_path(path),
            Machine::Qemu { .. } => Ok(()),
        }
    }
}

fn check_length(what: &str, length: usize) -> Result<()> {
    // A path follows four bytes of mode.
    if length + 4 <= MAX_BODY {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{what} of {length} bytes; the limit is {}",
        MAX_BODY - 4
    )))
}

fn agent_said(body: &[u8]) -> Error {
    Error::Agent(String::from_utf8_lossy(body).into_owned())
}

/// Which of a command's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a finished command left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; 128 + n if signal n ended it.
    pub status: i32,
    /// What it wrote to standard output, byte for byte.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// True for the status 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Standard output as text; bytes that are none become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// A command that may still be running. Dropping it lets it run on.
pub struct Job<'g> {
    guest: &'g Guest,
    conversation: Conversation,
    command: String,
}

impl Job<'_> {
    /// Waits for its end and returns all it wrote.
    ///
    /// # Errors
    /// As [`Guest::run`]; [`Error::Agent`] past 256 MiB of output.
    pub fn wait(self, timeout: Duration) -> Result<Output> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut over = false;
        let status = self.stream(timeout, |stream, bytes| {
            let sink = if stream == Stream::Stdout {
                &mut stdout
            } else {
                &mut stderr
            };
            over |= sink.len() + bytes.len() > MAX_OUTPUT;
            if !over {
                sink.extend_from_slice(bytes);
            }
        })?;
        if over {
            return Err(Error::Agent(format!(
                "more than {MAX_OUTPUT} bytes of output"
            )));
        }
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }

    /// Waits for its end, hands over what it writes as it comes, and returns
    /// its status.
    ///
    /// # Errors
    /// As [`Guest::run`].
    pub fn stream(self, timeout: Duration, mut sink: impl FnMut(Stream, &[u8])) -> Result<i32> {
        let deadline = Instant::now() + timeout;
        loop {
            let frame = self
                .conversation
                .receive(deadline)
                .map_err(|silence| self.guest.silent(silence, timeout, self.command.clone()))?;
            match (frame.kind, <[u8; 4]>::try_from(frame.body.as_slice())) {
                (Kind::Stdout, _) => sink(Stream::Stdout, &frame.body),
                (Kind::Stderr, _) => sink(Stream::Stderr, &frame.body),
                (Kind::Exit, Ok(status)) => return Ok(i32::from_be_bytes(status)),
                _ => return Err(agent_said(&frame.body)),
            }
        }
    }

    /// Sends a signal, such as 2 for SIGINT, to the command and what it started.
    pub fn signal(&self, signal: u8) {
        self.conversation.send(Kind::Signal, vec![signal]);
    }
}

/// Quotes a word for `/bin/sh`.
pub fn quote(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn words_are_quoted_when_they_must_be() {
        assert_eq!(quote("a-b/c.d=1"), "a-b/c.d=1");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's $HOME"), "'it'\\''s $HOME'");
    }
}
