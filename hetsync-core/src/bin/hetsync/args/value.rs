//! Values of flags, read from text.

use std::io::Read;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use hetsync_core::Span;
use hetsync_core::server::Token;
use hetsync_core::wire::v1::Dtype;

/// The secret in a file, without the line break that editors put at its end.
pub(crate) fn token(path: &Path) -> Result<Token, String> {
    let name = path.display();
    let text = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    match text.len() {
        0 => Err(format!("{name} is empty; a token has at least one byte")),
        1..=1024 => Ok(Token::new(text)),
        long => Err(format!(
            "{name} holds {long} bytes; a token has at most 1024"
        )),
    }
}

/// What is in a file of certificates or keys.
pub(crate) fn pem(path: &Path) -> Result<Vec<u8>, String> {
    /// Bytes of such a file, at most.
    const MOST: u64 = 1 << 20;
    let name = path.display();
    let read = std::fs::File::open(path).and_then(|file| {
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes).map(|_| bytes)
    });
    read.map_err(|error| format!("cannot read {name}: {error}"))
}

/// The server that a worker is to reach: how it was called, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) address: SocketAddr,
}

pub(super) fn target(text: &str) -> Result<Target, String> {
    let address = address(text)?;
    let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').into();
    Ok(Target { host, address })
}

/// A form of tensors.
pub(super) fn form(text: &str) -> Result<Dtype, String> {
    let named = Dtype::ALL[1..].iter().find(|dtype| dtype.name() == text);
    let named = named.copied();
    named.ok_or_else(|| String::from("write f32, f64, bf16, f16, int8 or topk"))
}

/// A form that results can have.
pub(super) fn result_form(text: &str) -> Result<Dtype, String> {
    match form(text) {
        Ok(dtype @ (Dtype::F32 | Dtype::Bf16 | Dtype::F16 | Dtype::Int8)) => Ok(dtype),
        _ => Err("write f32, bf16, f16 or int8".into()),
    }
}

/// The floats in a file.
pub(super) fn parameters(path: &Path) -> Result<Vec<f32>, String> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    let (words, rest) = bytes.as_chunks::<4>();
    if words.is_empty() || !rest.is_empty() {
        let length = bytes.len();
        return Err(format!(
            "{name} has {length} bytes; expected a whole number of floats of 4 bytes"
        ));
    }
    let floats: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    match floats.iter().position(|float| !float.is_finite()) {
        Some(at) => Err(format!("{name} holds a NaN or an infinity at element {at}")),
        None => Ok(floats),
    }
}

/// The first address of a name, of IPv4 if it has one, so that server and
/// worker agree on what `localhost` is.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map_err(|error| {
        format!("{error}; write an address and a port, as in 127.0.0.1:9999 or localhost:9999")
    })?;
    let first = found.min_by_key(SocketAddr::is_ipv6);
    first.ok_or_else(|| String::from("this name has no address"))
}

pub(super) fn time(text: &str) -> Result<Span, hetsync_core::time::ParseSpanError> {
    text.parse()
}

pub(super) fn some_time(text: &str) -> Result<Span, String> {
    match time(text) {
        Ok(Span::ZERO) => Err("must be longer than nothing, as in 1ms".into()),
        Ok(span) => Ok(span),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("write a number from 0 to 100".into()),
    }
}

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.as_bytes().last().map(u8::to_ascii_uppercase) {
        Some(b'K') => (&text[..text.len() - 1], 1 << 10),
        Some(b'M') => (&text[..text.len() - 1], 1 << 20),
        Some(b'G') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| {
        String::from("write a number of bytes, or one with K, M or G behind it, as in 64M")
    })?;
    match number.checked_mul(factor) {
        Some(bytes @ 4..) => Ok(bytes),
        Some(_) => Err("must hold at least one float (4 bytes)".into()),
        None => Err("is too large".into()),
    }
}

pub(super) fn whole_floats(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        bytes if bytes.is_multiple_of(4) => Ok(bytes),
        bytes => Err(format!(
            "a gradient is a whole number of floats of 4 bytes; write {} or {}",
            bytes - bytes % 4,
            (bytes - bytes % 4).saturating_add(4)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_counts_parse() {
        assert_eq!(bytes("1G"), Ok(1 << 30));
        assert_eq!(bytes("64k"), Ok(64 << 10));
        assert_eq!(bytes("4"), Ok(4));
        for text in [
            "",
            "G",
            "3",
            "-1",
            "99999999999999999999",
            "18446744073709551615K",
        ] {
            assert!(bytes(text).is_err(), "{text} was taken");
        }
    }
}
