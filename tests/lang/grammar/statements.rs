//! Statements.

use super::{body, mistake};

#[test]
fn assignments() {
    for op in ["", "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"] {
        assert_eq!(body(&format!("$x {op}= 1;")), format!("({op}= $x 1)"));
        assert_eq!(
            body(&format!("@m[1,2] {op}= 1;")),
            format!("({op}= @m[1, 2] 1)")
        );
    }
    assert_eq!(body("_ = f();"), "discard f()");
    assert_eq!(body("@ = count()"), "(= @ count())");
}

#[test]
fn declarations() {
    for (text, expected) in [
        ("let $x;", "let $x"),
        ("let $x = 1;", "let $x = 1"),
        ("let $x : uint64;", "let $x : uint64"),
        ("let $x:uint64=1;", "let $x : uint64 = 1"),
        ("let $x : struct sock *;", "let $x : struct sock*"),
        ("let $x : uint8[16];", "let $x : uint8[16]"),
        (
            "let $x : string[16] = \"a\";",
            "let $x : string[16] = \"a\"",
        ),
        ("let $x : typeof($y);", "let $x : typeof($y)"),
        ("let $x : foo_t;", "let $x : foo_t"),
    ] {
        assert_eq!(body(text), expected);
    }
}

#[test]
fn control() {
    for (text, expected) in [
        ("if (1) { f(); }", "if (paren 1) |   f()"),
        ("if 1 { f(); }", "if 1 |   f()"),
        (
            "if $x == 1 { f() } else { g() }",
            "if (== $x 1) |   f() | else |   g()",
        ),
        (
            "if 1 { } else if 2 { f() } else { g() }",
            "if 1 | else |   if 2 |     f() |   else |     g()",
        ),
        ("if comptime (1) { f() }", "if (comptime (paren 1)) |   f()"),
        ("while (1) { break; }", "while (paren 1) |   break"),
        ("while $i < 3 { continue }", "while (< $i 3) |   continue"),
        ("unroll (3) { f() }", "unroll (paren 3) |   f()"),
        ("unroll(3) { f() } g();", "unroll (paren 3) |   f() | g()"),
        ("unroll $1 { f() }", "unroll $1 |   f()"),
        ("for $kv : @m { f() }", "for $kv @m |   f()"),
        ("for ($kv : @m) { f() }", "for $kv @m |   f()"),
        ("for $i : 0..10 { f() }", "for $i (.. 0 10) |   f()"),
        ("for ($i:0..ncpus) { f() }", "for $i (.. 0 ncpus) |   f()"),
        ("for $i : $a + 1 .. -$b { }", "for $i (.. (+ $a 1) (- $b))"),
        ("return;", "return"),
        ("return", "return"),
        ("return 1;", "return 1"),
        ("return (1, 2);", "return (tuple 1, 2)"),
        (
            "{ $x = 1; { $y = 2 } }",
            "block |   (= $x 1) |   block |     (= $y 2)",
        ),
        (";; f();;", "f()"),
        ("if (1) { }; f()", "if (paren 1) | f()"),
        (
            "delete(@m[1]); delete(@m, 1);",
            "delete(@m[1]) | delete(@m, 1)",
        ),
        ("pid ? f() : g();", "(?: pid f() g())"),
        ("$x\n++;", "(post++ $x)"),
    ] {
        assert_eq!(body(text), expected, "{text}");
    }
}

#[test]
fn wrong_statements_are_marked_where_they_go_wrong() {
    for (text, code, marked) in [
        ("f() g();", "E0107", "g"),
        ("$x = 1\n$y = 2;", "E0107", "$y"),
        ("1 = 2;", "E0110", "="),
        ("$x.y = 2;", "E0110", "="),
        ("$x[1] = 2;", "E0110", "="),
        ("$kv.0 += 2;", "E0110", "+="),
        ("if (1) f();", "E0101", "f"),
        ("while (1) f();", "E0101", "f"),
        ("unroll (1) f();", "E0101", "f"),
        ("for $x : @m f();", "E0101", "f"),
        ("for (@m) { }", "E0101", "@m"),
        ("for $x @m { }", "E0101", "@m"),
        ("for ($i = 0; $i < 3; $i++) { }", "E0101", "="),
        ("for $i : 0.. { }", "E0101", "}"),
        ("else { }", "E0101", "else"),
        ("let x;", "E0101", "x"),
        ("let @x;", "E0101", "@x"),
        ("let $;", "E0101", ";"),
        ("let $x : ;", "E0101", ";"),
        ("let $1 = 2;", "E0101", "$1"),
        ("break 1;", "E0107", "1"),
        ("macro f() { }", "E0101", "macro"),
        ("struct s { int x; };", "E0101", "struct"),
        ("import \"x\";", "E0101", "import"),
    ] {
        let script = format!("begin {{ {text} }}");
        assert_eq!(mistake(&script), (code, marked.to_owned()), "{text}");
    }
}
