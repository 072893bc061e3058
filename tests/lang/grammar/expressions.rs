//! Operands and operators.

use super::{body, mistake};

#[test]
fn literals() {
    for (text, expected) in [
        ("0", "0"),
        ("42", "42"),
        ("0x1F", "31"),
        ("017", "15"),
        ("0o17", "15"),
        ("1e6", "1000000"),
        ("1_000", "1000"),
        ("1UL", "1"),
        ("1u", "1"),
        ("1ll", "1"),
        ("5ns", "5"),
        ("5us", "5000"),
        ("5ms", "5000000"),
        ("5s", "5000000000"),
        ("2m", "120000000000"),
        ("1h", "3600000000000"),
        ("1d", "86400000000000"),
        ("18446744073709551615", "18446744073709551615"),
        ("true", "true"),
        ("false", "false"),
        (r#""a\n\t\"\\\x41\101""#, r#""a\n\t\"\\AA""#),
        (r#""a" "b" /* c */ "d""#, r#""abd""#),
        ("$1", "$1"),
        ("$#", "$#"),
        ("AF_INET", "AF_INET"),
    ] {
        assert_eq!(body(&format!("$x = {text};")), format!("(= $x {expected})"));
    }
}

#[test]
fn operators_bind_as_in_c() {
    for (text, expected) in [
        ("1 + 2 * 3", "(+ 1 (* 2 3))"),
        ("1 - 2 - 3", "(- (- 1 2) 3)"),
        ("1 << 2 + 3", "(<< 1 (+ 2 3))"),
        ("1 < 2 == 3 > 4", "(== (< 1 2) (> 3 4))"),
        ("1 & 2 == 3", "(& 1 (== 2 3))"),
        ("1 | 2 ^ 3 & 4", "(| 1 (^ 2 (& 3 4)))"),
        ("1 || 2 && 3", "(|| 1 (&& 2 3))"),
        ("!1 + ~2 - -3", "(- (+ (! 1) (~ 2)) (- 3))"),
        ("1 ? 2 : 3 ? 4 : 5", "(?: 1 2 (?: 3 4 5))"),
        ("1 ? 2 ? 3 : 4 : 5", "(?: 1 (?: 2 3 4) 5)"),
        ("1 ?: 2", "(?: 1 - 2)"),
        ("1 ?: 2 ?: 3", "(?: 1 - (?: 2 - 3))"),
        ("$a in cidr(\"::/0\") && 1", "(&& (in $a cidr(\"::/0\")) 1)"),
        ("*$p + 1", "(+ (* $p) 1)"),
        ("1 * *$p", "(* 1 (* $p))"),
        ("1 & &$x", "(& 1 (& $x))"),
        ("- --$x", "(- (pre-- $x))"),
        ("$x++ + ++$y", "(+ (post++ $x) (pre++ $y))"),
        ("@m[1]-- - @", "(- (post-- @m[1]) @)"),
        ("-(-1)", "(- (paren (- 1)))"),
        ("*$p->a", "(* (. $p a))"),
        ("!*(int8 *)$p", "(! (* (cast int8* $p)))"),
        ("comptime 1 + 2", "(+ (comptime 1) 2)"),
    ] {
        assert_eq!(body(&format!("$x = {text};")), format!("(= $x {expected})"));
    }
}

#[test]
fn casts_are_told_from_parentheses() {
    for (text, expected) in [
        ("(uint8)1", "(cast uint8 1)"),
        ("(uint8)-1", "(cast uint8 (- 1))"),
        ("(uint8[8])$a", "(cast uint8[8] $a)"),
        ("(uint8[])$a", "(cast uint8[] $a)"),
        ("(unsigned long)$a", "(cast unsigned long $a)"),
        ("(const char *)$a", "(cast char* $a)"),
        ("(struct sock *)arg0", "(cast struct sock* arg0)"),
        ("(struct sock **)arg0", "(cast struct sock** arg0)"),
        ("(union u)$a", "(cast union u $a)"),
        ("(enum tcp_state)$a", "(cast enum tcp_state $a)"),
        ("(sockaddr_in *)$a", "(cast sockaddr_in* $a)"),
        ("(foo_t)$a", "(cast foo_t $a)"),
        ("(foo_t[4])$a", "(cast foo_t[4] $a)"),
        ("(u32)-1", "(cast u32 (- 1))"),
        ("(typeof($a))1", "(cast typeof($a) 1)"),
        ("(typeof(struct s) *)1", "(cast typeof((type struct s))* 1)"),
        ("(pid)", "(paren pid)"),
        ("(pid) - 1", "(- (paren pid) 1)"),
        ("(pid) * 2", "(* (paren pid) 2)"),
        ("(pid) & 2", "(& (paren pid) 2)"),
        ("(a) in b()", "(in (paren a) b())"),
        ("(a[1])", "(paren (index a 1))"),
        ("(a * b)", "(paren (* a b))"),
        ("(uint8)$a.b", "(cast uint8 (. $a b))"),
        ("((struct s *)$a)->b", "(. (paren (cast struct s* $a)) b)"),
        ("*(uint32 *)($a + 4)", "(* (cast uint32* (paren (+ $a 4))))"),
    ] {
        assert_eq!(body(&format!("$x = {text};")), format!("(= $x {expected})"));
    }
}

#[test]
fn members_elements_and_indices() {
    for (text, expected) in [
        ("args.x", "(. args x)"),
        ("args->x", "(. args x)"),
        ("$a.b->c.d", "(. (. (. $a b) c) d)"),
        ("$kv.0", "(. $kv 0)"),
        ("$kv.0.1", "(. (. $kv 0) 1)"),
        ("$a[1]", "(index $a 1)"),
        ("$a.b[1][2].c", "(. (index (index (. $a b) 1) 2) c)"),
        ("@m[1].x[2]", "(index (. @m[1] x) 2)"),
        ("@m[1, \"a\"].0", "(. @m[1, \"a\"] 0)"),
        ("f(1).x", "(. f(1) x)"),
        ("(1, 2).1", "(. (tuple 1, 2) 1)"),
        ("\"abc\"[0]", "(index \"abc\" 0)"),
        (
            "curtask->real_parent->tgid",
            "(. (. curtask real_parent) tgid)",
        ),
    ] {
        assert_eq!(body(&format!("$x = {text};")), format!("(= $x {expected})"));
    }
}

#[test]
fn tuples_calls_and_blocks() {
    for (text, expected) in [
        ("()", "(tuple )"),
        ("(1,)", "(tuple 1)"),
        ("(1, 2)", "(tuple 1, 2)"),
        ("(1, 2,)", "(tuple 1, 2)"),
        ("(1, (2, 3))", "(tuple 1, (tuple 2, 3))"),
        ("f()", "f()"),
        ("f(1, $x, @m)", "f(1, $x, @m)"),
        ("f(struct s, 1)", "f((type struct s), 1)"),
        (
            "container_of($p, struct s, m)",
            "container_of($p, (type struct s), m)",
        ),
        ("sizeof(struct s)", "(sizeof (type struct s))"),
        ("sizeof(uint64)", "(sizeof (type uint64))"),
        ("sizeof(struct s *)", "(sizeof (type struct s*))"),
        ("sizeof($x.y)", "(sizeof (. $x y))"),
        ("sizeof(foo)", "(sizeof foo)"),
        ("offsetof(struct s, a)", "(offsetof (type struct s) a)"),
        (
            "offsetof(struct s, a.b.c)",
            "(offsetof (type struct s) a.b.c)",
        ),
        ("offsetof($s, a)", "(offsetof $s a)"),
        (
            "getopt(\"n\", 5, \"how many\")",
            "getopt(\"n\", 5, \"how many\")",
        ),
        ("{ 1 }", "{value 1}"),
        ("{ let $y = 1; $y + 1 }", "{let $y = 1; value (+ $y 1)}"),
        ("{ { 1 } }", "{value {value 1}}"),
        (
            "{ { f() }; { g() } h() }",
            "{block; f(); block; g(); value h()}",
        ),
        ("f({ print(1) })", "f({value print(1)})"),
        ("f({ print(1); })", "f({print(1)})"),
    ] {
        assert_eq!(body(&format!("$x = {text};")), format!("(= $x {expected})"));
    }
}

#[test]
fn wrong_expressions_are_marked_where_they_go_wrong() {
    for (text, code, marked) in [
        ("$x = ;", "E0101", ";"),
        ("$x = 1 + ;", "E0101", ";"),
        ("$x = (1;", "E0108", ";"),
        ("$x = f(1;", "E0108", ";"),
        ("$x = f(1,);", "E0101", ")"),
        ("@[] = 1;", "E0101", "]"),
        ("@[1 = 2;", "E0101", "="),
        ("$x = $y[1;", "E0108", ";"),
        ("$x = $y.;", "E0101", ";"),
        ("$x = $y->1a;", "E0107", "a"),
        ("$x = 1 ? 2;", "E0108", ";"),
        ("$x = (struct *)1;", "E0101", "*"),
        ("$x = sizeof();", "E0101", ")"),
        ("$x = offsetof(struct s);", "E0101", ")"),
        ("$x = offsetof(struct s, 1);", "E0101", "1"),
        ("$x = 1. 1;", "E0107", "."),
        ("$x = 08;", "E0105", "08"),
        ("$x = 1e;", "E0105", "1e"),
        ("$x = 0b1;", "E0105", "0b1"),
        ("$x = $0;", "E0105", "$0"),
        ("$x = $t.99999999999;", "E0105", "99999999999"),
        ("$x = 'a';", "E0106", "'a'"),
        ("$x = \"\\q\";", "E0104", "\\q"),
        ("$x = 1 === 2;", "E0101", "="),
        ("$x = if;", "E0101", "if"),
        ("++1;", "E0110", "1"),
        ("pid++;", "E0110", "pid"),
        ("$x.y++;", "E0110", "$x.y"),
    ] {
        let script = format!("begin {{ {text} }}");
        assert_eq!(mistake(&script), (code, marked.to_owned()), "{text}");
    }
}
