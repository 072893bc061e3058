//! Whole definitions of structures, unions and enumerations as C.

use super::{Btf, Kind, TypeId};
use std::fmt::Write as _;

/// Deepest nesting of anonymous members written out.
const NESTING: usize = 16;
/// Longest definition; the kernel's largest takes some 60 kB.
const LENGTH: usize = 1 << 20;

impl Btf {
    /// The definition of a structure, union or enumeration, members of anonymous ones inside; `None` of anything else.
    pub fn definition(&self, id: TypeId) -> Option<String> {
        let (id, kind) = self.resolved(id)?;
        let mut text = self.c_name(id);
        match kind {
            Kind::Struct { .. } | Kind::Union { .. } | Kind::Enum { .. } => {
                text.push(' ');
                self.body(id, 0, &mut text);
                text.push(';');
                Some(text)
            }
            _ => None,
        }
    }

    /// From brace to brace.
    fn body(&self, id: TypeId, depth: usize, text: &mut String) {
        text.push_str("{\n");
        let indent = "\t".repeat(depth);
        // Writing to a string cannot fail.
        for value in self.enum_values(id) {
            let _ = writeln!(text, "{indent}\t{} = {},", value.name, value.value);
        }
        for member in self.members(id) {
            if text.len() > LENGTH || depth > NESTING {
                let _ = writeln!(text, "{indent}\t/* more */");
                break;
            }
            let mut line = self.declaration(member.ty, member.name);
            // C writes the star beside the name.
            if let Some(before) = line.strip_suffix(member.name)
                && let Some(type_part) = before.strip_suffix("* ")
            {
                line = format!("{type_part}*{}", member.name);
            }
            if let Some((word, inside)) = self.anonymous(member.ty) {
                let mut body = format!("{word} ");
                self.body(inside, depth + 1, &mut body);
                line = line.replacen(&format!("{word} (anonymous)"), &body, 1);
            }
            let bits = member.bits.map(|bits| format!(": {bits}"));
            let _ = writeln!(text, "{indent}\t{line}{};", bits.unwrap_or_default());
        }
        let _ = write!(text, "{indent}}}");
    }

    /// The type without a name that a member's type is made of, behind arrays and pointers, and what it is.
    fn anonymous(&self, mut id: TypeId) -> Option<(&'static str, TypeId)> {
        for _ in 0..super::CHAIN {
            id = match self.kind(id)? {
                Kind::Ptr { to: of }
                | Kind::Array { element: of, .. }
                | Kind::Const { of }
                | Kind::Volatile { of }
                | Kind::Restrict { of }
                | Kind::TypeTag { of } => of,
                Kind::Struct { .. } if self.name(id).is_empty() => return Some(("struct", id)),
                Kind::Union { .. } if self.name(id).is_empty() => return Some(("union", id)),
                Kind::Enum { .. } if self.name(id).is_empty() => return Some(("enum", id)),
                _ => return None,
            };
        }
        None
    }
}
