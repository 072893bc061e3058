//! Random scripts, each made together with the tree it must become: an oracle that shares nothing with the grammar.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::tree;

/// A piece of a script and its dump.
type Pair = (String, String);

fn fixed(pairs: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = Pair> {
    prop::sample::select(pairs).prop_map(|(text, dump)| (text.to_owned(), dump.to_owned()))
}

fn same(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn leaf() -> impl Strategy<Value = Pair> {
    fixed(&[
        ("1", "1"),
        ("0x10", "16"),
        ("1e3", "1000"),
        ("5ms", "5000000"),
        ("true", "true"),
        ("$v", "$v"),
        ("$1", "$1"),
        ("$#", "$#"),
        ("pid", "pid"),
        ("args", "args"),
        ("@", "@"),
        ("@m", "@m"),
        ("\"a b\"", "\"a b\""),
        ("\"a\"\n\"b\"", "\"ab\""),
        ("()", "(tuple )"),
        ("sizeof( struct  s )", "(sizeof (type struct s))"),
        ("offsetof(struct s,a . b)", "(offsetof (type struct s) a.b)"),
    ])
}

fn ty() -> impl Strategy<Value = Pair> {
    fixed(&[
        ("uint8", "uint8"),
        ("struct s*", "struct s*"),
        ("union u * *", "union u**"),
        ("uint8 [ 4 ]", "uint8[4]"),
        ("int8[]", "int8[]"),
        ("unsigned  long", "unsigned long"),
        ("const char *", "char*"),
        ("typeof( $v )", "typeof($v)"),
    ])
}

/// What binds most strongly: other operators may stand around it without parentheses.
fn atom(inner: BoxedStrategy<Pair>) -> impl Strategy<Value = Pair> {
    let list = prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| {
        let (texts, dumps): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        (texts.join(" ,"), dumps.join(", "))
    });
    prop_oneof![
        3 => leaf(),
        2 => inner.clone().prop_map(|(t, d)| (format!("( {t})"), format!("(paren {d})"))),
        1 => list.clone().prop_map(|(t, d)| (format!("f({t} )"), format!("f({d})"))),
        1 => list.clone().prop_map(|(t, d)| (format!("@k[{t}]"), format!("@k[{d}]"))),
        1 => list.prop_map(|(t, d)| (format!("({t} ,)"), format!("(tuple {d})"))),
        1 => inner.prop_map(|(t, d)| (format!("{{ $v = 1 ; ({t}) }}"), format!("{{(= $v 1); value (paren {d})}}"))),
    ]
}

/// Members and indices behind an atom.
fn postfix(inner: BoxedStrategy<Pair>) -> impl Strategy<Value = Pair> {
    let base = atom(inner.clone()).boxed();
    prop_oneof![
        4 => atom(inner.clone()),
        1 => base.clone().prop_map(|(t, d)| (format!("f({t}).a"), format!("(. f({d}) a)"))),
        1 => base.clone().prop_map(|(t, d)| (format!("f({t}) -> a.b"), format!("(. (. f({d}) a) b)"))),
        1 => base.prop_map(|(t, d)| (format!("({t}, 1).0"), format!("(. (tuple {d}, 1) 0)"))),
        1 => inner.prop_map(|(t, d)| (format!("$v[ {t} ]"), format!("(index $v {d})"))),
        1 => fixed(&[("$v ++", "(post++ $v)"), ("@m[1]--", "(post-- @m[1])")]),
    ]
}

fn unary(inner: BoxedStrategy<Pair>) -> impl Strategy<Value = Pair> {
    let op = same(&["-", "!", "~", "*", "&"]);
    prop_oneof![
        4 => postfix(inner.clone()),
        1 => (op, postfix(inner.clone())).prop_map(|(op, (t, d))| (format!("{op} {t}"), format!("({op} {d})"))),
        1 => (ty(), postfix(inner.clone())).prop_map(|((ty, name), (t, d))| (format!("({ty}) {t}"), format!("(cast {name} {d})"))),
        1 => postfix(inner).prop_map(|(t, d)| (format!("comptime {t}"), format!("(comptime {d})"))),
        1 => fixed(&[("-- $v", "(pre-- $v)"), ("++@m", "(pre++ @m)")]),
    ]
}

fn expr() -> BoxedStrategy<Pair> {
    let leaf = leaf().boxed();
    leaf.prop_recursive(5, 48, 4, |inner| {
        let op = same(&[
            "||", "&&", "|", "^", "&", "==", "!=", "<", "<=", ">", ">=", "<<", ">>", "+", "-", "*", "/", "%",
        ]);
        let operand = unary(inner.clone()).boxed();
        prop_oneof![
            3 => operand.clone(),
            2 => (operand.clone(), op, operand.clone())
                .prop_map(|((a, x), op, (b, y))| (format!("{a} {op} {b}"), format!("({op} {x} {y})"))),
            1 => (operand.clone(), operand.clone(), operand.clone()).prop_map(|((a, x), (b, y), (c, z))| {
                (format!("{a} + {b} * {c}"), format!("(+ {x} (* {y} {z}))"))
            }),
            1 => (operand.clone(), operand.clone())
                .prop_map(|((a, x), (b, y))| (format!("{a} in {b}"), format!("(in {x} {y})"))),
            1 => (operand.clone(), inner.clone(), inner.clone()).prop_map(|((a, x), (b, y), (c, z))| {
                (format!("{a} ? {b} : {c}"), format!("(?: {x} {y} {z})"))
            }),
            1 => (operand, inner)
                .prop_map(|((a, x), (b, y))| (format!("{a} ?: {b}"), format!("(?: {x} - {y})"))),
        ]
    })
    .boxed()
}

/// A statement with its semicolon, perhaps with comments, and the lines of its dump.
fn statement() -> BoxedStrategy<Pair> {
    let comment = same(&["", " ", "// c\n", "/* c */", "\n\n\n", " /* a\nb */ ", ";"]);
    let simple = prop_oneof![
        expr().prop_map(|(t, d)| (format!("$v = {t};"), format!("(= $v {d})\n"))),
        expr().prop_map(|(t, d)| (format!("@k [ 1 ] <<= {t};"), format!("(<<= @k[1] {d})\n"))),
        expr().prop_map(|(t, d)| (format!("_ = {t};"), format!("discard {d}\n"))),
        expr().prop_map(|(t, d)| (format!("return {t};"), format!("return {d}\n"))),
        expr().prop_map(|(t, d)| (format!("f({t});"), format!("f({d})\n"))),
        (ty(), expr()).prop_map(|((ty, name), (t, d))| (
            format!("let $n :{ty}= {t};"),
            format!("let $n : {name} = {d}\n")
        )),
        fixed(&[
            ("let $n;", "let $n\n"),
            ("break;", "break\n"),
            ("continue ;", "continue\n"),
            ("return;", "return\n")
        ]),
    ];
    let simple = (comment, simple).prop_map(|(comment, (t, d))| (comment + &t, d));
    simple
        .prop_recursive(3, 24, 4, |inner| {
            let block = prop::collection::vec(inner, 0..4).prop_map(|parts| {
                let (texts, dumps): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                let lines: String = dumps
                    .concat()
                    .lines()
                    .map(|line| format!("  {line}\n"))
                    .collect();
                (format!("{{ // b\n{} }}", texts.concat()), lines)
            });
            let head = unary(leaf().boxed()).boxed();
            prop_oneof![
                block.clone().prop_map(|(t, d)| (t, format!("block\n{d}"))),
                (head.clone(), block.clone()).prop_map(|((h, x), (t, d))| (
                    format!("while {h} {t}"),
                    format!("while {x}\n{d}")
                )),
                (head.clone(), block.clone()).prop_map(|((h, x), (t, d))| (
                    format!("unroll ({h}) {t}"),
                    format!("unroll (paren {x})\n{d}")
                )),
                (head.clone(), block.clone(), block.clone()).prop_map(
                    |((h, x), (t, d), (u, e))| {
                        (
                            format!("if {h} {t} else {u}"),
                            format!("if {x}\n{d}else\n{e}"),
                        )
                    }
                ),
                (head.clone(), block.clone()).prop_map(|((h, x), (t, d))| {
                    (
                        format!("for $i : 0 .. {h} {t}"),
                        format!("for $i (.. 0 {x})\n{d}"),
                    )
                }),
                block
                    .prop_map(|(t, d)| (format!("for ($kv : @m) {t}"), format!("for $kv @m\n{d}"))),
            ]
        })
        .boxed()
}

#[test]
fn random_scripts_become_the_trees_they_were_made_with() {
    let config = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let script = (expr(), prop::collection::vec(statement(), 0..5));
    TestRunner::new_with_rng(config, rng)
        .run(&script, |((predicate, where_), statements)| {
            let (texts, dumps): (Vec<_>, Vec<_>) = statements.into_iter().unzip();
            let text = format!(
                "// head\nkprobe:f ,\nkprobe:g /({predicate})/ {{ {} }}",
                texts.concat()
            );
            let lines: String = dumps
                .concat()
                .lines()
                .map(|line| format!("  {line}\n"))
                .collect();
            let expected = format!("probe kprobe:f, kprobe:g\n  where (paren {where_})\n{lines}");
            prop_assert_eq!(tree(&text), expected, "{}", text);
            Ok(())
        })
        .unwrap();
}
