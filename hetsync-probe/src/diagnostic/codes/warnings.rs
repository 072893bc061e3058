//! Warnings: the script runs, but probably not as meant.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "W0001",
        title: "a comparison always has the same outcome",
        explanation: "An unsigned number is never below 0. Arguments and return values are unsigned 64-bit numbers, as in bpftrace, whatever
the kernel's function returns; cast them to its type.",
        wrong: "kretprobe:tcp_sendmsg /retval < 0/ { @ = count(); }",
        mended: "kretprobe:tcp_sendmsg /(int32)retval < 0/ { @ = count(); }",
    },
    Code {
        code: "W0002",
        title: "signed and unsigned integers in one place",
        explanation: "The place is compared and shown as its first value says. Cast one of the values if the other is meant.",
        wrong: "begin { $x = nsecs; $x = -1; print($x); }",
        mended: "begin { $x = (int64)nsecs; $x = -1; print($x); }",
    },
    Code {
        code: "W0003",
        title: "a value is not used",
        explanation: "The statement computes a value and does nothing with it.",
        wrong: "begin { pid + 1; }",
        mended: "begin { print(pid + 1); }",
    },
    Code {
        code: "W0004",
        title: "a statement is never reached",
        explanation: "`exit()` ends the body.",
        wrong: "begin { exit(); print(1); }",
        mended: "begin { print(1); exit(); }",
    },
    Code {
        code: "W0005",
        title: "one map gets samples of two units",
        explanation: "The header of the map cannot show a unit, and the numbers are most likely not comparable.",
        wrong: "kprobe:f { @ = sum(us(arg0)); @ = sum(ms(arg0)); }",
        mended: "kprobe:f { @ = sum(us(arg0)); @ = sum(us(arg1)); }",
    },
    Code {
        code: "W0007",
        title: "a setting has no effect",
        explanation: "The setting is about something inside bpftrace that is done in another way here, and changes nothing of what is printed.",
        wrong: "config = { log_size = 1000 }\nbegin { @x[1] = 2; }",
        mended: "begin { @x[1] = 2; }",
    },
    Code {
        code: "W0008",
        title: "an attach point does not exist and is left out",
        explanation: "The kernel or the file has nothing of this name; the other attach points are used. The setting `missing_probes` makes it an error (`error`), or silent (`ignore`).",
        wrong: "kprobe:tcp_sendmsg, kprobe:tcp_sendmsgg { @ = count(); }",
        mended: "kprobe:tcp_sendmsg { @ = count(); }",
    },
    Code {
        code: "W0009",
        title: "functions that match a wildcard are left out",
        explanation: "The kernel forbids kprobes in functions that kprobes themselves run through: they are in its list /sys/kernel/debug/kprobes/blacklist.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "W0010",
        title: "a variable is used after the block that assigns it",
        explanation: "Before bpftrace 0.22 a variable belonged to the whole body of its probe, and scripts of that time are run so. Since then it
ends with the block of its first assignment, and bpftrace refuses the script.",
        wrong: "begin { if (pid > 1) { $x = 1; } print($x); }",
        mended: "begin { let $x; if (pid > 1) { $x = 1; } print($x); }",
    },
];
