//! Mistakes about names and probes.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E0201",
        title: "unknown probe kind",
        explanation: "The word before the first colon names the kind of a probe: `begin`, `end`, `kprobe` (`k`), `kretprobe` (`kr`), `fentry` (`f`),
`fexit` (`fr`), `tracepoint` (`t`), `rawtracepoint` (`rt`), `interval` (`i`), `profile` (`p`), `software` (`s`), `hardware` (`h`), and others.",
        wrong: "kporbe:tcp_sendmsg { @ = count(); }",
        mended: "kprobe:tcp_sendmsg { @ = count(); }",
    },
    Code {
        code: "E0202",
        title: "a probe kind or form is not supported yet",
        explanation: "bpftrace has this kind of probe, or this way to write it; this version of hetsync-probe does not.",
        wrong: "iter:task { @ = count(); }",
        mended: "kprobe:tcp_rcv_established { @ = count(); }",
    },
    Code {
        code: "E0203",
        title: "an attach point is malformed",
        explanation: "The parts of an attach point stand between colons, as the help line shows for its kind.",
        wrong: "kprobe: { @ = count(); }",
        mended: "kprobe:tcp_sendmsg { @ = count(); }",
    },
    Code {
        code: "E0204",
        title: "unknown kernel function",
        explanation: "The kernel's list of functions that can be probed does not have this one. It may be misspelled, inlined by the compiler
that built the kernel, renamed in this version, or part of a module that is not loaded.",
        wrong: "kprobe:tcp_sendmgs { @ = count(); }",
        mended: "kprobe:tcp_sendmsg { @ = count(); }",
    },
    Code {
        code: "E0205",
        title: "a wildcard matches nothing",
        explanation: "No function of the kernel matches. `*` stands for any characters, `?` for one.",
        wrong: "kprobe:tpc_* { @ = count(); }",
        mended: "kprobe:tcp_* { @ = count(); }",
    },
    Code {
        code: "E0206",
        title: "a wildcard cannot be expanded",
        explanation: "A wildcard is expanded with the kernel's list of functions. It cannot be read here: that needs root, and tracefs mounted.
Naming the functions works without it.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0207",
        title: "too many attach points",
        explanation: "A script has at most 1024 attach points, wildcards expanded. Attaching more would take minutes and slow the machine down.",
        wrong: "kprobe:* { @ = count(); }",
        mended: "kprobe:tcp_* { @ = count(); }",
    },
    Code {
        code: "E0208",
        title: "not a period",
        explanation: "An interval is written as a duration, `interval:5s`, or as unit and number, `interval:s:5`; the units are `s`, `ms`, `us`,
`ns` and `hz`. It is at least one nanosecond.",
        wrong: "interval:fortnight:1 { exit(); }",
        mended: "interval:5s { exit(); }",
    },
    Code {
        code: "E0209",
        title: "unknown name",
        explanation: "A bare name is a built-in value such as `pid`. Variables start with `$`, maps with `@`, and strings stand in quotes.",
        wrong: "begin { print(pdi); }",
        mended: "begin { print(pid); }",
    },
    Code {
        code: "E0210",
        title: "a built-in or function is not supported yet",
        explanation: "bpftrace has it; this version of hetsync-probe does not.",
        wrong: "kprobe:tcp_drop { @[path(arg0)] = count(); }",
        mended: "kprobe:tcp_drop { @[comm] = count(); }",
    },
    Code {
        code: "E0211",
        title: "a built-in has no meaning here",
        explanation: "Arguments (`arg0`..) exist on entry to a function, the return value (`retval`) on return, and `func` where there is a
function. To use an argument on return, keep it in a map by thread, `@arg[tid] = arg2`, and read it there.",
        wrong: "kprobe:tcp_sendmsg { @[retval] = count(); }",
        mended: "kretprobe:tcp_sendmsg { @[retval] = count(); }",
    },
    Code {
        code: "E0212",
        title: "a variable is used before it is assigned",
        explanation: "A `$` variable starts with its first assignment and lives in one run of one body. Maps pass values between probes.",
        wrong: "begin { $a = 1; print($b); }",
        mended: "begin { $a = 1; print($a); }",
    },
    Code {
        code: "E0213",
        title: "a variable is used outside of its block",
        explanation: "A variable belongs to the block of its first assignment and ends with it, as in bpftrace since 0.22.",
        wrong: "begin { if (pid > 1) { $x = 1; } print($x); }",
        mended: "begin { $x = 0; if (pid > 1) { $x = 1; } print($x); }",
    },
    Code {
        code: "E0214",
        title: "a map is never assigned",
        explanation: "The map is read, printed or cleared, and no probe of the script puts anything in: most likely its name is misspelled.",
        wrong: "kprobe:tcp_sendmsg { @sends = count(); } interval:1s { print(@sneds); }",
        mended: "kprobe:tcp_sendmsg { @sends = count(); } interval:1s { print(@sends); }",
    },
    Code {
        code: "E0215",
        title: "unknown function",
        explanation: "There is no function of this name.",
        wrong: r#"begin { pritnf("hello\n"); }"#,
        mended: r#"begin { printf("hello\n"); }"#,
    },
    Code {
        code: "E0216",
        title: "a parameter is not a number",
        explanation: "`$1` alone is a number, as in bpftrace. The text of a parameter is `str($1)`. The example is run with the parameter `tcp`.",
        wrong: "begin { print($1); }",
        mended: "begin { print(str($1)); }",
    },
    Code {
        code: "E0217",
        title: "a parameter for an attach point is missing",
        explanation: "An attach point that names a parameter needs it: there is no function called nothing.",
        wrong: "kprobe:$9 { @ = count(); }",
        mended: "kprobe:$1_sendmsg { @ = count(); }",
    },
    Code {
        code: "E0218",
        title: "unknown tracepoint",
        explanation: "The kernel has no tracepoint, or no raw tracepoint, of this name, or none that matches. It may be misspelled, of another kernel
version, or part of a module that is not loaded.",
        wrong: "tracepoint:tcp:tcp_prope { @ = count(); }",
        mended: "tracepoint:tcp:tcp_probe { @ = count(); }",
    },
    Code {
        code: "E0219",
        title: "the kernel's tracepoints cannot be looked at",
        explanation: "Tracepoints are found in tracefs, which only root may read and which may not be mounted:
`mount -t tracefs tracefs /sys/kernel/tracing`. Raw tracepoints are found in the kernel's BTF.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0220",
        title: "no prototype for a trampoline",
        explanation: "`fentry` and `fexit` need the function's prototype from the kernel's BTF: one function of that name, at most 12 arguments, none of
them a structure by value. A kprobe needs none of that.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0221",
        title: "unknown type",
        explanation: "The type is not among the language's, the script's own or the kernel's. Types of the kernel come from its BTF;
those of a module are known while it is loaded.",
        wrong: "begin { print((uint8)1); print(sizeof(struct no_such)); }",
        mended: "struct no_such { int x; };\nbegin { print((uint8)1); print(sizeof(struct no_such)); }",
    },
    Code {
        code: "E0222",
        title: "a record has no such member",
        explanation: "The struct or union has no member of this name in this kernel, nor has one of its anonymous members. Members come and go
from kernel to kernel; `hetsync-probe list 'struct sock'` shows what there is.",
        wrong: "struct pair { int first; int second; };\nkprobe:f { print(((struct pair *)arg0).frist); }",
        mended: "struct pair { int first; int second; };\nkprobe:f { print(((struct pair *)arg0).first); }",
    },
    Code {
        code: "E0223",
        title: "a variable is declared twice",
        explanation: "`let` and `for` make a new variable, and there is one of this name already in this block or one around it.",
        wrong: "begin { let $x = 1; let $x = 2; print($x); }",
        mended: "begin { let $x = 1; $x = 2; print($x); }",
    },
    Code {
        code: "E0224",
        title: "an argument's type is not known",
        explanation: "`args.name` is read by the function's prototype or the tracepoint's format. Nothing may be known of them, or the argument
is another one in the other probes of the same body.",
        wrong: "fentry:tcp_sendmsg { print(args.x); }",
        mended: "kprobe:tcp_sendmsg { print(arg0); }",
    },
    Code {
        code: "E0225",
        title: "no such file or function to probe",
        explanation: "A uprobe is in a file: a path, a program on the search path, or a library by its bare name, such as `libc`. Its function is looked for in the
file's symbol tables, which a stripped program lacks; any instruction can be probed by its offset in the file.",
        wrong: "uprobe:/no/such/file:f { @ = count(); }",
        mended: "",
    },
    Code {
        code: "E0230",
        title: "`break` or `continue` outside of a loop",
        explanation: "They are about the `while` or `for` loop around them; `unroll` is none. `return` ends the body of a probe.",
        wrong: "begin { if (pid == 1) { break; } }",
        mended: "begin { if (pid == 1) { return; } }",
    },
    Code {
        code: "E0231",
        title: "a body is left from within a value",
        explanation: "A block that is a value is part of an expression, the rest of which waits for it: `return` and `exit()` cannot stand in it.",
        wrong: "begin { $x = { if (pid == 1) { exit(); } 5 }; print($x); }",
        mended: "begin { if (pid == 1) { exit(); } $x = { 5 }; print($x); }",
    },
    Code {
        code: "E0240",
        title: "unknown setting",
        explanation: "Settings are those of bpftrace: `max_map_keys`, `print_maps_on_exit` and so on, also by the names of its environment
variables.",
        wrong: "config = { max_map_key = 10 }\nbegin { @x[1] = 2; }",
        mended: "config = { max_map_keys = 10 }\nbegin { @x[1] = 2; }",
    },
    Code {
        code: "E0241",
        title: "unknown kind of map",
        explanation: "Maps of plain values are `hash` or `lruhash`, those of statistics `percpuhash`, `percpulruhash` or, without a key, `percpuarray`.",
        wrong: "let @x = hashmap(10);\nbegin { @x[1] = 2; }",
        mended: "let @x = hash(10);\nbegin { @x[1] = 2; }",
    },
    Code {
        code: "E0242",
        title: "a map is declared twice",
        explanation: "One declaration says how many keys a map holds and what happens when it is full.",
        wrong: "let @x = hash(10);\nlet @x = hash(20);\nbegin { @x[1] = 2; }",
        mended: "let @x = hash(20);\nbegin { @x[1] = 2; }",
    },
    Code {
        code: "E0243",
        title: "the name of a macro is taken",
        explanation: "Each macro has a name of its own, which no function of the language has.",
        wrong: "macro twice(x) { x * 2 }\nmacro twice(x) { x + x }\nbegin { print(twice(2)); }",
        mended: "macro twice(x) { x * 2 }\nbegin { print(twice(2)); }",
    },
    Code {
        code: "E0244",
        title: "a macro uses itself",
        explanation: "Macros are written out before the script runs, so one that uses itself, at once or by way of another, would never end.",
        wrong: "macro down(x) { x > 0 ? down(x - 1) : 0 }\nbegin { print(down(3)); }",
        mended: "begin { $x = 3; while ($x > 0) { $x--; } print($x); }",
    },
    Code {
        code: "E0245",
        title: "a macro uses a map that is not given to it",
        explanation: "What a macro changes is seen where it is used: its maps are parameters.",
        wrong: "macro seen(x) { @seen[x]++; }\nbegin { seen(1); }",
        mended: "macro seen(@seen, x) { @seen[x]++; }\nbegin { seen(@seen, 1); }",
    },
    Code {
        code: "E0246",
        title: "the script takes no parameter of this name",
        explanation: "Parameters given as `--name=value` are those that the script asks for with `getopt(\"name\")`.",
        wrong: "",
        mended: "",
    },
];
