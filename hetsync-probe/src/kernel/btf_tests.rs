//! BTF by hand, and any bytes at all.

use super::*;
use proptest::prelude::*;

/// Writes BTF type by type.
struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    next: u32,
}

impl Writer {
    fn new() -> Writer {
        Writer {
            types: Vec::new(),
            strings: vec![0],
            next: 1,
        }
    }

    fn add(&mut self, name: &str, kind: u32, members: u32, value: u32, tail: &[u32]) -> u32 {
        let name = self.string(name);
        for word in [name, kind << 24 | members, value].iter().chain(tail) {
            self.types.extend(word.to_le_bytes());
        }
        self.next += 1;
        self.next - 1
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    fn function(&mut self, name: &str, returns: u32, args: &[(&str, u32)]) -> u32 {
        let tail: Vec<u32> = args
            .iter()
            .flat_map(|&(name, ty)| [self.string(name), ty])
            .collect();
        let proto = self.add("", kind::FUNC_PROTO, args.len() as u32, returns, &tail);
        self.add(name, kind::FUNC, 0, proto, &[])
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend([1, 0]);
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for word in [HEADER_BYTES as u32, 0, types, types, strings] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }
}

fn example() -> Writer {
    let mut w = Writer::new();
    let int = w.add("int", kind::INT, 0, 4, &[32]);
    let sock = w.add("sock", kind::STRUCT, 1, 8, &[0, int, 0]);
    let pointer = w.add("", kind::PTR, 0, sock, &[]);
    let size = w.add("size_t", kind::TYPEDEF, 0, int, &[]);
    let constant = w.add("", kind::CONST, 0, size, &[]);
    let wide = w.add("__int128", kind::INT, 0, 16, &[128]);
    let state = w.add("state", kind::ENUM, 1, 4, &[0, 1]);
    let nothing = w.add("", kind::CONST, 0, 0, &[]);
    let itself = w.next;
    w.add("loop", kind::TYPEDEF, 0, itself, &[]);
    w.function("tcp_sendmsg", int, &[("sk", pointer), ("size", constant)]);
    w.function("tcp_close", 0, &[("sk", pointer), ("state", state)]);
    w.function("quiet", nothing, &[]);
    w.function("by_value", int, &[("sock", sock)]);
    w.function("wide_result", wide, &[]);
    w.function("printk", int, &[("format", pointer), ("", 0)]);
    w.function("looping", int, &[("x", itself)]);
    w.function("twice", int, &[]);
    w.function("twice", 0, &[]);
    w.function("thirteen", 0, &[("a", int); 13]);
    w
}

#[test]
fn prototypes_are_found() {
    let btf = Btf::parse(example().bytes()).unwrap();
    let sendmsg = btf.prototype("tcp_sendmsg").unwrap();
    assert_eq!((sendmsg.args, sendmsg.returns), (2, true));
    assert_eq!(sendmsg.arg_names, ["sk", "size"]);
    assert_eq!(sendmsg.arg_bytes, [8, 4]);
    assert_eq!(sendmsg.btf_id, 11);
    let close = btf.prototype("tcp_close").unwrap();
    assert_eq!((close.args, close.returns), (2, false));
    assert!(!btf.prototype("quiet").unwrap().returns);
    assert_eq!(btf.functions(), 10);
}

#[test]
fn what_fentry_cannot_describe_has_no_prototype() {
    let btf = Btf::parse(example().bytes()).unwrap();
    for name in [
        "by_value",
        "wide_result",
        "printk",
        "looping",
        "twice",
        "thirteen",
    ] {
        assert_eq!(btf.prototype(name), None, "{name}");
        assert!(btf.has_function(name), "{name}");
    }
    for name in ["tcp_send", "tcp_sendmsg2", "", "sock"] {
        assert_eq!(btf.prototype(name), None, "{name}");
        assert!(!btf.has_function(name), "{name}");
    }
}

#[test]
fn other_files_are_refused() {
    assert!(matches!(
        Btf::parse(b"\x7fELF".to_vec()),
        Err(BtfError::Header)
    ));
    assert!(matches!(Btf::parse(Vec::new()), Err(BtfError::Header)));
    let mut unknown = Writer::new();
    unknown.add("new", 31, 0, 0, &[]);
    assert!(matches!(
        Btf::parse(unknown.bytes()),
        Err(BtfError::UnknownKind { id: 1, kind: 31 })
    ));
    let bytes = example().bytes();
    assert!(matches!(
        Btf::parse(bytes[..bytes.len() - 1].to_vec()),
        Err(BtfError::Truncated { id: 0 })
    ));
}

fn ask_everything(bytes: Vec<u8>) {
    if let Ok(btf) = Btf::parse(bytes) {
        let names: Vec<String> = btf.function_names().map(str::to_owned).collect();
        for name in names {
            btf.prototype(&name);
        }
        btf.prototype("tcp_sendmsg");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        ask_everything(bytes);
    }

    #[test]
    fn any_types_behind_a_good_header_are_survived(types in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut writer = example();
        writer.types.extend(types);
        ask_everything(writer.bytes());
    }

    #[test]
    fn any_damage_is_survived(damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let mut bytes = example().bytes();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        ask_everything(bytes);
    }
}
