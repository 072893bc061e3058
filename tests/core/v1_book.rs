//! What is published of protocol 1, held against the code: the `.proto` file
//! and the vectors in the book.

use hetsync_core::wire::v1::message::{
    CatchUp, Error as ErrorMessage, Fate, Heartbeat, Hello, Join, Leave, Outcome, Push, Recovery,
    Result as ResultMessage, Tensor, Welcome,
};
use hetsync_core::wire::v1::{Decoder, ErrorCode, HEADER_BYTES, Message};

use crate::v1_wire::{LIMITS, encode, gather};

/// The `.proto` file and the structs name the same fields with the same
/// numbers: each `name = number` of the one is written in the other.
#[test]
fn the_published_messages_are_those_of_the_code() {
    let proto = include_str!("../../hetsync-core/proto/hetsync-v1.proto");
    let code = include_str!("../../hetsync-core/src/wire/v1/message.rs");
    let mut published = Vec::new();
    let mut within = String::new();
    for line in proto.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("message ") {
            within = name.trim_end_matches(" {").to_owned();
        } else if line.starts_with("enum ") {
            within.clear();
        } else if let Some((field, number)) = line.split_once(" = ")
            && !within.is_empty()
            && !line.starts_with("//")
        {
            let words: Vec<&str> = field.split(' ').collect();
            let (label, rest) = match words[0] {
                "optional" | "repeated" => (words[0], &words[1..]),
                _ => ("", &words[..]),
            };
            let number = number.trim_end_matches(';');
            published.push(format!(
                "{within}.{} {label} {} {number}",
                rest[1],
                rest[0].to_lowercase()
            ));
        }
    }
    let mut written = Vec::new();
    let mut lines = code.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("pub struct ") {
            within = name.split([' ', '{']).next().unwrap_or_default().to_owned();
        } else if let Some(attribute) = line.strip_prefix("#[prost(").filter(|a| a.contains("tag"))
        {
            let field = lines.next().expect("a field");
            let field = field.trim_start_matches("pub ").trim_end_matches(',');
            let (name, rust) = field.split_once(": ").expect("a type");
            let words: Vec<&str> = attribute.trim_end_matches(")]").split(", ").collect();
            let label = words.iter().find(|w| ["optional", "repeated"].contains(w));
            let kind = match words[0] {
                "message" => rust
                    .trim_start_matches("Vec<")
                    .trim_end_matches('>')
                    .to_lowercase(),
                "bytes = \"vec\"" => "bytes".into(),
                other => other
                    .strip_prefix("enumeration = ")
                    .unwrap_or(other)
                    .trim_matches('"')
                    .to_lowercase(),
            };
            let tag = words
                .iter()
                .find_map(|w| w.strip_prefix("tag = "))
                .expect("a tag");
            written.push(format!(
                "{within}.{name} {} {kind} {}",
                label.unwrap_or(&""),
                tag.trim_matches('"')
            ));
        }
    }
    published.sort();
    written.sort();
    assert!(published.len() > 25);
    assert_eq!(published, written);

    // Enumerations: the words carry their own names as a prefix.
    let upper = |word: &str| format!("_{}", word.to_uppercase());
    for (variant, number) in code
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "))
    {
        let Ok(number) = number.parse::<u32>() else {
            continue;
        };
        let snake: String = variant
            .chars()
            .flat_map(|c| match c.is_uppercase() {
                true => vec!['_', c],
                false => vec![c],
            })
            .collect();
        let line = format!("{} = {number};", upper(snake.trim_start_matches('_')));
        assert!(proto.contains(&line), "{line} is not published");
    }
}

