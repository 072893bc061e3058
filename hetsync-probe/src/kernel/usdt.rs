//! Markers in programs (`usdt` probes): places that a program names for tracing, in the notes that SystemTap's `sys/sdt.h`
//! writes and everybody else writes too.
//!
//! A note of the section `.note.stapsdt` (owner `stapsdt`, type 3) holds the address of a `nop`, that of `.stapsdt.base` when it was
//! linked, the address of a semaphore or 0, and three strings: provider, name, and where the arguments are. Where prelink has
//! moved the file, `.stapsdt.base` is elsewhere than the note says, and everything is moved by as much.

use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, Object, ObjectSection, ReadCache, elf};
use std::path::Path;

use super::elf::{ElfError, open};

/// Most markers of one file that are looked at.
const MOST: usize = 1 << 16;
/// The section of the notes, and the one whose address they are compared by.
const NOTES: &str = ".note.stapsdt";
const BASE: &str = ".stapsdt.base";
/// Owner and type of the notes.
const OWNER: &[u8] = b"stapsdt";
const TYPE: u32 = 3;

/// One place of a marker; a marker that was inlined has several.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Marker {
    /// Whose it is.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Where in the file its instruction is.
    pub offset: u64,
    /// Where in the file the counter of its tracers is; 0 where it has none.
    pub semaphore: u64,
    /// Where its arguments are, as the note has it: `-4@%eax 8@16(%rsp)`.
    pub args: String,
}

