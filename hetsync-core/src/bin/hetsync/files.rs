//! Where a measurement goes: the flags that `bench` and `simulate` share.
//!
//! Invariant: what cannot be written is told before anything is measured.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::Failure;
use crate::chart::{self, Chart};

#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// Write settings and figures as JSON; `-` for standard output, without
    /// the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the chart as SVG; `-` as well.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// Write the chart as PNG; `-` as well.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,

    /// No progress bar.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl FileArgs {
    /// Finds out whether all files can be written, `others` included, and
    /// that no two of them go to standard output.
    pub(crate) fn check(&self, others: &[&Option<PathBuf>]) -> Result<(), Failure> {
        named_as(self.svg.as_deref(), "--svg", "SVG", ["png", "json"])?;
        named_as(self.png.as_deref(), "--png", "PNG", ["svg", "json"])?;
        let own = [&self.json, &self.svg, &self.png];
        let all = own.iter().chain(others).filter_map(|path| path.as_deref());
        let mut to_stdout = 0;
        for path in all {
            match is_stdout(path) {
                true => to_stdout += 1,
                false => can_write(path)?,
            }
        }
        match to_stdout {
            0 | 1 => Ok(()),
            _ => Err("standard output takes one file: write `-` once".into()),
        }
    }

    /// Whether standard output is for one of the files, and no place for the
    /// table.
    pub(crate) fn takes_stdout(&self, others: &[&Option<PathBuf>]) -> bool {
        let own = [&self.json, &self.svg, &self.png];
        let mut all = own.iter().chain(others).filter_map(|path| path.as_deref());
        all.any(is_stdout)
    }

    /// Writes those that were asked for.
    pub(crate) fn write(
        &self,
        chart: &impl Chart,
        json: impl FnOnce() -> Result<Vec<u8>, Failure>,
    ) -> Result<(), Failure> {
        write(self.json.as_deref(), json)?;
        write(self.svg.as_deref(), || chart::svg(chart))?;
        write(self.png.as_deref(), || chart::png(chart))
    }
}

fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// A file is not to be named like one of another kind.
fn named_as(path: Option<&Path>, flag: &str, kind: &str, others: [&str; 2]) -> Result<(), Failure> {
    let ending = path.and_then(Path::extension).and_then(|e| e.to_str());
    match (path, ending) {
        (Some(path), Some(ending)) if others.contains(&ending) => Err(format!(
            "{flag} writes {kind}, and {} is named like another kind of file: --{ending} writes those",
            path.display()
        )
        .into()),
        _ => Ok(()),
    }
}

/// Leaves no empty file where there was none.
fn can_write(path: &Path) -> Result<(), Failure> {
    let is_there = path.try_exists().unwrap_or(true);
    let opened = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path);
    let tried = match opened {
        Ok(_) if !is_there => std::fs::remove_file(path),
        other => other.map(drop),
    };
    tried.map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// Writes a file, if it was asked for.
pub(crate) fn write(
    path: Option<&Path>,
    make: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<(), Failure> {
    match path {
        None => Ok(()),
        Some(path) if is_stdout(path) => crate::print(&make()?),
        Some(path) => std::fs::write(path, make()?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()).into()),
    }
}
