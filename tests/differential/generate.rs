//! Random well-typed checked scripts over the whole language of the slice, with starting
//! contents for their maps and firings to run them by.
//!
//! Probes are ones that user space runs (`begin`, `end`, `interval`), so that the kernel can be asked what they do; or,
//! where a [`Flavour`] asks for it, kprobes and kretprobes, whose built-ins the kernel's test runs do not have.
//! Names are few and maps small, so that keys meet and maps run full.

use crate::choices::Choices;
use hetsync_probe::interp::Memory;
use hetsync_probe::layout::{self, front};
use hetsync_probe::sema::hir::*;
use hetsync_probe::span::Span;
use std::sync::Arc;

/// A program and what it is run on.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) program: Program,
    /// What is in the maps before: map, key, the value on every CPU.
    pub(crate) start: Vec<(MapId, Vec<u8>, Vec<u8>)>,
    /// Which points fire, in order.
    pub(crate) firings: Vec<(usize, usize)>,
    /// Bytes of the ring buffer of events.
    pub(crate) ring_bytes: u32,
    pub(crate) compiling: Compiling,
}

/// What a program may use that not every opinion can be asked about.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flavour {
    /// `nsecs` and `elapsed`.
    pub(crate) clock: bool,
    /// Probes of functions, with their arguments and return values.
    pub(crate) functions: bool,
    /// Reads of the memory in [`memory`]; without it every read is of an address that has none.
    pub(crate) memory: bool,
}

/// How a program is compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compiling {
    /// Registers the allocator may use; few make it spill.
    pub(crate) registers: usize,
    pub(crate) atomic_fetch: bool,
    /// Whether functions are probed by fentry and fexit.
    pub(crate) traced: bool,
}

/// Depth of expressions and blocks.
const DEPTH: usize = 4;
/// How many loops stand inside one another at most: the kernel follows every round of each.
const LOOPS: usize = 2;

/// Makes a case of bytes; any bytes will do.
pub(crate) fn case(bytes: &[u8], flavour: Flavour) -> Case {
    let mut generator = Generator {
        choices: Choices::new(bytes),
        program: Program::default(),
        locals: Vec::new(),
        keys: Vec::new(),
        flavour,
        functions: Functions::None,
        loops: 0,
    };
    generator.names();
    generator.maps();
    let probes = 1 + generator.choices.below(3);
    for _ in 0..probes {
        generator.probe();
    }
    let firings = (0..1 + generator.choices.below(6))
        .map(|_| {
            let probe = generator.choices.below(generator.program.probes.len());
            let points = generator.program.probes[probe].points.len();
            (probe, generator.choices.below(points))
        })
        .collect();
    let start = generator.start();
    let ring_bytes = if generator.choices.chance(15) {
        4096
    } else {
        1 << 16
    };
    let choices = &mut generator.choices;
    let compiling = Compiling {
        registers: choices.pick(&[10, 6, 5, 7, 8]),
        atomic_fetch: choices.chance(50),
        traced: choices.chance(50),
    };
    Case {
        compiling,
        program: generator.program,
        start,
        firings,
        ring_bytes,
    }
}

/// What the probe being made is attached to.
#[derive(Clone, Copy, PartialEq)]
enum Functions {
    None,
    Entry,
    Return,
}

struct Generator<'a> {
    choices: Choices<'a>,
    program: Program,
    locals: Vec<Local>,
    /// Keys used before in this probe, to use again.
    keys: Vec<(MapId, Vec<Expr>)>,
    flavour: Flavour,
    functions: Functions,
    /// How many loops are around the statement being made.
    loops: usize,
}

fn expr(kind: ExprKind, ty: Type) -> Expr {
    Expr {
        kind,
        ty,
        span: Span::default(),
    }
}

fn stmt(kind: StmtKind) -> Stmt {
    Stmt {
        kind,
        span: Span::default(),
    }
}

/// Where the memory of a space starts.
fn address(space: Space) -> u64 {
    match space {
        Space::Kernel => 0xffff_8880_0010_0000,
        Space::User => 0x5555_0000_1000,
    }
}

