//! IR and instructions as people see them, and what is refused.

use crate::{checked, compiled};
use hetsync_probe::codegen::{self, Options, disasm, insn};
use hetsync_probe::diagnostic::Diagnostic;
use hetsync_probe::image::ProgramKind;

/// Compares with a snapshot in the top-level folder.
fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn both(name: &str, source: &str) {
    let program = checked(source);
    let ir = codegen::emit_ir(&program, &Options::plain()).expect("lowers");
    assert_snapshot(&format!("ir__{name}"), &ir);
    let image = codegen::compile(&program, &Options::plain()).expect("compiles");
    assert_snapshot(&format!("asm__{name}"), &disasm::image(&image, source));
}

#[test]
fn count_by_comm() {
    both(
        "count_by_comm",
        "kprobe:tcp_sendmsg { @[comm] = count(); }\n",
    );
}

#[test]
fn printf() {
    both(
        "printf",
        "kprobe:tcp_sendmsg /comm == \"nginx\"/\n{\n    printf(\"%d %s\\n\", pid, comm);\n}\n",
    );
}

#[test]
fn scalars() {
    both(
        "scalars",
        "kprobe:tcp_sendmsg\n{\n    @calls++;\n    if (arg2 > @largest) {\n        @largest = arg2;\n    }\n    @by[pid, tid]++;\n}\n",
    );
}

#[test]
fn shipped_scripts() {
    for name in ["tcp_sendmsg", "tcp_bytes"] {
        let path = format!("{}/../probe-scripts/{name}.hp", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(&path).expect("a shipped script");
        both(name, &source);
    }
}

#[test]
fn a_kprobe_lowered_to_fentry_reads_typed_arguments() {
    let source = "kprobe:tcp_sendmsg { @[arg0, arg1] = sum(arg2); }\nkretprobe:tcp_sendmsg { @r = hist(retval); }\n";
    let program = checked(source);
    let function = || "tcp_sendmsg".to_owned();
    let options = Options {
        lower: &|probe, _| {
            Some(match probe {
                0 => ProgramKind::Fentry {
                    function: function(),
                    args: 3,
                },
                _ => ProgramKind::Fexit {
                    function: function(),
                    args: 3,
                },
            })
        },
        arg_bytes: &|_, n| [8, 4, 8][usize::from(n)],
        ..Options::plain()
    };
    let image = codegen::compile(&program, &options).expect("compiles");
    assert_snapshot("asm__fentry", &disasm::image(&image, source));
}

#[test]
fn the_same_script_gives_the_same_bytes() {
    for (_, source) in crate::scripts::SCRIPTS {
        let (first, second) = (compiled(source).1, compiled(source).1);
        assert_eq!(first.maps, second.maps);
        for (a, b) in first.programs.iter().zip(&second.programs) {
            assert_eq!(insn::encode(&a.insns), insn::encode(&b.insns));
            assert_eq!(
                (a.insns.len(), &a.relocations),
                (a.spans.len(), &b.relocations)
            );
        }
    }
}

fn refused(source: &str, options: &Options<'_>) -> Vec<Diagnostic> {
    codegen::compile(&checked(source), options).expect_err("refused")
}

#[test]
fn an_argument_the_function_lacks_is_refused_where_it_stands() {
    let source = "kprobe:f { @ = sum(arg2); @b = sum(arg5); }";
    let options = Options {
        lower: &|_, _| {
            Some(ProgramKind::Fentry {
                function: "f".into(),
                args: 3,
            })
        },
        ..Options::plain()
    };
    let [error] = &refused(source, &options)[..] else {
        panic!("one mistake");
    };
    assert_eq!(error.code, "E0608");
    assert_eq!(error.message, "`arg5` does not exist: `f` has 3 arguments");
    assert_eq!(&source[error.span.range()], "arg5");
}

#[test]
fn a_program_that_is_too_large_is_refused() {
    let statements: String = (0..3000)
        .map(|i| format!("@a[{i}, arg0] = hist(arg1);\n"))
        .collect();
    let source = format!("kprobe:f {{ {statements} }}");
    let [error] = &refused(&source, &Options::plain())[..] else {
        panic!("one mistake");
    };
    assert_eq!(error.code, "E0509");
    assert!(
        error.message.starts_with("this probe is too large: "),
        "{}",
        error.message
    );
}

/// 256 variables, all wanted at the end, so that none may share its place with another.
fn many_variables(value: impl Fn(usize) -> String) -> String {
    let assign: String = (0..256)
        .map(|i| format!("$s{i} = {};\n", value(i)))
        .collect();
    let read: String = (0..256).map(|i| format!("@[$s{i}] = count();\n")).collect();
    format!("kprobe:f {{\n{assign}{read}}}\n")
}

#[test]
fn more_variables_than_the_stack_holds_go_to_scratch() {
    for source in [
        many_variables(|i| format!("arg0 + arg1 * {i}")),
        many_variables(|i| format!("arg0 > {i} ? \"{}\" : comm", "x".repeat(60))),
    ] {
        let (program, image) = compiled(&source);
        let scratch = image.maps.iter().find(|map| map.name == "hp_scratch");
        assert!(scratch.expect("scratch").value_size > 512);
        let firings = crate::agree::firings(&program, 3, 3);
        crate::agree::agree("many variables", &program, &image, &firings);
    }
}
