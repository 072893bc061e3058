//! The metrics of a server, fetched and taken apart.
//!
//! Whatever answers at that address, this side holds at most
//! [`MAX_BYTES`], waits at most [`PATIENCE`], and lets no control character
//! through to the terminal.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use async_io::{Async, Timer};
use smol::future::FutureExt;
use smol::io::{AsyncReadExt, AsyncWriteExt};

use crate::Failure;

const MAX_BYTES: u64 = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// One line of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map(|(_, value)| value.as_str())
    }

    fn fits(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name
            && labels
                .iter()
                .all(|(label, value)| self.label(label) == Some(value))
    }
}

/// All of a text's samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Scrape(Vec<Sample>);

impl Scrape {
    /// Takes a text apart. Lines that are none of the format are passed over.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(sample).collect())
    }

    /// The first sample of this name that has these labels.
    pub(super) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let found = self.0.iter().find(|sample| sample.fits(name, labels));
        found.map(|sample| sample.value)
    }

    /// The same, or zero.
    pub(super) fn count(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(name, labels).unwrap_or(0.0)
    }

    /// The sum over all samples of this name that have these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.0.iter().filter(|sample| sample.fits(name, labels));
        found.map(|sample| sample.value).sum()
    }

    /// The values of a label, of samples of this name that have these others.
    pub(super) fn values(&self, name: &str, labels: &[(&str, &str)], of: &str) -> Vec<&str> {
        let found = self.0.iter().filter(|sample| sample.fits(name, labels));
        found.filter_map(|sample| sample.label(of)).collect()
    }
}

/// Fetches `http://address/metrics`.
pub(super) async fn get(address: SocketAddr) -> Result<Scrape, Failure> {
    let fetched = async { fetch(address).await.map_err(|error| error.to_string()) };
    let patience = async {
        Timer::after(PATIENCE).await;
        Err(format!("no answer within {} s", PATIENCE.as_secs()))
    };
    let answer = fetched.or(patience).await.map_err(|error| {
        format!(
            "no metrics at {address}: {error}. Is it the address of a server's --metrics, as in `hetsync serve --metrics {address}`?"
        )
    })?;
    let refuse = |what: &str| -> Failure {
        format!("{address} answers, but not with metrics: {what}. Is it another program's port?")
            .into()
    };
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| refuse("not HTTP"))?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        let shown: String = status
            .chars()
            .filter(|c| !c.is_control())
            .take(60)
            .collect();
        return Err(refuse(&shown));
    }
    let scrape = Scrape::parse(body);
    match scrape.get("hetsync_uptime_seconds", &[]) {
        Some(_) => Ok(scrape),
        None => Err(refuse("they are not those of a hetsync server")),
    }
}

async fn fetch(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = Async::<TcpStream>::connect(address).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// `name{label="value",..} number`
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            let label: String = label.chars().filter(|c| !c.is_control()).collect();
            labels.push((label, value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    Some(Sample {
        name: name.into(),
        labels,
        value: rest.trim().parse().ok()?,
    })
}

/// A label's value up to its closing quote, and what is behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('?'),
                c if !c.is_control() => value.push(c),
                _ => value.push('?'),
            },
            c if c.is_control() => value.push('?'),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart() {
        let text =
            "# HELP x y\nx 1\nx_total{a=\"b,}\\\"\",c=\"\u{1b}[2J\"} 2.5e3\nbroken{a=\"\nx{ 1\n\n";
        let scrape = Scrape::parse(text);
        assert_eq!(scrape.0.len(), 2);
        assert_eq!(scrape.get("x", &[]), Some(1.0));
        assert_eq!(scrape.get("x_total", &[("a", "b,}\"")]), Some(2500.0));
        assert_eq!(scrape.values("x_total", &[], "c"), ["?[2J"]);
        assert_eq!(scrape.get("x", &[("a", "b")]), None);
    }
}
