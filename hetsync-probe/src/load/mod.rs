//! Loading and attaching; all `unsafe` of the crate lives here.
