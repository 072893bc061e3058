//! Macros, blocks as values, what is known before the script runs, parameters by name and settings of the environment.

use hetsync_probe::sema::hir::{Config, Missing, StackMode};
use hetsync_probe::{sema, syntax};

use super::{codes_of, compile, kernel, options, program};

/// Checks a script that is called with these parameters.
fn called(text: &str, params: &[&str]) -> Result<sema::hir::Program, Vec<&'static str>> {
    let (script, mistakes) = syntax::parse(text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let small = kernel::Small { listed: true };
    let options = sema::Options {
        params: params.iter().map(|param| (*param).to_owned()).collect(),
        ..options(&small)
    };
    match sema::check(&script, &options) {
        Ok((program, _)) => Ok(program),
        Err(told) => Err(told.iter().map(|told| told.code).collect()),
    }
}

/// The checked body of a script's only probe, as text.
fn body(text: &str, params: &[&str]) -> String {
    let dump = sema::dump(&called(text, params).unwrap());
    dump.split_once("begin\n").unwrap().1.trim().to_owned()
}

#[test]
fn only_the_branch_that_is_taken_has_to_make_sense() {
    let text = "begin { if comptime ($1 == 2) { print(1); } else { print($nothing); } }";
    assert!(called(text, &["2"]).is_ok());
    assert_eq!(called(text, &["3"]).unwrap_err(), ["E0212"]);
    assert_eq!(
        codes_of("begin { if comptime (cpu == 0) { print(1); } }"),
        ["E0402"]
    );
}

#[test]
fn what_is_known_is_computed() {
    for (text, expected) in [
        ("-7 / 2", "-3"),
        ("(uint8)300 + sizeof(uint32)", "48"),
        ("1 < 2 && !(3 >= 4)", "1"),
        ("$1 == 5 ? 10 : 20", "10"),
        ("\"a\" == \"b\" || str($1) == \"5\"", "1"),
        ("7 % 0", "7"),
        ("-8 >> 1", "-4"),
    ] {
        let found = body(&format!("begin {{ @x = comptime ({text}); }}"), &["5"]);
        assert_eq!(found, format!("@x = {expected}"), "{text}");
    }
}

#[test]
fn a_macro_keeps_its_variables_to_itself() {
    let text = "macro own(x) { let $v = x; $v++; $v } begin { $v = 1; $w = own($v + own(5)); print(($v, $w)); }";
    let program = program(text);
    assert_eq!(program.probes[0].locals.len(), 4);
    // A variable of the place of use is not seen unless it is given.
    assert_eq!(
        codes_of("macro peek() { $v + 1 } begin { $v = 1; print(peek()); }"),
        ["E0212"]
    );
}

#[test]
fn messages_from_a_macro_name_the_place_of_use_and_no_mark_of_ours() {
    let (_, told) = compile("macro bad(x) { $v = x; $v + $nothing } begin { print(bad(1)); }");
    let [told] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(told.code, "E0212");
    assert!(told.message.contains("`$nothing`"), "{}", told.message);
    assert!(
        told.secondary
            .iter()
            .any(|(_, text)| text == "in this use of `bad`")
    );
}

#[test]
fn macros_inside_macros_end_somewhere() {
    let mut text = String::from("macro m0(x) { x + x }\n");
    for n in 1..40 {
        text.push_str(&format!("macro m{n}(x) {{ m{}(m{}(x)) }}\n", n - 1, n - 1));
    }
    text.push_str("begin { print(m39(1)); }");
    assert!(codes_of(&text).contains(&"E0510"));
    let deep = format!(
        "macro id(x) {{ x }} begin {{ print({}1{}); }}",
        "id(".repeat(60),
        ")".repeat(60)
    );
    assert!(codes_of(&deep).contains(&"E0510"));
}

