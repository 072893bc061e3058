//! Texts made to break a parser: deep, long, or no text at all. Each gets an answer, on the stack that a thread of the test has
//! (2 MiB, a quarter of a program's).

use hetsync_probe::limits;
use hetsync_probe::syntax;

/// The codes a script gets.
fn codes(text: &str) -> Vec<&'static str> {
    let (_, mistakes) = syntax::parse(text);
    let formatted = syntax::format(text);
    assert_eq!(
        formatted.is_err(),
        mistakes.iter().any(|found| found.is_error())
    );
    mistakes.iter().map(|mistake| mistake.code).collect()
}

#[test]
fn depth_is_limited_wherever_the_language_nests() {
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("f(", "1", ")"),
        ("@m[", "1", "]"),
        ("$x[", "1", "]"),
        ("-", "1", ""),
        ("!", "1", ""),
        ("*", "$x", ""),
        ("(uint8)", "1", ""),
        ("{ ", "1", " }"),
        ("{ $y = ", "1", " }"),
        ("1 ? ", "2", " : 3"),
        ("1 ? 2 : ", "3", ""),
        ("1 ?: ", "3", ""),
        ("comptime ", "3", ""),
        ("sizeof(", "1", ")"),
        ("(typeof(", "1", "))1"),
        ("(1, ", "1", ")"),
        ("{ if 1 { ", "f()", " } }"),
    ] {
        for depth in [1000, 30_000] {
            let text = format!(
                "begin {{ $x = {}{middle}{}; }}",
                open.repeat(depth),
                close.repeat(depth)
            );
            assert_eq!(codes(&text).first(), Some(&"E0004"), "{open}");
        }
    }
}

#[test]
fn depth_of_statements_and_types_is_limited() {
    for (open, middle, close) in [
        ("begin { {", "", "} }"),
        ("begin { if 1 {", "", "} }"),
        ("begin { while 1 {", "", "} }"),
        ("begin { for $i : 0..1 {", "", "} }"),
        ("begin { unroll 1 {", "", "} }"),
        ("begin { if 1 { } else if 1 { } else ", "{ }", " }"),
        ("struct s { struct { ", "int a;", "}; };"),
    ] {
        let (first, rest) = open.split_at(open.find('{').unwrap() + 1);
        let (rest, last) = (
            rest.trim(),
            close.rsplit_once(' ').map_or(close, |(_, last)| last),
        );
        let inner = &close[..close.len() - last.len()];
        let depth = 20_000;
        let text = format!(
            "{first} {}{middle}{}{last} begin {{ }}",
            format!("{rest} ").repeat(depth),
            inner.repeat(depth)
        );
        let found = codes(&text);
        assert!(found.contains(&"E0004"), "{open}: {found:?}");
    }
}

#[test]
fn just_below_the_limits_all_is_well() {
    let depth = limits::NESTING - 3;
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("f(", "1", ")"),
        ("@m[", "1", "]"),
        ("(uint8)", "1", ""),
        ("1 ?: ", "3", ""),
    ] {
        let text = format!(
            "begin {{ $x = {}{middle}{}; }}",
            open.repeat(depth),
            close.repeat(depth)
        );
        assert_eq!(codes(&text), [""; 0], "{open}");
    }
    let high = usize::from(limits::EXPRESSION_HEIGHT) - 1;
    for chain in [" + 1", ".a", "[1]", ".0"] {
        let text = format!("begin {{ $x = $y{}; }}", chain.repeat(high));
        assert_eq!(codes(&text), [""; 0], "{chain}");
        let text = format!("begin {{ $x = $y{}; }}", chain.repeat(high + 1));
        assert_eq!(codes(&text), ["E0004"], "{chain}");
    }
}

#[test]
fn long_texts_are_read_in_one_go() {
    let length = limits::SOURCE_BYTES / 8;
    for (piece, codes_wanted) in [
        ("$x = 1;\n", &[""; 0][..]),
        ("/* c */", &[]),
        ("// c\n", &[]),
        ("f(1, \"a\");", &[]),
        ("{ }", &[]),
        (";", &[]),
        ("$x = \"\" \"\";", &[]),
    ] {
        let text = format!("begin {{ {} }}", piece.repeat(length / piece.len()));
        assert_eq!(codes(&text), codes_wanted, "{piece}");
    }
    for piece in [
        "x ", "(", "\"a", "#", "@", "\\", "'", "}", "if ", "\u{e9}", "1e",
    ] {
        let text = format!("begin {{ {} }}", piece.repeat(length / piece.len()));
        let found = codes(&text);
        assert!(
            !found.is_empty() && found.len() <= limits::DIAGNOSTICS,
            "{piece}"
        );
    }
}

#[test]
fn macros_cannot_grow_without_end() {
    let mut bomb = String::from("#define A0 1 +\n#define E0\n");
    for level in 1..60 {
        bomb += &format!(
            "#define A{level} A{0} A{0}\n#define E{level} E{0} E{0}\n",
            level - 1
        );
    }
    for last in ["A59 1", "E59 1"] {
        let text = format!("{bomb}begin {{ $x = {last}; }}\n");
        assert_eq!(codes(&text).first(), Some(&"E0003"), "{last}");
    }
    let nested = format!(
        "#define F(x) x x\nbegin {{ {}1{}; }}\n",
        "F(".repeat(50),
        ")".repeat(50)
    );
    assert_eq!(codes(&nested).first(), Some(&"E0003"));
    // Each use here is looked at again on every level around it.
    let length = limits::SOURCE_BYTES / 32;
    for piece in ["F(", "F(1)F(", "F(F(1)"] {
        let text = format!(
            "#define F(x) x x\nbegin {{ {} }}\n",
            piece.repeat(length / piece.len())
        );
        assert!(!codes(&text).is_empty(), "{piece}");
    }
    let condition = format!("{bomb}#if A59 1\n#endif\nbegin {{ }}");
    assert_eq!(codes(&condition).first(), Some(&"E0003"));
    let open = format!("{}begin {{ }}", "#if 1\n".repeat(10_000));
    assert!(codes(&open).iter().all(|code| *code == "E0112"));
}

#[test]
fn numbers_have_an_end() {
    let digits = "9".repeat(100_000);
    for text in [
        digits.clone(),
        format!("0x{digits}"),
        format!("1e{digits}"),
        format!("{digits}ms"),
    ] {
        assert_eq!(codes(&format!("begin {{ $x = {text}; }}")), ["E0105"]);
    }
    assert_eq!(codes(&format!("begin {{ $x = ${digits}; }}")), ["E0105"]);
    assert_eq!(codes(&format!("begin {{ $x = $y.{digits}; }}")), ["E0105"]);
}

#[test]
fn line_ends_of_every_kind() {
    let text = "#define A 1 \\\r\n + 2\r\n#if A\r\nbegin { // c\r\n\t$x = A;\r\n}\r\n#endif\r\n";
    assert_eq!(codes(text), [""; 0]);
    let formatted = syntax::format(text).unwrap();
    assert_eq!(syntax::format(&formatted).as_ref(), Ok(&formatted));
    assert_eq!(codes("begin { $x = 1;\r$y = 2; }"), [""; 0]);
    assert_eq!(codes("begin { \0 }"), ["E0002"]);
}
