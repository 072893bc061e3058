//! Random input from fixed seeds: nothing panics, and the formatter keeps what it reads.

use hetsync_probe::{diagnostic::render, sema, source::Source, syntax};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{files, kernel::Small, options};

/// A runner that does the same on every run. `FUZZ=100` in the environment makes it a hundred times as long.
fn runner(cases: u32) -> TestRunner {
    let times: u32 =
        std::env::var("FUZZ").map_or(1, |times| times.parse().expect("FUZZ is a number"));
    let cases = cases * times;
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Everything that can be done with a text.
fn exercise(text: &str) {
    let source = match Source::from_bytes("random.hp", text.as_bytes()) {
        Ok(source) => source,
        Err(bad) => {
            render::text(&[bad.diagnostic], &bad.source, true);
            return;
        }
    };
    let (script, mistakes) = syntax::parse(text);
    render::text(&mistakes, &source, false);
    render::json(&mistakes, &source);
    syntax::dump(&script);
    if mistakes.is_empty() {
        let once = syntax::format(text).unwrap();
        let (again, broken) = syntax::parse(&once);
        assert!(broken.is_empty(), "{text:?} became {once:?}: {broken:?}");
        assert_eq!(
            syntax::dump(&script),
            syntax::dump(&again),
            "{text:?} became {once:?}"
        );
        assert_eq!(
            script.comments.len(),
            again.comments.len(),
            "{text:?} became {once:?}"
        );
        assert_eq!(once, syntax::format(&once).unwrap(), "{text:?}");
        match sema::check(&script, &options(&Small { listed: true })) {
            Ok((program, warnings)) => {
                sema::dump(&program);
                render::text(&warnings, &source, false);
            }
            Err(mistakes) => {
                assert!(!mistakes.is_empty());
                render::text(&mistakes, &source, false);
            }
        }
    }
}

#[test]
fn any_text_is_read_without_a_panic() {
    let mut runner = runner(512);
    runner
        .run(&any::<String>(), |text| {
            exercise(&text);
            Ok(())
        })
        .unwrap();
}

const TOKENS: [&str; 78] = [
    "kprobe:f",
    "kretprobe:tcp_*",
    "begin",
    "interval:s:1",
    ",",
    "/",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    "if",
    "else",
    "@",
    "@x",
    "@x[",
    "$x",
    "$1",
    "$#",
    "$",
    "pid",
    "comm",
    "arg0",
    "retval",
    "nsecs",
    "kstack",
    "1",
    "0x",
    "017",
    "5ms",
    "1.5",
    "1_0",
    "\"a\"",
    "\"",
    "\"\\n\"",
    "'a'",
    "+",
    "-",
    "*",
    "%",
    "&",
    "&&",
    "|",
    "||",
    "^",
    "~",
    "!",
    "!=",
    "=",
    "==",
    "<",
    "<<",
    "<<=",
    ">",
    ">>=",
    "+=",
    "++",
    "--",
    "?",
    ":",
    "..",
    "->",
    ".",
    "//",
    "/*",
    "*/",
    "\n",
    " ",
    "#",
    "print(",
    "printf(\"%d\", ",
    "count()",
    "hist(",
    "struct",
    "(int32)",
    "é",
];

#[test]
fn token_soup_is_read_without_a_panic() {
    let mut runner = runner(4096);
    let soup = prop::collection::vec((prop::sample::select(&TOKENS[..]), any::<bool>()), 0..60);
    runner
        .run(&soup, |tokens| {
            let mut text = String::from("kprobe:f {");
            for (token, spaced) in tokens {
                text.push_str(token);
                if spaced {
                    text.push(' ');
                }
            }
            exercise(&text);
            exercise(&text["kprobe:f {".len()..]);
            Ok(())
        })
        .unwrap();
}

#[test]
fn damaged_scripts_are_read_without_a_panic() {
    let texts: Vec<String> = ["tests/data/valid", "tests/data/invalid"]
        .iter()
        .flat_map(|folder| files(folder, "hp"))
        .filter_map(|(_, path)| std::fs::read_to_string(path).ok())
        .filter(|text| text.len() < 4000)
        .collect();
    let mut runner = runner(2048);
    let damage = (
        prop::sample::select(texts),
        any::<prop::sample::Index>(),
        0usize..30,
        any::<Option<char>>(),
    );
    runner
        .run(&damage, |(text, at, len, put)| {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len() + 1);
            let end = (at + len).min(chars.len());
            chars.splice(at..end, put);
            exercise(&chars.into_iter().collect::<String>());
            Ok(())
        })
        .unwrap();
}

