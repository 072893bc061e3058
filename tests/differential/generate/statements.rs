//! Probes and the statements of their bodies.

use super::{Each, Functions, Generator, expr, stmt};
use hetsync_probe::sema::hir::*;
use hetsync_probe::span::Span;

/// Depth of expressions and blocks.
const DEPTH: usize = 4;
/// How many loops stand inside one another at most: the kernel follows every round of each.
const LOOPS: usize = 2;

impl Generator<'_> {
    pub(super) fn probe(&mut self) {
        self.locals.clear();
        self.keys.clear();
        for i in 0..self.choices.below(4) {
            let ty = self.ty();
            self.locals.push(Local {
                name: format!("v{i}"),
                ty,
            });
        }
        let function = |name: &str| name.to_string();
        self.functions = match self.flavour.functions {
            false => Functions::None,
            true => self.choices.pick(&[Functions::Entry, Functions::Return]),
        };
        let kinds = match self.functions {
            Functions::None => [
                (PointKind::Begin, 0),
                (PointKind::End, 1),
                (PointKind::Interval { period_ns: 1 }, 2),
            ],
            Functions::Entry => [("f", 0), ("g", 1), ("h", 2)].map(|(name, id)| {
                let (function, offset) = (function(name), 0);
                (PointKind::Kprobe { function, offset }, id)
            }),
            Functions::Return => [("f", 0), ("g", 1), ("h", 2)].map(|(name, id)| {
                let function = function(name);
                (PointKind::Kretprobe { function }, id)
            }),
        };
        let first = self.choices.below(3);
        let points = (0..1 + self.choices.below(2)).map(|i| {
            let (kind, name) = kinds[(first + i) % 3].clone();
            AttachPoint {
                kind,
                probe_name: NameId(name),
                func_name: NameId(name + i as u32),
                span: Span::default(),
            }
        });
        let points = points.collect();
        let predicate = self.choices.chance(25).then(|| self.int(DEPTH));
        let body = self.block(DEPTH);
        self.program.probes.push(Probe {
            points,
            predicate,
            body,
            locals: std::mem::take(&mut self.locals),
            span: Span::default(),
        });
    }

    pub(super) fn block(&mut self, depth: usize) -> Vec<Stmt> {
        let most = if depth == DEPTH { 12 } else { 4 };
        let mut block = Vec::new();
        for _ in 0..1 + self.choices.below(most) {
            block.push(self.stmt(depth));
            if self.choices.is_spent() {
                break;
            }
        }
        block
    }

    pub(super) fn stmt(&mut self, depth: usize) -> Stmt {
        let kind = match self.choices.below(19) {
            0..3 => self.assign(),
            3..7 => self.aggregate(),
            7..9 if depth > 0 => StmtKind::If {
                cond: self.int(DEPTH),
                then: self.block(depth - 1),
                otherwise: match self.choices.chance(50) {
                    true => self.block(depth - 1),
                    false => Vec::new(),
                },
            },
            7..10 => self.printf(),
            10 => self.print(),
            11 => self.delete(),
            12 if self.choices.chance(25) => StmtKind::Exit {
                code: self.choices.chance(50).then(|| self.int(2)),
            },
            14 if depth > 0 && self.loops < LOOPS => match self.choices.chance(50) {
                true => self.each(depth),
                false => self.repeat(depth),
            },
            15 if depth > 0 => StmtKind::Unroll {
                count: 1 + self.choices.below(3) as u32,
                body: self.block(depth - 1),
            },
            16 if self.loops > 0 => match self.choices.chance(50) {
                true => StmtKind::Break,
                false => StmtKind::Continue,
            },
            16 if self.choices.chance(25) => {
                StmtKind::Return(self.choices.chance(50).then(|| self.int(2)))
            }
            13 => {
                let mut map = MapId(self.choices.below(self.program.maps.len()) as u32);
                if self.spares(map) {
                    map = MapId(0);
                }
                match self.choices.chance(50) {
                    true => StmtKind::Clear(map),
                    false => StmtKind::Zero(map),
                }
            }
            _ => StmtKind::Expr(self.increment(DEPTH)),
        };
        stmt(kind)
    }

    /// A loop that is cut after a few rounds if it does not end before: without the limit few conditions ever would.
    pub(super) fn repeat(&mut self, depth: usize) -> StmtKind {
        let ints: Vec<usize> = (0..self.locals.len())
            .filter(|&i| self.locals[i].ty.is_int())
            .collect();
        let head = if !ints.is_empty() && self.choices.chance(50) {
            let local = LocalId(self.choices.pick(&ints) as u32);
            let (start, end) = match self.choices.chance(50) {
                true => (
                    expr(ExprKind::Int(self.choices.below(3) as u64), Type::INT),
                    expr(ExprKind::Int(self.choices.below(6) as u64), Type::INT),
                ),
                false => (self.int(2), self.int(2)),
            };
            LoopHead::Range { local, start, end }
        } else {
            LoopHead::While(self.int(DEPTH))
        };
        let most = Some(self.choices.pick(&[3, 1, 2, 4]));
        let id = LoopId(self.program.loops.len() as u32);
        let span = Span::default();
        self.program.loops.push(Loop { most, span });
        self.loops += 1;
        let body = self.block(depth - 1);
        self.loops -= 1;
        StmtKind::Loop { id, head, body }
    }

    /// A loop over the entries of a map; where there is none to go over, another loop.
    pub(super) fn each(&mut self, depth: usize) -> StmtKind {
        let one = self.flavour.each == Each::InAnyOrder;
        let over = self.over.clone();
        let maps: Vec<MapId> = self
            .maps_where(|map| {
                let scalar = matches!(map.value, MapValue::Scalar(_));
                scalar && !map.key.is_empty() && (!one || map.max_entries == 1)
            })
            .into_iter()
            .filter(|map| !over.contains(map))
            .collect();
        if maps.is_empty() || self.flavour.each == Each::Never {
            return self.repeat(depth);
        }
        let map = self.choices.pick(&maps);
        let definition = &self.program.maps[map.0 as usize];
        let MapValue::Scalar(value) = definition.value.clone() else {
            unreachable!("chosen among scalars");
        };
        let ty = Type::tuple([definition.key_type(), value]);
        let local = LocalId(self.locals.len() as u32);
        self.locals.push(Local {
            name: format!("kv{}", local.0),
            ty,
        });
        self.loops += 1;
        self.over.push(map);
        let body = self.block(depth - 1);
        self.over.pop();
        self.loops -= 1;
        StmtKind::Each { map, local, body }
    }

    /// Whether a map has to be left alone here, as its entries are being gone over.
    pub(super) fn left_alone(&self, map: MapId) -> bool {
        self.flavour.each == Each::InAnyOrder && self.over.contains(&map)
    }

    pub(super) fn assign(&mut self) -> StmtKind {
        let mut scalars = self.maps_where(|map| matches!(map.value, MapValue::Scalar(_)));
        scalars.retain(|&map| !self.left_alone(map));
        let locals = self.locals.len();
        let at = self.choices.below(locals + scalars.len());
        let (place, ty) = if at < locals {
            (Place::Local(LocalId(at as u32)), self.locals[at].ty.clone())
        } else {
            let map = scalars[at - locals];
            let MapValue::Scalar(ty) = self.program.maps[map.0 as usize].value.clone() else {
                unreachable!("chosen among scalars");
            };
            let key = self.key(map, DEPTH - 1);
            (Place::Map { map, key }, ty)
        };
        let ty = self.varied(&ty);
        let value = self.value(&ty, DEPTH);
        StmtKind::Assign { place, value }
    }

    pub(super) fn aggregate(&mut self) -> StmtKind {
        let maps = self.maps_where(|map| matches!(map.value, MapValue::Aggregate(_)));
        if maps.is_empty() {
            return self.assign();
        }
        let map = self.choices.pick(&maps);
        let key = self.key(map, DEPTH - 1);
        let count = MapValue::Aggregate(Aggregation::Count);
        let sample = (self.program.maps[map.0 as usize].value != count).then(|| {
            match self.choices.chance(25) {
                true => self.unknown_int(),
                false => self.int(DEPTH),
            }
        });
        StmtKind::Aggregate { map, key, sample }
    }

    pub(super) fn printf(&mut self) -> StmtKind {
        let args: Vec<Expr> = (0..self.choices.below(5))
            .map(|_| {
                let ty = self.ty();
                self.value(&ty, 3)
            })
            .collect();
        self.program.formats.push(Format {
            pieces: vec![Piece::Conversion(Conversion::default()); args.len()],
            args: args.iter().map(|arg| arg.ty.clone()).collect(),
            use_as: TextUse::Print,
        });
        let format = FormatId(self.program.formats.len() as u32 - 1);
        StmtKind::Printf { format, args }
    }

    pub(super) fn print(&mut self) -> StmtKind {
        let (what, args) = if self.choices.chance(50) {
            let ty = self.ty();
            let value = self.value(&ty, 3);
            (PrintWhat::Value(ty), vec![value])
        } else {
            let mut map = MapId(self.choices.below(self.program.maps.len()) as u32);
            if self.spares(map) {
                map = MapId(0);
            }
            (PrintWhat::Map(map), Vec::new())
        };
        self.program.prints.push(Print {
            what,
            top: 0,
            div: 1,
        });
        let print = PrintId(self.program.prints.len() as u32 - 1);
        StmtKind::Print { print, args }
    }

    pub(super) fn delete(&mut self) -> StmtKind {
        let mut maps = self.maps_where(|map| !map.key.is_empty());
        maps.retain(|&map| !self.left_alone(map));
        let map = self.choices.pick(&maps);
        let key = self.key(map, DEPTH - 1);
        StmtKind::Delete { map, key }
    }

    pub(super) fn key(&mut self, map: MapId, depth: usize) -> Vec<Expr> {
        if self.spares(map) {
            return vec![expr(ExprKind::Builtin(Builtin::Tid), Type::INT)];
        }
        let used: Vec<usize> = (0..self.keys.len())
            .filter(|&i| self.keys[i].0 == map)
            .collect();
        if !used.is_empty() && self.choices.chance(40) {
            return self.keys[self.choices.pick(&used)].1.clone();
        }
        let types = self.program.maps[map.0 as usize].key.clone();
        let key: Vec<Expr> = types
            .into_iter()
            .map(|ty| match ty {
                // Small numbers meet again.
                Type::Int { bits: 64, .. } if self.choices.chance(50) => {
                    expr(ExprKind::Int(self.choices.below(4) as u64), ty)
                }
                _ => {
                    let ty = self.varied(&ty);
                    self.value(&ty, depth)
                }
            })
            .collect();
        self.keys.push((map, key.clone()));
        key
    }
}
