//! The program inside the guest that carries out what the host asks for:
//! run commands, take files in, hand files out, power off.
//!
//! It is started by the guest's init script and ends when the host asks for
//! it or goes away; init then powers the machine off, so a guest never
//! outlives the program that booted it. With `--stdio` it serves its standard
//! input and output instead of the guest's port: so the same commands run
//! on a host that needs no guest. It is linked statically and uses nothing
//! but the standard library and three calls of the C library.

#[path = "../wire.rs"]
#[allow(dead_code, reason = "the other half is used on the host")]
mod wire;

use std::{
    collections::HashMap,
    ffi::{OsString, c_int, c_short, c_ulong},
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, RawFd},
        unix::{
            ffi::OsStringExt,
            fs::{OpenOptionsExt, PermissionsExt},
            process::{CommandExt, ExitStatusExt},
        },
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use wire::{Kind, MAX_BODY, PORT_NAME, read_frame, write_frame};

type Port = Arc<Mutex<File>>;
/// The process group of each command that is running, by the host's id.
type Running = Arc<Mutex<HashMap<u32, u32>>>;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the console, which the host keeps and shows
            // when the guest ends by surprise.
            eprintln!("agent: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers the host until it says stop or closes its end.
fn serve() -> io::Result<()> {
    let (mut input, output) = if std::env::args().nth(1).as_deref() == Some("--stdio") {
        let (input, output) = (io::stdin(), io::stdout());
        (
            File::from(input.as_fd().try_clone_to_owned()?),
            File::from(output.as_fd().try_clone_to_owned()?),
        )
    } else {
        let input = OpenOptions::new()
            .read(true)
            .write(true)
            .open(find_port()?)?;
        let output = input.try_clone()?;
        (input, output)
    };
    let port: Port = Arc::new(Mutex::new(output));
    let running = Running::default();
    let mut incoming: HashMap<u32, (PathBuf, io::Result<File>)> = HashMap::new();

    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = uptime.split(' ').next().unwrap_or("");
    send(&port, Kind::Ready, 0, seconds.as_bytes());

    while let Some(frame) = read_frame(&mut input)? {
        let id = frame.id;
        match frame.kind {
            Kind::Run => {
                let (port, running) = (port.clone(), running.clone());
                thread::spawn(move || run(id, frame.body, &port, &running));
            }
            Kind::Signal => {
                let group = running.lock().expect("no holder panics").get(&id).copied();
                if let (Some(group), Some(signal)) = (group, frame.body.first()) {
                    signal_group(group, *signal);
                }
            }
            Kind::Put => {
                let (mode, path) = frame.body.split_at(4.min(frame.body.len()));
                let mode = u32::from_be_bytes(mode.try_into().unwrap_or([0, 0, 1, 0xa4]));
                let path = PathBuf::from(OsString::from_vec(path.to_vec()));
                let file = create(&path, mode);
                incoming.insert(id, (path, file));
            }
            Kind::PutData => {
                if let Some((_, file)) = incoming.get_mut(&id)
                    && let Ok(open) = file
                    && let Err(error) = open.write_all(&frame.body)
                {
                    *file = Err(error);
                }
            }
            Kind::PutEnd => match incoming.remove(&id) {
                Some((_, Ok(_))) => send(&port, Kind::Done, id, b""),
                Some((path, Err(error))) => fail(&port, id, &path, &error),
                None => {}
            },
            Kind::Get => {
                let port = port.clone();
                thread::spawn(move || {
                    let path = PathBuf::from(OsString::from_vec(frame.body));
                    match hand_out(id, &path, &port) {
                        Ok(()) => send(&port, Kind::Done, id, b""),
                        Err(error) => fail(&port, id, &path, &error),
                    }
                });
            }
            Kind::Shutdown => break,
            _ => {}
        }
    }
    for group in running.lock().expect("no holder panics").values() {
        signal_group(*group, SIGKILL);
    }
    Ok(())
}

/// The device of the port with our name; there is no udev to link it.
fn find_port() -> io::Result<PathBuf> {
    for entry in fs::read_dir("/sys/class/virtio-ports")? {
        let entry = entry?;
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == PORT_NAME {
            return Ok(Path::new("/dev").join(entry.file_name()));
        }
    }
    Err(io::Error::other(format!("no virtio port {PORT_NAME}")))
}

/// Sends a frame. A failure means that the host is gone, which the reading
/// side sees too and ends the program for.
fn send(port: &Port, kind: Kind, id: u32, body: &[u8]) {
    let mut port = port.lock().expect("no holder panics");
    let _ = write_frame(&mut *port, kind, id, body);
}

fn fail(port: &Port, id: u32, path: &Path, error: &io::Error) {
    let text = format!("{}: {error}", path.display());
    send(
        port,
        Kind::Failed,
        id,
        &text.as_bytes()[..text.len().min(MAX_BODY)],
    );
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // A running program cannot be written to, but its name can be given to
    // a new file.
    let _ = fs::remove_file(path);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(file)
}

fn hand_out(id: u32, path: &Path, port: &Port) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; MAX_BODY];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        send(port, Kind::Data, id, &buffer[..count]);
    }
}

