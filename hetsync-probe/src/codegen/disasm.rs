//! Programs as text, for `--emit asm`, for messages and for tests: the script's line above the instructions it
//! became, labels at jump targets, names for maps and helpers. It reads any well-formed instructions, not only ours.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::insn::{Insn, op};
use crate::image::{Image, MapSpec, Program, ProgramKind, RelocationKind};
use crate::ir::helper_name;

/// Every program of an image, with the maps listed first.
pub fn image(image: &Image, source: &str) -> String {
    let mut text = String::new();
    for map in &image.maps {
        let _ = writeln!(
            text,
            "; map {}: {:?}, key {}, value {}, {} entries",
            map.name, map.kind, map.key_size, map.value_size, map.max_entries
        );
    }
    for program in &image.programs {
        text.push('\n');
        text.push_str(&print_with(program, &image.maps, source));
    }
    text
}

/// One program; maps by number.
pub fn print(program: &Program, source: &str) -> String {
    print_with(program, &[], source)
}

/// One program; `maps` are those of its image.
pub fn print_with(program: &Program, maps: &[MapSpec], source: &str) -> String {
    let labels = labels(&program.insns);
    let relocations: BTreeMap<usize, RelocationKind> = (program.relocations.iter())
        .map(|relocation| (relocation.insn, relocation.what))
        .collect();
    let mut text = format!(
        "{} ({}, {} instructions)\n",
        section(&program.kind),
        program.name,
        program.insns.len()
    );
    let mut line = None;
    let mut at = 0;
    while let Some(&insn) = program.insns.get(at) {
        let here = program
            .spans
            .get(at)
            .map(|span| line_of(source, span.start));
        if let Some(here) = here
            && line != Some(here)
        {
            line = Some(here);
            let script = source.lines().nth(here).unwrap_or("").trim();
            let _ = writeln!(text, "; {}: {script}", here + 1);
        }
        if at > 0
            && let Some(number) = program.functions.iter().position(|&start| start == at)
        {
            let _ = writeln!(text, "body{number}:");
        }
        if let Some(label) = labels.get(&at) {
            let _ = writeln!(text, "L{label}:");
        }
        let _ = write!(text, "{at:5}  ");
        if is_wide(insn) {
            let high = program.insns.get(at + 1).map_or(0, |next| next.imm);
            let what = match relocations.get(&at) {
                Some(RelocationKind::Map(map)) => format!("map {}", map_name(maps, *map)),
                Some(RelocationKind::MapValue(map, offset)) => {
                    format!("&{}[0] + {offset}", map_name(maps, *map))
                }
                Some(RelocationKind::Function(number)) => format!("body{number}"),
                Some(RelocationKind::StartNs) => "start_ns".into(),
                None => format!("{:#x} ll", (high as u64) << 32 | u64::from(insn.imm as u32)),
            };
            let _ = writeln!(text, "r{} = {what}", insn.dst);
            at += 2;
            continue;
        }
        let target = jump_target(at, insn).and_then(|to| labels.get(&to));
        let _ = writeln!(text, "{}", mnemonic(insn, target.copied()));
        at += 1;
    }
    text
}

/// The name of the section a program is in: what libbpf derives its type from.
pub fn section(kind: &ProgramKind) -> String {
    match kind {
        ProgramKind::Run => "raw_tp".into(),
        ProgramKind::Kprobe {
            function,
            offset: 0,
        } => format!("kprobe/{function}"),
        ProgramKind::Kprobe { function, offset } => format!("kprobe/{function}+{offset:#x}"),
        ProgramKind::Kretprobe { function } => format!("kretprobe/{function}"),
        ProgramKind::KprobeMulti { places, on_return } => {
            let kind = if *on_return { "kretprobe" } else { "kprobe" };
            format!("{kind}.multi of {} functions", places.len())
        }
        ProgramKind::Joined => String::new(),
        ProgramKind::Fentry { function, .. } => format!("fentry/{function}"),
        ProgramKind::Fexit { function, .. } => format!("fexit/{function}"),
        ProgramKind::Tracepoint { category, name } => format!("tracepoint/{category}/{name}"),
        ProgramKind::RawTracepoint { name } => format!("raw_tp/{name}"),
        ProgramKind::Sampled(_) => "perf_event".into(),
        ProgramKind::Uprobe { path, offset, .. } => format!("uprobe/{path}:{offset:#x}"),
        ProgramKind::Uretprobe { path, offset } => format!("uretprobe/{path}:{offset:#x}"),
    }
}

fn map_name(maps: &[MapSpec], index: usize) -> String {
    match maps.get(index) {
        Some(map) => map.name.clone(),
        None => format!("#{index}"),
    }
}

