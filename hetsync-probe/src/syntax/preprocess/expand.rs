//! Macros and their replacement.

use std::collections::HashMap;

use super::pieces::{Kind, Pieces};
use crate::limits;
use crate::syntax::token;

/// Why a text cannot be preprocessed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A mistake, as a sentence.
    Wrong(String),
    /// What is "not supported yet", with its verb.
    Unsupported(String),
    /// A limit is reached.
    TooMuch,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) struct Macro {
    /// Of a macro that is used like a function, its parameters.
    params: Option<Vec<String>>,
    body: String,
}

impl Macro {
    /// Reads what stands behind `#define`.
    pub(super) fn parse(text: &str) -> Result<(String, Macro), String> {
        let Ok((rest, name)) = token::identifier(text) else {
            return Err("`#define` needs a name".into());
        };
        if name == "defined" {
            return Err("`defined` cannot be defined".into());
        }
        let (params, body) = match rest.strip_prefix('(') {
            None => (None, rest),
            Some(inside) => {
                let Some((params, body)) = inside.split_once(')') else {
                    return Err(format!("the parameters of `{name}` are not closed"));
                };
                (Some(parameters(params)?), body)
            }
        };
        let body = body.trim();
        if Pieces::new(body, &mut false).any(|(_, start, _)| body[start..].starts_with('#')) {
            return Err("`#` and `##` in the text of a macro are not supported".into());
        }
        let body = body.into();
        Ok((name.into(), Macro { params, body }))
    }
}

fn parameters(text: &str) -> Result<Vec<String>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|param| match token::identifier(param.trim()) {
            Ok(("", name)) => Ok(name.into()),
            _ => Err(format!("`{}` is no name of a parameter", param.trim())),
        })
        .collect()
}

/// The macros there are.
pub(super) struct Macros {
    known: HashMap<String, Macro>,
    /// Replacements so far.
    steps: usize,
    /// Bytes put in so far.
    bytes: usize,
    /// Bytes looked at so far.
    work: usize,
}

