//! Matching of names against `*` and `?`.

/// Whether `name` as a whole matches `glob`: `*` is any run of bytes, `?` any one byte, everything else itself.
/// Takes at most the product of both lengths in steps.
pub fn matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut g, mut n) = (0, 0);
    // After the last `*` seen, and the place in `name` it was tried up to.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some(b'*') => {
                retry = Some((g + 1, n));
                g += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => {
                g += 1;
                n += 1;
            }
            _ => match retry {
                // Let the star take one byte more.
                Some((after, taken)) => {
                    retry = Some((after, taken + 1));
                    (g, n) = (after, taken + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (glob, name, expected) in [
            ("tcp_*", "tcp_sendmsg", true),
            ("tcp_*", "tcp_", true),
            ("tcp_*", "udp_sendmsg", false),
            ("*msg", "tcp_sendmsg", true),
            ("*msg*", "tcp_sendmsg_locked", true),
            ("tcp_?endmsg", "tcp_sendmsg", true),
            ("tcp_?", "tcp_", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXcXb", false),
            ("**a", "ba", true),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let name = "a".repeat(2000);
        assert!(!matches(&format!("{}b", "a*".repeat(200)), &name));
    }
}
