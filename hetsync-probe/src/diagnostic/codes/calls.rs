//! Mistakes in calls.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E0401",
        title: "wrong number of arguments",
        explanation: "The help line shows how the function is written.",
        wrong: "kprobe:f { @ = lhist(arg0, 10); }",
        mended: "kprobe:f { @ = lhist(arg0, 0, 100, 10); }",
    },
    Code {
        code: "E0402",
        title: "a constant is needed",
        explanation: "The marked argument shapes the map itself, so its value must be known before the script runs: a literal, a parameter,
or plain arithmetic on such.",
        wrong: "kprobe:f { @ = lhist(arg0, 0, arg1, 10); }",
        mended: "kprobe:f { @ = lhist(arg0, 0, 10 * 100, 10); }",
    },
    Code {
        code: "E0403",
        title: "a constant is out of range",
        explanation: "The message names the range.",
        wrong: "kprobe:f { @ = lhist(arg0, 100, 0, 10); }",
        mended: "kprobe:f { @ = lhist(arg0, 0, 100, 10); }",
    },
    Code {
        code: "E0404",
        title: "the argument is not what the function takes",
        explanation: "`clear` and `zero` take a whole map, without a key; `delete` takes a map and one key, given once; `top` and `div` are for maps.",
        wrong: "begin { clear(3); }",
        mended: "begin { @x = 1; clear(@x); }",
    },
    Code {
        code: "E0405",
        title: "the format is not a literal",
        explanation: "The format of `printf` must stand in the script, since its values are laid out by it.",
        wrong: r#"begin { $f = "%d"; printf($f, 1); }"#,
        mended: r#"begin { printf("%d", 1); }"#,
    },
    Code {
        code: "E0406",
        title: "conversions and values do not match in number",
        explanation: "Each conversion of a `printf` format shows one value, and each value needs one. A percent sign is written `%%`.",
        wrong: r#"begin { printf("%d %d\n", pid); }"#,
        mended: r#"begin { printf("%d %d\n", pid, tid); }"#,
    },
    Code {
        code: "E0408",
        title: "`delete` without a key",
        explanation: "`delete` removes one key of a map that has keys. To remove all of them use `clear`.",
        wrong: "kprobe:f { @x[pid] = 1; delete(@x); }",
        mended: "kprobe:f { @x[pid] = 1; delete(@x, pid); }",
    },
    Code {
        code: "E0409",
        title: "not a percentile",
        explanation: "Percentiles of `summary()` lie between 0 and 100, both excluded; fractions have at most three digits.",
        wrong: "kprobe:f { @ = summary(arg0, 50, 100); }",
        mended: "kprobe:f { @ = summary(arg0, 50, 99.9); }",
    },
    Code {
        code: "E0410",
        title: "a conversion does not fit its value",
        explanation: "`%s` shows strings, names, addresses of the internet, symbols, stacks and times; `%d %i %u %x %X %o %p %c` show integers; `%r %rx
%rh` show buffers.",
        wrong: r#"begin { printf("%s\n", pid); }"#,
        mended: r#"begin { printf("%d\n", pid); }"#,
    },
    Code {
        code: "E0411",
        title: "not a conversion",
        explanation: "A conversion is `%`, flags (`-`, `0`, `+`, space, `#`), a width, `.` and a precision, a length (`hh h l ll z`), and one of
`d i u x X o p c s r rx rh`. Width and precision are at most 4096.",
        wrong: r#"begin { printf("%y\n", pid); }"#,
        mended: r#"begin { printf("%d\n", pid); }"#,
    },
    Code {
        code: "E0412",
        title: "an argument of the wrong type",
        explanation: "The message says what the function takes and what it was given.",
        wrong: r#"begin { print(ntop("127.0.0.1")); }"#,
        mended: r#"begin { print(ntop(0x0100007f)); }"#,
    },
    Code {
        code: "E0413",
        title: "a text that names nothing",
        explanation: "The text is looked at before the script runs: an address of `pton`, a signal, a symbol of the kernel for `kaddr`, the folder of
a cgroup, the form of a stack.",
        wrong: r#"begin { print(pton("localhost")); }"#,
        mended: r#"begin { print(pton("127.0.0.1")); }"#,
    },
    Code {
        code: "E0414",
        title: "only with `--unsafe`",
        explanation: "The function acts on the system: it runs a command or sends a signal. A script must not do that unless whoever runs it says so.",
        wrong: r#"begin { system("uptime"); }"#,
        mended: r#"begin { cat("/proc/uptime"); }"#,
    },
    Code {
        code: "E0415",
        title: "a macro's parameter is something else",
        explanation: "For a parameter `$name` stands a variable, for `@name` a map without a key; a plain name takes any expression.",
        wrong: "macro add($to, n) { $to += n; }\nbegin { add(1, 2); }",
        mended: "macro add($to, n) { $to += n; }\nbegin { $x = 1; add($x, 2); print($x); }",
    },
    Code {
        code: "E0416",
        title: "the script says that it cannot run",
        explanation: "`fail()` stands in a branch that is taken, most often one of `if comptime`: the script knows that it does not work with these parameters.",
        wrong: "begin { if comptime ($# > 0) { fail(\"no parameters, please\"); } }",
        mended: "",
    },
    Code {
        code: "E0417",
        title: "`in` looks for something in the wrong place",
        explanation: "Behind `in` stands a list of values, `port(..)`, or a network `cidr(\"10.0.0.0/8\")`. Addresses are integers as they are sent (version 4), arrays of 4 or 16 bytes, or what `ntop()` gives.",
        wrong: "kprobe:f { if (comm in cidr(\"10.0.0.0/8\")) { @ = count(); } }",
        mended: "kprobe:f { if ((uint32)arg0 in cidr(\"10.0.0.0/8\")) { @ = count(); } }",
    },
];
