//! The metrics endpoint: its text, its manners, the dashboard that reads it,
//! and `hetsync top`.
//!
//! The parser here is of this file alone and takes nothing that the format
//! does not allow.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use hetsync_core::metrics::NAMES;
use hetsync_core::net::{Checkpoints, listen};
use hetsync_core::policy::Strict;

use crate::cli::{run, text};
use crate::support::{PATIENCE, TestServer, is_closed_round};

/// A family: its kind, and its samples by suffix and labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: BTreeMap<(String, String), f64>,
}

type Families = BTreeMap<String, Family>;

fn parse(text: &str) -> Families {
    assert!(text.ends_with('\n'), "the last line has an end too");
    let mut families = Families::new();
    let mut open = String::new();
    let mut helped = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help text");
            assert!(
                !help.trim().is_empty() && !families.contains_key(name),
                "{line}"
            );
            helped = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a kind");
            assert_eq!(name, helped, "help first, then the type");
            assert!(
                ["counter", "gauge", "histogram", "summary"].contains(&kind),
                "{line}"
            );
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            open = name.to_owned();
            let family = families.entry(open.clone()).or_default();
            family.kind = kind.to_owned();
        } else {
            let (name, labels, value) = parse_sample(line);
            let suffix = name.strip_prefix(&open).unwrap_or_else(|| panic!("{line}"));
            let family = families.get_mut(&open).expect("an open family");
            let allowed: &[&str] = match family.kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                "summary" => &["_sum", "_count"],
                _ => &[""],
            };
            assert!(allowed.contains(&suffix), "{line}");
            let key = (suffix.to_owned(), labels);
            assert_eq!(family.samples.insert(key, value), None, "twice: {line}");
        }
    }
    families
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Name, labels as they stand, value.
fn parse_sample(line: &str) -> (&str, String, f64) {
    let at = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(at);
    assert!(is_name(name), "{line}");
    let mut labels = String::new();
    if let Some(inside) = rest.strip_prefix('{') {
        let mut names = BTreeSet::new();
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label) && names.insert(label), "{line}");
            let mut escaped = false;
            let end = after.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            let end = end.unwrap_or_else(|| panic!("{line}"));
            labels.push_str(&format!("{label}={};", &after[..end]));
            rest = &after[end + 1..];
            match rest.split_at(1) {
                (",", more) => rest = more,
                ("}", more) => break rest = more,
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (
        name,
        labels,
        value.parse().unwrap_or_else(|_| panic!("{line}")),
    )
}

