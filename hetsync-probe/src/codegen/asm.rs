//! Instructions in a row, with labels, places in the script and relocations.

use super::insn::Insn;
use crate::image::{Relocation, RelocationKind};
use crate::span::Span;

/// A place to jump to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(pub(super) usize);

/// A jump over more instructions than 16 bits can count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooFar;

/// Collects instructions.
#[derive(Debug)]
pub(super) struct Assembler {
    insns: Vec<Insn>,
    spans: Vec<Span>,
    relocations: Vec<Relocation>,
    /// Where each label is.
    labels: Vec<usize>,
    jumps: Vec<(usize, Label)>,
    /// Place in the script of what is pushed next.
    pub(super) span: Span,
}

impl Assembler {
    /// An empty program with labels `0..labels`.
    pub(super) fn new(labels: usize) -> Self {
        Self {
            insns: Vec::new(),
            spans: Vec::new(),
            relocations: Vec::new(),
            labels: vec![usize::MAX; labels],
            jumps: Vec::new(),
            span: Span::default(),
        }
    }

    /// One more label.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    /// Puts a label here.
    pub(super) fn bind(&mut self, label: Label) {
        self.labels[label.0] = self.insns.len();
    }

    pub(super) fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
        self.spans.push(self.span);
    }

    /// A jump to a label, which may be bound later.
    pub(super) fn jump(&mut self, insn: Insn, label: Label) {
        self.jumps.push((self.insns.len(), label));
        self.push(insn);
    }

    /// Marks the next instruction, an immediate load.
    pub(super) fn relocate(&mut self, what: RelocationKind) {
        self.relocations.push(Relocation {
            insn: self.insns.len(),
            what,
        });
    }

    /// Fills in the distances of jumps.
    #[allow(clippy::type_complexity)]
    pub(super) fn finish(mut self) -> Result<(Vec<Insn>, Vec<Span>, Vec<Relocation>), TooFar> {
        for (at, label) in self.jumps {
            let distance = self.labels[label.0] as i64 - at as i64 - 1;
            self.insns[at].off = i16::try_from(distance).map_err(|_| TooFar)?;
        }
        Ok((self.insns, self.spans, self.relocations))
    }
}
