//! `list`: what can be probed on this kernel, and the types its BTF knows.
//!
//! Each kind tells its names or why it cannot; whatever could be listed is printed, the reasons go to standard error.

use crate::cli::args::ListArgs;
use crate::cli::exit::Exit;
use crate::cli::script::complain;
use crate::kernel::btf::{Btf, Space};
use crate::kernel::tracepoint::FormatField;
use crate::kernel::{Kernel, elf, glob, usdt};
use crate::provider::{self, HARDWARE_EVENTS, SOFTWARE_EVENTS};

/// Runs `list`.
pub(super) fn main(args: &ListArgs) -> Exit {
    let kernel = crate::cli::this_kernel();
    let mut list = List {
        kernel: kernel.as_ref(),
        verbose: args.verbose,
        text: String::new(),
        reasons: Vec::new(),
    };
    let pattern = args.pattern.as_deref().unwrap_or("*");
    match (type_pattern(pattern), marker_pattern(pattern)) {
        (Some((space, word, name)), _) => list.types(space, word, name),
        (None, Some(rest)) => list.markers(rest),
        (None, None) => {
            let written = Written::new(pattern);
            if !written.names_a_kind() {
                complain(&format!(
                    "no probe kind matches `{pattern}`; kinds that can be listed: {}",
                    KINDS.join(", ")
                ));
                return Exit::Failure;
            }
            for kind in KINDS {
                if written.means(kind) {
                    list.add(kind, &written);
                }
            }
        }
    }
    let found = !list.text.is_empty();
    let shown = crate::cli::print(list.text.as_bytes());
    for reason in &list.reasons {
        say!("{}: {reason}", if found { "note" } else { "error" });
    }
    match shown {
        Err(exit) => exit,
        Ok(()) if found => Exit::Ok,
        Ok(()) => {
            if list.reasons.is_empty() {
                complain(&format!("nothing matches `{pattern}`"));
            }
            Exit::Failure
        }
    }
}

/// Kinds in the order they are listed.
const KINDS: [&str; 12] = [
    "begin",
    "end",
    "interval",
    "profile",
    "software",
    "hardware",
    "kprobe",
    "kretprobe",
    "fentry",
    "fexit",
    "rawtracepoint",
    "tracepoint",
];

/// Kinds on the same places as others; shown only when they are asked for.
const ON_RETURN: [&str; 2] = ["kretprobe", "fexit"];

/// `struct NAME`, `union NAME`, `enum NAME`.
fn type_pattern(pattern: &str) -> Option<(Space, &str, &str)> {
    let (word, name) = pattern.trim().split_once(char::is_whitespace)?;
    let space = match word {
        "struct" => Space::Struct,
        "union" => Space::Union,
        "enum" => Space::Enum,
        _ => return None,
    };
    Some((space, word, name.trim()))
}

/// What stands behind `usdt:`.
fn marker_pattern(pattern: &str) -> Option<&str> {
    let (kind, rest) = pattern.split_once(':').unwrap_or((pattern, ""));
    matches!(kind, "usdt" | "U").then_some(rest)
}

/// A pattern, taken apart.
struct Written<'a> {
    /// A glob of kinds; `None` for all of them.
    kind: Option<&'a str>,
    /// A glob of the module or the category; `None` for any.
    group: Option<&'a str>,
    /// A glob of the name.
    name: &'a str,
}

impl<'a> Written<'a> {
    fn new(pattern: &'a str) -> Written<'a> {
        let mut parts = pattern.splitn(3, ':');
        let (first, second, third) = (parts.next(), parts.next(), parts.next());
        match (first, second, third) {
            (Some(kind), Some(group), Some(name)) => Written {
                kind: Some(kind),
                group: Some(group),
                name,
            },
            (Some(kind), Some(name), None) => Written {
                kind: Some(kind),
                group: None,
                name,
            },
            _ => Written {
                kind: None,
                group: None,
                name: pattern,
            },
        }
    }

    fn means(&self, kind: &str) -> bool {
        match self.kind {
            None | Some("*") => !ON_RETURN.contains(&kind),
            Some(written) => {
                let aliases = provider::ALL.iter().find(|known| known.name == kind);
                let aliases = aliases.map_or(&[][..], |known| known.aliases);
                aliases.contains(&written) || {
                    // A star only at the end: `k*` are kprobe and kretprobe.
                    let stem = written.trim_end_matches('*');
                    written == kind || (stem.len() < written.len() && kind.starts_with(stem))
                }
            }
        }
    }

    fn names_a_kind(&self) -> bool {
        KINDS.iter().any(|kind| self.means(kind))
    }

    fn takes(&self, group: &str, name: &str) -> bool {
        self.group
            .is_none_or(|pattern| glob::matches(pattern, group))
            && glob::matches(if self.name.is_empty() { "*" } else { self.name }, name)
    }
}

struct List<'a> {
    kernel: &'a dyn Kernel,
    verbose: bool,
    text: String,
    /// Why something could not be listed.
    reasons: Vec<String>,
}

