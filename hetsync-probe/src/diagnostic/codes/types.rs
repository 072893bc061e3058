//! Mistakes of types.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E0301",
        title: "a map holds values of two types",
        explanation: "All values of a map are integers, or all are strings. Both places are marked.",
        wrong: r#"begin { @x = 1; @x = "one"; }"#,
        mended: r#"begin { @x = 1; @name = "one"; }"#,
    },
    Code {
        code: "E0302",
        title: "a map is used with different numbers of key parts",
        explanation: "A map has no key, or a key of the same number of parts everywhere. Both places are marked.",
        wrong: "kprobe:f { @x[pid] = 1; @x[pid, tid] = 2; }",
        mended: "kprobe:f { @x[pid] = 1; @y[pid, tid] = 2; }",
    },
    Code {
        code: "E0303",
        title: "a part of a key has two types",
        explanation: "Each part of a map's key is an integer everywhere, or a string everywhere. Both places are marked.",
        wrong: "kprobe:f { @x[pid] = 1; @x[comm] = 2; }",
        mended: "kprobe:f { @x[pid] = 1; @y[comm] = 2; }",
    },
    Code {
        code: "E0304",
        title: "a variable gets a value of another type",
        explanation: "A variable keeps the type of its first value.",
        wrong: r#"begin { $x = 1; $x = "one"; print($x); }"#,
        mended: r#"begin { $x = 1; $y = "one"; print($x); print($y); }"#,
    },
    Code {
        code: "E0305",
        title: "an operator needs integers",
        explanation: "Arithmetic, bits, order and `++` are for integers. Strings can be compared with `==` and `!=` only.",
        wrong: "begin { print(comm + 1); }",
        mended: "begin { print(pid + 1); }",
    },
    Code {
        code: "E0306",
        title: "values of different types are compared",
        explanation: "An integer and a string are never equal.",
        wrong: "begin { if (comm == 1) { exit(); } }",
        mended: r#"begin { if (comm == "init") { exit(); } }"#,
    },
    Code {
        code: "E0307",
        title: "the two values of `?:` differ in type",
        explanation: "Both values of a conditional expression have the same type.",
        wrong: r#"begin { print(pid ? 1 : "none"); }"#,
        mended: r#"begin { print(pid ? "some" : "none"); }"#,
    },
    Code {
        code: "E0308",
        title: "a condition is not an integer",
        explanation: "A condition holds where it is not 0. A string is neither; compare it.",
        wrong: "kprobe:f /comm/ { @ = count(); }",
        mended: r#"kprobe:f /comm != ""/ { @ = count(); }"#,
    },
    Code {
        code: "E0309",
        title: "statistics are read as a value",
        explanation: "A map of `count()`, `hist()` and the like keeps its numbers per CPU and is put together when it is printed; there is no
one value to read. Count with `@x++` in a map where the number is needed.",
        wrong: "kprobe:f { @n = count(); if (@n > 5) { exit(); } }",
        mended: "kprobe:f { @n++; if (@n > 5) { exit(); } }",
    },
    Code {
        code: "E0310",
        title: "a map is used in two ways",
        explanation: "A map keeps one kind of statistic with one set of parameters, or plain values. Both places are marked.",
        wrong: "kprobe:f { @x = count(); @x = sum(arg0); }",
        mended: "kprobe:f { @n = count(); @x = sum(arg0); }",
    },
    Code {
        code: "E0311",
        title: "a statistic must be assigned to a map",
        explanation: "`count()`, `hist()` and the like put a sample into a map, with a plain `=`: they have no value of their own.",
        wrong: "kprobe:f { count(); }",
        mended: "kprobe:f { @ = count(); }",
    },
    Code {
        code: "E0312",
        title: "a key of a compound assignment changes something",
        explanation: "`@x[$i++] += 1` would evaluate the key twice, once to read and once to write. Do it in a statement of its own.",
        wrong: "begin { $i = 0; @x[$i++] += 1; }",
        mended: "begin { $i = 0; @x[$i] += 1; $i++; }",
    },
    Code {
        code: "E0313",
        title: "a function has no value",
        explanation: "`printf`, `print`, `clear` and the like are statements.",
        wrong: "begin { $x = print(1); }",
        mended: "begin { $x = 1; print($x); }",
    },
    Code {
        code: "E0314",
        title: "a value has no parts of this kind",
        explanation: "Members (`.name`) belong to structs, unions and pointers to them; numbered parts (`.0`) to tuples; elements (`[0]`) to arrays
and pointers; `*` needs a pointer, and `&` something that lies in memory. A number becomes a pointer by a cast.",
        wrong: "kprobe:f { print(arg0.flags); }",
        mended: "struct thing { int flags; };\nkprobe:f { print(((struct thing *)arg0).flags); }",
    },
    Code {
        code: "E0315",
        title: "a part that does not exist",
        explanation: "Parts of tuples and elements of arrays are counted from 0.",
        wrong: "begin { $t = (1, 2); print($t.2); }",
        mended: "begin { $t = (1, 2); print($t.1); }",
    },
    Code {
        code: "E0316",
        title: "a number in a type is wrong",
        explanation: "Sizes of arrays, widths of bitfields and values of constants are numbers known before the script runs, and not too large.",
        wrong: "struct s { int x[0 - 1]; };\nbegin { print(sizeof(struct s)); }",
        mended: "struct s { int x[1]; };\nbegin { print(sizeof(struct s)); }",
    },
    Code {
        code: "E0317",
        title: "a cast that is not possible",
        explanation: "Integers, truth values, enums and pointers can be cast to each other, and an integer to an array of as many bytes as it has.
A struct in memory is reached through a pointer to it.",
        wrong: "begin { print((uint64)\"text\"); }",
        mended: "begin { print((uint64)1); }",
    },
    Code {
        code: "E0330",
        title: "`unroll` needs a number known beforehand",
        explanation: "The body of `unroll` is written out so many times when the script is compiled.",
        wrong: "begin { unroll (pid) { @x++; } }",
        mended: "begin { for $i : 0..pid { @x++; } }",
    },
];
