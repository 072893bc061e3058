//! What the rounds have learnt of maps and variables.

use std::collections::HashMap;

use super::hir::{Aggregation, Unit};
use super::shape::Shape;
use crate::span::Span;

/// Everything learnt.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tables {
    /// In order of first mention.
    pub(super) maps: Vec<MapInfo>,
    by_name: HashMap<String, usize>,
    /// Of each probe, variables in order of first assignment.
    pub(super) locals: Vec<Vec<LocalInfo>>,
    /// Variables by probe and name that are used after the block that assigns them, and where.
    pub(super) widened: HashMap<(usize, String), Span>,
}

/// A map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MapInfo {
    pub(super) name: String,
    /// Its first mention.
    pub(super) span: Span,
    /// The parts of its key and where each got its shape; none until the map was used with or without a key.
    pub(super) key: Option<KeyInfo>,
    /// What it holds and where that was first said; none until something was assigned.
    pub(super) value: Option<(Value, Span)>,
    pub(super) unit: UnitInfo,
}

/// The key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyInfo {
    pub(super) parts: Vec<(Shape, Span)>,
    /// Where the number of parts was first seen.
    pub(super) span: Span,
}

/// What a map holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Scalar(Shape),
    /// Its kind, signedness left out, and the shape of its samples.
    Aggregate(Aggregation, Shape),
}

/// The unit of a place.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum UnitInfo {
    /// Nothing was put in yet.
    #[default]
    Unset,
    /// Everything so far had this unit, or none.
    Always(Option<Unit>),
    /// The first value had this unit, a later one another.
    Mixed(Option<Unit>),
}

impl UnitInfo {
    /// Takes note of one more value; gives false if it has another unit than the first. Literals have none and fit any.
    pub(super) fn add(&mut self, unit: Option<Unit>, shape: &Shape) -> bool {
        if unit.is_none() && matches!(shape, Shape::Unknown | Shape::Flexible) {
            return true;
        }
        match *self {
            UnitInfo::Unset => *self = UnitInfo::Always(unit),
            UnitInfo::Always(first) | UnitInfo::Mixed(first) if first == unit => {}
            UnitInfo::Always(first) | UnitInfo::Mixed(first) => {
                *self = UnitInfo::Mixed(first);
                return false;
            }
        }
        true
    }

    pub(super) fn get(self) -> Option<Unit> {
        match self {
            UnitInfo::Unset | UnitInfo::Mixed(_) => None,
            UnitInfo::Always(unit) => unit,
        }
    }
}

/// A `$` variable.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LocalInfo {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// The assignment that gave the shape.
    pub(super) span: Span,
    /// Whether its type is written in a `let`.
    pub(super) declared: bool,
    pub(super) unit: UnitInfo,
}

impl Tables {
    /// The index of a map, which is mentioned here.
    pub(super) fn map(&mut self, name: &str, span: Span) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.maps.len();
        self.by_name.insert(name.into(), index);
        self.maps.push(MapInfo {
            name: name.into(),
            span,
            key: None,
            value: None,
            unit: UnitInfo::Unset,
        });
        index
    }

    /// Makes integers of what has no type; true if there was any.
    pub(super) fn settle_unknown(&mut self) -> bool {
        let values = self.maps.iter_mut().filter_map(|map| {
            let held = map.value.as_mut();
            held.map(|(Value::Scalar(shape) | Value::Aggregate(_, shape), _)| shape)
        });
        let locals = self
            .locals
            .iter_mut()
            .flatten()
            .map(|local| &mut local.shape);
        let mut any = false;
        for shape in values.chain(locals).filter(|shape| shape.has_unknown()) {
            *shape = shape.settled();
            any = true;
        }
        let keys = self.maps.iter_mut().filter_map(|map| map.key.as_mut());
        for (shape, _) in keys
            .flat_map(|key| &mut key.parts)
            .filter(|part| part.0.has_unknown())
        {
            *shape = shape.settled();
            any = true;
        }
        any
    }
}
