//! `E06`: what the kernel that a script runs on does not let it do.

use super::Code;

pub(super) const CODES: &[Code] = &[
    Code {
        code: "E0601",
        title: "not allowed to use bpf(2)",
        explanation: "Loading programs into the kernel needs root; the capabilities CAP_BPF and CAP_PERFMON do where all probes become fentry or fexit. \
                      Run with sudo. `check`, `fmt`, `build` and `--emit` need neither.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0602",
        title: "this kernel has no kprobes, or no fentry",
        explanation: "The kernel was built without CONFIG_KPROBES, so no function can be probed by a kprobe or kretprobe; or \
                      without CONFIG_FUNCTION_TRACER, on which fentry and fexit rest. \
                      The message says what the kernel does have. Use a kernel of a distribution, in a virtual \
                      machine if need be (`make guest`).",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0603",
        title: "no such function in this kernel",
        explanation: "The function is not in the kernel's list of functions that can be probed: it is spelled otherwise, was \
                      inlined by this kernel's compiler, or belongs to a module that is not loaded. \
                      `hetsync-probe list 'kprobe:*part*'` shows what there is.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0604",
        title: "a map could not be created",
        explanation: "The kernel did not give the memory. The message has the map's sizes. Give the map fewer keys \
                      (`--max-keys`), shorter keys, or the process a larger RLIMIT_MEMLOCK (kernels before 5.11).",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0605",
        title: "the kernel refused a program",
        explanation: "The kernel's verifier did not accept the compiled script. Its last lines are shown with the place in the \
                      script. Where it gave up on too many paths, use fewer conditions one after another, or several probes. \
                      Any other script that `check` accepts should load: please report it with `--emit asm`.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0606",
        title: "a probe could not be attached",
        explanation: "The program was loaded, but the kernel did not let it be attached at this place. Some functions must \
                      not be probed; an offset must lie at the start of an instruction.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0607",
        title: "the loaded script could not be used",
        explanation: "A map could not be read, a program not be run, or a file of the kernel not be opened. The message says \
                      which and why.",
        wrong: "",
        mended: "",
    },
    Code {
        code: "E0608",
        title: "a value this attach point does not have",
        explanation: "The script reads an argument that the function does not have, by the kernel's own type information, or a \
                      value that this kind of probe cannot give, or one that this kernel has no way to ask for: `nsecs(tai)` before Linux 6.1, \
                      `socket_cookie()` before 5.12, a statistic as a value before 5.19.",
        wrong: "",
        mended: "",
    },
];