/// Bytes of each space that can be read.
const MEMORY_BYTES: usize = 120;

/// What lies in memory: bytes with some NULs among them, others in each space.
pub(crate) fn memory(space: Space) -> Memory {
    let factor = match space {
        Space::Kernel => 37,
        Space::User => 91,
    };
    let byte = |i: usize| match i % 7 {
        3 => 0,
        _ => (i * factor) as u8,
    };
    let mut memory = Memory::default();
    memory.add(address(space), (0..MEMORY_BYTES).map(byte).collect());
    memory
}

/// A record of C with members of all kinds, some at odd places.
fn record_type() -> Type {
    let int = |bits, signed| Type::Int { bits, signed };
    let array = |of, len| Type::Array {
        of: Arc::new(of),
        len,
    };
    let fields = [
        (int(8, false), 0),
        (int(16, true), 2),
        (int(32, false), 4),
        (Type::Text(5), 8),
        (array(int(8, false), 6), 13),
        (int(32, true), 21),
        (Type::INT, 32),
        (array_type(), 40),
    ];
    Type::Record(Arc::new(Record {
        name: Arc::new(RecordName {
            id: RecordId(0),
            name: "struct mixed".into(),
        }),
        size: 50,
        fields: (fields.into_iter().enumerate())
            .map(|(i, (ty, offset))| Field {
                name: format!("m{i}"),
                ty,
                offset,
                bits: None,
            })
            .collect(),
    }))
}

fn array_type() -> Type {
    Type::Array {
        of: Arc::new(Type::Int {
            bits: 16,
            signed: false,
        }),
        len: 5,
    }
}

/// Everything in a record: its type and offset.
fn pieces(ty: &Type, offset: usize, found: &mut Vec<(Type, usize)>) {
    match ty {
        Type::Record(record) => {
            for field in &record.fields {
                let at = offset + field.offset as usize;
                found.push((field.ty.clone(), at));
                pieces(&field.ty, at, found);
            }
        }
        Type::Array { of, len } => {
            for i in 0..*len as usize {
                found.push(((**of).clone(), offset + i * of.memory_size()));
            }
        }
        _ => {}
    }
}

/// Whether a type is an integer of a whole register.
fn is_wide(ty: &Type) -> bool {
    matches!(ty, Type::Int { bits: 64, .. })
}

/// A value of a type as bytes.
fn value_bytes(choices: &mut Choices<'_>, ty: &Type, names: usize) -> Vec<u8> {
    match ty {
        Type::Int { .. } | Type::Enum(_) | Type::Mac | Type::Pointer { .. } => {
            let word = layout::extend(choices.number(), ty.memory_size(), ty.is_signed());
            word.to_le_bytes().to_vec()
        }
        Type::Bool => (choices.below(2) as u64).to_le_bytes().to_vec(),
        Type::Name => (choices.below(names) as u64).to_le_bytes().to_vec(),
        Type::Str { capacity } => {
            let mut bytes = choices.text(usize::from(*capacity) - 1);
            bytes.resize((*capacity).into(), 0);
            bytes
        }
        Type::Tuple(parts) => {
            let parts = parts.iter();
            parts
                .flat_map(|ty| value_bytes(choices, ty, names))
                .collect()
        }
        _ => {
            let mut bytes: Vec<u8> = (0..ty.memory_size())
                .map(|_| choices.below(256) as u8)
                .collect();
            bytes.resize(ty.size(), 0);
            bytes
        }
    }
}

