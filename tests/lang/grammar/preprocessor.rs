//! Lines that start with `#`.

use hetsync_probe::syntax;

use super::{mistake, tree};

/// The first statement's tree.
fn first(text: &str) -> String {
    let dump = tree(text);
    let mut lines = dump.lines().skip_while(|line| !line.starts_with("probe"));
    lines.nth(1).unwrap_or_default().trim_start().to_owned()
}

#[test]
fn macros_are_replaced() {
    for (define, text, expected) in [
        ("#define N 3", "$x = N;", "(= $x 3)"),
        ("#define N 3 // c", "$x = N + N;", "(= $x (+ 3 3))"),
        (
            "#define N (1 + 2)",
            "$x = N * 2;",
            "(= $x (* (paren (+ 1 2)) 2))",
        ),
        ("#define N -1", "$x = -N;", "(= $x (- (- 1)))"),
        ("#define N 1\n#define M N", "$x = M;", "(= $x 1)"),
        ("#define N N", "$x = N;", "(= $x N)"),
        ("#define A B\n#define B A", "$x = A;", "(= $x A)"),
        ("#define NOTHING", "$x = NOTHING 1;", "(= $x 1)"),
        (
            "#define ADD(a, b) ((a) + (b))",
            "$x = ADD(1, f(2, 3));",
            "(= $x (paren (+ (paren 1) (paren f(2, 3)))))",
        ),
        ("#define F() 7", "$x = F();", "(= $x 7)"),
        (
            "#define TWICE(x) x + x",
            "$x = TWICE(TWICE(1));",
            "(= $x (+ (+ (+ 1 1) 1) 1))",
        ),
        ("#define F(x) x", "$x = F;", "(= $x F)"),
        ("#define LONG 1 + \\\n  2", "$x = LONG;", "(= $x (+ 1 2))"),
        (
            "#define N 3",
            "printf(\"N\", $N, @N);",
            "printf(\"N\", $N, @N)",
        ),
        ("#define N 3\n#undef N", "$x = N;", "(= $x N)"),
        (
            "#define COLOR \"\\033[31m\"",
            "print(COLOR \"x\");",
            "print(\"\\x1b[31mx\")",
        ),
        ("#define N 3", "/* N */ $x = N; // N", "(= $x 3)"),
    ] {
        let script = format!("{define}\nbegin {{ {text}\n}}\n");
        assert_eq!(first(&script), expected, "{script}");
    }
}

#[test]
fn conditions() {
    for (condition, holds) in [
        ("#if 1", true),
        ("#if 0", false),
        ("#ifdef BPFTRACE_HAVE_BTF", true),
        ("#ifndef BPFTRACE_HAVE_BTF", false),
        ("#ifdef NEVER", false),
        ("#if defined(BPFTRACE_HAVE_BTF) && !defined NEVER", true),
        ("#if NEVER", false),
        ("#if 2 + 2 * 2 == 6 && (1 << 3) > 7", true),
        ("#if -1 < 0 ? 0x10 == 16 : 0", true),
        ("#  if\t1 /* c */ // d", true),
        ("#if BPFTRACE_HAVE_BTF == 1", true),
        (
            "#if ~0 == -1 && 7 % 4 == 3 && 7 / 2 == 3 && (5 & 4 | 2 ^ 3) == 5",
            true,
        ),
    ] {
        let text = format!("{condition}\nbegin {{ yes(); }}\n#else\nbegin {{ no(); }}\n#endif\n");
        let expected = if holds { "yes()" } else { "no()" };
        assert_eq!(first(&text), expected, "{condition}");
    }
    let nested = "#if 0\n#if 1\n#error no\n#else\n#endif\n#elif 0\n#elif 1\n#if 1\nbegin { a(); }\n#endif\n#elif 1\n#error no\n#else\n#error no\n#endif\n";
    assert_eq!(first(nested), "a()");
}

