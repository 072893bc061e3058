//! What stands outside of probes: C definitions, `config`, map declarations, macros.

use super::{mistake, tree};

/// The tree of a text before a probe.
fn before_a_probe(text: &str) -> String {
    let dump = tree(&format!("{text}\nbegin {{ }}"));
    dump.strip_suffix("probe begin\n")
        .unwrap()
        .replace('\n', "|")
}

#[test]
fn definitions_of_types() {
    for (text, expected) in [
        ("struct s { int a; };", "type struct s|  int a|"),
        ("struct s { int a; }", "type struct s|  int a|"),
        ("struct s;", "type struct s|"),
        ("struct s { };", "type struct s|"),
        (
            "struct s { int a, *b, c[4]; };",
            "type struct s|  int a *b c[4]|",
        ),
        (
            "struct s { unsigned long long a; };",
            "type struct s|  unsigned long long a|",
        ),
        ("struct s { const char *a; };", "type struct s|  char *a|"),
        (
            "struct s { char a[4][8]; u8 b[]; };",
            "type struct s|  char a[4][8]|  u8 b[]|",
        ),
        (
            "struct s { int a : 3; int : 5; };",
            "type struct s|  int a:3|  int -:5|",
        ),
        (
            "struct s { struct s *next; };",
            "type struct s|  struct s *next|",
        ),
        (
            "struct s { struct { int a; } b; };",
            "type struct s|  struct - b|    int a|",
        ),
        (
            "struct s { union { int a; long b; }; };",
            "type struct s|  union -|    int a|    long b|",
        ),
        (
            "struct s { void (*f)(int, char *); };",
            "type struct s|  void function f|",
        ),
        (
            "struct s { char a; int b; } __attribute__((packed));",
            "type struct s|  packed|  char a|  int b|",
        ),
        (
            "struct s { enum e a; enum { X } b; };",
            "type struct s|  enum e a|  enum - b|    X|",
        ),
        (
            "union u { int a; long b; };",
            "type union u|  int a|  long b|",
        ),
        (
            "enum e { A, B = 3, C = B + 1, };",
            "type enum e|  A|  B = 3|  C = (+ B 1)|",
        ),
        ("typedef unsigned int foo_t;", "typedef unsigned int foo_t|"),
        ("typedef struct s s_t, *s_p;", "typedef struct s s_t *s_p|"),
        (
            "typedef struct { int a; } s_t;",
            "typedef struct - s_t|  int a|",
        ),
    ] {
        assert_eq!(before_a_probe(text), expected, "{text}");
    }
}

#[test]
fn names_of_a_typedef_are_types() {
    let text = "typedef int foo; begin { $x = (foo)-1; $y = sizeof(foo); }";
    let dump = tree(text);
    assert!(dump.contains("(cast foo (- 1))"), "{dump}");
    assert!(dump.contains("(sizeof (type foo))"), "{dump}");
}

#[test]
fn settings_maps_and_macros() {
    for (text, expected) in [
        ("config = { }", "config|"),
        (
            "config = { stack_mode=perf }",
            "config|  stack_mode = perf|",
        ),
        (
            "config = { a = 1; b = \"x\"; c = true; d = -1; };",
            "config|  a = 1|  b = \"x\"|  c = true|  d = (- 1)|",
        ),
        ("let @m = lruhash(100);", "map @m lruhash(100)|"),
        ("let @ = hash(1 + 2);", "map @ hash((+ 1 2))|"),
        ("macro one() { 1 }", "macro one()|  value 1|"),
        (
            "macro f($a, @b, c,) { $a += c; @b++; }",
            "macro f($a, @b, c)|  (+= $a c)|  (post++ @b)|",
        ),
        (
            "macro f(x) { let $x = x; $x + 1 }",
            "macro f(x)|  let $x = x|  value (+ $x 1)|",
        ),
    ] {
        assert_eq!(before_a_probe(text), expected, "{text}");
    }
}

#[test]
fn wrong_items_are_marked_where_they_go_wrong() {
    for (text, code, marked) in [
        ("struct s { int }; begin { }", "E0101", "}"),
        ("struct { int a; begin { }", "E0101", "{"),
        ("struct s { int a begin { }", "E0101", "begin"),
        ("typedef int; begin { }", "E0101", ";"),
        ("enum e { 1 }; begin { }", "E0101", "1"),
        ("config { a = 1 } begin { }", "E0101", "{"),
        ("config = { a } begin { }", "E0101", "}"),
        ("config = { a = b + 1 } begin { }", "E0101", "+"),
        ("config = { a = f() } begin { }", "E0101", "f"),
        ("let $x = 1; begin { }", "E0101", "$x"),
        ("let @x; begin { }", "E0101", ";"),
        ("let @x = 5; begin { }", "E0101", "5"),
        ("macro { } begin { }", "E0101", "{"),
        ("macro f { } begin { }", "E0101", "{"),
        ("macro f(1) { } begin { }", "E0101", "1"),
        ("begin { } struct s { int a; }", "E0101", "struct"),
        ("begin { } config = { }", "E0101", "config"),
        ("import \"x\"; begin { }", "E0109", "import"),
        ("fn f() { } begin { }", "E0109", "fn"),
    ] {
        assert_eq!(mistake(text), (code, marked.to_owned()), "{text}");
    }
}
