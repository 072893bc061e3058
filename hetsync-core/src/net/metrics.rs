//! `/metrics`, `/livez` and `/readyz` over HTTP/1.1.
//!
//! Just enough of the protocol for Prometheus, Kubernetes and `curl`: one
//! request for each connection, no bodies, no keep-alive. It runs beside the
//! rounds and shares nothing with them but the moment in which the counters
//! are copied.
//!
//! Invariants: a request is at most [`MAX_REQUEST`] bytes and takes at most
//! [`PATIENCE`] from the first byte to the last of the answer; at most
//! [`MAX_CLIENTS`] are served at a time, the others wait in the system's
//! queue. Whatever a client sends, it gets one of the answers below or none.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use async_io::{Async, Timer};
use smol::Executor;
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::Semaphore;

use super::hub::Hub;
use crate::metrics;

/// Bytes of a request's head.
const MAX_REQUEST: usize = 8 * 1024;
const MAX_CLIENTS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

const TEXT: &str = "text/plain; charset=utf-8";
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers for ever.
pub(super) async fn serve(hub: &Arc<Hub>, listener: &Async<TcpListener>) {
    let executor = Executor::new();
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let accept = async {
        loop {
            let place = places.acquire_arc().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let hub = Arc::clone(hub);
                    let attend = async move {
                        attend(&hub, stream).await;
                        drop(place);
                    };
                    executor.spawn(attend).detach();
                }
                // No file descriptors, most likely.
                Err(_) => {
                    Timer::after(Duration::from_millis(100)).await;
                }
            }
        }
    };
    executor.run(accept).await
}

async fn attend(hub: &Hub, mut stream: Async<TcpStream>) {
    let conversation = async {
        let head = read_head(&mut stream).await?;
        let answer = answer(&head, hub);
        stream.write_all(&answer).await?;
        // What the client still sends would make the system answer with a
        // reset, which may take the answer away from it.
        stream.get_ref().shutdown(Shutdown::Write)?;
        let mut rest = [0; 1024];
        for _ in 0..MAX_REQUEST / rest.len() {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        Ok(())
    };
    let patience = async {
        Timer::after(PATIENCE).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    // A client that breaks off has lost its answer, and nobody anything else.
    let _: io::Result<()> = conversation.or(patience).await;
}

/// A request's head up to the empty line, or as much as is taken of it.
async fn read_head(stream: &mut Async<TcpStream>) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    let mut some = [0; 1024];
    loop {
        let count = stream.read(&mut some).await?;
        head.extend_from_slice(&some[..count]);
        let is_whole = head.windows(4).any(|end| end == b"\r\n\r\n");
        if count == 0 || is_whole || head.len() >= MAX_REQUEST {
            return Ok(head);
        }
    }
}

fn answer(head: &[u8], hub: &Hub) -> Vec<u8> {
    let (status, kind, body) = match request(head) {
        Request::Bad => ("400 Bad Request", TEXT, "this is no HTTP request\n".into()),
        Request::TooLong => {
            let text = format!("a request may have {MAX_REQUEST} bytes\n");
            ("431 Request Header Fields Too Large", TEXT, text)
        }
        Request::Method => ("405 Method Not Allowed", TEXT, "only GET and HEAD\n".into()),
        Request::Get { path, .. } => match path {
            "/metrics" => ("200 OK", EXPOSITION, metrics::render(&hub.snapshot())),
            "/livez" => ("200 OK", TEXT, "ok\n".into()),
            "/readyz" if hub.is_stopping() => {
                ("503 Service Unavailable", TEXT, "stopping\n".into())
            }
            "/readyz" => ("200 OK", TEXT, "ok\n".into()),
            "/" => ("200 OK", TEXT, "/metrics /livez /readyz\n".into()),
            _ => (
                "404 Not Found",
                TEXT,
                "there are /metrics, /livez and /readyz\n".into(),
            ),
        },
    };
    let allow = match status.starts_with("405") {
        true => "Allow: GET, HEAD\r\n",
        false => "",
    };
    let length = body.len();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n"
    );
    if !matches!(
        request(head),
        Request::Get {
            has_body: false,
            ..
        }
    ) {
        answer.push_str(&body);
    }
    answer.into_bytes()
}

#[derive(Debug, PartialEq)]
enum Request<'a> {
    Get {
        path: &'a str,
        /// Its answer has a body; that of a HEAD has none.
        has_body: bool,
    },
    Method,
    TooLong,
    Bad,
}

/// Reads the first line, which is all that matters here.
fn request(head: &[u8]) -> Request<'_> {
    let Some(end) = head.windows(2).position(|end| end == b"\r\n") else {
        return match head.len() >= MAX_REQUEST {
            true => Request::TooLong,
            false => Request::Bad,
        };
    };
    let Ok(line) = str::from_utf8(&head[..end]) else {
        return Request::Bad;
    };
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Request::Bad;
    };
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
    if !is_method || !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Request::Bad;
    }
    if !head.windows(4).any(|end| end == b"\r\n\r\n") {
        return match head.len() >= MAX_REQUEST {
            true => Request::TooLong,
            false => Request::Bad,
        };
    }
    let path = target.split(['?', '#']).next().unwrap_or(target);
    match method {
        "GET" => Request::Get {
            path,
            has_body: true,
        },
        "HEAD" => Request::Get {
            path,
            has_body: false,
        },
        _ => Request::Method,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        let get = |path, has_body| Request::Get { path, has_body };
        let scrape = b"GET /metrics?x=1 HTTP/1.1\r\nHost: here\r\n\r\n";
        assert_eq!(request(scrape), get("/metrics", true));
        assert_eq!(request(b"HEAD / HTTP/1.0\r\n\r\n"), get("/", false));
        assert_eq!(request(b"POST /metrics HTTP/1.1\r\n\r\n"), Request::Method);
        for bad in [
            &b""[..],
            b"\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /metrics\r\n\r\n",
            b"GET  /metrics HTTP/1.1\r\n\r\n",
            b"GET metrics HTTP/1.1\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\n\r\n",
            b"GET / HTTP/2\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: cut",
            b"\x00\x00\x00\x00\x00\x00\x00\x28\x00\x00",
        ] {
            assert_eq!(request(bad), Request::Bad, "{bad:?}");
        }
        let long = vec![b'A'; MAX_REQUEST];
        assert_eq!(request(&long), Request::TooLong);
    }
}
