//! Mistakes of syntax.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E0101",
        title: "unexpected text",
        explanation: "Something else must stand at the marked place. The message says what was expected and what was found.",
        wrong: "begin { $x = 1 + ; }",
        mended: "begin { $x = 1 + 2; print($x); }",
    },
    Code {
        code: "E0102",
        title: "a string is not closed",
        explanation: r#"A string ends on the line it starts on, with `"`. A line break inside a string is written `\n`."#,
        wrong: "begin {\n    printf(\"hello);\n}",
        mended: "begin {\n    printf(\"hello\");\n}",
    },
    Code {
        code: "E0103",
        title: "a comment is not closed",
        explanation: "A comment that starts with `/*` ends with `*/`. Such comments do not nest.",
        wrong: "begin { exit(); } /* the end",
        mended: "begin { exit(); } /* the end */",
    },
    Code {
        code: "E0104",
        title: "unknown escape in a string",
        explanation: r#"A backslash in a string starts one of the escapes `\n \t \r \a \0 \\ \"`, an octal number of up to three digits, or
`\x` with up to two hexadecimal ones. A backslash itself is written `\\`."#,
        wrong: r#"begin { printf("C:\dir\n"); }"#,
        mended: r#"begin { printf("C:\\dir\n"); }"#,
    },
    Code {
        code: "E0105",
        title: "not a number",
        explanation: "The digits do not fit their base, the number does not fit 64 bits, or its ending has no meaning. Numbers are decimal,
`0x` hexadecimal, octal with a leading `0` or `0o`, decimal with an exponent (`1e6`) or a duration (`5ms`); `_` may stand
between digits. C's endings `u`, `l`, `ll` are read and ignored.",
        wrong: "begin { print(089); }",
        mended: "begin { print(89); }",
    },
    Code {
        code: "E0106",
        title: "there are no character literals",
        explanation: "A character between single quotes is not part of the language. Write its number, or a string in double quotes.",
        wrong: r#"begin { printf("%c\n", 'a'); }"#,
        mended: r#"begin { printf("%c\n", 97); }"#,
    },
    Code {
        code: "E0107",
        title: "a semicolon is missing",
        explanation: "Statements are separated by `;`. Only the last of a block, and one that ends in a block, need none.",
        wrong: "begin { $x = 1 print($x); }",
        mended: "begin { $x = 1; print($x); }",
    },
    Code {
        code: "E0108",
        title: "a bracket is not closed",
        explanation: "A bracket or brace was opened and the text ends, or a statement does, before it is closed.",
        wrong: "begin { print(max(1, 2); }",
        mended: "begin { print(1); }",
    },
    Code {
        code: "E0109",
        title: "not supported yet",
        explanation: "bpftrace has this construct; this version of hetsync-probe does not. Nothing is ever ignored silently: a script
either runs as bpftrace would run it, or is refused at the place where it cannot.",
        wrong: "import \"stdlib\";\nbegin { exit(); }",
        mended: "begin { exit(); }",
    },
    Code {
        code: "E0110",
        title: "cannot be assigned",
        explanation: "Only variables (`$x`) and maps (`@x`, `@x[key]`) can be assigned, incremented and decremented.",
        wrong: "begin { pid = 3; }",
        mended: "begin { $pid = 3; print($pid); }",
    },
    Code {
        code: "E0111",
        title: "there are no floating-point numbers",
        explanation: "eBPF programs have no floating-point arithmetic. Scale the number: count in thousandths, or in nanoseconds. Only the
percentiles of `summary()` may be fractions.",
        wrong: "begin { $x = 1.5; print($x); }",
        mended: "begin { @ = summary(15, 50, 99.9); }",
    },
    Code {
        code: "E0112",
        title: "a line of the preprocessor cannot be read",
        explanation: "The lines that start with `#` are those of C's preprocessor: `#include`, `#define`, `#undef`, `#if`, `#ifdef`, `#ifndef`,
`#elif`, `#else`, `#endif`, `#error`. Every `#if` ends with an `#endif`. A macro is used with as many arguments as it has
parameters, on one line. Conditions are made of integers, names, C's operators and `defined(NAME)`.",
        wrong: "#ifdef BPFTRACE_HAVE_BTF\nbegin { exit(); }",
        mended: "#ifdef BPFTRACE_HAVE_BTF\nbegin { exit(); }\n#endif",
    },
    Code {
        code: "E0125",
        title: "two `config` blocks",
        explanation: "A script has one `config` block, which applies to all of it.",
        wrong: "config = { max_map_keys = 10 }\nconfig = { print_maps_on_exit = false }\nbegin { @x[1] = 2; }",
        mended: "config = { max_map_keys = 10; print_maps_on_exit = false }\nbegin { @x[1] = 2; }",
    },
];
