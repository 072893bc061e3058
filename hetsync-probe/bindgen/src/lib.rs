//! Empty on purpose: redbpf names bindgen as a dependency and never calls it without its `build` feature.
