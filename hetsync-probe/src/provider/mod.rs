//! One probe kind per file: how its attach points are written and what is allowed in its body.