/// The frames that the book shows, from hello to error.
fn vectors() -> Vec<(&'static str, Message, Vec<u8>)> {
    let floats =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let tensor = |name: &str, elements| Tensor {
        name: name.into(),
        elements,
    };
    let layout = || vec![tensor("w", 2), tensor("b", 1)];
    vec![
        (
            "hello",
            Message::Hello(Hello {
                job: String::new(),
                worker: "w0".into(),
                token: b"secret".to_vec(),
                heartbeat_ms: 0,
            }),
            Vec::new(),
        ),
        (
            "welcome",
            Message::Welcome(Welcome {
                epoch: 0x0102_0304_0506_0708,
                round: 7,
                max_tensor_bytes: 1 << 30,
                kept_rounds: 16,
                seen: None,
            }),
            Vec::new(),
        ),
        (
            "join",
            Message::Join(Join {
                next: Some(7),
                epoch: 0x0102_0304_0506_0708,
            }),
            Vec::new(),
        ),
        (
            "push",
            Message::Push(Push {
                weight: 0.0,
                round: 7,
                tensors: layout(),
            }),
            floats(&[1.0, -2.0, 0.5]),
        ),
        (
            "result",
            Message::Result(ResultMessage {
                round: 7,
                contributors: 2,
                divisor: 2.0,
                outcome: Outcome::Deadline as i32,
                missing_count: 1,
                missing: vec!["w2".into()],
                tensors: layout(),
            }),
            floats(&[3.0, -4.0, 1.0]),
        ),
        (
            "catch-up",
            Message::CatchUp(CatchUp {
                first: 7,
                count: 2,
                next: 9,
                recovery: Recovery::Results as i32,
                fate: Fate::Carried as i32,
                weight: 0.5,
                tensors: Vec::new(),
            }),
            Vec::new(),
        ),
        (
            "heartbeat",
            Message::Heartbeat(Heartbeat {
                nonce: 300,
                round: 0,
            }),
            Vec::new(),
        ),
        ("leave", Message::Leave(Leave {}), Vec::new()),
        (
            "error",
            Message::Error(ErrorMessage {
                code: ErrorCode::Unauthorized as i32,
                text: "wrong token".into(),
            }),
            Vec::new(),
        ),
    ]
}

/// Hex, one line for each part of the frame.
fn show(name: &str, frame: &[u8], tensor_bytes: usize) -> String {
    let parts = [
        (0, 4, "magic"),
        (4, 1, "version"),
        (5, 1, "kind"),
        (6, 1, "dtype"),
        (7, 1, "flags"),
        (8, 4, "message bytes"),
        (12, 4, "message crc"),
        (16, 8, "tensor bytes"),
        (24, 4, "tensor crc"),
        (28, 4, "header crc"),
    ];
    let mut lines = vec![format!("# {name}")];
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (at, len, what) in parts {
        lines.push(format!("{:<48}| {what}", hex(&frame[at..at + len])));
    }
    let (message, tensors) =
        frame[HEADER_BYTES..].split_at(frame.len() - HEADER_BYTES - tensor_bytes);
    for (bytes, what) in [(message, "message"), (tensors, "tensors")] {
        for piece in bytes.chunks(16) {
            lines.push(format!("{:<48}| {what}", hex(piece)));
        }
    }
    lines.join("\n")
}

/// With `UPDATE_BOOK=1` in the environment the chapter is written anew.
#[test]
fn the_vectors_in_the_book_are_what_the_code_says() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../book/src/wire-protocol-1.md"
    );
    let mut book = std::fs::read_to_string(path).expect("the chapter");
    for (name, message, tensors) in vectors() {
        let frame = encode(&message, &tensors);
        let got = Decoder::new(LIMITS).push(&frame).expect("a good frame");
        assert_eq!(gather(got), [(message, tensors.clone())]);
        let begin = format!("```text\n# {name}\n");
        let from = book
            .find(&begin)
            .unwrap_or_else(|| panic!("no block for {name}"))
            + 8;
        let to = from + book[from..].find("\n```").expect("its end");
        let shown = show(name, &frame, tensors.len());
        if std::env::var_os("UPDATE_BOOK").is_some() {
            book.replace_range(from..to, &shown);
        } else {
            assert_eq!(
                &book[from..to],
                shown,
                "run with UPDATE_BOOK=1 and read the diff"
            );
        }
    }
    if std::env::var_os("UPDATE_BOOK").is_some() {
        std::fs::write(path, book).expect("written");
    }
}
