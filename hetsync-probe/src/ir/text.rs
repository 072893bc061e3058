//! The text form of the IR, for `--emit ir` and for tests.

use std::fmt::{Display, Formatter, Result};

use super::{Address, Arg, Base, BlockId, Function, MapRef, Op, SlotId, Term, V, Val, Width};
use crate::codegen::insn::helper;

impl Display for V {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "v{}", self.0)
    }
}

impl Display for BlockId {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "b{}", self.0)
    }
}

impl Display for SlotId {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "s{}", self.0)
    }
}

impl Display for Val {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Val::Reg(v) => write!(f, "{v}"),
            Val::Imm(n) => write!(f, "{n}"),
        }
    }
}

impl Display for MapRef {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            MapRef::Script(id) => write!(f, "map{}", id.0),
            MapRef::Events => write!(f, "events"),
            MapRef::Losses => write!(f, "losses"),
            MapRef::Zeros => write!(f, "zeros"),
            MapRef::Gate => write!(f, "gate"),
            MapRef::Scratch => write!(f, "scratch"),
            MapRef::Shared => write!(f, "shared"),
            MapRef::Front(id) => write!(f, "front{}", id.0),
            MapRef::Group(id) => write!(f, "group{}", id.0),
            MapRef::Stacks(frames) => write!(f, "stacks{frames}"),
        }
    }
}

impl Display for Width {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Width::B => "u8",
            Width::H => "u16",
            Width::W => "u32",
            Width::D => "u64",
        })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.base {
            Base::Reg(v) => write!(f, "[{v}")?,
            Base::Slot(slot) => write!(f, "[{slot}")?,
        }
        if self.offset != 0 {
            write!(f, "{:+}", self.offset)?;
        }
        write!(f, "]")
    }
}

impl Display for Arg {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Arg::Imm(n) => write!(f, "{n}"),
            Arg::Reg(v, 0) => write!(f, "{v}"),
            Arg::Reg(v, offset) => write!(f, "{v}{offset:+}"),
            Arg::Slot(slot, 0) => write!(f, "&{slot}"),
            Arg::Slot(slot, offset) => write!(f, "&{slot}{offset:+}"),
            Arg::Map(map) => write!(f, "{map}"),
            Arg::MapValue(map) => write!(f, "&{map}"),
            Arg::Function(index) => write!(f, "body{index}"),
        }
    }
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Op::Context => write!(f, "context"),
            Op::Entry { key: true } => write!(f, "key of the entry"),
            Op::Entry { key: false } => write!(f, "value of the entry"),
            Op::Stop => write!(f, "stop"),
            Op::Const(n) => write!(f, "const {n}"),
            Op::StartNs => write!(f, "start_ns"),
            Op::MapValue(map, 0) => write!(f, "&{map}"),
            Op::MapValue(map, offset) => write!(f, "&{map}+{offset}"),
            Op::SlotAddress(slot, offset) => write!(f, "&{slot}{offset:+}"),
            Op::Alu(op, a, b) => write!(f, "{} {a}, {b}", format!("{op:?}").to_lowercase()),
            Op::Unary(op, a) => write!(f, "{} {a}", format!("{op:?}").to_lowercase()),
            Op::Set(cond, a, b) => write!(f, "set.{} {a}, {b}", format!("{cond:?}").to_lowercase()),
            Op::Load(width, address) => write!(f, "load.{width} {address}"),
            Op::Store(width, address, value) => write!(f, "store.{width} {address}, {value}"),
            Op::AtomicAdd(address, value) => write!(f, "atomic_add {address}, {value}"),
            Op::Call(helper, args) => {
                write!(f, "{}(", helper_name(*helper))?;
                for (i, arg) in args.iter().enumerate() {
                    write!(f, "{}{arg}", if i == 0 { "" } else { ", " })?;
                }
                write!(f, ")")
            }
            Op::LogLinear { value, bits, width } => {
                write!(f, "log_linear.{bits} {value} (below 2^{width})")
            }
            Op::Part {
                map,
                index,
                count,
                shift,
            } => {
                let bytes = 1u32 << shift;
                write!(f, "part {map}, {index} (of {count}, {bytes} bytes each)")
            }
            Op::BucketAdd {
                base,
                offset,
                index,
                limit,
                width,
            } => write!(
                f,
                "bucket_add.{width} [{base}{offset:+}], {index} (below {limit})"
            ),
            Op::Spill(slot, v) => write!(f, "spill {slot}, {v}"),
            Op::Reload(slot) => write!(f, "reload {slot}"),
        }
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Term::Jump(edge) => {
                write!(f, "jump {}", edge.block)?;
                list(f, &edge.args)
            }
            Term::Branch {
                cond,
                lhs,
                rhs,
                then,
                otherwise,
            } => write!(
                f,
                "branch.{} {lhs}, {rhs} -> {then} else {otherwise}",
                format!("{cond:?}").to_lowercase()
            ),
            Term::Exit => write!(f, "exit"),
        }
    }
}

fn list<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(f, "(")?;
    for (i, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    write!(f, ")")
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (i, slot) in self.slots.iter().enumerate() {
            writeln!(f, "s{i}: {} bytes, {}", slot.size, slot.what)?;
        }
        for id in self.order() {
            let block = self.block(id);
            write!(f, "{id}")?;
            list(f, &block.params)?;
            writeln!(f, ":{}", if block.cold { " ; cold" } else { "" })?;
            for inst in &block.insts {
                match inst.dst {
                    Some(dst) => writeln!(f, "    {dst} = {}", inst.op)?,
                    None => writeln!(f, "    {}", inst.op)?,
                }
            }
            writeln!(f, "    {}", block.term)?;
        }
        Ok(())
    }
}

/// The kernel's name of a helper, without `bpf_`.
pub(crate) fn helper_name(helper: i32) -> &'static str {
    match helper {
        helper::MAP_LOOKUP_ELEM => "map_lookup_elem",
        helper::MAP_UPDATE_ELEM => "map_update_elem",
        helper::MAP_DELETE_ELEM => "map_delete_elem",
        helper::KTIME_GET_NS => "ktime_get_ns",
        helper::MAP_LOOKUP_PERCPU_ELEM => "map_lookup_percpu_elem",
        helper::GET_SMP_PROCESSOR_ID => "get_smp_processor_id",
        helper::GET_CURRENT_PID_TGID => "get_current_pid_tgid",
        helper::GET_CURRENT_COMM => "get_current_comm",
        helper::PROBE_READ_USER => "probe_read_user",
        helper::PROBE_READ_KERNEL => "probe_read_kernel",
        helper::KTIME_GET_BOOT_NS => "ktime_get_boot_ns",
        helper::KTIME_GET_TAI_NS => "ktime_get_tai_ns",
        helper::GET_SOCKET_COOKIE => "get_socket_cookie",
        helper::RINGBUF_OUTPUT => "ringbuf_output",
        helper::RINGBUF_RESERVE => "ringbuf_reserve",
        helper::RINGBUF_SUBMIT => "ringbuf_submit",
        helper::RINGBUF_DISCARD => "ringbuf_discard",
        helper::GET_FUNC_ARG => "get_func_arg",
        helper::FOR_EACH_MAP_ELEM => "for_each_map_elem",
        _ => "helper",
    }
}
