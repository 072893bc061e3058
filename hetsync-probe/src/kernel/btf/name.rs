//! Types as C writes them.

use super::{Btf, CHAIN, Kind, TypeId};

/// Longest declaration written; the kernel's have some hundred characters.
const LENGTH: usize = 1024;

impl Btf {
    /// The type as C writes it: `struct sock *`, `const char *`, `unsigned char[6]`, `int (*)(struct sock *, int)`.
    pub fn c_name(&self, id: TypeId) -> String {
        self.declaration(id, "")
    }

    /// A declaration of a variable or member: `struct sock * sk`, `unsigned char addr[6]`.
    pub fn declaration(&self, id: TypeId, name: &str) -> String {
        let mut text = name.to_owned();
        self.declare(id, &mut text, CHAIN);
        text.truncate(text.floor_char_boundary(LENGTH));
        text
    }

    /// Puts the type around the declarator in `inner`, from the inside out.
    fn declare(&self, id: TypeId, inner: &mut String, depth: usize) {
        let Some(depth) = depth.checked_sub(1).filter(|_| inner.len() < LENGTH) else {
            return prefix("?", inner);
        };
        match self.kind(id) {
            Some(Kind::Ptr { to }) => {
                let suffixed = matches!(
                    self.kind(to),
                    Some(Kind::Array { .. } | Kind::FuncProto { .. })
                );
                // The star binds weaker than what follows a name.
                let star = if inner.is_empty() || inner.starts_with(['*', '[']) || suffixed {
                    "*"
                } else {
                    "* "
                };
                inner.insert_str(0, star);
                if suffixed {
                    inner.insert(0, '(');
                    inner.push(')');
                }
                self.declare(to, inner, depth);
            }
            Some(Kind::Array { element, count }) => {
                match count {
                    0 => inner.push_str("[]"),
                    count => inner.push_str(&format!("[{count}]")),
                }
                self.declare(element, inner, depth);
            }
            Some(Kind::FuncProto { returns, .. }) => {
                inner.push('(');
                for (index, param) in self.params(id).enumerate() {
                    if index > 0 {
                        inner.push_str(", ");
                    }
                    match self.kind(param.ty) {
                        Some(Kind::Void) => inner.push_str("..."),
                        _ => {
                            let mut text = String::new();
                            self.declare(param.ty, &mut text, depth);
                            inner.push_str(&text);
                        }
                    }
                    if inner.len() > LENGTH {
                        break;
                    }
                }
                inner.push(')');
                self.declare(returns, inner, depth);
            }
            Some(Kind::Const { of }) => self.qualify("const", of, inner, depth),
            Some(Kind::Volatile { of }) => self.qualify("volatile", of, inner, depth),
            Some(Kind::Restrict { of } | Kind::TypeTag { of }) => self.declare(of, inner, depth),
            Some(Kind::Func { proto: of } | Kind::Var { of } | Kind::DeclTag { of }) => {
                self.declare(of, inner, depth);
            }
            _ => prefix(&self.plain_name(id), inner),
        }
    }

    /// A qualifier stands before a plain type, and behind the star of a pointer.
    fn qualify(&self, word: &str, of: TypeId, inner: &mut String, depth: usize) {
        if let Some(Kind::Ptr { .. }) = self.kind(of) {
            prefix(word, inner);
            self.declare(of, inner, depth);
        } else {
            self.declare(of, inner, depth);
            prefix(word, inner);
        }
    }

    /// A type that is written as one word or two.
    fn plain_name(&self, id: TypeId) -> String {
        let word = match self.kind(id) {
            Some(Kind::Void) => return "void".into(),
            Some(Kind::Struct { .. } | Kind::Fwd { union: false }) => "struct",
            Some(Kind::Union { .. } | Kind::Fwd { union: true }) => "union",
            Some(Kind::Enum { .. }) => "enum",
            _ => "",
        };
        match (word, self.name(id)) {
            ("", "") => "?".into(),
            ("", name) => name.into(),
            (word, "") => format!("{word} (anonymous)"),
            (word, name) => format!("{word} {name}"),
        }
    }
}

fn prefix(word: &str, inner: &mut String) {
    if !inner.is_empty() && !inner.starts_with('[') {
        inner.insert(0, ' ');
    }
    inner.insert_str(0, word);
}