/// Runs one command, streams what it writes, and reports its status.
fn run(id: u32, command: Vec<u8>, port: &Port, running: &Running) {
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(OsString::from_vec(command))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return fail(port, id, Path::new("/bin/sh"), &error),
    };
    running
        .lock()
        .expect("no holder panics")
        .insert(id, child.id());
    let mut pipes: [(Kind, Option<Box<dyn Pipe>>); 2] = [
        (
            Kind::Stdout,
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
        ),
        (
            Kind::Stderr,
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ),
    ];
    for (_, pipe) in &pipes {
        set_nonblocking(pipe.as_ref().expect("both are piped").as_raw_fd());
    }
    // A thread turns the child's end into a readable descriptor.
    let (mut ended, mut end) = io::pipe().expect("a guest has descriptors to spare");
    let waiter = thread::spawn(move || {
        let status = child.wait();
        let _ = end.write_all(b".");
        status
    });

    let mut buffer = vec![0; MAX_BODY];
    loop {
        let exited = wait_readable(ended.as_raw_fd(), &pipes);
        // When the child has ended, all it wrote is in the pipes already, and
        // a pipe holds no more than one buffer: one more read of each is
        // complete even if a background process keeps the pipe open.
        for (kind, pipe) in &mut pipes {
            let Some(open) = pipe else { continue };
            match open.read(&mut buffer) {
                Ok(0) => *pipe = None,
                Ok(count) => send(port, *kind, id, &buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => *pipe = None,
            }
        }
        if exited {
            break;
        }
    }
    let _ = ended.read(&mut [0]);
    let status = match waiter.join() {
        Ok(Ok(status)) => status.code().or(status.signal().map(|signal| 128 + signal)),
        _ => None,
    };
    running.lock().expect("no holder panics").remove(&id);
    send(port, Kind::Exit, id, &status.unwrap_or(255).to_be_bytes());

    // Background processes may go on writing; a closed pipe would kill them.
    while pipes.iter().any(|(_, pipe)| pipe.is_some()) {
        wait_readable(-1, &pipes);
        for (_, pipe) in &mut pipes {
            if let Some(open) = pipe
                && matches!(open.read(&mut buffer), Ok(0))
            {
                *pipe = None;
            }
        }
    }
}

/// A pipe from a child: bytes and a descriptor to wait on.
trait Pipe: Read + AsRawFd + Send {}
impl<T: Read + AsRawFd + Send> Pipe for T {}

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

const SIGKILL: u8 = 9;
const POLLIN: c_short = 1;
const F_GETFL: c_int = 3;
const F_SETFL: c_int = 4;
const O_NONBLOCK: c_int = 0o4000;

unsafe extern "C" {
    fn poll(fds: *mut PollFd, count: c_ulong, timeout_ms: c_int) -> c_int;
    fn fcntl(fd: c_int, command: c_int, argument: c_int) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

/// Waits until something can be read; true if it is `ended`.
fn wait_readable(ended: RawFd, pipes: &[(Kind, Option<Box<dyn Pipe>>)]) -> bool {
    let mut fds: Vec<PollFd> = [ended]
        .into_iter()
        .chain(
            pipes
                .iter()
                .flat_map(|(_, pipe)| pipe)
                .map(|pipe| pipe.as_raw_fd()),
        )
        .map(|fd| PollFd {
            fd,
            events: POLLIN,
            revents: 0,
        })
        .collect();
    // SAFETY: the pointer and the count describe `fds`, which lives on; a
    // negative descriptor is ignored by poll(2).
    unsafe { poll(fds.as_mut_ptr(), fds.len() as c_ulong, -1) };
    fds[0].revents != 0
}

fn set_nonblocking(fd: RawFd) {
    // SAFETY: fcntl(2) with these commands touches no memory of ours.
    unsafe { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK) };
}

fn signal_group(group: u32, signal: u8) {
    if let Ok(group @ 2..) = c_int::try_from(group) {
        // SAFETY: kill(2) touches no memory of ours.
        unsafe { kill(-group, c_int::from(signal)) };
    }
}