/// Sends `request` and reads to the end of the connection.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    stream.write_all(request).expect("write");
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let answer = ask(address, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let length = format!("Content-Length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    (head.into(), body.into())
}

/// A server with metrics that has closed five rounds of two workers, and
/// saved each.
fn served() -> (TestServer, SocketAddr, tempfile::TempDir) {
    let listener = listen(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = listener.get_ref().local_addr().expect("its address");
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoints = Checkpoints {
        folder: folder.path().into(),
        every: 1,
        keep: 3,
    };
    let server = TestServer::start(|builder| {
        let builder = builder.workers(2).policy(Strict).metrics(listener);
        builder.checkpoints(checkpoints)
    });
    let mut peers = [server.join(), server.join()];
    for _ in 0..5 {
        peers.iter_mut().for_each(|peer| peer.send(&[1.0, 2.0]));
        server.wait(is_closed_round);
        peers
            .iter_mut()
            .for_each(|peer| assert_eq!(peer.receive(), [2.0, 4.0]));
    }
    let [first, second] = peers;
    // Both stay connected until the test ends.
    std::mem::forget((first, second));
    (server, address, folder)
}

#[test]
fn the_text_keeps_to_the_format_and_tells_what_was_counted() {
    let (server, address, _folder) = served();
    let (head, body) = get(address, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("Content-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    let families = parse(&body);
    let names: Vec<&str> = families.keys().map(String::as_str).collect();
    let mut expected = NAMES.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);

    let value = |family: &str, labels: &str| {
        let key = (String::new(), labels.to_owned());
        families[family].samples.get(&key).copied()
    };
    assert_eq!(
        value("hetsync_rounds_total", "hetsync_job=default;outcome=full;"),
        Some(5.0)
    );
    assert_eq!(
        value(
            "hetsync_rounds_total",
            "hetsync_job=default;outcome=deadline;"
        ),
        Some(0.0)
    );
    assert_eq!(
        value(
            "hetsync_gradients_total",
            "hetsync_job=default;result=fresh;"
        ),
        Some(10.0)
    );
    assert_eq!(
        value("hetsync_workers", "hetsync_job=default;state=in_step;"),
        Some(2.0)
    );
    assert_eq!(value("hetsync_round", "hetsync_job=default;"), Some(5.0));
    assert_eq!(value("hetsync_connections", ""), Some(2.0));
    // Ten frames of 16 bytes each way.
    assert_eq!(
        value("hetsync_bytes_total", "direction=received;"),
        Some(160.0)
    );
    assert_eq!(value("hetsync_bytes_total", "direction=sent;"), Some(160.0));
    assert_eq!(
        value("hetsync_worker_straggler", "hetsync_job=default;worker=#1;"),
        Some(0.0)
    );

    // Whoever has a result has it since it was safe.
    assert_eq!(
        value(
            "hetsync_checkpoints_total",
            "hetsync_job=default;result=saved;"
        ),
        Some(5.0)
    );
    assert!(value("hetsync_checkpoint_bytes", "hetsync_job=default;") > Some(36.0));
    assert!(
        value(
            "hetsync_checkpoint_last_success_timestamp_seconds",
            "hetsync_job=default;"
        ) > Some(1.7e9)
    );

    let costs = &families["hetsync_worker_cost_seconds_total"].samples;
    let waited = value("hetsync_barrier_wait_seconds_total", "hetsync_job=default;");
    let charged: f64 = costs.values().sum();
    assert!(
        (charged - waited.unwrap()).abs() < 1e-6,
        "{charged} of {waited:?}"
    );

    for (name, family) in families.iter().filter(|(_, f)| f.kind == "histogram") {
        let all = |suffix: &str| family.samples[&(suffix.into(), "hetsync_job=default;".into())];
        let limit = |labels: &str| -> f64 {
            let le = labels.split("le=").nth(1).expect("a limit");
            le.trim_end_matches(';').parse().expect("a number")
        };
        let mut buckets: Vec<(f64, f64)> = family
            .samples
            .iter()
            .filter(|((suffix, _), _)| suffix == "_bucket")
            .map(|((_, labels), count)| (limit(labels), *count))
            .collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(
            buckets.is_sorted_by(|a, b| a.1 <= b.1),
            "{name}: {buckets:?}"
        );
        assert_eq!(
            buckets.last(),
            Some(&(f64::INFINITY, all("_count"))),
            "{name}"
        );
        assert!(all("_sum") >= 0.0);
    }
    server.stop();
}

#[test]
fn health_is_told_and_nonsense_is_refused_and_harms_nobody() {
    let (server, address, _folder) = served();
    for path in ["/livez", "/readyz"] {
        let (head, body) = get(address, path);
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{path}: {head}");
        assert_eq!(body, "ok\n");
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    for (request, status) in [
        (&b"GET /nothing HTTP/1.1\r\n\r\n"[..], "404"),
        (
            b"POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            "405",
        ),
        (b"\0\0\0\0\0\0\0\x08\r\n\r\n", "400"),
        (b"GET /metrics HTTP/9\r\n\r\n", "400"),
        (long.as_bytes(), "431"),
    ] {
        let answer = ask(address, request);
        // The system may reset a connection whose request nobody reads.
        let is_long = request.len() > 8192;
        let found = answer.split(' ').nth(1);
        assert!(
            found == Some(status) || (is_long && found.is_none()),
            "{answer}"
        );
    }
    let head = ask(address, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    // Neither connections that say nothing nor one that breaks off are felt.
    let silent: Vec<TcpStream> = (0..8)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    drop(TcpStream::connect(address).unwrap());
    assert!(get(address, "/metrics").1.contains("hetsync_rounds_total"));
    drop(silent);
    server.stop();
}

/// Every metric that the dashboard asks for is one that there is, and every
/// chart asks for something.
#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/hetsync.json");
    let dashboard = std::fs::read_to_string(path).expect("the dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() >= 6);
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty());
        for target in targets {
            let query = target["expr"].as_str().expect("a query");
            let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            // The one label of that form.
            let words = words.filter(|word| *word != "hetsync_job");
            let names = words.filter(|word| word.starts_with("hetsync_"));
            let mut found = 0;
            for name in names {
                found += 1;
                let bare = ["_bucket", "_sum", "_count"].iter();
                let bare = bare.filter_map(|suffix| name.strip_suffix(suffix));
                let known = bare.chain([name]).any(|name| NAMES.contains(&name));
                assert!(known, "{name} in {query}");
            }
            assert!(found > 0, "{query} asks for nothing");
        }
    }
}

const SCRAPED: &str = include_str!("../data/metrics/four_workers.txt");

/// Answers one request with `body`.
fn answer_once(status: &'static str, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        let _ = stream.write_all(answer.as_bytes());
    });
    address
}

#[test]
fn top_shows_a_table_of_what_was_scraped() {
    parse(SCRAPED);
    let address = answer_once("200 OK", SCRAPED);
    let output = run(&["top", "--once", &address.to_string()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown = text(&output.stdout).replace(&address.to_string(), "ADDRESS");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("top__four_workers", shown));
}

#[test]
fn top_says_when_there_is_no_server_or_another_one() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("its address")
    };
    let output = run(&["top", &nobody.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("hetsync serve --metrics"), "{told}");
    assert_eq!(output.stdout, b"", "nothing was drawn");

    for (status, body) in [("404 Not Found", "no"), ("200 OK", "x 1\n")] {
        let address = answer_once(status, body);
        let output = run(&["top", "--once", &address.to_string()]);
        assert_eq!(output.status.code(), Some(1));
        let told = text(&output.stderr);
        assert!(told.contains("answers, but not with metrics"), "{told}");
    }
}