impl List<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn cannot(&mut self, reason: String) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Adds the names of one kind.
    fn add(&mut self, kind: &str, written: &Written<'_>) {
        match kind {
            "begin" | "end" => self.alone(kind, written),
            "interval" | "profile" => self.units(kind, written),
            "software" | "hardware" => self.events(kind, written),
            "kprobe" | "kretprobe" => self.functions(kind, written),
            "fentry" | "fexit" => self.trampolines(kind, written),
            "rawtracepoint" => self.raw_tracepoints(kind, written),
            _ => self.tracepoints(kind, written),
        }
    }

    fn alone(&mut self, kind: &str, written: &Written<'_>) {
        if written.kind.is_some() || written.takes("", kind) {
            self.line(kind);
        }
    }

    fn units(&mut self, kind: &str, written: &Written<'_>) {
        for unit in ["hz", "ms", "s", "us"] {
            if written.takes("", unit) {
                self.line(&format!("{kind}:{unit}:"));
            }
        }
    }

    fn events(&mut self, kind: &str, written: &Written<'_>) {
        let events = match kind {
            "software" => &SOFTWARE_EVENTS[..],
            _ => &HARDWARE_EVENTS[..],
        };
        for name in events.iter().flat_map(|event| event.names) {
            if written.takes("", name) || written.group.is_some_and(|group| group == *name) {
                self.line(&format!("{kind}:{name}:"));
            }
        }
    }

    /// Whether functions can be probed at all; the symbol table has them all the same.
    fn functions_can_be_probed(&mut self) -> bool {
        if !crate::cli::functions_can_be_probed(self.kernel) {
            self.cannot(
                "this kernel has no kprobes and no fentry, so none of its functions can be probed"
                    .to_owned(),
            );
            return false;
        }
        true
    }

    fn matching(&mut self, written: &Written<'_>) -> Vec<String> {
        if !self.functions_can_be_probed() {
            return Vec::new();
        }
        let pattern = if written.name.is_empty() {
            "*"
        } else {
            written.name
        };
        let Some(mut names) = self.kernel.matching_functions(pattern) else {
            self.cannot(
                "this kernel's functions cannot be listed: neither tracefs nor /proc/kallsyms can be read; run as root"
                    .to_owned(),
            );
            return Vec::new();
        };
        if let Some(group) = written.group {
            names.retain(|name| {
                let module = self.kernel.module_of(name);
                glob::matches(group, module.as_deref().unwrap_or("vmlinux"))
            });
        }
        names
    }

    fn functions(&mut self, kind: &str, written: &Written<'_>) {
        for name in self.matching(written) {
            self.line(&format!("{kind}:{name}"));
        }
    }

    fn trampolines(&mut self, kind: &str, written: &Written<'_>) {
        let names = self.matching(written);
        if names.is_empty() {
            return;
        }
        let Some(btf) = self.kernel.btf() else {
            self.cannot("this kernel has no BTF, which fentry needs".to_owned());
            return;
        };
        for name in names {
            if btf.prototype(&name).is_none() {
                continue;
            }
            self.line(&format!("{kind}:vmlinux:{name}"));
            if let Some(function) = btf.function(&name).filter(|_| self.verbose) {
                for param in btf.params(function.proto) {
                    self.line(&format!("    {}", btf.declaration(param.ty, param.name)));
                }
                if btf.size(function.returns).is_some() {
                    self.line(&format!(
                        "    {}",
                        btf.declaration(function.returns, "retval")
                    ));
                }
            }
        }
    }

    fn tracepoints(&mut self, kind: &str, written: &Written<'_>) {
        match self.kernel.tracepoints("*") {
            Err(unreadable) => self.cannot(format!("tracepoints cannot be listed: {unreadable}")),
            Ok(names) => {
                for found in names {
                    let (category, name) = found.split_once(':').unwrap_or(("", &found));
                    // `tracepoint:tcp` and `tracepoint:tcp*` are categories.
                    let category_only = written.kind.is_some()
                        && written.group.is_none()
                        && glob::matches(written.name, category);
                    if !category_only && !written.takes(category, name) {
                        continue;
                    }
                    self.line(&format!("{kind}:{found}"));
                    if self.verbose {
                        self.fields(category, name);
                    }
                }
            }
        }
    }

    fn fields(&mut self, category: &str, name: &str) {
        if let Ok(Some(format)) = self.kernel.tracepoint(category, name) {
            for declaration in format.own_fields().map(FormatField::declaration) {
                self.line(&format!("    {declaration}"));
            }
        }
    }

    fn raw_tracepoints(&mut self, kind: &str, written: &Written<'_>) {
        let Some(names) = self.kernel.raw_tracepoints("*") else {
            self.cannot("raw tracepoints cannot be listed: this kernel has no BTF".to_owned());
            return;
        };
        for name in names {
            if !written.takes("vmlinux", &name) {
                continue;
            }
            self.line(&format!("{kind}:{name}"));
            let btf = self.kernel.btf().filter(|_| self.verbose);
            let params = btf.and_then(|btf| Some((btf, btf.raw_tracepoint(&name)?)));
            for (btf, param) in params
                .iter()
                .flat_map(|(btf, params)| params.iter().map(move |p| (btf, p)))
            {
                self.line(&format!("    {}", btf.declaration(param.ty, param.name)));
            }
        }
    }

    /// The markers of a file: `FILE`, `FILE:NAME` or `FILE:PROVIDER:NAME`.
    fn markers(&mut self, written: &str) {
        let mut parts = written.splitn(3, ':');
        let (file, second, third) = (parts.next().unwrap_or(""), parts.next(), parts.next());
        let (provider, name) = match (second, third) {
            (Some(provider), Some(name)) => (provider, name),
            (name, _) => ("*", name.unwrap_or("*")),
        };
        let [provider, name] =
            [provider, name].map(|glob| if glob.is_empty() { "*" } else { glob });
        let Some(path) = elf::find(file) else {
            return self.cannot(match file {
                "" => "markers are those of a file: `usdt:FILE:*`".to_owned(),
                file => format!("there is no file `{file}`"),
            });
        };
        let markers = match usdt::markers(&path) {
            Ok(markers) => markers,
            Err(error) => return self.cannot(error.to_string()),
        };
        let mut last = None;
        for marker in markers {
            let matches =
                glob::matches(provider, &marker.provider) && glob::matches(name, &marker.name);
            let shown = format!("usdt:{file}:{}:{}", marker.provider, marker.name);
            // One that was inlined has several places.
            if !matches || last.as_ref() == Some(&shown) {
                continue;
            }
            self.line(&shown);
            if self.verbose {
                for (at, (word, argument)) in usdt::arguments(&marker.args).iter().enumerate() {
                    let ty = match argument {
                        Some(argument) => format!(
                            "{}int{}",
                            if argument.signed { "" } else { "u" },
                            8 * argument.bytes
                        ),
                        None => format!("({word})"),
                    };
                    self.line(&format!("    {ty} arg{at}"));
                }
            }
            last = Some(shown);
        }
    }

    fn types(&mut self, space: Space, word: &str, pattern: &str) {
        let Some(btf) = self.kernel.btf() else {
            self.cannot("types cannot be listed: this kernel has no BTF".to_owned());
            return;
        };
        let mut found: Vec<_> = (btf.named(space))
            .filter(|(_, name)| glob::matches(pattern, name))
            .collect();
        found.sort_by_key(|(id, name)| (*name, *id));
        found.dedup_by_key(|(_, name)| *name);
        for (id, name) in found {
            match Btf::definition(btf, id).filter(|_| self.verbose) {
                Some(definition) => self.line(&format!("{definition}\n")),
                None => self.line(&format!("{word} {name}")),
            }
        }
    }
}
