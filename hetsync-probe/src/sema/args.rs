//! `args.name`: arguments of functions by their prototypes, members of a tracepoint's record by its format.

use std::rc::Rc;
use std::sync::Arc;

use super::cast::cast_word;
use super::checker::{Checker, Typed};
use super::ctypes::pointer;
use super::hir::{BinaryOp, Builtin, ExprKind, PointKind, Space, Type};
use super::operator;
use super::points::Written;
use super::registers;
use super::shape::Shape;
use crate::diagnostic::{Diagnostic, suggest};
use crate::kernel::btf::TypeId;
use crate::kernel::tracepoint::{FieldShape, FormatField};
use crate::kernel::usdt;
use crate::limits;
use crate::span::Span;
use crate::syntax::ast::Ident;

/// One argument, as it is fetched.
#[derive(Debug, Clone, PartialEq)]
enum Argument {
    /// Of a function or raw tracepoint.
    Number(u8, Type),
    /// In a tracepoint's record: where, and what is there.
    Record(u32, Type),
    /// Of a marker.
    Marker(usdt::Argument),
    /// In a tracepoint's record, a word that says where the data are; from the end of the word on if `true`.
    Elsewhere(u32, Type, bool),
}

/// Why there is none.
enum Missing {
    /// This kind of probe has no typed arguments.
    Kind,
    /// Nothing is known of the function or tracepoint.
    Types,
    /// It has others.
    Name(Vec<String>),
    /// It is somewhere that cannot be read from: the marker's own words.
    Place(String),
}

