//! What others see of programs in the kernel: the script's lines beside the instructions, by bpftool.

use crate::lab::Lab;

const SCRIPT: &str = r#"kprobe:tcp_sendmsg {
    @calls[comm] = count();
    @bytes = sum(arg2);
}
kretprobe:tcp_sendmsg /retval > 0/ {
    @size = hist(retval);
}
begin { printf("begun\n"); }
end { printf("%d\n", pid); }
"#;

/// The lines of the script that must stand in a dump of the first program, with what bpftool says of their place.
const LINES: [&str; 2] = [
    "@calls[comm] = count(); [file:/tmp/lines.hp line_num:2 line_col:",
    "@bytes = sum(arg2); [file:/tmp/lines.hp line_num:3 line_col:",
];

fn assert_lines(dump: &str) {
    for line in LINES {
        assert!(dump.contains(line), "no {line} in\n{dump}");
    }
}

fn put(lab: &Lab) {
    (lab.guest.put("/tmp/lines.hp", SCRIPT.as_bytes())).expect("the script gets in");
}

/// An object of `build` is one that libbpf loads, all programs of it, and its programs have lines.
pub(crate) fn object_loads(lab: &Lab) {
    put(lab);
    let done = lab.run(
        "hetsync-probe build -o /tmp/x.o /tmp/lines.hp && bpftool prog loadall /tmp/x.o /sys/fs/bpf/x && \
         ls /sys/fs/bpf/x && bpftool prog dump xlated pinned /sys/fs/bpf/x/k_tcp_sendmsg linum; \
         status=$?; rm -rf /sys/fs/bpf/x; exit $status",
    );
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.success(), "{}\n{errors}", done.text());
    for program in ["k_tcp_sendmsg", "kr_tcp_sendmsg", "run_2_0", "run_3_0"] {
        assert!(
            done.text().contains(program),
            "no {program}: {}",
            done.text()
        );
    }
    assert_lines(&done.text());
}

/// The programs of a run have lines too, in eBPF and in machine code.
pub(crate) fn run_has_lines(lab: &Lab) {
    put(lab);
    for (flags, name) in [("", "f_tcp_sendmsg"), ("--no-lower", "k_tcp_sendmsg")] {
        for form in ["xlated", "jited"] {
            let dump = format!("bpftool prog dump {form} name {name} linum");
            let command = format!(
                "hetsync-probe run --loader sys {flags} -o /tmp/lines.out -c 'sh -c \"{dump} > /tmp/dump 2>&1\"' \
                 /tmp/lines.hp; cat /tmp/dump"
            );
            let done = lab.run(&command);
            let text = done.text();
            // A bpftool without a disassembler cannot show machine code.
            if form == "jited" && text.contains("No JIT disassembly support") {
                eprintln!("jited: skipped, this bpftool has no disassembler");
                continue;
            }
            assert_lines(&text);
        }
    }
}
