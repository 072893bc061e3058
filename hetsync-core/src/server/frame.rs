//! Frames on their way out: a head of their own, and the bytes of a result
//! that all its readers share.

use std::sync::Arc;

use super::output::Coded;
use super::{CatchUp, ConnId, Fate, RoundResult};
use crate::policy::Outcome;
use crate::wire::v1::message::{self, Fate as WireFate, Outcome as WireOutcome, Recovery, Tensor};
use crate::wire::v1::{Dtype, ErrorCode, Message};
use crate::wire::{v0, v1};

/// Most names of missing workers in one result: the others are counted.
const MISSING_NAMES: usize = 256;

/// A frame of either protocol. Cloning it copies no tensors.
#[derive(Debug, Clone)]
pub struct Frame {
    head: Head,
    result: Option<Arc<RoundResult>>,
    /// The result is sent in the form that it was rounded to.
    is_coded: bool,
}

#[derive(Debug, Clone)]
enum Head {
    V0([u8; v0::HEADER_BYTES]),
    V1(Arc<[u8]>),
}

impl Frame {
    /// What is to be sent first.
    pub fn head(&self) -> &[u8] {
        match &self.head {
            Head::V0(head) => head,
            Head::V1(head) => head,
        }
    }

    /// What is to be sent behind it.
    pub fn body(&self) -> &[u8] {
        let Some(result) = &self.result else {
            return &[];
        };
        match result.coded.get() {
            Some(coded) if self.is_coded => &coded.bytes,
            _ => result.as_bytes(),
        }
    }

    /// The result, or the model, that is sent behind the head.
    pub fn result(&self) -> Option<&Arc<RoundResult>> {
        self.result.as_ref()
    }

    /// A result for a worker that speaks protocol 0.
    pub(super) fn v0(result: Arc<RoundResult>) -> Self {
        let header = v0::encode_header(result.as_bytes().len() as u64);
        Self {
            head: Head::V0(header),
            result: Some(result),
            is_coded: false,
        }
    }

    /// A frame without tensors.
    pub(super) fn message(message: &Message) -> Self {
        Self {
            head: Head::V1(v1::encode(message).into()),
            result: None,
            is_coded: false,
        }
    }

    /// The last frame on a connection.
    pub(super) fn error(code: ErrorCode, text: String) -> Self {
        let code = code as i32;
        Self::message(&Message::Error(message::Error { code, text }))
    }

    /// What comes before the results that a worker has missed, or with the
    /// model that takes their place.
    pub(super) fn catch_up(catch_up: &CatchUp, tensors: &[Tensor]) -> Self {
        let (recovery, model) = match &catch_up.recovery {
            super::Recovery::Results(results) if results.is_empty() => (Recovery::None, None),
            super::Recovery::Results(_) => (Recovery::Results, None),
            super::Recovery::Model(model) => (Recovery::Model, Some(model)),
            super::Recovery::Lost => (Recovery::Lost, None),
        };
        let (fate, weight) = match catch_up.fate {
            Fate::None => (WireFate::None, 0.0),
            Fate::Dropped => (WireFate::Dropped, 0.0),
            Fate::Carried(weight) => (WireFate::Carried, weight),
            Fate::Repeated => (WireFate::Repeated, 0.0),
        };
        let message = Message::CatchUp(message::CatchUp {
            first: catch_up.first.0,
            count: catch_up.next.0 - catch_up.first.0.min(catch_up.next.0),
            next: catch_up.next.0,
            recovery: recovery as i32,
            fate: fate as i32,
            weight: weight.into(),
            tensors: model.map_or_else(Vec::new, |_| tensors.to_vec()),
        });
        let Some(model) = model else {
            return Self::message(&message);
        };
        let bytes = model.as_bytes();
        let head = v1::encode_before_tensors(&message, bytes.len() as u64, v1::crc(bytes));
        Self {
            head: Head::V1(head.into()),
            result: Some(Arc::clone(model)),
            is_coded: false,
        }
    }

    /// A result for a worker that speaks protocol 1, in f32 or in the form
    /// that the job's results are rounded to. What stands in front of it is
    /// made once, for all of them.
    pub(super) fn of_result(
        result: Arc<RoundResult>,
        dtype: Dtype,
        tensors: &[Tensor],
        name: impl Fn(ConnId) -> String,
    ) -> Self {
        let is_coded = dtype != Dtype::F32;
        let head = match is_coded {
            false => result
                .frame_head
                .get_or_init(|| result_head(&result, dtype, result.as_bytes(), tensors, name)),
            true => {
                let code = || {
                    let bytes = v1::encode_floats(dtype, result.as_bytes());
                    let head = result_head(&result, dtype, &bytes, tensors, name);
                    Coded { head, bytes }
                };
                &result.coded.get_or_init(code).head
            }
        };
        Self {
            head: Head::V1(Arc::clone(head)),
            result: Some(result),
            is_coded,
        }
    }
}

fn result_head(
    result: &RoundResult,
    dtype: Dtype,
    bytes: &[u8],
    tensors: &[Tensor],
    name: impl Fn(ConnId) -> String,
) -> Arc<[u8]> {
    let outcome = match result.outcome() {
        None => WireOutcome::Unspecified,
        Some(Outcome::Full) => WireOutcome::Full,
        Some(Outcome::Deadline) => WireOutcome::Deadline,
        Some(Outcome::Quorum) => WireOutcome::Quorum,
    };
    let missing = result.missed().iter().take(MISSING_NAMES);
    let message = Message::Result(message::Result {
        round: result.round().0,
        contributors: u32::try_from(result.contributors()).unwrap_or(u32::MAX),
        divisor: result.divisor().into(),
        outcome: outcome as i32,
        missing_count: u32::try_from(result.missed().len()).unwrap_or(u32::MAX),
        missing: missing.map(|conn| name(*conn)).collect(),
        tensors: tensors.to_vec(),
    });
    v1::encode_head(&message, dtype, bytes.len() as u64, v1::crc(bytes)).into()
}
