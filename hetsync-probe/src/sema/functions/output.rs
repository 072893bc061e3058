//! Functions that are statements and send a text to user space, or a signal to a process.

use super::super::checker::Checker;
use super::super::expr::int;
use super::super::hir::{
    self, BinaryOp, ExprKind, Format, FormatId, Function, Piece, Space, StmtKind, TextUse, Type,
};
use super::super::shape::Shape;
use super::{Call, computed};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::syntax::ast;

/// Names of the functions here.
pub(super) const NAMES: [&str; 7] = ["time", "cat", "system", "join", "errorf", "warnf", "signal"];

/// Strings of an array that `join` looks at, and bytes of each.
const JOINED: u64 = 16;
const JOINED_BYTES: usize = 256;

impl Checker<'_> {
    /// Such a call as a statement; none if the name is another's.
    pub(in super::super) fn output(
        &mut self,
        name: &str,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<Option<StmtKind>> {
        Some(match name {
            "time" => self.time(args, span),
            "cat" => self.formatted(TextUse::Cat, args, span),
            "system" => self
                .only_unsafe(name, span)
                .and_then(|()| self.formatted(TextUse::System, args, span)),
            "errorf" => self.formatted(TextUse::Error, args, span),
            "warnf" => self.formatted(TextUse::Warn, args, span),
            "join" => self.join(args, span),
            "signal" => self
                .only_unsafe(name, span)
                .and_then(|()| self.signal(args, span)),
            _ => return None,
        })
    }

    fn only_unsafe(&mut self, name: &str, span: Span) -> Option<()> {
        if self.options.allow_unsafe {
            return Some(());
        }
        self.fail(
            Diagnostic::error(
                "E0414",
                span,
                format!("`{name}()` acts on the system, which is only done when asked for"),
            )
            .with_label("not allowed")
            .with_help("run it with `--unsafe`"),
        )
    }

    fn time(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        let usage = "time() or time(\"%H:%M:%S\\n\")";
        self.arguments("time", args, 0..=1, usage, span)?;
        let call = Call {
            name: "time",
            args,
            span,
        };
        let form = match args {
            [] => "%H:%M:%S\n".to_owned(),
            _ => self.literal(&call, 0, "the form")?,
        };
        Some(self.event(TextUse::Time, vec![Piece::Text(form)], Vec::new()))
    }

    /// Adds a format and the event that carries its values.
    pub(in super::super) fn event(
        &mut self,
        use_as: TextUse,
        pieces: Vec<Piece>,
        args: Vec<hir::Expr>,
    ) -> StmtKind {
        let id = FormatId(self.program.formats.len() as u32);
        self.program.formats.push(Format {
            pieces,
            args: args.iter().map(|arg| arg.ty.clone()).collect(),
            use_as,
        });
        StmtKind::Printf { format: id, args }
    }

    /// The strings an array of pointers leads to, up to the first empty one.
    fn join(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        let usage = "join(array) or join(array, \"delimiter\")";
        self.arguments("join", args, 1..=2, usage, span)?;
        let call = Call {
            name: "join",
            args,
            span,
        };
        let array = self.expr(&args[0])?;
        let delimiter = match args.get(1) {
            None => " ".to_owned(),
            Some(_) => self.literal(&call, 1, "the delimiter")?,
        };
        let space = match &array.shape {
            Shape::Is(Type::Pointer { space, .. }) => *space,
            shape if shape.is_int() => Space::Kernel,
            _ => return self.unfit(&call, &array, "an array of pointers"),
        };
        if let Some(effect) = Some(&array.expr).filter(|expr| expr.has_effect()) {
            let diagnostic = Diagnostic::error(
                "E0312",
                effect.span,
                "the array of `join()` must not change anything",
            );
            return self.fail(diagnostic.with_help("do it in a statement before"));
        }
        let address = array.expr;
        let strings = (0..JOINED).map(|n| {
            let word = |kind| hir::Expr {
                kind,
                ty: Type::UINT,
                span,
            };
            let mut start = address.clone();
            start.ty = Type::UINT;
            let at = match n {
                0 => start,
                _ => word(ExprKind::Binary {
                    op: BinaryOp::Add,
                    signed: false,
                    lhs: Box::new(start),
                    rhs: Box::new(word(ExprKind::Int(8 * n))),
                }),
            };
            let pointer = word(ExprKind::Read {
                address: Box::new(at),
                bytes: 8,
                space,
            });
            hir::Expr {
                kind: ExprKind::Read {
                    address: Box::new(pointer),
                    bytes: JOINED_BYTES as u32 - 1,
                    space,
                },
                ty: Type::Str {
                    capacity: JOINED_BYTES as u16,
                },
                span,
            }
        });
        let strings = strings.collect();
        Some(self.event(TextUse::Join, vec![Piece::Text(delimiter)], strings))
    }

    fn signal(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        let usage = "signal(number) or signal(\"SIGTERM\")";
        self.arguments("signal", args, 1..=1, usage, span)?;
        let number = match &args[0].bare().kind {
            ast::ExprKind::Str(name) => {
                let name = String::from_utf8_lossy(name);
                match crate::report::names::signal_number(&name) {
                    Some(number) => int(number, args[0].span),
                    None => {
                        return self.fail(
                            Diagnostic::error(
                                "E0413",
                                args[0].span,
                                format!("there is no signal called `{name}`"),
                            )
                            .with_label("unknown signal")
                            .with_help("write e.g. `signal(\"SIGTERM\")` or `signal(15)`"),
                        );
                    }
                }
            }
            _ => self.integer(&args[0], "`signal()`")?,
        };
        let sent = computed(Function::Signal, vec![number.expr], Type::INT, span);
        Some(StmtKind::Expr(sent.expr))
    }
}
