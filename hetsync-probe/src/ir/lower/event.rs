//! Events for user space: room in the ring buffer, filled in place, handed over.

use super::super::{Address, Arg, Cond, MapRef, SlotId, Val, Width};
use super::Lowerer;
use crate::codegen::insn::helper;
use crate::layout::{self, EventKind};
use crate::sema::hir::{Expr, Type};

/// A value worked out before there was room for it.
enum Ready {
    Value(Val),
    Bytes(SlotId),
}

impl<'a> Lowerer<'a> {
    /// An event with the values of `args`.
    pub(super) fn event(&mut self, kind: EventKind, id: u32, args: &'a [Expr]) {
        let types: Vec<Type> = args.iter().map(|e| e.ty.clone()).collect();
        // What changes something happens whether or not there is room for the event.
        let early = args.iter().any(Expr::has_effect);
        let ready: Vec<Ready> = if early {
            args.iter().map(|e| self.ready(e)).collect()
        } else {
            Vec::new()
        };
        self.with_record(kind, id, &types, |this, record| {
            let mut at = record.plus(8);
            for (i, expr) in args.iter().enumerate() {
                match ready.get(i) {
                    None => this.write(at, &expr.ty, expr),
                    Some(Ready::Value(value)) => this.b.store(Width::D, at, *value),
                    Some(Ready::Bytes(slot)) => {
                        let size = expr.ty.size();
                        this.copy(Address::slot(*slot), size, at, size);
                    }
                }
                at = at.plus(expr.ty.size() as i32);
            }
        });
    }

    fn ready(&mut self, expr: &'a Expr) -> Ready {
        if expr.ty.is_word() {
            return Ready::Value(self.value(expr));
        }
        let slot = self.b.slot(expr.ty.size(), "a value to print");
        self.write(Address::slot(slot), &expr.ty, expr);
        Ready::Bytes(slot)
    }

    /// `exit()` or `exit(code)`.
    pub(super) fn exit_event(&mut self, code: Option<&'a Expr>) {
        let code = match code {
            Some(expr) => self.value(expr),
            None => Val::Imm(0),
        };
        self.with_record(EventKind::Exit, 0, &[Type::INT], |this, record| {
            this.b.store(Width::D, record.plus(8), code);
        });
    }

    /// Takes a record, has it filled, hands it over; a full buffer is a loss.
    fn with_record(
        &mut self,
        kind: EventKind,
        id: u32,
        types: &[Type],
        fill: impl FnOnce(&mut Self, Address),
    ) {
        let size = layout::event_size(types) as i64;
        let args = vec![Arg::Map(MapRef::Events), Arg::Imm(size), Arg::Imm(0)];
        let record = self.b.call(helper::RINGBUF_RESERVE, args);
        let (have, full, join) = (self.b.block(), self.b.cold_block(), self.b.block());
        self.b
            .branch(Cond::Ne, Val::Reg(record), Val::Imm(0), have, full);
        self.b.start(full);
        self.lose(layout::Loss::Events(self.cx.probe as u32));
        self.b.jump(join);
        self.b.start(have);
        let at = Address::reg(record);
        self.b
            .store_word(at, u64::from(kind as u32) | u64::from(id) << 32);
        fill(self, at);
        self.b.call_only(
            helper::RINGBUF_SUBMIT,
            vec![Arg::Reg(record, 0), Arg::Imm(0)],
        );
        self.b.jump(join);
        self.b.start(join);
    }
}
