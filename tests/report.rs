//! Values to text, JSON, CSV and pictures, without a kernel: bytes are made by `layout::record`, the plain-Rust twin
//! of the compiled code.

#[path = "report/forms.rs"]
mod forms;
#[path = "report/maps.rs"]
mod maps;
#[path = "report/merge.rs"]
mod merge;
#[path = "report/plot.rs"]
mod plot;
#[path = "report/printf.rs"]
mod printf;
#[path = "report/summary.rs"]
mod summary;

/// Compares with a snapshot in the top-level folder.
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
