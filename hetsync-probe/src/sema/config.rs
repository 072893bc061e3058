//! `config = { .. }` and declarations of maps: what the top of a script says about the whole of it.
//!
//! All of bpftrace's settings are known. Those that change what a script prints are obeyed, or refused where the value
//! asks for something else than what is done here; those about bpftrace's own insides change nothing and are told so.

use std::collections::BTreeMap;

use super::hir::{Aggregation, Config, MapValue, Missing, StackMode};
use crate::diagnostic::{Diagnostic, suggest};
use crate::limits;
use crate::span::Span;
use crate::syntax::ast::{self, ExprKind, Script};

/// What a declaration says of a map.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    kind: Kind,
    pub(super) max_entries: u32,
    pub(super) span: Span,
}

/// Kinds of maps by bpftrace's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hash,
    LruHash,
    PercpuHash,
    PercpuLruHash,
    PercpuArray,
}

const KINDS: [(&str, Kind); 5] = [
    ("hash", Kind::Hash),
    ("lruhash", Kind::LruHash),
    ("percpuhash", Kind::PercpuHash),
    ("percpulruhash", Kind::PercpuLruHash),
    ("percpuarray", Kind::PercpuArray),
];

/// What a setting is to us.
enum Meaning {
    /// Obeyed.
    Keys,
    PrintMaps,
    RingPages,
    StackMode,
    MissingProbes,
    Demangle,
    /// Only this value is what is done here.
    Only(&'static [&'static str], &'static str),
    /// Nothing here depends on it.
    Nothing(&'static str),
}

const SETTINGS: [(&str, Meaning); 23] = [
    ("max_map_keys", Meaning::Keys),
    ("print_maps_on_exit", Meaning::PrintMaps),
    ("perf_rb_pages", Meaning::RingPages),
    (
        "license",
        Meaning::Only(
            &["GPL", "GPL v2", "Dual MIT/GPL", "Dual BSD/GPL"],
            "the programs are loaded under the GPL, which the kernel's helpers ask for",
        ),
    ),
    ("stack_mode", Meaning::StackMode),
    ("missing_probes", Meaning::MissingProbes),
    ("cpp_demangle", Meaning::Demangle),
    (
        "unstable_macro",
        Meaning::Nothing("macros need no permission here"),
    ),
    (
        "unstable_map_decl",
        Meaning::Nothing("declarations of maps need no permission here"),
    ),
    (
        "unstable_import",
        Meaning::Nothing("there are no imports here"),
    ),
    (
        "unstable_tseries",
        Meaning::Nothing("functions need no permission here"),
    ),
    (
        "cache_user_symbols",
        Meaning::Nothing("symbols are always kept"),
    ),
    (
        "lazy_symbolication",
        Meaning::Nothing("addresses become names when they are printed"),
    ),
    (
        "log_size",
        Meaning::Nothing("the kernel's log is read whole"),
    ),
    (
        "max_ast_nodes",
        Meaning::Nothing("scripts have limits of their own"),
    ),
    (
        "max_bpf_progs",
        Meaning::Nothing("scripts have limits of their own"),
    ),
    (
        "max_strlen",
        Meaning::Nothing("strings have as many bytes as they need, up to 1,023"),
    ),
    ("max_cat_bytes", Meaning::Nothing("files are printed whole")),
    (
        "max_probes",
        Meaning::Nothing("scripts have limits of their own"),
    ),
    (
        "max_type_res_iterations",
        Meaning::Nothing("types have limits of their own"),
    ),
    (
        "on_stack_limit",
        Meaning::Nothing("what does not fit the stack finds another place by itself"),
    ),
    (
        "show_debug_info",
        Meaning::Nothing("there is no debug information"),
    ),
    (
        "symbol_source",
        Meaning::Nothing("symbols come from the ELF file"),
    ),
];

/// Reads the settings; mistakes and warnings.
pub(super) fn settings(
    script: &Script,
    environment: &[(String, String)],
) -> (Config, Vec<Diagnostic>) {
    let mut config = Config::default();
    let mut told = Vec::new();
    for (name, value) in environment {
        let known = SETTINGS.iter().find(|(known, _)| known == name);
        if let Some(Err(wanted)) = known.map(|(_, meaning)| obey(&mut config, meaning, value)) {
            told.push(
                Diagnostic::error(
                    "E0331",
                    Span::default(),
                    format!("`{name}` wants {wanted}, and the environment says `{value}`"),
                )
                .with_help(format!("see BPFTRACE_{}", name.to_ascii_uppercase())),
            );
        }
    }
    for setting in script.configs.iter().flat_map(|block| &block.settings) {
        // The names of environment variables are taken too.
        let name = setting.key.text.to_ascii_lowercase();
        let name = name.strip_prefix("bpftrace_").unwrap_or(&name);
        match SETTINGS.iter().find(|(known, _)| *known == name) {
            Some((_, meaning)) => told.extend(set(&mut config, meaning, setting, name)),
            None => told.push(unknown(name, setting.key.span)),
        }
    }
    told.extend(script.configs.iter().skip(1).map(|again| {
        let first = script.configs[0].span;
        Diagnostic::error("E0125", again.span, "there is a second `config` block")
            .with_label("one too many")
            .with_place(first, "the first one")
            .with_help("put all settings into one block")
    }));
    (config, told)
}

fn unknown(name: &str, span: Span) -> Diagnostic {
    let known = SETTINGS.iter().map(|(known, _)| *known);
    let near = suggest::nearest(name, known);
    let diagnostic = Diagnostic::error("E0240", span, format!("there is no setting `{name}`"))
        .with_label("unknown setting");
    match near {
        Some(near) => diagnostic.with_help(format!("did you mean `{near}`?")),
        None => diagnostic.with_help("the book's chapter on the language lists the settings"),
    }
}

fn set(
    config: &mut Config,
    meaning: &Meaning,
    setting: &ast::Setting,
    name: &str,
) -> Option<Diagnostic> {
    let value = &setting.value;
    let wrong = |wanted: &str| {
        Diagnostic::error("E0331", value.span, format!("`{name}` wants {wanted}"))
            .with_label("another value")
    };
    match meaning {
        Meaning::Only(values, why) => {
            let given = text(value);
            let fits = given.is_some_and(|given| values.contains(&given.as_str()));
            (!fits).then(|| wrong(&format!("`{}` here", values[0])).with_help(*why))
        }
        Meaning::Nothing(why) => Some(
            Diagnostic::warning("W0007", setting.key.span, format!("`{name}` has no effect"))
                .with_help(*why),
        ),
        obeyed => {
            let given = text(value).unwrap_or_default();
            obey(config, obeyed, &given)
                .err()
                .map(|wanted| wrong(&wanted))
        }
    }
}

/// Puts a value where it belongs; else what is wanted instead.
fn obey(config: &mut Config, meaning: &Meaning, given: &str) -> Result<(), String> {
    let counted =
        |most: u32| number(given, most).ok_or_else(|| format!("a number from 1 to {most}"));
    let truth = || match given {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("`true` or `false`"),
    };
    match meaning {
        Meaning::Keys => config.max_keys = Some(counted(limits::MAX_KEYS)?),
        Meaning::RingPages => {
            config.ring_pages = Some(counted(limits::RING_PAGES)?.next_power_of_two());
        }
        Meaning::PrintMaps => config.hide_maps = !truth()?,
        Meaning::Demangle => config.mangled = !truth()?,
        Meaning::StackMode => {
            let mode = StackMode::named(given);
            config.stack_mode = mode.ok_or("`bpftrace`, `perf` or `raw`")?;
        }
        Meaning::MissingProbes => {
            config.missing = match given {
                "error" => Missing::Error,
                "warn" => Missing::WarnAlways,
                "ignore" => Missing::Ignore,
                _ => Err("`error`, `warn` or `ignore`")?,
            }
        }
        Meaning::Only(..) | Meaning::Nothing(_) => {}
    }
    Ok(())
}

/// A number from 1 to `most`.
fn number(given: &str, most: u32) -> Option<u32> {
    given.parse().ok().filter(|n| (1..=most).contains(n))
}

/// A value as it would be written in an environment variable.
fn text(value: &ast::Expr) -> Option<String> {
    match &value.bare().kind {
        ExprKind::Int(n) => Some(n.to_string()),
        ExprKind::Bool(value) => Some(value.to_string()),
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Str(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

/// Reads the declarations of maps, by name.
pub(super) fn maps(script: &Script) -> (BTreeMap<String, Declared>, Vec<Diagnostic>) {
    let mut maps: BTreeMap<String, Declared> = BTreeMap::new();
    let mut told = Vec::new();
    for item in &script.maps {
        let known = KINDS.iter().find(|(name, _)| *name == item.kind.text);
        let Some(&(_, kind)) = known else {
            let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            told.push(
                Diagnostic::error(
                    "E0241",
                    item.kind.span,
                    format!("there is no kind of map `{}`", item.kind.text),
                )
                .with_label("unknown kind")
                .with_help(format!("kinds are {}", names.join(", "))),
            );
            continue;
        };
        let most = limits::MAX_KEYS;
        let max_entries = match item.args.as_slice() {
            [arg] => text(arg).and_then(|given| number(&given, most)),
            _ => None,
        };
        let Some(max_entries) = max_entries else {
            let message = format!("`{}` wants a number of keys, 1 to {most}", item.kind.text);
            told.push(Diagnostic::error("E0332", item.span, message));
            continue;
        };
        let span = item.span;
        let declared = Declared {
            kind,
            max_entries,
            span,
        };
        if let Some(first) = maps.get(&item.name.text) {
            told.push(
                Diagnostic::error(
                    "E0242",
                    item.name.span,
                    format!("`@{}` is declared twice", item.name.text),
                )
                .with_label("once more")
                .with_place(first.span, "the first one"),
            );
            continue;
        }
        maps.insert(item.name.text.clone(), declared);
    }
    (maps, told)
}

impl Declared {
    /// Whether the kernel makes room for new keys by dropping those not used for longest.
    pub(super) fn is_lru(&self) -> bool {
        matches!(self.kind, Kind::LruHash | Kind::PercpuLruHash)
    }

    /// What is wrong with the declaration of a map that is used like this, if anything.
    pub(super) fn misfit(&self, name: &str, keyed: bool, value: &MapValue) -> Option<Diagnostic> {
        let per_cpu = matches!(value, MapValue::Aggregate(_));
        let own = match (per_cpu, keyed) {
            (true, true) => "percpuhash(..)",
            (true, false) => "percpuarray(1)",
            (false, _) => "hash(..)",
        };
        let fits = match self.kind {
            Kind::Hash => !per_cpu,
            Kind::LruHash => !per_cpu && keyed,
            Kind::PercpuHash | Kind::PercpuLruHash => per_cpu && keyed,
            Kind::PercpuArray => per_cpu && !keyed && self.max_entries == 1,
        };
        if fits {
            return None;
        }
        let holds = match (value, keyed) {
            (MapValue::Aggregate(Aggregation::Count), _) => "counts".to_string(),
            (MapValue::Aggregate(_), _) => "statistics".to_string(),
            (MapValue::Scalar(_), _) => "plain values".to_string(),
        };
        let keys = if keyed { "under keys" } else { "without a key" };
        Some(
            Diagnostic::error(
                "E0333",
                self.span,
                format!("`@{name}` holds {holds} {keys}, for which this kind of map is not made"),
            )
            .with_help(format!("declare it as `{own}`, or not at all")),
        )
    }
}