impl Generator<'_> {
    fn names(&mut self) {
        self.program.names = [
            "begin",
            "end",
            "interval:1",
            "a longer name than 16 bytes",
            "abcdefgh",
        ]
        .map(String::from)
        .to_vec();
    }

    fn ty(&mut self) -> Type {
        match self.choices.below(12) {
            0..3 => Type::INT,
            3 => Type::UINT,
            4 => Type::Name,
            5 => self.narrow_type(),
            6 => Type::Bool,
            7 | 8 => self.tuple_type(1),
            9 => self.choices.pick_one(&[record_type(), array_type()]),
            _ => self.string_type(),
        }
    }

    fn narrow_type(&mut self) -> Type {
        Type::Int {
            bits: self.choices.pick(&[8, 16, 32]),
            signed: self.choices.chance(50),
        }
    }

    /// A tuple that may hold others, `deeper` levels of them.
    fn tuple_type(&mut self, deeper: usize) -> Type {
        let parts = 1 + self.choices.below(3);
        Type::tuple((0..parts).map(|_| match self.choices.below(8) {
            0..3 => Type::INT,
            3 => self.narrow_type(),
            4 => Type::Bool,
            5 if deeper > 0 => self.tuple_type(deeper - 1),
            6 => self.choices.pick_one(&[record_type(), array_type()]),
            _ => self.string_type(),
        }))
    }

    /// A type whose values may be put into a place of type `ty`: strings of any capacity.
    fn varied(&mut self, ty: &Type) -> Type {
        match ty {
            Type::Str { .. } => self.string_type(),
            Type::Tuple(parts) => Type::tuple(parts.iter().map(|part| self.varied(part))),
            other => other.clone(),
        }
    }

    fn string_type(&mut self) -> Type {
        let capacity = self.choices.pick(&[16, 8, 24, 64]);
        Type::Str { capacity }
    }

    fn map(&mut self, name: &str, key: Vec<Type>, value: MapValue, max_entries: u32) {
        let max_entries = if key.is_empty() { 1 } else { max_entries };
        self.program.maps.push(Map {
            name: name.into(),
            key,
            value,
            max_entries,
            lru: false,
            unit: None,
            span: Span::default(),
        });
    }

    fn maps(&mut self) {
        // Two that always have something in them: what a compiler cannot know.
        self.map("number", vec![Type::INT], MapValue::Scalar(Type::INT), 8);
        let text = Type::Str { capacity: 24 };
        self.map("text", vec![Type::INT], MapValue::Scalar(text), 8);
        for i in 0..1 + self.choices.below(6) {
            let parts = self.choices.pick(&[1, 0, 2, 3]);
            let key = (0..parts).map(|_| self.ty()).collect();
            let value = match self.choices.chance(50) {
                true => MapValue::Aggregate(self.aggregation()),
                false => MapValue::Scalar(self.ty()),
            };
            let max_entries = 1 + self.choices.below(5) as u32;
            self.map(&format!("m{i}"), key, value, max_entries);
        }
        // One that can have a front, if all uses of it are as it wants.
        if self.choices.chance(40) {
            let value = match self.choices.below(3) {
                0 => Type::INT,
                1 => Type::UINT,
                _ => Type::Name,
            };
            let value = MapValue::Scalar(value);
            self.map("thread", vec![Type::INT], value, front::SLOTS);
        }
    }

    fn aggregation(&mut self) -> Aggregation {
        let signed = self.choices.chance(50);
        match self.choices.below(9) {
            0 => Aggregation::Count,
            1 => Aggregation::Sum { signed },
            2 => Aggregation::Avg { signed },
            3 => Aggregation::Min { signed },
            4 => Aggregation::Max { signed },
            5 => Aggregation::Stats { signed },
            6 => Aggregation::Hist {
                bits: self.choices.below(6) as u8,
            },
            7 => self.lhist(),
            _ => Aggregation::Summary {
                percentiles: vec![25_000, 50_000],
            },
        }
    }

    fn lhist(&mut self) -> Aggregation {
        let step = match self.choices.below(3) {
            0 => 1,
            1 => 1 + self.choices.below(200) as u64,
            _ => 1 << self.choices.below(50),
        };
        let min = match self.choices.below(4) {
            0 => 0,
            1 => -100,
            2 => i64::MIN,
            _ => self.choices.number() as i64,
        };
        let buckets = 1 + self.choices.below(100) as u64;
        // The upper end stays within i64 and above the lower one; the last bucket may be narrower.
        let narrower = self.choices.below(2) as u64 * (step / 2);
        let width = (step.saturating_mul(buckets) - narrower).min(i64::MAX as u64);
        let max = min
            .saturating_add_unsigned(width)
            .max(min.saturating_add(1));
        let min = min.min(max - 1);
        let step = step.min(max.wrapping_sub(min) as u64);
        Aggregation::Lhist { min, max, step }
    }

    fn start(&mut self) -> Vec<(MapId, Vec<u8>, Vec<u8>)> {
        let names = self.program.names.len();
        let mut start = Vec::new();
        for (id, map) in (0..).map(MapId).zip(self.program.maps.clone()) {
            let entries = match id.0 {
                0 | 1 => 4,
                _ if self.choices.chance(50) => 1 + self.choices.below(3),
                _ => 0,
            };
            for i in 0..entries.min(map.max_entries as usize) {
                let mut key: Vec<u8> = match id.0 {
                    0 | 1 => (i as u64).to_le_bytes().to_vec(),
                    _ => {
                        let parts = map.key.iter();
                        let choices = &mut self.choices;
                        parts
                            .flat_map(|ty| value_bytes(choices, ty, names))
                            .collect()
                    }
                };
                if map.key.is_empty() {
                    key = vec![0; 4];
                }
                let value = match &map.value {
                    MapValue::Scalar(_) if id.0 == 0 => self.known_number().to_le_bytes().to_vec(),
                    MapValue::Scalar(ty) => {
                        let mut value = value_bytes(&mut self.choices, ty, names);
                        if map.key.is_empty() {
                            value.extend_from_slice(&1u64.to_le_bytes());
                        }
                        value
                    }
                    MapValue::Aggregate(aggregation) => self.used(aggregation),
                };
                start.push((id, key, value));
            }
        }
        start
    }

    /// A number, often one at the edge of some `lhist`.
    fn known_number(&mut self) -> u64 {
        let edges = |map: &Map| match map.value {
            MapValue::Aggregate(Aggregation::Lhist { min, max, step }) => {
                vec![min, max, min.wrapping_add_unsigned(step)]
            }
            _ => vec![],
        };
        let edges: Vec<i64> = self.program.maps.iter().flat_map(edges).collect();
        if edges.is_empty() || !self.choices.chance(50) {
            return self.choices.number();
        }
        let edge = self.choices.pick(&edges);
        edge.wrapping_add(self.choices.pick(&[0, -1, 1])) as u64
    }

    /// An aggregation that has seen samples, or one about to overflow.
    fn used(&mut self, aggregation: &Aggregation) -> Vec<u8> {
        let mut value = vec![0; layout::aggregate_size(aggregation)];
        match self.choices.below(3) {
            0 => {
                for _ in 0..self.choices.below(4) {
                    layout::record(aggregation, &mut value, self.choices.number());
                }
            }
            1 => value.fill(0xff),
            _ => {
                let byte = self.choices.below(256) as u8;
                value
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, b)| *b = byte.wrapping_mul(i as u8));
            }
        }
        value
    }

    fn probe(&mut self) {
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

    fn block(&mut self, depth: usize) -> Vec<Stmt> {
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

    fn stmt(&mut self, depth: usize) -> Stmt {
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
            14 if depth > 0 && self.loops < LOOPS => self.repeat(depth),
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
    fn repeat(&mut self, depth: usize) -> StmtKind {
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

    fn assign(&mut self) -> StmtKind {
        let scalars = self.maps_where(|map| matches!(map.value, MapValue::Scalar(_)));
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

    fn aggregate(&mut self) -> StmtKind {
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

    fn printf(&mut self) -> StmtKind {
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

    fn print(&mut self) -> StmtKind {
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

    fn delete(&mut self) -> StmtKind {
        let maps = self.maps_where(|map| !map.key.is_empty());
        let map = self.choices.pick(&maps);
        let key = self.key(map, DEPTH - 1);
        StmtKind::Delete { map, key }
    }

    fn maps_where(&self, wanted: impl Fn(&Map) -> bool) -> Vec<MapId> {
        let maps = (0..).map(MapId).zip(&self.program.maps);
        maps.filter(|(_, map)| wanted(map))
            .map(|(id, _)| id)
            .collect()
    }

    /// Whether a map is one that may have a front; one use in twenty is as if it were not.
    fn spares(&mut self, map: MapId) -> bool {
        self.program.maps[map.0 as usize].max_entries == front::SLOTS && !self.choices.chance(5)
    }

    fn key(&mut self, map: MapId, depth: usize) -> Vec<Expr> {
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

    fn value(&mut self, ty: &Type, depth: usize) -> Expr {
        match ty {
            Type::Int { bits: 64, .. } => {
                let value = self.int(depth);
                match value.kind {
                    // What is computed depends on the type.
                    ExprKind::Cast(_) | ExprKind::Part { .. } | ExprKind::Read { .. } => {
                        expr(ExprKind::Cast(Box::new(value)), ty.clone())
                    }
                    kind => expr(kind, ty.clone()),
                }
            }
            Type::Str { capacity } => self.string(*capacity, depth),
            Type::Name => self.name(),
            ty if ty.is_word() => self.narrow(ty, depth),
            ty => self.bytes(ty, depth),
        }
    }

    /// A word narrower than a register.
    fn narrow(&mut self, ty: &Type, depth: usize) -> Expr {
        let below = depth.saturating_sub(1);
        let found = match self.choices.below(if depth == 0 { 3 } else { 6 }) {
            0 => self.local_of(ty),
            1 => self.get(ty, 0),
            3 => self.piece(ty, below),
            4 => Some(self.read(ty, below)),
            5 => Some(self.ternary_of(ty, below)),
            _ => None,
        };
        found.unwrap_or_else(|| {
            let inner = self.int(below);
            expr(ExprKind::Cast(Box::new(inner)), ty.clone())
        })
    }

    /// A tuple, a record or an array.
    fn bytes(&mut self, ty: &Type, depth: usize) -> Expr {
        let below = depth.saturating_sub(1);
        let found = match self.choices.below(if depth == 0 { 3 } else { 6 }) {
            0 => self.local_of(ty),
            1 => self.get(ty, 0),
            2 | 3 => None,
            4 => self.piece(ty, below),
            _ => Some(self.ternary_of(ty, below)),
        };
        if let Some(found) = found {
            return found;
        }
        let Type::Tuple(types) = ty else {
            return self.read(ty, below);
        };
        let parts = types.iter().map(|ty| self.value(ty, below)).collect();
        expr(ExprKind::Tuple(parts), ty.clone())
    }

    fn ternary_of(&mut self, ty: &Type, depth: usize) -> Expr {
        let cond = Box::new(self.int(depth));
        let (then, otherwise) = (self.value(ty, depth), self.value(ty, depth));
        let kind = ExprKind::Ternary {
            cond,
            then: Box::new(then),
            otherwise: Box::new(otherwise),
        };
        expr(kind, ty.clone())
    }

    /// A piece of this type out of a tuple, a record or an array.
    fn piece(&mut self, ty: &Type, depth: usize) -> Option<Expr> {
        let (whole, offset, bytes) = match self.choices.chance(50) {
            true => {
                let before = self
                    .choices
                    .pick_one(&[Type::INT, Type::Str { capacity: 24 }]);
                let offset = before.size();
                (Type::tuple([before, ty.clone()]), offset, ty.size())
            }
            false => {
                let mut places = Vec::new();
                pieces(&record_type(), 0, &mut places);
                let fits = |piece: &Type| match (piece, ty) {
                    (Type::Text(_), Type::Str { capacity }) => *capacity == 16,
                    (piece, ty) => piece == ty,
                };
                places.retain(|(piece, _)| fits(piece));
                let (piece, offset) = places.get(self.choices.below(places.len()))?.clone();
                (record_type(), offset, piece.memory_size())
            }
        };
        let of = Box::new(self.value(&whole, depth));
        let kind = ExprKind::Part {
            of,
            offset: offset as u32,
            bytes: bytes as u32,
        };
        Some(expr(kind, ty.clone()))
    }

    /// An object of this type in memory.
    fn read(&mut self, ty: &Type, depth: usize) -> Expr {
        let bytes = match ty {
            Type::Str { capacity } => self.choices.pick(&[*capacity as u32 - 1, 4, 60]),
            ty => ty.memory_size() as u32,
        };
        let space = self.choices.pick(&[Space::Kernel, Space::User]);
        let address = match self.flavour.memory {
            false => self.choices.below(100) as u64,
            true => address(space) + self.choices.below(MEMORY_BYTES + 20) as u64 - 10,
        };
        let mut address = expr(ExprKind::Int(address), Type::UINT);
        if self.flavour.memory && self.choices.chance(20) {
            // Most of these lead nowhere.
            address = self.int(depth);
        }
        let kind = ExprKind::Read {
            address: Box::new(address),
            bytes,
            space,
        };
        expr(kind, ty.clone())
    }

    fn local_of(&mut self, ty: &Type) -> Option<Expr> {
        let fits = |local: &Local| local.ty == *ty || (is_wide(&local.ty) && is_wide(ty));
        let known: Vec<usize> = (0..self.locals.len())
            .filter(|&i| fits(&self.locals[i]))
            .collect();
        if known.is_empty() {
            return None;
        }
        let local = LocalId(self.choices.pick(&known) as u32);
        Some(expr(ExprKind::Local(local), ty.clone()))
    }

    fn get(&mut self, ty: &Type, depth: usize) -> Option<Expr> {
        let maps = self.maps_where(|map| match &map.value {
            MapValue::Scalar(scalar) => scalar == ty || (is_wide(scalar) && is_wide(ty)),
            MapValue::Aggregate(_) => false,
        });
        if maps.is_empty() {
            return None;
        }
        let map = self.choices.pick(&maps);
        let key = self.key(map, depth.saturating_sub(1));
        Some(expr(ExprKind::MapGet { map, key }, ty.clone()))
    }

    /// Something the compiler cannot know.
    fn unknown_int(&mut self) -> Expr {
        let key = expr(ExprKind::Int(self.choices.below(5) as u64), Type::INT);
        let key = vec![key];
        expr(ExprKind::MapGet { map: MapId(0), key }, Type::INT)
    }

    fn int(&mut self, depth: usize) -> Expr {
        let below = depth.saturating_sub(1);
        let kind = match self.choices.below(if depth == 0 { 6 } else { 23 }) {
            0 => ExprKind::Int(self.choices.number()),
            1..3 => return self.unknown_int(),
            3 => match self.local_of(&Type::INT) {
                Some(local) => return local,
                None => return self.unknown_int(),
            },
            4 => match self.get(&Type::INT, 0) {
                Some(get) => return get,
                None => return self.unknown_int(),
            },
            5 => ExprKind::Builtin(self.builtin()),
            6 | 7 => {
                let op = self
                    .choices
                    .pick(&[UnaryOp::Neg, UnaryOp::BitNot, UnaryOp::Not]);
                ExprKind::Unary(op, Box::new(self.int(below)))
            }
            8..14 => self.binary(below),
            14 => self.compare(below),
            15 => ExprKind::Logical {
                and: self.choices.chance(50),
                lhs: Box::new(self.int(below)),
                rhs: Box::new(self.int(below)),
            },
            16 | 17 => ExprKind::Ternary {
                cond: Box::new(self.int(below)),
                then: Box::new(self.int(below)),
                otherwise: Box::new(self.int(below)),
            },
            18 => return self.increment(below),
            19 | 20 => {
                let ty = self.narrow_type();
                let narrow = self.narrow(&ty, below);
                ExprKind::Cast(Box::new(narrow))
            }
            21 => return self.read(&Type::INT, below),
            _ => {
                return self
                    .get(&Type::INT, below)
                    .unwrap_or_else(|| self.unknown_int());
            }
        };
        expr(kind, Type::INT)
    }

    fn builtin(&mut self) -> Builtin {
        let mut known = vec![Builtin::Pid, Builtin::Tid, Builtin::Cpu];
        if self.flavour.clock {
            known.extend([Builtin::Nsecs, Builtin::Elapsed]);
        }
        match self.functions {
            Functions::None => {}
            Functions::Entry => known.extend((0..6).map(Builtin::Arg)),
            Functions::Return => known.extend([Builtin::Retval; 3]),
        }
        self.choices.pick(&known)
    }

    fn binary(&mut self, depth: usize) -> ExprKind {
        let op = self.choices.pick(&[
            BinaryOp::Add,
            BinaryOp::Sub,
            BinaryOp::Mul,
            BinaryOp::Div,
            BinaryOp::Mod,
            BinaryOp::And,
            BinaryOp::Or,
            BinaryOp::Xor,
            BinaryOp::Shl,
            BinaryOp::Shr,
            BinaryOp::Eq,
            BinaryOp::Ne,
            BinaryOp::Lt,
            BinaryOp::Le,
            BinaryOp::Gt,
            BinaryOp::Ge,
        ]);
        ExprKind::Binary {
            op,
            signed: self.choices.chance(50),
            lhs: Box::new(self.int(depth)),
            rhs: Box::new(self.int(depth)),
        }
    }

    fn compare(&mut self, depth: usize) -> ExprKind {
        let equal = self.choices.chance(50);
        let other = match self.choices.below(6) {
            0 => Some(self.tuple_type(1)),
            1 => Some(self.choices.pick_one(&[record_type(), array_type()])),
            _ => None,
        };
        let mut side = |_| {
            let ty = match &other {
                Some(ty) => self.varied(ty),
                None if self.choices.chance(25) => Type::Name,
                None => self.string_type(),
            };
            Box::new(self.value(&ty, depth))
        };
        let (lhs, rhs) = (side(0), side(1));
        ExprKind::Compare { equal, lhs, rhs }
    }

    fn increment(&mut self, depth: usize) -> Expr {
        let maps = self.maps_where(|map| matches!(&map.value, MapValue::Scalar(ty) if is_wide(ty)));
        let locals: Vec<usize> = (0..self.locals.len())
            .filter(|&i| is_wide(&self.locals[i].ty))
            .collect();
        let at = self.choices.below(locals.len() + maps.len());
        let place = if at < locals.len() {
            Place::Local(LocalId(locals[at] as u32))
        } else {
            let mut map = maps[at - locals.len()];
            if self.spares(map) {
                map = MapId(0);
            }
            let key = self.key(map, depth.saturating_sub(2));
            Place::Map { map, key }
        };
        let kind = ExprKind::Increment {
            place,
            delta: self.choices.pick(&[1, -1]),
            postfix: self.choices.chance(50),
        };
        expr(kind, Type::INT)
    }

    fn string(&mut self, capacity: u16, depth: usize) -> Expr {
        let ty = Type::Str { capacity };
        let found = match self.choices.below(if depth == 0 { 4 } else { 9 }) {
            0 => None,
            1 => self.local_of(&ty),
            2 if capacity == 16 => Some(expr(ExprKind::Builtin(Builtin::Comm), ty.clone())),
            2 | 3 => self.get(&ty, 0),
            4 => self.get(&ty, depth - 1),
            5 => self.piece(&ty, depth - 1),
            6 => Some(self.read(&ty, depth - 1)),
            _ => Some(self.string_ternary(capacity, depth - 1)),
        };
        found.unwrap_or_else(|| {
            let text = self.choices.text(usize::from(capacity) - 1);
            expr(ExprKind::Str(text), ty)
        })
    }

    fn string_ternary(&mut self, capacity: u16, depth: usize) -> Expr {
        let cond = Box::new(self.int(depth));
        let mut arm = || {
            let shorter: Vec<u16> = [8, 16, 24, 64]
                .into_iter()
                .filter(|&c| c <= capacity)
                .collect();
            let arm = self.choices.pick(&shorter);
            Box::new(self.string(arm, depth))
        };
        let (then, otherwise) = (arm(), arm());
        let kind = ExprKind::Ternary {
            cond,
            then,
            otherwise,
        };
        expr(kind, Type::Str { capacity })
    }

    fn name(&mut self) -> Expr {
        let found = match self.choices.below(4) {
            0 => None,
            1 => Some(expr(ExprKind::Builtin(Builtin::Func), Type::Name)),
            2 => self.local_of(&Type::Name),
            _ => self.get(&Type::Name, 0),
        };
        found.unwrap_or_else(|| expr(ExprKind::Builtin(Builtin::Probe), Type::Name))
    }
}