impl Checker<'_> {
    /// `args.name` (`whole` has its place).
    pub(super) fn argument(&mut self, name: &Ident, args_span: Span, whole: Span) -> Option<Typed> {
        let written = self.written.clone();
        if !self.args.contains(&name.text) {
            self.args.push(name.text.clone());
        }
        let mut found: Option<(Argument, Span)> = None;
        for group in written.iter() {
            for point in &group.points {
                let argument = match self.argument_at(&point.kind, &name.text) {
                    Ok(argument) => argument,
                    Err(missing) => {
                        let of = point.probe_name.clone();
                        return self.no_argument(&missing, &of, name, args_span, group.span);
                    }
                };
                match &found {
                    Some((known, _)) if *known != argument => self.args_differ = true,
                    Some(_) => {}
                    None => found = Some((argument, group.span)),
                }
            }
        }
        Some(self.fetch(found?.0, whole))
    }

    /// Attach points with one layout of the `args` that are used, each group for itself, in the order of the script.
    pub(super) fn alike(&mut self, all: &[Written]) -> Vec<Rc<[Written]>> {
        let used = self.args.clone();
        let mut groups: Vec<(Vec<Option<Argument>>, Vec<Written>)> = Vec::new();
        for written in all {
            for point in &written.points {
                let layout: Vec<Option<Argument>> = (used.iter())
                    .map(|name| self.argument_at(&point.kind, name).ok())
                    .collect();
                let alone = Written {
                    points: vec![point.clone()],
                    ..written.clone()
                };
                match groups.iter_mut().find(|(known, _)| *known == layout) {
                    Some((_, group)) => group.push(alone),
                    None => groups.push((layout, vec![alone])),
                }
            }
        }
        groups.into_iter().map(|(_, group)| group.into()).collect()
    }

    fn argument_at(&mut self, kind: &PointKind, name: &str) -> Result<Argument, Missing> {
        match kind {
            PointKind::Kretprobe { .. } if !self.is_latency() => Err(Missing::Kind),
            PointKind::Fentry { function, .. }
            | PointKind::Fexit { function, .. }
            | PointKind::Kretprobe { function } => {
                let kernel = self.options.kernel;
                let (btf, of) = kernel.typed_function(function).ok_or(Missing::Types)?;
                let params = btf.params(of.proto).map(|p| (p.name.to_owned(), p.ty));
                self.by_number(params.collect(), name)
            }
            PointKind::RawTracepoint { name: of } => {
                let btf = self.options.kernel.btf().ok_or(Missing::Types)?;
                // The function that calls the programs names what the type does not; its first argument is not theirs.
                let params: Vec<_> = match btf.function(&format!("__traceiter_{of}")) {
                    Some(caller) => btf.params(caller.proto).skip(1).collect(),
                    None => btf.raw_tracepoint(of).ok_or(Missing::Types)?,
                };
                let params = params.into_iter().map(|p| (p.name.to_owned(), p.ty));
                self.by_number(params.collect(), name)
            }
            PointKind::Tracepoint { category, name: of } => {
                let format = self.options.kernel.tracepoint(category, of);
                let format = format.ok().flatten().ok_or(Missing::Types)?;
                let field = format.field(name).ok_or_else(|| {
                    Missing::Name(format.fields.iter().map(|f| f.name.clone()).collect())
                })?;
                let space = match category.as_str() {
                    "syscalls" => Space::User,
                    _ => Space::Kernel,
                };
                Ok(self.of_record(field, space))
            }
            PointKind::Usdt { args, .. } => {
                let args = usdt::arguments(args);
                let number = name
                    .strip_prefix("arg")
                    .and_then(|n| n.parse::<usize>().ok());
                match number.and_then(|number| args.get(number)) {
                    Some((_, Some(argument))) => Ok(Argument::Marker(argument.clone())),
                    Some((word, None)) => Err(Missing::Place((*word).to_owned())),
                    None => Err(Missing::Name(
                        (0..args.len())
                            .map(|number| format!("arg{number}"))
                            .collect(),
                    )),
                }
            }
            _ => Err(Missing::Kind),
        }
    }

    /// `argN` in probes at markers, of which each has its own.
    pub(super) fn marker_argument(&mut self, name: &str, span: Span) -> Option<Option<Typed>> {
        let mut points = self.written.iter().flat_map(|written| &written.points);
        let is_argument = name.strip_prefix("arg").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if !is_argument || !points.any(|point| matches!(point.kind, PointKind::Usdt { .. })) {
            return None;
        }
        let name = Ident {
            text: name.to_owned(),
            span,
        };
        Some(self.argument(&name, span, span))
    }

    fn by_number(
        &mut self,
        params: Vec<(String, TypeId)>,
        name: &str,
    ) -> Result<Argument, Missing> {
        let Some(number) = params.iter().position(|(known, _)| known == name) else {
            return Err(Missing::Name(
                params.into_iter().map(|(name, _)| name).collect(),
            ));
        };
        let ty = self.types.kernel_id(params[number].1);
        match ty.filter(Type::is_word) {
            Some(ty) => Ok(Argument::Number(number as u8, ty)),
            None => Err(Missing::Types),
        }
    }

    fn of_record(&mut self, field: &FormatField, space: Space) -> Argument {
        let of = self.types.spelt(&field.ty);
        let int = Type::Int {
            bits: match field.element_bytes() {
                size @ (1 | 2 | 4) => 8 * size as u8,
                _ => 64,
            },
            signed: field.signed,
        };
        // Of a type that is not known, the size and sign are.
        let of = match of {
            Some(of) if of.memory_size() == field.element_bytes() as usize => {
                self.types.completed(&of)
            }
            _ => int,
        };
        let of = match of {
            Type::Pointer { to, .. } => Type::Pointer { to, space },
            of => of,
        };
        let is_char = field.ty.trim_start_matches("const ") == "char";
        match field.shape {
            FieldShape::Value => Argument::Record(field.offset, of),
            FieldShape::Array(_) if is_char => {
                Argument::Record(field.offset, Type::Text(field.size))
            }
            FieldShape::Array(_) => Argument::Record(
                field.offset,
                Type::Array {
                    of: Arc::new(of),
                    len: field.elements(),
                },
            ),
            FieldShape::DataLoc | FieldShape::RelLoc => {
                let to = match is_char {
                    true => Type::Int {
                        bits: 8,
                        signed: true,
                    },
                    false => self.types.spelt(&field.ty).unwrap_or(Type::Void),
                };
                let relative = field.shape == FieldShape::RelLoc;
                Argument::Elsewhere(field.offset, pointer(to), relative)
            }
        }
    }

    fn fetch(&mut self, argument: Argument, span: Span) -> Typed {
        match argument {
            Argument::Number(number, ty) => self.typed_builtin(Builtin::Arg(number), ty, span),
            Argument::Marker(argument) => marked(&argument, span),
            Argument::Record(offset, ty) => {
                let bytes = ty.memory_size() as u32;
                let ty = match ty {
                    Type::Text(len) => Type::Str {
                        capacity: (len as usize + 1)
                            .next_multiple_of(8)
                            .min(limits::STRING_BYTES) as u16,
                    },
                    ty => ty,
                };
                let kind = ExprKind::Context { offset, bytes };
                Typed::new(kind, Shape::Is(ty), span)
            }
            Argument::Elsewhere(offset, ty, relative) => {
                let (word, unsigned) = (4, Shape::UNSIGNED);
                let place = Typed::new(
                    ExprKind::Context {
                        offset,
                        bytes: word,
                    },
                    Shape::Is(Type::Int {
                        bits: 32,
                        signed: false,
                    }),
                    span,
                );
                let number = |n: u64| super::expr::int(n, span);
                let mut from = operator::integers(BinaryOp::And, place, number(0xffff), span);
                if relative {
                    let end = number(u64::from(offset + word));
                    from = operator::integers(BinaryOp::Add, from, end, span);
                }
                let context = Typed::new(ExprKind::Builtin(Builtin::Context), unsigned, span);
                let address = operator::integers(BinaryOp::Add, context, from, span);
                Typed {
                    expr: address.into_type(&ty),
                    shape: Shape::Is(ty),
                    unit: None,
                }
            }
        }
    }

    /// A built-in whose type the kernel tells.
    fn typed_builtin(&mut self, builtin: Builtin, ty: Type, span: Span) -> Typed {
        let raw = Typed::new(self.builtin_kind(builtin), Shape::UNSIGNED, span);
        if ty.memory_size() == 8 {
            return Typed {
                expr: raw.into_type(&ty),
                shape: Shape::Is(ty),
                unit: None,
            };
        }
        Typed::new(ExprKind::Cast(Box::new(raw.expr)), Shape::Is(ty), span)
    }

    /// `retval` where the function's prototype is known and every probe of the body agrees.
    pub(super) fn typed_retval(&mut self, span: Span) -> Option<Typed> {
        let kernel = self.options.kernel;
        let mut types = Vec::new();
        for point in self.written.iter().flat_map(|written| &written.points) {
            let function = match &point.kind {
                PointKind::Fexit { function, .. } => function,
                PointKind::Kretprobe { function } if self.is_latency() => function,
                _ => return None,
            };
            types.push(kernel.typed_function(function)?.1.returns);
        }
        let (first, rest) = types.split_first()?;
        let ty = self.types.kernel_id(*first).filter(Type::is_word)?;
        for other in rest {
            if self.types.kernel_id(*other).as_ref() != Some(&ty) {
                return None;
            }
        }
        Some(self.typed_builtin(Builtin::Retval, ty, span))
    }

    fn no_argument<T>(
        &mut self,
        missing: &Missing,
        of: &str,
        name: &Ident,
        args_span: Span,
        point: Span,
    ) -> Option<T> {
        let diagnostic = match missing {
            Missing::Kind => Diagnostic::error(
                "E0211",
                args_span,
                format!("`args` has no meaning in `{}`", of.split(':').next().unwrap_or(of)),
            )
            .with_label("not available here")
            .with_place(point, "because of this")
            .with_help("typed arguments are known in `fentry`, `fexit`, `latency`, `tracepoint` and `rawtracepoint`; a `kprobe` has `arg0` and on"),
            Missing::Types => Diagnostic::error(
                "E0224",
                args_span,
                format!("the arguments of `{of}` are not known"),
            )
            .with_place(point, "of this")
            .with_help("they are read from the kernel's BTF, or from tracefs, which needs root"),
            Missing::Place(word) => Diagnostic::error(
                "E0224",
                name.span,
                format!("`{}` of `{of}` is somewhere that cannot be read", name.text),
            )
            .with_label(format!("the marker says `{word}`"))
            .with_help("integers in registers, in memory by registers, and constants can"),
            Missing::Name(known) => {
                let near = suggest::nearest(&name.text, known.iter().map(String::as_str));
                let diagnostic = Diagnostic::error(
                    "E0222",
                    name.span,
                    format!("`{of}` has no argument `{}`", name.text),
                )
                .with_label("no such argument");
                match near {
                    Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
                    None => diagnostic.with_help(format!("it has {}", listed(known))),
                }
            }
        };
        self.fail(diagnostic)
    }
}

