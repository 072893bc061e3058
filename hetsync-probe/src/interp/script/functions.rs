//! What functions compute, in plain words.

use super::{Body, Value};
use crate::layout;
use crate::sema::hir::{Expr, Function, PointKind, Space, Type};

impl Body<'_> {
    pub(super) fn call(&mut self, function: &Function, args: &[Expr], ty: &Type) -> Value {
        match function {
            Function::Internet => {
                let family = self.bits(&args[0]);
                let mut bytes = family.to_le_bytes().to_vec();
                bytes.extend(self.address(&args[1]));
                Value::Raw(bytes)
            }
            Function::Flow => {
                let [family, own, peer] = [0, 1, 2].map(|part| self.bits(&args[part]) & 0xffff);
                let head = family | own << 16 | peer << 32;
                let mut bytes = head.to_le_bytes().to_vec();
                bytes.extend(self.address(&args[3]));
                bytes.extend(self.address(&args[4]));
                Value::Raw(bytes)
            }
            Function::Hardware => {
                let mut word = [0; 8];
                word[..6].copy_from_slice(&self.memory_of(&args[0])[..6]);
                Value::Int(u64::from_le_bytes(word))
            }
            Function::Swap(bytes) => {
                let value = self.bits(&args[0]);
                let unused = 64 - 8 * u32::from(*bytes);
                Value::Int(value.swap_bytes() >> unused)
            }
            Function::Constant(bytes) => Value::Raw(bytes.to_vec()),
            Function::Buffer { user } => {
                let address = self.bits(&args[0]);
                let wanted = self.bits(&args[1]);
                let len = wanted.min(ty.size() as u64 - 9) as usize;
                let mut bytes = (len as u64).to_le_bytes().to_vec();
                let found = self.world.memory(space(*user)).read(address, len);
                bytes.extend(found.unwrap_or_default());
                bytes.resize(ty.size(), 0);
                Value::Raw(bytes)
            }
            Function::Text { user } => {
                let address = self.bits(&args[0]);
                let wanted = self.bits(&args[1]);
                let len = wanted.min(ty.size() as u64 - 1) as usize;
                let memory = self.world.memory(space(*user));
                let found = (len > 0).then(|| memory.read_text(address, len - 1));
                Value::read(ty, &found.flatten().unwrap_or_else(|| vec![0]))
            }
            Function::Whole => {
                let memory = self.memory_of(&args[0]);
                let mut bytes = (memory.len() as u64).to_le_bytes().to_vec();
                bytes.extend(memory);
                bytes.resize(ty.size(), 0);
                Value::Raw(bytes)
            }
            Function::Differ(bytes) => {
                let start = |mut text: Vec<u8>| {
                    text.resize((*bytes as usize).max(text.len()), 0);
                    text.truncate(*bytes as usize);
                    text
                };
                let left = self.text(&args[0]);
                let right = self.text(&args[1]);
                Value::Int(u64::from(start(left) != start(right)))
            }
            Function::Order(bytes) => {
                let [left, right] = [&args[0], &args[1]].map(|side| {
                    let mut all = Vec::new();
                    self.eval(side).write(&side.ty, &mut all);
                    all.resize(*bytes as usize, 0);
                    all
                });
                let differing = left.iter().zip(&right).find(|(l, r)| l != r);
                let order = differing.map_or(0, |(l, r)| i64::from(*l) - i64::from(*r));
                Value::Int(order as u64)
            }
            Function::Contains(needle) => {
                let text = self.text(&args[0]);
                let found = needle.is_empty() || text.windows(needle.len()).any(|w| w == &**needle);
                Value::Int(found.into())
            }
            Function::Length => Value::Int(self.text(&args[0]).len() as u64),
            Function::HasKey(map) => {
                let key = self.key(*map, args);
                Value::Int(self.store.contents().map(*map).contains_key(&key).into())
            }
            Function::Entries(map) => Value::Int(self.store.contents().map(*map).len() as u64),
            Function::InProcess => {
                let mut bytes = self.bits(&args[0]).to_le_bytes().to_vec();
                bytes.extend(u64::from(self.firing.pid).to_le_bytes());
                Value::Raw(bytes)
            }
            Function::Stack { user, .. } => {
                // What user space runs itself has no stack of calls.
                let run = matches!(
                    self.point.kind,
                    PointKind::Begin | PointKind::End | PointKind::Interval { .. }
                );
                let number = match run {
                    true => layout::NO_STACK,
                    false => self.firing.stacks[usize::from(*user)] as i64,
                };
                if number == layout::STACK_TAKEN {
                    self.store.lose(layout::Loss::Stacks);
                }
                Value::Int(number as u64)
            }
            Function::Signal => {
                self.bits(&args[0]);
                Value::Int(0)
            }
            Function::SocketCookie => {
                let socket = self.bits(&args[0]);
                Value::Int(self.firing.cookie_of(socket))
            }
        }
    }

    /// The 16 bytes of an internet address.
    fn address(&mut self, address: &Expr) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.eval(address) {
            Value::Int(word) => bytes.extend((word as u32).to_le_bytes()),
            value => value.write(&address.ty, &mut bytes),
        }
        bytes.resize(16, 0);
        bytes
    }

    /// The bytes of an array or a record.
    fn memory_of(&mut self, expr: &Expr) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.eval(expr).write(&expr.ty, &mut bytes);
        bytes.truncate(expr.ty.memory_size());
        bytes
    }

    fn text(&mut self, expr: &Expr) -> Vec<u8> {
        match self.eval(expr) {
            Value::Str(text) => text,
            _ => Vec::new(),
        }
    }
}

fn space(user: bool) -> Space {
    match user {
        true => Space::User,
        false => Space::Kernel,
    }
}
