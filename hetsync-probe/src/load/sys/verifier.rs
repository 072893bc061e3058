//! Reading the verifier's log: its last lines, and the instruction it stopped at.

/// Lines of the log kept for the error.
const LAST_LINES: usize = 8;

/// The end of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogEnd {
    /// The last lines, statistics and blank lines left out.
    pub lines: Vec<String>,
    /// The instruction the verifier was at.
    pub insn: Option<usize>,
}

/// Reads the end of a log; never fails, whatever the bytes.
///
/// A program that was loaded with the script's lines has them in its log, each (`; text`) before the instructions made
/// from it; of one that is there several times in a row the first is kept.
pub fn log_end(log: &[u8]) -> LogEnd {
    let text = String::from_utf8_lossy(log);
    let mut lines: Vec<&str> = text
        .trim_end_matches('\0')
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !is_statistics(line))
        .collect();
    let mut script_line = "";
    lines.retain(|line| !is_script(line) || std::mem::replace(&mut script_line, *line) != *line);
    // Checks before the walk (bad jumps, dead code) name the instruction in the message and print no listing.
    let insn = lines
        .last()
        .filter(|line| !is_script(line))
        .and_then(|line| named_insn(line))
        .or_else(|| lines.iter().rev().find_map(|line| listed_insn(line)));
    lines.drain(..lines.len().saturating_sub(LAST_LINES));
    LogEnd {
        lines: lines.into_iter().map(str::to_owned).collect(),
        insn,
    }
}

fn is_statistics(line: &str) -> bool {
    [
        "processed ",
        "verification time ",
        "stack depth ",
        "mark_precise: ",
    ]
    .iter()
    .any(|head| line.starts_with(head))
}

/// `; @calls = count();`: a line of the script.
fn is_script(line: &str) -> bool {
    line.starts_with("; ")
}

/// `12: (79) r1 = *(u64 *)(r10 -8)`: an instruction of the walk.
fn listed_insn(line: &str) -> Option<usize> {
    let (number, rest) = line.split_once(": (")?;
    let code = rest.get(..2)?;
    code.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| number.parse().ok())?
}

/// `unreachable insn 5`, `jump out of range from insn 3 to 99`, `back-edge from insn 7 to 2`.
fn named_insn(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("insn ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_instruction_listed_is_the_one() {
        let log = b"func#0 @0\n0: R1=ctx(off=0,imm=0) R10=fp0\n0: (b7) r0 = 1                        ; R0_w=1\n\
            1: (79) r1 = *(u64 *)(r0 +0)\nR0 invalid mem access 'scalar'\n\
            processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n\n\0";
        let end = log_end(log);
        assert_eq!(end.insn, Some(1));
        assert_eq!(
            end.lines.last().map(String::as_str),
            Some("R0 invalid mem access 'scalar'")
        );
    }

    #[test]
    fn lines_of_the_script_are_kept_once_and_not_taken_for_the_verifiers() {
        let log = b"; @n = 1; // insn 7\n0: (b7) r1 = 1\n; @n = 1; // insn 7\n1: (79) r1 = *(u64 *)(r0 +0)\n\
            ; 9: (79) insn 5\n";
        let end = log_end(log);
        assert_eq!(end.insn, Some(1));
        assert_eq!(
            end.lines,
            [
                "; @n = 1; // insn 7",
                "0: (b7) r1 = 1",
                "1: (79) r1 = *(u64 *)(r0 +0)",
                "; 9: (79) insn 5"
            ]
        );
    }

    #[test]
    fn messages_of_the_first_pass_name_theirs() {
        assert_eq!(log_end(b"unreachable insn 5\n").insn, Some(5));
        assert_eq!(
            log_end(b"jump out of range from insn 3 to 99\n").insn,
            Some(3)
        );
        assert_eq!(log_end(b"last insn is not an exit or jmp\n").insn, None);
        assert_eq!(log_end(b""), LogEnd::default());
    }

    proptest! {
        #[test]
        fn any_log_is_read(log in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(log_end(&log).lines.len() <= LAST_LINES);
        }

        #[test]
        fn any_text_is_read(log in "([0-9]{1,30}: \\(é?.{0,4}|.{0,20}insn [0-9]{0,30}.?)\n?") {
            log_end(log.as_bytes());
        }
    }
}