#[test]
fn includes_are_noted() {
    let text = "#include <linux/socket.h>\n#ifdef NEVER\n#include \"not.h\"\n#endif\n# include \"net/sock.h\"\nbegin { }";
    let (script, mistakes) = syntax::parse(text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let paths: Vec<&str> = script
        .includes
        .iter()
        .map(|include| include.path.as_str())
        .collect();
    assert_eq!(paths, ["linux/socket.h", "net/sock.h"]);
    assert_eq!(
        &text[script.includes[1].span.range()],
        "# include \"net/sock.h\""
    );
}

#[test]
fn places_are_those_of_the_text_as_written() {
    let text = "#define LONG_NAME_OF_A_NUMBER 1\n#define E 1 +\nbegin {\n    $x = LONG_NAME_OF_A_NUMBER + ;\n    $y = E;\n    $z = 3 3;\n}";
    let (_, mistakes) = syntax::parse(text);
    let places: Vec<(usize, &str)> = mistakes
        .iter()
        .map(|mistake| (mistake.span.start as usize, &text[mistake.span.range()]))
        .collect();
    let at = |what: &str| text.find(what).unwrap();
    assert_eq!(
        places,
        [
            (at("+ ;") + 2, ";"),
            (at("E;") + 1, ";"),
            (at("3 3") + 2, "3")
        ]
    );
}

#[test]
fn wrong_lines_are_marked() {
    for (text, code, marked) in [
        ("#define\n", "E0112", "#define"),
        ("#define 1 2\n", "E0112", "#define 1 2"),
        ("#define F(x y) 1\n", "E0112", "#define F(x y) 1"),
        ("#define F(x 1\n", "E0112", "#define F(x 1"),
        ("#define S(x) #x\n", "E0112", "#define S(x) #x"),
        ("#undef\n", "E0112", "#undef"),
        ("#include linux.h\n", "E0112", "#include linux.h"),
        ("#if\n#endif\n", "E0112", "#if"),
        ("#if 1 +\n#endif\n", "E0112", "#if 1 +"),
        ("#if 1 / 0\n#endif\n", "E0112", "#if 1 / 0"),
        ("#if \"a\"\n#endif\n", "E0112", "#if \"a\""),
        ("#if 1\n", "E0112", "#if 1"),
        ("#else\n", "E0112", "#else"),
        ("#endif\n", "E0112", "#endif"),
        ("#if 1\n#else\n#else\n#endif\n", "E0112", "#else"),
        ("#error do not\n", "E0112", "#error do not"),
        ("#frob\n", "E0112", "#frob"),
        (
            "#if LINUX_VERSION_CODE > 1\n#endif\n",
            "E0109",
            "#if LINUX_VERSION_CODE > 1",
        ),
        ("#define F(x) x\n#define G F(1\nbegin { G }\n", "E0112", "G"),
        ("#define F(x) x\nbegin { F(1, 2); }\n", "E0112", "F"),
        ("#define F(x) x\nbegin { F(1,\n2); }\n", "E0112", "F"),
    ] {
        let text = if text.contains("begin") {
            text.to_owned()
        } else {
            format!("{text}begin {{ }}")
        };
        assert_eq!(mistake(&text), (code, marked.to_owned()), "{text}");
    }
}

#[test]
fn the_formatter_leaves_lines_of_the_preprocessor_where_they_are() {
    let text = "#define A 1 /* one */\n#ifdef A\nkprobe:f{@=A}\n# else\nkprobe:g{@=2}\n#endif // end\nbegin {\n#if A\nprint(A);\n#endif\n}\n";
    let formatted = syntax::format(text).unwrap();
    let expected = "#define A 1 /* one */\n#ifdef A\nkprobe:f {\n    @ = A;\n}\n\n# else\nkprobe:g {\n    @ = 2;\n}\n\n#endif // end\nbegin {\n#if A\n    print(A);\n#endif\n}\n";
    assert_eq!(formatted, expected);
    assert_eq!(syntax::format(&formatted).unwrap(), formatted);
}

#[test]
fn the_formatter_leaves_alone_what_only_the_preprocessor_understands() {
    for text in [
        "#if 1\nkprobe:f {\n#else\nkprobe:g {\n#endif\n@=1}\n",
        "begin { $x = 1\n#if 1\n+ 2\n#endif\n; }\n",
        "#define OPEN {\nbegin OPEN print(1) }\n",
    ] {
        assert_eq!(syntax::format(text).as_deref(), Ok(text));
    }
}
