//! TCP connections and messages of every kind that network tools tell of, with ports and byte counts that are told.
//!
//! Prints one line for each flow: `flow=NAME family=4 from=PORT to=PORT sent=BYTES received=BYTES`, as the client sees it.
//! It needs to be root in a network of its own, as a guest has: it adds an address to the loopback device and takes it away,
//! and lets few connections wait.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::Outcome;

/// What goes over the Unix socket: text, and bytes that are none.
const MESSAGE: &[u8] = b"known bytes: \x00\x01\x7f\x80\xff \"quoted\" back\\slash\ttab\n";
/// An address that is given to loopback and taken away while a connection uses it.
const LENT: Ipv4Addr = Ipv4Addr::new(10, 73, 0, 1);
/// Where nobody listens.
const CLOSED_PORT: u16 = 9;
/// Connections that may wait for a listener, and where the kernel is told.
const QUEUE: usize = 4;
const QUEUE_SETTING: &str = "/proc/sys/net/core/somaxconn";
/// How long packets are sent again before their connection is given up.
const PATIENCE: Duration = Duration::from_millis(1500);

/// All flows, one after the other.
pub(super) fn flows() -> Outcome {
    let (four, six) = (
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    );
    exchange("small", four, 1, 1, true)?;
    exchange("upload", four, 70_000, 3_000, true)?;
    exchange("download", six, 2_048, 50_000, false)?;
    exchange("silent", six, 0, 0, true)?;
    refused("refused", four)?;
    refused("refused", six)?;
    crowd()?;
    message()?;
    cut_off()
}

/// A connection over which both sides send, closed by the client or by the server.
fn exchange(name: &str, at: IpAddr, up: usize, down: usize, client_ends: bool) -> Outcome {
    let listener = TcpListener::bind((at, 0))?;
    let to = listener.local_addr()?;
    let server = thread::spawn(move || -> Outcome {
        let (mut stream, _) = listener.accept()?;
        stream.read_exact(&mut vec![0; up])?;
        stream.write_all(&vec![b'd'; down])?;
        if client_ends {
            stream.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    });
    let mut client = TcpStream::connect(to)?;
    let from = client.local_addr()?;
    client.write_all(&vec![b'u'; up])?;
    client.read_exact(&mut vec![0; down])?;
    if !client_ends {
        client.read_to_end(&mut Vec::new())?;
    }
    drop(client);
    server.join().map_err(|_| "the server panicked")??;
    tell(name, from, to, up, down);
    Ok(())
}

/// A connection to a port where nobody listens.
fn refused(name: &str, at: IpAddr) -> Outcome {
    let to = SocketAddr::new(at, CLOSED_PORT);
    if TcpStream::connect(to).is_ok() {
        return Err(format!("somebody listens at {to}").into());
    }
    let family = if to.is_ipv4() { 4 } else { 6 };
    println!("flow={name} family={family} to={}", to.port());
    Ok(())
}

/// Connections that wait to be accepted, until the listener's queue is full: the first packet of the last one finds no
/// answer and is sent again.
fn crowd() -> Outcome {
    std::fs::write(QUEUE_SETTING, QUEUE.to_string())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let to = listener.local_addr()?;
    // The kernel takes one more than it was told.
    let waiting: Vec<TcpStream> = (0..=QUEUE)
        .map(|_| TcpStream::connect(to))
        .collect::<Result<_, _>>()?;
    if TcpStream::connect_timeout(&to, PATIENCE).is_ok() {
        return Err(format!("{} connections wait at once", QUEUE + 2).into());
    }
    println!("flow=unanswered family=4 to={}", to.port());
    for client in waiting {
        let (server, from) = listener.accept()?;
        drop((client, server));
        tell("crowd", from, to, 0, 0);
    }
    Ok(())
}

/// A message over a Unix socket.
fn message() -> Outcome {
    let (mut one, mut other) = UnixStream::pair()?;
    one.write_all(MESSAGE)?;
    other.read_exact(&mut vec![0; MESSAGE.len()])?;
    println!("flow=message sent={}", MESSAGE.len());
    Ok(())
}

/// A connection to an address that goes away: what is sent has no route and is dropped.
fn cut_off() -> Outcome {
    let address = format!("{LENT}/32");
    ip(&["addr", "add", &address, "dev", "lo"])?;
    let listener = TcpListener::bind((LENT, 0))?;
    let to = listener.local_addr()?;
    let mut client = TcpStream::connect(to)?;
    let from = client.local_addr()?;
    let (mut server, _) = listener.accept()?;
    // What was never read makes the end of a connection an abrupt one, on both sides.
    server.write_all(b"?")?;
    client.write_all(b"!")?;
    ip(&["addr", "del", &address, "dev", "lo"])?;
    let sent = client.write(&[b'x'; 1000])? + 1;
    thread::sleep(PATIENCE);
    drop((client, server));
    tell("cut-off", from, to, sent, 0);
    Ok(())
}

fn ip(words: &[&str]) -> Outcome {
    let status = Command::new("ip").args(words).status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {status}", words.join(" ")).into())
}

fn tell(name: &str, from: SocketAddr, to: SocketAddr, sent: usize, received: usize) {
    let family = if to.is_ipv4() { 4 } else { 6 };
    println!(
        "flow={name} family={family} from={} to={} sent={sent} received={received}",
        from.port(),
        to.port()
    );
}