#[test]
fn parameters_by_name_have_the_type_of_their_default() {
    let text = "begin { @x = (getopt(\"n\", 5), getopt(\"s\", \"t\"), getopt(\"b\"), $1, $#); }";
    for (given, expected) in [
        (&[][..], "(5, \"t\":string[8], 0, 0, 0)"),
        (
            &["--n=-3", "9", "--s=word", "--b"],
            "(-3, \"word\":string[8], 1, 9, 1)",
        ),
        (&["--b=false"], "(5, \"t\":string[8], 0, 0, 0)"),
    ] {
        let found = body(text, given);
        assert!(found.contains(expected), "{found}");
    }
    for given in ["--n=x", "--n", "--b=3", "--s"] {
        assert_eq!(called(text, &[given]).unwrap_err(), ["E0216"], "{given}");
    }
    assert_eq!(called(text, &["--m=1"]).unwrap_err(), ["E0246"]);
}

#[test]
fn settings_of_the_environment_give_way_to_those_of_the_script() {
    let config = |text: &str, settings: &[(&str, &str)]| -> Result<Config, usize> {
        let (script, _) = syntax::parse(text);
        let small = kernel::Small { listed: true };
        let settings = settings.iter();
        let options = sema::Options {
            settings: settings
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..options(&small)
        };
        match sema::check(&script, &options) {
            Ok((program, _)) => Ok(program.config),
            Err(told) => Err(told.len()),
        }
    };
    let environment = [
        ("max_map_keys", "7"),
        ("stack_mode", "raw"),
        ("cpp_demangle", "0"),
        ("missing_probes", "ignore"),
        ("something_else", "1"),
    ];
    let plain = config("begin { }", &environment).unwrap();
    assert_eq!(plain.max_keys, Some(7));
    assert_eq!(plain.stack_mode, StackMode::Raw);
    assert_eq!(plain.missing, Missing::Ignore);
    assert!(plain.mangled);
    let own = "config = { max_map_keys = 8; stack_mode = perf } begin { }";
    let own = config(own, &environment).unwrap();
    assert_eq!((own.max_keys, own.stack_mode), (Some(8), StackMode::Perf));
    assert_eq!(config("begin { }", &[("max_map_keys", "many")]), Err(1));
}

#[test]
fn attach_points_that_are_missing_are_left_out_as_the_setting_says() {
    let list = "kprobe:f, kprobe:nothing { }";
    let alone = "kprobe:f { } kprobe:nothing { }";
    for (setting, in_list, in_script) in [
        ("", &["W0008"][..], &["E0204"][..]),
        (
            "config = { missing_probes = error }",
            &["E0204"],
            &["E0204"],
        ),
        ("config = { missing_probes = warn }", &["W0008"], &["W0008"]),
        ("config = { missing_probes = ignore }", &[], &[]),
    ] {
        assert_eq!(codes_of(&format!("{setting} {list}")), in_list, "{setting}");
        assert_eq!(
            codes_of(&format!("{setting} {alone}")),
            in_script,
            "{setting}"
        );
    }
    // Something must be left.
    let nothing = "config = { missing_probes = ignore } kprobe:nothing { }";
    assert_eq!(codes_of(nothing), ["E0204"]);
}

#[test]
fn functions_the_kernel_forbids_to_probe_are_left_out_of_wildcards() {
    let (program, told) = compile("kprobe:nmi_* { @ = count(); }");
    assert_eq!(program.unwrap().probes[0].points.len(), 1);
    assert_eq!(told[0].message, "one function that matches is left out");
    assert_eq!(codes_of("kprobe:nmi_h* { @ = count(); }"), ["E0205"]);
    // By name, or with another kind of probe, it is tried.
    assert!(codes_of("kprobe:nmi_handle { @ = count(); }").is_empty());
}

#[test]
fn the_highest_expressions_with_macros_in_them_are_walked_safely() {
    let deep = |n: usize, inner: &str| format!("{}{inner}", "~".repeat(n));
    let text = format!(
        "macro low(x) {{ {} }} macro high(x) {{ {} }} begin {{ $x = {}; print($x); }}",
        deep(40, "x"),
        deep(40, "low(x)"),
        deep(50, "high(cpu)")
    );
    let (program, told) = compile(&text);
    assert!(program.is_some(), "{told:?}");
    assert!(sema::dump(&program.unwrap()).len() > 100);
}