impl Macros {
    /// Those that are there from the start.
    pub(super) fn new() -> Self {
        let mut macros = Self {
            known: HashMap::new(),
            steps: 0,
            bytes: 0,
            work: 0,
        };
        let one = Macro {
            params: None,
            body: "1".into(),
        };
        macros.define("BPFTRACE_HAVE_BTF".into(), one);
        macros
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    pub(super) fn define(&mut self, name: String, value: Macro) {
        self.known.insert(name, value);
    }

    pub(super) fn undefine(&mut self, name: &str) {
        self.known.remove(name);
    }

    /// What the macro at the start of a text stands for, and how many bytes it takes; none if a macro with parameters is
    /// only named.
    pub(super) fn expand_use(&mut self, text: &str) -> Result<Option<(String, usize)>, Trouble> {
        self.expand_one(text, &mut Vec::new())
    }

    /// A text with all its macros replaced.
    pub(super) fn expand_all(&mut self, text: &str) -> Result<String, Trouble> {
        self.expand_text(text, &mut Vec::new())
    }

    fn expand_one(
        &mut self,
        text: &str,
        hidden: &mut Vec<String>,
    ) -> Result<Option<(String, usize)>, Trouble> {
        let Ok((rest, name)) = token::identifier(text) else {
            return Ok(None);
        };
        let Some(Macro { params, body }) = self.known.get(name).cloned() else {
            return Ok(None);
        };
        self.steps += 1;
        if self.steps > limits::EXPANSIONS || hidden.len() >= limits::NESTING {
            return Err(Trouble::TooMuch);
        }
        self.look_at(0)?;
        let (body, used) = match params {
            None => (body, name.len()),
            Some(params) => {
                let inside = rest.trim_start_matches([' ', '\t']);
                if !inside.starts_with('(') {
                    return Ok(None);
                }
                let found = arguments(&inside[1..]);
                let left = found.as_ref().map_or(0, |(_, behind)| behind.len());
                self.look_at(inside.len() - left)?;
                let (args, behind) = found.ok_or_else(|| {
                    Trouble::Wrong(format!(
                        "the use of the macro `{name}` does not end on its line"
                    ))
                })?;
                let none = params.is_empty() && args.len() == 1 && args[0].is_empty();
                if args.len() != params.len() && !none {
                    return Err(Trouble::Wrong(format!(
                        "the macro `{name}` takes {} arguments, not {}",
                        params.len(),
                        args.len()
                    )));
                }
                let mut values = Vec::new();
                for arg in args {
                    values.push(self.expand_text(arg, hidden)?);
                }
                let body = self.substitute(&body, &params, &values)?;
                (body, text.len() - behind.len())
            }
        };
        hidden.push(name.into());
        let expanded = self.expand_text(&body, hidden);
        hidden.pop();
        Ok(Some((expanded?, used)))
    }

    /// A text with all macros replaced that are not being replaced already.
    fn expand_text(&mut self, text: &str, hidden: &mut Vec<String>) -> Result<String, Trouble> {
        self.look_at(text.len())?;
        let mut out = String::new();
        let (mut done, mut replaced) = (0, false);
        for (kind, start, len) in Pieces::new(text, &mut false) {
            if start < done {
                continue;
            }
            let piece = &text[start..start + len];
            done = start + len;
            if kind == Kind::Name
                && !hidden.iter().any(|name| name == piece)
                && let Some((value, used)) = self.expand_one(&text[start..], hidden)?
            {
                append(&mut out, &value);
                done = start + used;
                replaced = true;
            } else {
                put(&mut out, piece, replaced);
                replaced = false;
            }
            self.count(len)?;
        }
        Ok(out)
    }

    /// A macro's text with its parameters' values.
    fn substitute(
        &mut self,
        body: &str,
        params: &[String],
        values: &[String],
    ) -> Result<String, Trouble> {
        let (mut out, mut replaced) = (String::new(), false);
        for (kind, start, len) in Pieces::new(body, &mut false) {
            let piece = &body[start..start + len];
            let param = params.iter().position(|param| param == piece);
            let value = param
                .filter(|_| kind == Kind::Name)
                .map(|index| &values[index]);
            let text = value.map_or(piece, |value| value.as_str());
            self.count(text.len())?;
            put(&mut out, text, replaced || value.is_some());
            replaced = value.is_some();
        }
        Ok(out)
    }

    /// Counts bytes that are looked at. Once there were too many, there always are.
    fn look_at(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.work += bytes;
        if self.work > limits::EXPANSION_WORK {
            return Err(Trouble::TooMuch);
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), Trouble> {
        self.bytes += bytes;
        if self.bytes > limits::SOURCE_BYTES {
            return Err(Trouble::TooMuch);
        }
        Ok(())
    }
}

/// The arguments behind an opening parenthesis, and what follows the closing one.
fn arguments(text: &str) -> Option<(Vec<&str>, &str)> {
    let mut args = Vec::new();
    let (mut open, mut from) = (0usize, 0);
    for (_, start, _) in Pieces::new(text, &mut false) {
        match text.as_bytes()[start] {
            b'(' | b'[' | b'{' => open += 1,
            b')' if open == 0 => {
                args.push(text[from..start].trim());
                return Some((args, &text[start + 1..]));
            }
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b',' if open == 0 => {
                args.push(text[from..start].trim());
                from = start + 1;
            }
            _ => {}
        }
    }
    None
}

/// Appends a piece that a replaced one stands beside, or as it is.
fn put(out: &mut String, text: &str, beside_replaced: bool) {
    if beside_replaced {
        append(out, text);
    } else {
        out.push_str(text);
    }
}

/// Appends a piece, with a space before it if the two would become one token.
pub(super) fn append(out: &mut String, text: &str) {
    if would_join(out, text) {
        out.push(' ');
    }
    out.push_str(text);
}

/// Whether the end of one text and the start of another would become one token.
pub(super) fn would_join(before: &str, after: &str) -> bool {
    let is_operator = |c: char| "+-*/%<>=&|!.".contains(c);
    match (before.chars().next_back(), after.chars().next()) {
        (Some(a), Some(b)) => {
            token::is_name(a) && token::is_name(b) || is_operator(a) && is_operator(b)
        }
        _ => false,
    }
}
