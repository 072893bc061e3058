//! `begin` and `end`: once before everything else is attached, once after everything is detached.

use super::{Point, Provider, Request};
use crate::diagnostic::Diagnostic;
use crate::sema::hir::{Builtin, PointKind};

pub(super) static BEGIN: Provider = Provider {
    name: "begin",
    aliases: &["BEGIN"],
    usage: "begin",
    filtered_by_pid: false,
    allows,
    expand: |request| single(request, PointKind::Begin),
};

pub(super) static END: Provider = Provider {
    name: "end",
    aliases: &["END"],
    usage: "end",
    filtered_by_pid: false,
    allows,
    expand: |request| single(request, PointKind::End),
};

fn allows(builtin: Builtin) -> bool {
    !matches!(builtin, Builtin::Arg(_) | Builtin::Retval | Builtin::Func)
}

fn single(request: &Request<'_>, kind: PointKind) -> Result<Vec<Point>, Diagnostic> {
    match request.parts.first() {
        None => Ok(vec![Point {
            kind,
            probe_name: request.provider.name.into(),
            func_name: None,
        }]),
        Some((_, span)) => Err(request.malformed(
            *span,
            format!("nothing may follow `{}`", request.provider.name),
        )),
    }
}
