//! Tracepoints as tracefs describes them: their names, and the fields of each in its `format` file.
//!
//! Nothing here is attached. Types of fields are C text: what they mean is for BTF or a table of integers to say.
//!
//! Invariants: no text makes the parser panic, and it keeps at most 1,024 fields.

use std::path::{Path, PathBuf};

/// Where tracefs is mounted: at its own place, or by debugfs.
pub const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Most fields of one tracepoint; the kernel's largest has some 60.
const FIELDS: usize = 1024;
/// Largest `format` file read.
const FORMAT_BYTES: u64 = 1 << 20;

/// What a tracepoint's record holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Format {
    /// Its number, which perf events attach by. It is of this boot only.
    pub id: u32,
    /// Fields in the order of the record, those that all tracepoints have (`common_type` ..) among them.
    pub fields: Vec<FormatField>,
}

/// One field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatField {
    /// Its name.
    pub name: String,
    /// Its type as the file writes it, of an array that of one element: `unsigned short`, `const void *`, `char`.
    pub ty: String,
    /// How the bytes are to be read.
    pub shape: FieldShape,
    /// Where it begins in the record.
    pub offset: u32,
    /// Its size; of [`FieldShape::DataLoc`] that of the word that says where the data are.
    pub size: u32,
    /// Whether its integers are signed.
    pub signed: bool,
}

/// How a field's bytes are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldShape {
    /// One value.
    Value,
    /// An array; the number of elements if the file gives it as a number (5.10 writes `sizeof(..)` in some).
    Array(Option<u32>),
    /// A word whose low half is the offset of the data in the record and whose high half is their length (`__data_loc`).
    DataLoc,
    /// The same, but the offset counts from the end of this word (`__rel_loc`, since 5.18).
    RelLoc,
}

impl Format {
    /// Reads a `format` file's text; `None` if it is none.
    pub fn parse(text: &str) -> Option<Format> {
        let id = text.lines().find_map(|line| line.strip_prefix("ID:"))?;
        let fields = text
            .lines()
            .filter_map(|line| FormatField::parse(line.trim().strip_prefix("field:")?));
        Some(Format {
            id: id.trim().parse().ok()?,
            fields: fields.take(FIELDS).collect(),
        })
    }

    /// A field by name.
    pub fn field(&self, name: &str) -> Option<&FormatField> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The fields of this tracepoint alone.
    pub fn own_fields(&self) -> impl Iterator<Item = &FormatField> {
        let common = |field: &&FormatField| !field.name.starts_with("common_");
        self.fields.iter().filter(common)
    }
}

impl FormatField {
    /// `__u8 saddr[28]; offset:28; size:28; signed:0;`, tabs between them.
    fn parse(line: &str) -> Option<FormatField> {
        let mut parts = line.split(';').map(str::trim);
        let declaration = parts.next()?;
        let mut number = |key: &str| -> Option<u32> {
            let (found, value) = parts.next()?.split_once(':')?;
            (found == key).then(|| value.trim().parse().ok())?
        };
        let (offset, size, signed) = (number("offset")?, number("size")?, number("signed")?);
        let (name, ty, shape) = declared(declaration)?;
        Some(FormatField {
            name: name.to_owned(),
            ty,
            shape,
            offset,
            size,
            signed: signed != 0,
        })
    }

    /// Bytes of one element of an array, of everything else the field's.
    pub fn element_bytes(&self) -> u32 {
        match self.shape {
            FieldShape::Array(Some(count)) if count > 0 => self.size / count,
            FieldShape::Array(_) => integer_bytes(&self.ty).unwrap_or(1),
            _ => self.size,
        }
    }

    /// Elements of an array; 1 of everything else.
    pub fn elements(&self) -> u32 {
        match self.shape {
            FieldShape::Array(Some(count)) => count,
            FieldShape::Array(None) => self.size / self.element_bytes().max(1),
            _ => 1,
        }
    }

