//! A kernel known by files: BTF, a list of its attachable functions, its tracepoints' formats. So a script can be checked
//! for a server on a laptop, and tests need no kernel.
//!
//! What there is no file for is not known, which objects to nothing.

use super::btf::{Btf, BtfError};
use super::names::Names;
use super::tracepoint::{Format, Tracefs, Unreadable};
use super::{FunctionFact, Kernel, Prototype, glob};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A kernel known by files.
#[derive(Debug, Default)]
pub struct Files {
    btf: Option<Btf>,
    functions: Option<Names>,
    tracefs: Option<Tracefs>,
}

impl Files {
    /// Nothing is known yet.
    pub fn new() -> Files {
        Files::default()
    }

    /// With the types in a file of raw BTF.
    ///
    /// # Errors
    /// The file cannot be read, or is not BTF.
    pub fn with_btf(mut self, path: &Path) -> Result<Files, BtfError> {
        self.btf = Some(Btf::read(path)?);
        Ok(self)
    }

    /// With a list of attachable functions, one a line: `tcp_sendmsg` or `veth_xmit [veth]`, as tracefs'
    /// `available_filter_functions` has them.
    pub fn with_functions(mut self, list: String) -> Files {
        self.functions = Some(Names::of_functions(list));
        self
    }

    /// With tracepoints: a folder in which each has its `events/CATEGORY/NAME/format`.
    pub fn with_tracepoints(mut self, folder: impl Into<PathBuf>) -> Files {
        self.tracefs = Some(Tracefs::at(folder));
        self
    }
}

impl Kernel for Files {
    fn function(&self, name: &str) -> FunctionFact {
        match (&self.functions, &self.btf) {
            (Some(functions), _) => functions.fact(name),
            // BTF has no functions of modules, so it cannot say that there is none.
            (None, Some(btf)) if btf.has_function(name) => FunctionFact::Present,
            (None, _) => FunctionFact::Unknown,
        }
    }

    fn matching_functions(&self, pattern: &str) -> Option<Vec<String>> {
        if let Some(functions) = &self.functions {
            return Some(functions.matching(pattern));
        }
        let names = self.btf.as_ref()?.function_names();
        let mut names: Vec<String> = names
            .filter(|name| glob::matches(pattern, name))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        Some(names)
    }

    fn prototype(&self, name: &str) -> Option<Prototype> {
        self.btf.as_ref()?.prototype(name)
    }

    fn btf(&self) -> Option<&Btf> {
        self.btf.as_ref()
    }

    fn module_of(&self, function: &str) -> Option<String> {
        let names = self.functions.as_ref()?;
        names.contains(function).then(|| {
            let module = names.module_of(function);
            module.unwrap_or("vmlinux").to_owned()
        })
    }

    fn tracepoints(&self, pattern: &str) -> Result<Vec<String>, Unreadable> {
        let mut names = self.tracefs.as_ref().ok_or(Unreadable::NoKernel)?.names()?;
        names.retain(|name| glob::matches(pattern, name));
        Ok(names)
    }

    fn tracepoint(&self, category: &str, name: &str) -> Result<Option<Arc<Format>>, Unreadable> {
        let tracefs = self.tracefs.as_ref().ok_or(Unreadable::NoKernel)?;
        Ok(tracefs.format(category, name)?.map(Arc::new))
    }
}
