//! Limits of what a script may ask for.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E0501",
        title: "too many maps",
        explanation: "A script has at most 256 maps. One map with a key does the work of many.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0502",
        title: "too many variables",
        explanation: "A body has at most 256 variables. Those of separate blocks count separately.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0503",
        title: "a key is too large",
        explanation: "The parts of a key have at most 512 bytes together: 8 for an integer, up to 256 for a string.",
        wrong: r#"kprobe:f { @["0123456789012345678901234567890123456789012345678901234567890", "0123456789012345678901234567890123456789012345678901234567890", "0123456789012345678901234567890123456789012345678901234567890", "0123456789012345678901234567890123456789012345678901234567890", "0123456789012345678901234567890123456789012345678901234567890", "0123456789012345678901234567890123456789012345678901234567890", "0123456789012345678901234567890123456789012345678901234567890", "0123456789012345678901234567890123456789012345678901234567890", "0123456789012345678901234567890123456789012345678901234567890"] = count(); }"#,
        mended: "kprobe:f { @[comm, comm] = count(); }",
    },
    Code {
        code: "E0504",
        title: "a string is too long",
        explanation: "A string value has at most 1023 bytes and no NUL inside. Only the format of `printf` may be longer.",
        wrong: r#"begin { print("a\0b"); }"#,
        mended: r#"begin { print("a b"); }"#,
    },
    Code {
        code: "E0505",
        title: "too many values in one `printf`",
        explanation: "A `printf` shows at most 32 values. Print in two steps.",
        wrong: r#"begin { printf("%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d", 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1); }"#,
        mended: r#"begin { printf("%d", 1); }"#,
    },
    Code {
        code: "E0506",
        title: "too many buckets",
        explanation: "An `lhist()` has at most 1000 buckets. Use a wider step, or `hist()`, whose buckets grow.",
        wrong: "kprobe:f { @ = lhist(arg0, 0, 1000000, 1); }",
        mended: "kprobe:f { @ = lhist(arg0, 0, 1000000, 1000); }",
    },
    Code {
        code: "E0507",
        title: "types depend on each other too deeply",
        explanation: "The type of a map follows from what is assigned to it. Where that is another map, assigned further down, and so on, the
compiler reads the script several times, at most 16. Assign a value of a known type first.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0508",
        title: "a body needs too much memory at once",
        explanation: "A program of the kernel has 512 bytes of stack; what does not fit goes to 32 KiB of scratch. The message names \
                      the largest values. Use fewer or shorter strings at the same time, or split the body into two probes.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0509",
        title: "a body is too large",
        explanation: "A program has at most 65536 instructions, and no jump spans more than 32767. Split the body into several \
                      probes of the same function.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0510",
        title: "macros become too large",
        explanation: "All uses of macros together put in at most a megabyte of script, and macros inside macros nest to a limited depth. What is given for a parameter is put in wherever the macro mentions it.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0530",
        title: "`unroll` repeats too often",
        explanation: "`unroll` writes its body out, 1 to 100 times. A loop takes more rounds with less code.",
        wrong: "begin { unroll (1000) { @x++; } }",
        mended: "begin { for $i : 0..1000 { @x++; } }",
    },
    Code {
        code: "E0531",
        title: "loops over maps are too deep in one another",
        explanation: "The body of a loop over a map is a function that the kernel calls for each entry, and all functions that call one another \
                      share 512 bytes of stack; so at most 5 such loops stand in one another.",
        wrong: "",
        mended: "",
    },
];
