//! An HTTP service with a barrier inside: whoever posts numbers gets the sum
//! of everybody's, once enough have posted or five seconds have passed.
//!
//! The library's state machine decides, and this program moves the bytes. Run
//! it with `cargo run --example http_barrier`, which posts to itself, or with
//! `-- 127.0.0.1:8080` and use `curl -d '1 2 3' http://127.0.0.1:8080/`.

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use hetsync_core::policy::Deadline;
use hetsync_core::server::{Config, ConnId, Machine, Output};
use hetsync_core::{Payload, Span, Time};

const MOST_BYTES: u64 = 1 << 20;

/// Those that nobody has fetched yet.
type Answers = HashMap<ConnId, Option<Vec<f32>>>;

struct Barrier {
    clock: Instant,
    state: Mutex<(Machine, Answers)>,
    changed: Condvar,
}

impl Barrier {
    fn now(&self) -> Time {
        Time::ZERO + Span::from(self.clock.elapsed())
    }

    /// Takes part in one round. `None` if the numbers are refused.
    fn submit(&self, id: ConnId, numbers: &[f32]) -> Option<Vec<f32>> {
        let mut guard = self.state.lock().expect("nobody panics");
        guard.0.handle_connect(self.now(), id);
        let gradient = Payload::from_floats(numbers);
        guard.0.handle_gradient(self.now(), id, None, gradient);
        loop {
            let (machine, answers) = &mut *guard;
            while let Some(output) = machine.poll_output() {
                match output {
                    Output::Deliver { to, result } => {
                        answers.insert(to, Some(result.payload().to_floats()));
                    }
                    Output::Disconnect { conn } => drop(answers.insert(conn, None)),
                    _ => {}
                }
            }
            self.changed.notify_all();
            if let Some(answer) = answers.remove(&id) {
                machine.handle_disconnect(self.now(), id);
                self.changed.notify_all();
                return answer;
            }
            // Whoever waits sees to it that the deadline is kept.
            let due = machine.poll_timeout().map(|due| due.since(self.now()));
            let pause = due.unwrap_or(Span::from_secs(1));
            let waited = self.changed.wait_timeout(guard, pause.into());
            guard = waited.expect("nobody panics").0;
            let now = self.now();
            if guard.0.poll_timeout().is_some_and(|due| due <= now) {
                guard.0.handle_timeout(now);
            }
        }
    }

    fn attend(&self, id: ConnId, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.take(MOST_BYTES));
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = String::new();
        reader.by_ref().take(length).read_to_string(&mut body)?;
        let numbers = body.split_whitespace().map(|word| word.parse().ok());
        let numbers: Option<Vec<f32>> = numbers.collect();
        let (status, text) = match numbers.and_then(|numbers| self.submit(id, &numbers)) {
            Some(sum) => {
                let words: Vec<String> = sum.iter().map(f32::to_string).collect();
                ("200 OK", words.join(" "))
            }
            None => ("400 Bad Request", "numbers, as many as the others'".into()),
        };
        let (length, mut stream) = (text.len() + 1, reader.into_inner().into_inner());
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{text}\n"
        )
    }
}

fn serve(listener: TcpListener, workers: usize) {
    let policy = Box::new(Deadline::new(Span::from_secs(5)));
    let machine = Machine::new(Config {
        workers,
        policy,
        ..Config::default()
    });
    let barrier = Arc::new(Barrier {
        clock: Instant::now(),
        state: Mutex::new((machine, HashMap::new())),
        changed: Condvar::new(),
    });
    for (number, stream) in (0..).zip(listener.incoming()) {
        let (barrier, id) = (Arc::clone(&barrier), ConnId(number));
        if let Ok(stream) = stream {
            // A peer that went away has no answer to get.
            std::thread::spawn(move || drop(barrier.attend(id, stream)));
        }
    }
}

fn post(address: SocketAddr, text: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = text.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{text}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split("\r\n\r\n").nth(1).unwrap_or("").trim().into())
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    if let Some(address) = std::env::args().nth(1) {
        serve(TcpListener::bind(address)?, 3);
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || serve(listener, 3));
    let posts =
        ["1 2", "10 20", "100 200"].map(|text| std::thread::spawn(move || post(address, text)));
    for answer in posts {
        println!("the sum is {}", answer.join().expect("no panic")?);
    }
    println!("and what is no number: {}", post(address, "1 two")?);
    Ok(())
}