/// An argument of a marker, fetched from where it is.
fn marked(argument: &usdt::Argument, span: Span) -> Typed {
    let ty = Type::Int {
        bits: 8 * argument.bytes,
        signed: argument.signed,
    };
    let register = |name: &str| {
        let kind = match registers::offset(name) {
            Some(offset) => ExprKind::Builtin(Builtin::Register(offset)),
            None => ExprKind::Int(0),
        };
        Typed::new(kind, Shape::UNSIGNED, span)
    };
    let number = |n: u64| super::expr::int(n, span);
    match &argument.place {
        usdt::Place::Register(name) => cast_word(ty, register(name), span),
        usdt::Place::Constant(n) => cast_word(ty, number(*n as u64), span),
        usdt::Place::Memory {
            base,
            index,
            distance,
        } => {
            let mut address = number(*distance as u64);
            if let Some(base) = base {
                address = operator::integers(BinaryOp::Add, register(base), address, span);
            }
            if let Some((name, scale)) = index {
                let scale = number(u64::from(*scale));
                let index = operator::integers(BinaryOp::Mul, register(name), scale, span);
                address = operator::integers(BinaryOp::Add, address, index, span);
            }
            let kind = ExprKind::Read {
                address: Box::new(address.expr),
                bytes: u32::from(argument.bytes),
                space: Space::User,
            };
            Typed::new(kind, Shape::Is(ty), span)
        }
    }
}

fn listed(names: &[String]) -> String {
    let own: Vec<String> = names
        .iter()
        .filter(|name| !name.starts_with("common_") && !name.is_empty())
        .map(|name| format!("`{name}`"))
        .collect();
    match own.len() {
        0 => "none".into(),
        _ => own.join(", "),
    }
}
