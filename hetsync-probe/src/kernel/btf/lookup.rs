//! Types by name, behind their typedefs, and their sizes.

use super::{Btf, CHAIN, Index, Kind, TypeId, kind, u32_at};
use std::sync::atomic::Ordering;

/// Look-ups by name that search the bytes, before a table of names is made.
const SEARCHES: u32 = 24;

/// C keeps names apart by what they name: `struct x` is not the typedef `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// `struct NAME`.
    Struct,
    /// `union NAME`.
    Union,
    /// `enum NAME`.
    Enum,
    /// Names that stand alone: typedefs, integers, floating-point numbers.
    Plain,
    /// Functions.
    Function,
    /// Variables.
    Variable,
}

impl Space {
    fn holds(self, kind: u32) -> bool {
        match self {
            Space::Struct => kind == kind::STRUCT,
            Space::Union => kind == kind::UNION,
            Space::Enum => matches!(kind, kind::ENUM | kind::ENUM64),
            Space::Plain => matches!(kind, kind::TYPEDEF | kind::INT | kind::FLOAT),
            Space::Function => kind == kind::FUNC,
            Space::Variable => kind == kind::VAR,
        }
    }
}

impl Btf {
    /// The type's own name; empty for pointers, arrays, qualifiers and anonymous types.
    pub fn name(&self, id: TypeId) -> &str {
        match self.raw(id) {
            Some((_, raw)) => self.string(raw.name),
            None => "",
        }
    }

    /// The first type of this name; the base's come before a module's own.
    pub fn find(&self, space: Space, name: &str) -> Option<TypeId> {
        self.find_all(space, name).next()
    }

    /// Every type of this name. Kernels have a few names twice.
    pub fn find_all<'a>(
        &'a self,
        space: Space,
        name: &'a str,
    ) -> Box<dyn Iterator<Item = TypeId> + 'a> {
        let own = self
            .candidates(name.as_bytes())
            .into_iter()
            .map(TypeId)
            .filter(move |&id| {
                self.raw(id).is_some_and(|(_, raw)| {
                    space.holds(raw.kind) && self.is_string(raw.name, name.as_bytes())
                })
            });
        match &self.base {
            Some(base) => Box::new(base.find_all(space, name).chain(own)),
            None => Box::new(own),
        }
    }

    /// A type as C spells it, without pointers and arrays: `struct sock`, `union x`, `enum tcp_state`, `size_t`,
    /// `unsigned long`.
    pub fn find_spelt(&self, spelt: &str) -> Option<TypeId> {
        let mut words = spelt.split_whitespace();
        let space = match words.next()? {
            "struct" => Space::Struct,
            "union" => Space::Union,
            "enum" => Space::Enum,
            "void" if words.next().is_none() => return Some(TypeId::VOID),
            _ => {
                let plain: Vec<&str> = spelt.split_whitespace().collect();
                return self.find(Space::Plain, &integer_name(&plain));
            }
        };
        let name = words.next()?;
        words.next().is_none().then_some(())?;
        self.find(space, name)
    }

    /// The type behind typedefs, qualifiers and tags, and the whole of one that is only declared; `None` if the chain
    /// ends nowhere.
    pub fn resolve(&self, id: TypeId) -> Option<TypeId> {
        let bare = self.strip(id)?;
        let space = match self.kind(bare)? {
            Kind::Fwd { union: false } => Space::Struct,
            Kind::Fwd { union: true } => Space::Union,
            _ => return Some(bare),
        };
        Some(self.find(space, self.name(bare)).unwrap_or(bare))
    }

    /// [`Btf::resolve`] and [`Btf::kind`] in one.
    pub fn resolved(&self, id: TypeId) -> Option<(TypeId, Kind)> {
        let id = self.resolve(id)?;
        Some((id, self.kind(id)?))
    }

    /// The type behind typedefs, qualifiers and tags.
    fn strip(&self, mut id: TypeId) -> Option<TypeId> {
        for _ in 0..CHAIN {
            id = match self.kind(id)? {
                Kind::Typedef { of }
                | Kind::Volatile { of }
                | Kind::Const { of }
                | Kind::Restrict { of }
                | Kind::TypeTag { of } => of,
                _ => return Some(id),
            };
        }
        None
    }

    /// Bytes of a value of the type; `None` for functions, `void`, and what is only declared.
    pub fn size(&self, id: TypeId) -> Option<u64> {
        let (mut id, mut factor) = (id, 1u64);
        for _ in 0..CHAIN {
            let bytes = match self.resolved(id)?.1 {
                Kind::Int { bytes, .. }
                | Kind::Struct { bytes, .. }
                | Kind::Union { bytes, .. }
                | Kind::Enum { bytes, .. }
                | Kind::Float { bytes } => u64::from(bytes),
                Kind::Ptr { .. } => 8,
                Kind::Array { element, count } => {
                    factor = factor.checked_mul(u64::from(count))?;
                    id = element;
                    continue;
                }
                Kind::Var { of } => {
                    id = of;
                    continue;
                }
                _ => return None,
            };
            return factor.checked_mul(bytes);
        }
        None
    }

    /// Names of its own types of one space, in the file's order. A kernel has some 70,000 functions and 10,000
    /// structures.
    pub fn named(&self, space: Space) -> impl Iterator<Item = (TypeId, &str)> {
        self.ids().filter_map(move |id| {
            let (_, raw) = self.raw(id)?;
            if !space.holds(raw.kind) {
                return None;
            }
            let name = self.string(raw.name);
            (!name.is_empty()).then_some((id, name))
        })
    }

    /// Own types that may have this name, ascending.
    ///
    /// A script asks for a few names, and hashing a hundred thousand takes longer than looking for a few: so the table is
    /// made only for those who ask for many.
    fn candidates(&self, name: &[u8]) -> Vec<u32> {
        if name.is_empty() {
            return Vec::new();
        }
        if self.looked_up.fetch_add(1, Ordering::Relaxed) >= SEARCHES {
            return self.names().candidates(name).collect();
        }
        let offsets = self.string_offsets(name);
        let of_name = |(id, at): (u32, &u32)| {
            let offset = u32_at(&self.bytes, *at as usize)?;
            offsets.contains(&offset).then_some(id)
        };
        match offsets.is_empty() {
            true => Vec::new(),
            false => (self.first_id..)
                .zip(&self.starts)
                .filter_map(of_name)
                .collect(),
        }
    }

    /// Where a string begins, of its own and of the base's: once each where the encoder left no doubles.
    fn string_offsets(&self, string: &[u8]) -> Vec<u32> {
        let mut offsets = match &self.base {
            Some(base) => base.string_offsets(string),
            None => Vec::new(),
        };
        let section = &self.bytes[self.strings.clone()];
        // Any place that reads as the string will do, so ends of longer ones are taken too.
        let ends = memchr::memmem::find_iter(section, string)
            .filter(|at| section.get(at + string.len()) == Some(&0));
        offsets.extend(ends.map(|at| self.first_string.saturating_add(at as u32)));
        offsets
    }

    fn names(&self) -> &Index {
        self.names.get_or_init(|| {
            let named = self.ids().filter_map(|id| {
                let (_, raw) = self.raw(id)?;
                Some((self.string_bytes(raw.name)?, id.0))
            });
            Index::new(self.starts.len(), named)
        })
    }
}