/// Number (from 0) of the line an offset is in.
fn line_of(source: &str, offset: u32) -> usize {
    let end = (offset as usize).min(source.len());
    source.as_bytes()[..end]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
}

fn is_wide(insn: Insn) -> bool {
    insn.code == op::LD | op::DW | op::IMM
}

fn jump_target(at: usize, insn: Insn) -> Option<usize> {
    let class = insn.code & 7;
    let code = insn.code & 0xf0;
    if !matches!(class, op::JMP | op::JMP32) || matches!(code, op::CALL | op::EXIT) {
        return None;
    }
    usize::try_from(at as i64 + 1 + i64::from(insn.off)).ok()
}

/// Numbers the jump targets in order.
fn labels(insns: &[Insn]) -> BTreeMap<usize, usize> {
    let mut targets: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, insn) in insns.iter().enumerate() {
        if let Some(target) = jump_target(at, *insn) {
            targets.insert(target, 0);
        }
    }
    for (number, label) in targets.values_mut().enumerate() {
        *label = number + 1;
    }
    targets
}

fn mnemonic(insn: Insn, target: Option<usize>) -> String {
    let class = insn.code & 7;
    match class {
        op::ALU | op::ALU64 => alu(insn, if class == op::ALU64 { 'r' } else { 'w' }),
        op::JMP | op::JMP32 => jump(insn, if class == op::JMP { 'r' } else { 'w' }, target),
        op::LDX => format!(
            "r{} = *({} *)(r{} {})",
            insn.dst,
            size(insn.code),
            insn.src,
            offset(insn.off)
        ),
        op::STX if insn.code & 0xe0 == op::ATOMIC => {
            let place = format!(
                "*({} *)(r{} {})",
                size(insn.code),
                insn.dst,
                offset(insn.off)
            );
            match insn.imm {
                op::ATOMIC_ADD => format!("lock {place} += r{}", insn.src),
                imm if imm == op::ATOMIC_ADD | op::FETCH => {
                    format!("r{0} = lock fetch_add {place}, r{0}", insn.src)
                }
                imm => format!("lock {imm:#x} {place}, r{}", insn.src),
            }
        }
        op::STX => format!(
            "*({} *)(r{} {}) = r{}",
            size(insn.code),
            insn.dst,
            offset(insn.off),
            insn.src
        ),
        op::ST => format!(
            "*({} *)(r{} {}) = {}",
            size(insn.code),
            insn.dst,
            offset(insn.off),
            insn.imm
        ),
        _ => format!("{insn:?}"),
    }
}

fn alu(insn: Insn, register: char) -> String {
    let dst = format!("{register}{}", insn.dst);
    let src = if insn.code & op::X == 0 {
        insn.imm.to_string()
    } else {
        format!("{register}{}", insn.src)
    };
    let operator = match insn.code & 0xf0 {
        op::ADD => "+=",
        op::SUB => "-=",
        op::MUL => "*=",
        op::DIV => "/=",
        op::OR => "|=",
        op::AND => "&=",
        op::LSH => "<<=",
        op::RSH => ">>=",
        op::MOD => "%=",
        op::XOR => "^=",
        op::MOV => "=",
        op::ARSH => "s>>=",
        op::NEG => return format!("{dst} = -{dst}"),
        _ => return format!("{insn:?}"),
    };
    format!("{dst} {operator} {src}")
}

fn jump(insn: Insn, register: char, target: Option<usize>) -> String {
    let target = match target {
        Some(label) => format!("L{label}"),
        None => format!("{:+}", insn.off),
    };
    let src = if insn.code & op::X == 0 {
        insn.imm.to_string()
    } else {
        format!("{register}{}", insn.src)
    };
    let operator = match insn.code & 0xf0 {
        op::CALL => return format!("call {}", helper_name(insn.imm)),
        op::EXIT => return "exit".into(),
        op::JA => return format!("goto {target}"),
        op::JEQ => "==",
        op::JGT => ">",
        op::JGE => ">=",
        op::JSET => "&",
        op::JNE => "!=",
        op::JSGT => "s>",
        op::JSGE => "s>=",
        op::JLT => "<",
        op::JLE => "<=",
        op::JSLT => "s<",
        op::JSLE => "s<=",
        _ => return format!("{insn:?}"),
    };
    format!("if {register}{} {operator} {src} goto {target}", insn.dst)
}

fn size(code: u8) -> &'static str {
    match code & 0x18 {
        op::B => "u8",
        op::H => "u16",
        op::W => "u32",
        _ => "u64",
    }
}

fn offset(offset: i16) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    format!("{sign} {}", offset.unsigned_abs())
}