/// An expression of integers, right in syntax and type.
fn integer() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        &[
            "1",
            "0x1f",
            "5ms",
            "1_000",
            "pid",
            "arg2",
            "$v",
            "@n",
            "@m[tid, comm]",
            "$2",
            "0",
        ][..],
    )
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let op = prop::sample::select(
            &["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "==", "!=", "<", "<=", ">", ">=", "&&", "||"][..],
        );
        prop_oneof![
            4 => (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("({a}) {op} {b}")),
            1 => inner.clone().prop_map(|e| format!("-({e})")),
            1 => inner.clone().prop_map(|e| format!("- -({e})")),
            1 => inner.clone().prop_map(|e| format!("!{e}")),
            1 => inner.clone().prop_map(|e| format!("(uint16){e}")),
            1 => Just("$v++".to_owned()),
            1 => Just("--@n".to_owned()),
            1 => inner.clone().prop_map(|e| format!("us({e})")),
            1 => inner.clone().prop_map(|e| format!("@m[0 + ({e}), \"k\"]")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

/// A statement, with comments in odd places.
fn statement() -> impl Strategy<Value = String> {
    let simple = prop_oneof![
        integer().prop_map(|e| format!("$v=0+({e});")),
        integer().prop_map(|e| format!("$v /* c */ += {e};")),
        integer().prop_map(|e| format!("@n = 0 + ({e}); // trailing\n")),
        integer().prop_map(|e| format!("@m[0+({e}),comm]-=1;")),
        integer().prop_map(|e| format!("@h[pid] = lhist({e}, 0, 100, 10);\n\n\n")),
        integer().prop_map(|e| format!("printf(\"%d %s\\n\", // why\n {e}, comm);")),
        Just("/* alone */".to_owned()),
        Just("// line\n".to_owned()),
    ];
    simple.prop_recursive(3, 20, 4, |inner| {
        let body = prop::collection::vec(inner, 0..4).prop_map(|parts| parts.concat());
        prop_oneof![
            (integer(), body.clone())
                .prop_map(|(e, body)| format!("if ({e}) {{ // then\n{body}}}")),
            (integer(), body.clone(), body.clone())
                .prop_map(|(e, a, b)| format!("if {e} {{{a}}} /* or */ else {{{b}}}")),
            (integer(), body.clone(), body.clone())
                .prop_map(|(e, a, b)| format!("if {e} {{{a}}} else if (0) {{{b}}};")),
            body.prop_map(|body| format!("{{{body}}}")),
        ]
    })
}

#[test]
fn right_scripts_are_accepted_and_formatting_keeps_them() {
    let mut runner = runner(512);
    let script = (integer(), prop::collection::vec(statement(), 0..6));
    runner
        .run(&script, |(predicate, body)| {
            // A variable of the body is no part of a predicate.
            let predicate = if predicate.contains("$v") { "1".to_owned() } else { predicate };
            let text = format!(
                "// head\nkprobe:f,\nkprobe:g /arg0 && ({predicate}) == 3/ {{ $v = arg1; {} }} // tail\n\
                 begin {{ @n = nsecs; @m[1, \"\"] = 2; }}",
                body.concat()
            );
            let (script, mistakes) = syntax::parse(&text);
            prop_assert!(mistakes.is_empty(), "{text}\n{mistakes:?}");
            let checked = sema::check(&script, &options(&Small { listed: true }));
            let mistakes = checked.err();
            // A key with a side effect is refused in `-=`, and rightly so.
            let only_known = mistakes.iter().flatten().all(|found| !found.is_error() || found.code == "E0312");
            prop_assert!(only_known, "{text}\n{mistakes:?}");
            exercise(&text);
            Ok(())
        })
        .unwrap();
}