/// The name compilers give an integer type in BTF, of C's many spellings: `unsigned` is `unsigned int`, `long long int`
/// is `long long int`, `unsigned long` is `long unsigned int`, `char` and every other word are themselves.
fn integer_name(words: &[&str]) -> String {
    let count = |word: &str| words.iter().filter(|&&w| w == word).count();
    let known = |word: &&str| {
        matches!(
            *word,
            "signed" | "unsigned" | "int" | "long" | "short" | "char"
        )
    };
    if words.len() == 1 && !matches!(words[0], "unsigned" | "signed" | "long" | "short")
        || !words.iter().all(known)
    {
        return words.join(" ");
    }
    let unsigned = count("unsigned") > 0;
    let sign = if unsigned { "unsigned " } else { "" };
    match (count("char"), count("short"), count("long")) {
        (1.., ..) if unsigned => "unsigned char".into(),
        (1.., ..) if count("signed") > 0 => "signed char".into(),
        (1.., ..) => "char".into(),
        (_, 1.., _) if unsigned => "short unsigned int".into(),
        (_, 1.., _) => "short int".into(),
        (.., 0) => format!("{sign}int"),
        (.., 1) => format!("long {sign}int"),
        _ => format!("long long {sign}int"),
    }
}

#[cfg(test)]
mod tests {
    use super::integer_name;

    #[test]
    fn every_spelling_of_an_integer_is_one_name() {
        for (spelt, name) in [
            ("int", "int"),
            ("unsigned", "unsigned int"),
            ("unsigned int", "unsigned int"),
            ("signed", "int"),
            ("long", "long int"),
            ("unsigned long", "long unsigned int"),
            ("long unsigned int", "long unsigned int"),
            ("unsigned long long", "long long unsigned int"),
            ("long long", "long long int"),
            ("short", "short int"),
            ("unsigned short", "short unsigned int"),
            ("unsigned char", "unsigned char"),
            ("char", "char"),
            ("signed char", "signed char"),
            ("size_t", "size_t"),
            ("_Bool", "_Bool"),
        ] {
            let words: Vec<&str> = spelt.split_whitespace().collect();
            assert_eq!(integer_name(&words), name, "{spelt}");
        }
    }
}