    /// The declaration as `list -v` shows it.
    pub fn declaration(&self) -> String {
        let FormatField { ty, name, .. } = self;
        match self.shape {
            FieldShape::Value => format!("{ty} {name}"),
            FieldShape::Array(_) => format!("{ty} {name}[{}]", self.elements()),
            FieldShape::DataLoc => format!("__data_loc {ty}[] {name}"),
            FieldShape::RelLoc => format!("__rel_loc {ty}[] {name}"),
        }
    }
}

/// Name, type and shape of `unsigned long args[6]`, `const char * name`, `__data_loc char[] name`.
fn declared(text: &str) -> Option<(&str, String, FieldShape)> {
    let (text, moved) = match (
        text.strip_prefix("__data_loc "),
        text.strip_prefix("__rel_loc "),
    ) {
        (Some(rest), _) => (rest, Some(FieldShape::DataLoc)),
        (_, Some(rest)) => (rest, Some(FieldShape::RelLoc)),
        _ => (text, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(shape) = moved {
        // The brackets stand before the name.
        let (ty, name) = text.rsplit_once(' ')?;
        let ty = ty.trim().strip_suffix("[]").unwrap_or(ty);
        return (!name.is_empty() && name.chars().all(is_name)).then(|| (name, tidy(ty), shape));
    }
    let (text, shape) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((rest, count)) => (rest, FieldShape::Array(count.trim().parse().ok())),
        None => (text, FieldShape::Value),
    };
    let text = text.trim_end();
    let at = text.rfind(|c: char| c.is_ascii() && !is_name(c))? + 1;
    let (ty, name) = text.split_at(at);
    (!name.is_empty() && !ty.trim().is_empty()).then(|| (name, tidy(ty), shape))
}

/// One blank between words, and one before a star.
fn tidy(ty: &str) -> String {
    let spaced = ty.replace('*', " * ");
    spaced
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace("* *", "**")
}

/// Bytes of the integer types that formats name.
pub fn integer_bytes(ty: &str) -> Option<u32> {
    let ty = ty.strip_prefix("const ").unwrap_or(ty);
    Some(match ty {
        "char" | "signed char" | "unsigned char" | "u8" | "s8" | "__u8" | "__s8" | "uint8_t"
        | "int8_t" | "bool" => 1,
        "short" | "unsigned short" | "u16" | "s16" | "__u16" | "__s16" | "__be16" | "__le16"
        | "uint16_t" | "int16_t" | "umode_t" => 2,
        "int" | "unsigned int" | "unsigned" | "u32" | "s32" | "__u32" | "__s32" | "__be32"
        | "__le32" | "uint32_t" | "int32_t" | "pid_t" | "uid_t" | "gid_t" | "dev_t" | "gfp_t" => 4,
        "long" | "unsigned long" | "long int" | "unsigned long int" | "long long"
        | "unsigned long long" | "u64" | "s64" | "__u64" | "__s64" | "__be64" | "__le64"
        | "uint64_t" | "int64_t" | "size_t" | "ssize_t" | "loff_t" | "sector_t" | "ino_t" => 8,
        _ => return None,
    })
}

/// A folder with an `available_events` and an `events` folder: tracefs, or a copy of parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracefs {
    root: PathBuf,
}

/// Why tracepoints are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// There is no tracefs at its usual places.
    #[error("tracefs is not mounted; as root: mount -t tracefs tracefs {}", TRACEFS[0])]
    NotMounted,
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// Nothing is known of this kernel's tracepoints.
    #[error("the kernel's tracepoints are not known here")]
    NoKernel,
}

impl Tracefs {
    /// A folder that is arranged as tracefs is.
    pub fn at(root: impl Into<PathBuf>) -> Tracefs {
        Tracefs { root: root.into() }
    }

    /// The running kernel's.
    ///
    /// # Errors
    /// It is not mounted, or may not be looked at.
    pub fn find() -> Result<Tracefs, Unreadable> {
        let mut denied = None;
        for root in TRACEFS {
            match std::fs::read_dir(Path::new(root).join("events")) {
                Ok(_) => return Ok(Tracefs::at(root)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    denied.get_or_insert(unreadable(Path::new(root).join("events"), &error));
                }
            }
        }
        Err(denied.unwrap_or(Unreadable::NotMounted))
    }

