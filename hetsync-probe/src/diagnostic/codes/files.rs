//! Mistakes about the file as a whole.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E0001",
        title: "the script is not UTF-8 text",
        explanation: "A script is text in UTF-8. The file has bytes that are not; it was saved in another encoding, or it is not a script at all.
Save it as UTF-8, or check the file's name.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0002",
        title: "the script has a NUL byte",
        explanation: "Text has no NUL bytes, so this is most likely a compiled program or an object file. Give the script's source.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0003",
        title: "the script is too large",
        explanation: "A script has at most 1 MiB. Split it.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0004",
        title: "nested too deep",
        explanation: "Brackets and blocks nest at most 64 levels deep, and an expression's operators at most 192: the compiler walks
them recursively. Keep intermediate results in variables. A chain of `else if` counts one level for each.",
        wrong: "begin { $x = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1)))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))); print($x); }",
        mended: "begin { $x = 1; print($x); }",
    },
    Code {
        code: "E0005",
        title: "the script has no probes",
        explanation: "A script is a list of probes, each with its attach points and a body. This one has none, so nothing could ever happen.",
        wrong: "// only a comment",
        mended: r#"begin { printf("hello\n"); }"#,
    },
];