/// The markers of a file, sorted.
///
/// # Errors
/// The file cannot be read or is no 64-bit ELF file.
pub fn markers(path: &Path) -> Result<Vec<Marker>, ElfError> {
    let broken = |reason: String| ElfError::Elf {
        path: path.to_owned(),
        reason,
    };
    let cache = ReadCache::new(open(path)?);
    let file = ElfFile64::<Endianness, _>::parse(&cache).map_err(|e| broken(e.to_string()))?;
    let endian = file.endian();
    let headers =
        (file.elf_header().program_headers(endian, &cache)).map_err(|e| broken(e.to_string()))?;
    let file_offset = |address: u64| {
        headers.iter().find_map(|header| {
            let past = address.checked_sub(header.p_vaddr(endian))?;
            let loaded = header.p_type(endian) == elf::PT_LOAD && past < header.p_filesz(endian);
            loaded.then(|| header.p_offset(endian).checked_add(past))?
        })
    };
    let base = file.section_by_name(BASE).map(|section| section.address());
    let mut found = Vec::new();
    for section in file.sections().filter(|s| s.name() == Ok(NOTES)) {
        let header = section.elf_section_header();
        let notes = header
            .notes(endian, &cache)
            .map_err(|e| broken(e.to_string()))?;
        let Some(mut notes) = notes else { continue };
        while let Some(note) = notes.next().map_err(|e| broken(e.to_string()))? {
            if note.name() != OWNER || note.n_type(endian).0 != TYPE || found.len() == MOST {
                continue;
            }
            found.extend(marker(note.desc(), base, &file_offset));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// A note's marker; none of a note that is broken, or about a place that is not in the file.
fn marker(
    desc: &[u8],
    base: Option<u64>,
    file_offset: &dyn Fn(u64) -> Option<u64>,
) -> Option<Marker> {
    let word = |at: usize| Some(u64::from_le_bytes(desc.get(at..at + 8)?.try_into().ok()?));
    let (place, linked, semaphore) = (word(0)?, word(8)?, word(16)?);
    let moved = base.map_or(0, |base| base.wrapping_sub(linked));
    let mut texts = desc.get(24..)?.split(|byte| *byte == 0);
    let mut text = || Some(std::str::from_utf8(texts.next()?).ok()?.to_owned());
    Some(Marker {
        provider: text()?,
        name: text()?,
        args: text()?,
        offset: file_offset(place.wrapping_add(moved))?,
        semaphore: match semaphore {
            0 => 0,
            at => file_offset(at.wrapping_add(moved))?,
        },
    })
}

/// An argument of a marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// 1, 2, 4 or 8.
    pub bytes: u8,
    /// Whether it is signed.
    pub signed: bool,
    /// Where it is.
    pub place: Place,
}

/// Where an argument is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a register, by its name in `struct pt_regs`.
    Register(&'static str),
    /// Nowhere: it is this number.
    Constant(i64),
    /// In the process's memory at `base + index * scale + distance`.
    Memory {
        /// A register.
        base: Option<&'static str>,
        /// A register and what it is multiplied by.
        index: Option<(&'static str, u8)>,
        /// Bytes.
        distance: i64,
    },
}

/// The arguments of a marker in the note's own words, each with what it means; none for floats, places by symbol or segment, and whatever
/// another processor has.
pub fn arguments(text: &str) -> Vec<(&str, Option<Argument>)> {
    let words = text.split_ascii_whitespace();
    words.map(|word| (word, argument(word))).collect()
}

fn argument(word: &str) -> Option<Argument> {
    let (size, place) = word.split_once('@')?;
    let (signed, size) = match size.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, size),
    };
    let bytes = match size {
        "1" => 1,
        "2" => 2,
        "4" => 4,
        "8" => 8,
        _ => return None,
    };
    Some(Argument {
        bytes,
        signed,
        place: place_of(place)?,
    })
}

/// An operand in the assembler's words: `%rax`, `$5`, `-8(%rbp,%rcx,4)`.
fn place_of(text: &str) -> Option<Place> {
    if let Some(number) = text.strip_prefix('$') {
        return Some(Place::Constant(integer(number)?));
    }
    if text.starts_with('%') {
        return Some(Place::Register(register(text)?));
    }
    let Some((distance, registers)) = text.split_once('(') else {
        return Some(Place::Memory {
            base: None,
            index: None,
            distance: integer(text)?,
        });
    };
    let distance = match distance {
        "" => 0,
        number => integer(number)?,
    };
    let mut parts = registers.strip_suffix(')')?.split(',');
    let base = match parts.next()? {
        "" => None,
        name => Some(register(name)?),
    };
    let index = match (parts.next(), parts.next()) {
        (None, _) => None,
        (Some(name), scale) => {
            let scale = match scale {
                None | Some("" | "1") => 1,
                Some("2") => 2,
                Some("4") => 4,
                Some("8") => 8,
                Some(_) => return None,
            };
            Some((register(name)?, scale))
        }
    };
    // Places past the instruction pointer are written by their symbols.
    if base == Some("ip") || parts.next().is_some() {
        return None;
    }
    Some(Place::Memory {
        base,
        index,
        distance,
    })
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    let number = number as i64;
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// The register of x86-64 that `%eax` and its like are the low part of.
fn register(text: &str) -> Option<&'static str> {
    const NAMED: [(&str, &str); 8] = [
        ("ax", "al"),
        ("bx", "bl"),
        ("cx", "cl"),
        ("dx", "dl"),
        ("si", "sil"),
        ("di", "dil"),
        ("bp", "bpl"),
        ("sp", "spl"),
    ];
    const NUMBERED: [&str; 8] = ["r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];
    let name = text.strip_prefix('%')?;
    let wide = name.strip_prefix(['r', 'e']).unwrap_or(name);
    let named = NAMED
        .iter()
        .find(|(known, low)| *known == wide || *low == name);
    if let Some((known, _)) = named {
        return Some(known);
    }
    if wide == "ip" {
        return Some("ip");
    }
    let stem = name.trim_end_matches(['d', 'w', 'b']);
    NUMBERED.into_iter().find(|known| *known == stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<Argument> {
        argument(text)
    }

    fn memory(
        base: Option<&'static str>,
        index: Option<(&'static str, u8)>,
        distance: i64,
    ) -> Place {
        Place::Memory {
            base,
            index,
            distance,
        }
    }

    #[test]
    fn operands_of_the_assembler_are_read() {
        for (text, bytes, signed, place) in [
            ("-4@%eax", 4, true, Place::Register("ax")),
            ("8@%rdi", 8, false, Place::Register("di")),
            ("2@%r10w", 2, false, Place::Register("r10")),
            ("1@%sil", 1, false, Place::Register("si")),
            ("1@%r9b", 1, false, Place::Register("r9")),
            ("-1@%al", 1, true, Place::Register("ax")),
            ("4@$7", 4, false, Place::Constant(7)),
            ("-8@$-1", 8, true, Place::Constant(-1)),
            ("8@$0xffffffffffffffff", 8, false, Place::Constant(-1)),
            ("8@(%rsp)", 8, false, memory(Some("sp"), None, 0)),
            ("4@-16(%rbp)", 4, false, memory(Some("bp"), None, -16)),
            (
                "8@8(%rax,%rcx,4)",
                8,
                false,
                memory(Some("ax"), Some(("cx", 4)), 8),
            ),
            ("8@(,%rdx,8)", 8, false, memory(None, Some(("dx", 8)), 0)),
            ("4@4096", 4, false, memory(None, None, 4096)),
        ] {
            let expected = Argument {
                bytes,
                signed,
                place,
            };
            assert_eq!(one(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        for text in [
            "8f@%xmm0",
            "4@%ah",
            "8@symbol(%rip)",
            "8@%fs:(%rax)",
            "16@%rax",
            "8@",
            "@%rax",
            "8",
            "8@(%rax",
            "8@(%rax,%rcx,3)",
            "8@(%rax,%rcx,4,5)",
            "8@4(%rip)",
            "4@x0",
            "8@$",
            "8@%",
            "-@%rax",
        ] {
            assert_eq!(one(text), None, "{text}");
        }
    }

    #[test]
    fn a_note_that_is_too_short_is_no_marker() {
        let whole: Vec<u8> = [
            [16u64, 0, 0].map(u64::to_le_bytes).concat(),
            b"p\0n\0a\0".to_vec(),
        ]
        .concat();
        let everywhere = |address| Some(address);
        let found = marker(&whole, None, &everywhere).expect("a marker");
        assert_eq!((found.provider.as_str(), found.offset), ("p", 16));
        for len in 0..28 {
            assert_eq!(marker(&whole[..len], None, &everywhere), None, "{len}");
        }
        // Prelinked: the base was at 0 and is at 0x1000 now.
        let found = marker(&whole, Some(0x1000), &everywhere).expect("a marker");
        assert_eq!((found.offset, found.semaphore), (0x1010, 0));
        assert_eq!(marker(&whole, None, &|_| None), None);
    }
}