    /// Every tracepoint as `category:name`, sorted.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, Unreadable> {
        let list = self.root.join("available_events");
        if let Ok(text) = std::fs::read_to_string(&list) {
            let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
            names.sort_unstable();
            return Ok(names);
        }
        let events = self.root.join("events");
        let mut names = Vec::new();
        for category in folders(&events)? {
            let inside = folders(&events.join(&category)).unwrap_or_default();
            names.extend(inside.into_iter().map(|name| format!("{category}:{name}")));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// What a tracepoint's record holds; `None` if there is no such tracepoint.
    ///
    /// # Errors
    /// Its file is there and cannot be read.
    pub fn format(&self, category: &str, name: &str) -> Result<Option<Format>, Unreadable> {
        use std::io::Read;
        let is_word = |word: &str| {
            let mut bytes = word.bytes();
            !word.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        if !is_word(category) || !is_word(name) {
            return Ok(None);
        }
        let path = self.root.join(format!("events/{category}/{name}/format"));
        let mut text = String::new();
        let read = std::fs::File::open(&path)
            .and_then(|file| file.take(FORMAT_BYTES).read_to_string(&mut text));
        match read {
            Ok(_) => Ok(Format::parse(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(path, &error)),
        }
    }
}

fn folders(path: &Path) -> Result<Vec<String>, Unreadable> {
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(path.to_owned(), &error))?;
    let is_folder = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    Ok(entries
        .filter_map(Result::ok)
        .filter(is_folder)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}

fn unreadable(path: PathBuf, error: &std::io::Error) -> Unreadable {
    Unreadable::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = "name: sample\nID: 1234\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:__u8 saddr[4];\toffset:16;\tsize:4;\tsigned:0;\n\
        \tfield:__u8 daddr[sizeof(struct sockaddr_in6)];\toffset:20;\tsize:28;\tsigned:0;\n\
        \tfield:__data_loc char[] name;\toffset:48;\tsize:4;\tsigned:1;\n\
        \tfield:__rel_loc const char *[] words;\toffset:52;\tsize:4;\tsigned:0;\n\
        \tfield:unsigned long args[6];\toffset:56;\tsize:48;\tsigned:0;\n\
        \tfield:char **argv;\toffset:104;\tsize:8;\tsigned:0;\n\n\
        print fmt: \"x=%d\", REC->x\n";

    #[test]
    fn fields_are_read() {
        let format = Format::parse(EXAMPLE).unwrap();
        assert_eq!((format.id, format.fields.len()), (1234, 9));
        let shown: Vec<String> = format.own_fields().map(FormatField::declaration).collect();
        assert_eq!(
            shown,
            [
                "const void * skaddr",
                "__u8 saddr[4]",
                "__u8 daddr[28]",
                "__data_loc char[] name",
                "__rel_loc const char *[] words",
                "unsigned long args[6]",
                "char ** argv",
            ]
        );
        let args = format.field("args").unwrap();
        assert_eq!(
            (args.element_bytes(), args.elements(), args.offset),
            (8, 6, 56)
        );
        assert!(format.field("common_pid").unwrap().signed);
        assert_eq!(format.field("nothing"), None);
    }

    #[test]
    fn other_texts_are_no_formats() {
        assert_eq!(Format::parse(""), None);
        assert_eq!(Format::parse("ID: many\n"), None);
        let format = Format::parse(
            "ID: 1\n\tfield:x;\toffset:1;\n\tfield:int ;\toffset:0;\tsize:4;\tsigned:1;\n",
        );
        assert_eq!(format.unwrap().fields, []);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(ID: 1\n)?(\tfield:[a-z_\\[\\] *]{0,12};\toffset:[0-9]{1,2};\tsize:[0-9]{1,2};\tsigned:[01];\n|\\PC{0,20}\n){0,6}") {
            if let Some(format) = Format::parse(&text) {
                for field in &format.fields {
                    field.declaration();
                }
            }
        }
    }
}
