//! BTF by hand, and any bytes at all.

use super::write::Writer;
use super::*;
use proptest::prelude::*;

const FLAG: u32 = 1 << 31;

fn info(kind: u32, members: u32) -> u32 {
    kind << 24 | members
}

impl Writer {
    fn simple(&mut self, name: &str, kind: u32, value: u32) -> u32 {
        self.add(name, info(kind, 0), value, &[]).0
    }

    fn int(&mut self, name: &str, bytes: u32, encoding: u32) -> u32 {
        let word = (encoding << 24) | (bytes * 8);
        self.add(name, info(kind::INT, 0), bytes, &[word]).0
    }

    /// A structure or union of members `(name, type, place)`; `place` holds the width in its top byte with [`FLAG`].
    fn record(&mut self, name: &str, info: u32, bytes: u32, members: &[(&str, u32, u32)]) -> u32 {
        let tail: Vec<u32> = members
            .iter()
            .flat_map(|&(name, ty, place)| [self.string(name), ty, place])
            .collect();
        self.add(name, info | members.len() as u32, bytes, &tail).0
    }

    fn proto(&mut self, returns: u32, args: &[(&str, u32)]) -> u32 {
        let tail: Vec<u32> = args
            .iter()
            .flat_map(|&(name, ty)| [self.string(name), ty])
            .collect();
        let info = info(kind::FUNC_PROTO, args.len() as u32);
        self.add("", info, returns, &tail).0
    }

    fn function(&mut self, name: &str, returns: u32, args: &[(&str, u32)]) -> u32 {
        let proto = self.proto(returns, args);
        self.simple(name, kind::FUNC, proto)
    }
}

fn example() -> Writer {
    let mut w = Writer::new();
    let int = w.int("int", 4, 1);
    let u8 = w.int("unsigned char", 1, 0);
    let sock = w.record("sock", kind::STRUCT << 24, 8, &[("sk_x", int, 0)]);
    let pointer = w.simple("", kind::PTR, sock);
    let size = w.simple("size_t", kind::TYPEDEF, int);
    let constant = w.simple("", kind::CONST, size);
    let wide = w.int("__int128", 16, 1);
    let names = [w.string("STATE_A"), w.string("STATE_B")];
    let state = [names[0], 1, names[1], 0xffff_ffff];
    let state = w.add("state", info(kind::ENUM, 2) | FLAG, 4, &state).0;
    let nothing = w.simple("", kind::CONST, 0);
    let itself = w.next().0;
    w.simple("loop", kind::TYPEDEF, itself);
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

    // struct outer { union { struct { int a; int b; }; u8 bytes[8]; }; int low : 3; int high : 5; struct fwd *f; }
    let pair = w.record("", kind::STRUCT << 24, 8, &[("a", int, 0), ("b", int, 32)]);
    let bytes = w.add("", info(kind::ARRAY, 0), 0, &[u8, int, 8]).0;
    let both = w.record(
        "",
        kind::UNION << 24,
        8,
        &[("", pair, 0), ("bytes", bytes, 0)],
    );
    let fwd = w.simple("sock", kind::FWD, 0);
    let tagged = w.simple("rcu", kind::TYPE_TAG, fwd);
    let to_fwd = w.simple("", kind::PTR, tagged);
    w.record(
        "outer",
        kind::STRUCT << 24 | FLAG,
        24,
        &[
            ("", both, 0),
            ("low", int, 3 << 24 | 64),
            ("high", int, 5 << 24 | 67),
            ("f", to_fwd, 128),
        ],
    );
    // The bitfields of old encoders: an integer of 3 bits that begins at the second bit.
    let three = w
        .add("int", info(kind::INT, 0), 4, &[1 << 24 | 1 << 16 | 3])
        .0;
    w.record("old", kind::STRUCT << 24, 4, &[("c", three, 8)]);
    let big = [
        w.string("BIG"),
        1,
        2,
        w.string("MINUS"),
        0xffff_fffe,
        0xffff_ffff,
    ];
    w.add("wide_state", info(kind::ENUM64, 2) | FLAG, 8, &big);
    w.simple("double", kind::FLOAT, 8);
    let callback = w.proto(int, &[("", pointer), ("", 0)]);
    let callback = w.simple("", kind::PTR, callback);
    w.simple("callback_t", kind::TYPEDEF, callback);
    let rows = w.add("", info(kind::ARRAY, 0), 0, &[bytes, int, 3]).0;
    let volatile = w.simple("", kind::VOLATILE, rows);
    w.add("table", info(kind::VAR, 0), volatile, &[1]);
    w.add(".data", info(kind::DATASEC, 1), 24, &[volatile + 1, 0, 24]);
    w.add("tag", info(kind::DECL_TAG, 0), sock, &[u32::MAX]);
    w
}

fn btf() -> Btf {
    Btf::parse(example().bytes()).unwrap()
}

#[test]
fn prototypes_are_found() {
    let btf = btf();
    let sendmsg = btf.prototype("tcp_sendmsg").unwrap();
    assert_eq!((sendmsg.args, sendmsg.returns), (2, true));
    assert_eq!(sendmsg.arg_names, ["sk", "size"]);
    assert_eq!(sendmsg.arg_bytes, [8, 4]);
    assert_eq!(sendmsg.btf_id, 12.into());
    let close = btf.prototype("tcp_close").unwrap();
    assert_eq!((close.args, close.returns), (2, false));
    assert!(!btf.prototype("quiet").unwrap().returns);
    assert_eq!(btf.functions(), 10);
}

#[test]
fn what_fentry_cannot_describe_has_no_prototype() {
    let btf = btf();
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
fn types_are_found_by_what_c_calls_them() {
    let btf = btf();
    for (spelt, size) in [
        ("struct sock", Some(8)),
        ("struct  outer", Some(24)),
        ("enum state", Some(4)),
        ("enum wide_state", Some(8)),
        ("size_t", Some(4)),
        ("unsigned char", Some(1)),
        ("double", Some(8)),
        ("void", None),
        ("callback_t", Some(8)),
    ] {
        let id = btf.find_spelt(spelt).unwrap_or_else(|| panic!("{spelt}"));
        assert_eq!(btf.size(id), size, "{spelt}");
    }
    for spelt in [
        "sock",
        "struct state",
        "struct",
        "struct sock x",
        "",
        "union sock",
    ] {
        assert_eq!(btf.find_spelt(spelt), None, "{spelt}");
    }
    assert_eq!(btf.size(btf.find(Space::Plain, "loop").unwrap()), None);
    assert_eq!(
        btf.size(btf.find(Space::Variable, "table").unwrap()),
        Some(24)
    );
}

#[test]
fn members_are_found_through_anonymous_ones() {
    let btf = btf();
    let outer = btf.find_spelt("struct outer").unwrap();
    let at = |name: &str| {
        let field = btf.member(outer, name).unwrap();
        (field.bit_offset, field.bits, field.offset())
    };
    assert_eq!(at("a"), (0, None, Some(0)));
    assert_eq!(at("b"), (32, None, Some(4)));
    assert_eq!(at("bytes"), (0, None, Some(0)));
    assert_eq!(at("low"), (64, Some(3), None));
    assert_eq!(at("high"), (67, Some(5), None));
    assert_eq!(at("f"), (128, None, Some(16)));
    assert_eq!(btf.member(outer, "c"), None);
    assert_eq!(btf.member(outer, ""), None);
    assert_eq!(
        btf.member_names(outer),
        ["low", "high", "f", "bytes", "a", "b"]
    );
    let old = btf.find_spelt("struct old").unwrap();
    let c = btf.member(old, "c").unwrap();
    assert_eq!((c.bit_offset, c.bits), (9, Some(3)));
    // What is only declared there is whole elsewhere.
    let f = btf.member(outer, "f").unwrap();
    let Some((_, Kind::Ptr { to })) = btf.resolved(f.ty) else {
        panic!("{f:?}");
    };
    assert_eq!(btf.resolve(to), btf.find_spelt("struct sock"));
    assert_eq!(
        btf.records_with_member("sk_x", 8),
        [btf.find_spelt("struct sock").unwrap()]
    );
}

#[test]
fn enumerations_have_signed_and_wide_values() {
    let btf = btf();
    let values = |spelt: &str| -> Vec<(String, i64)> {
        let id = btf.find_spelt(spelt).unwrap();
        btf.enum_values(id)
            .map(|v| (v.name.to_owned(), v.value))
            .collect()
    };
    assert_eq!(
        values("enum state"),
        [("STATE_A".into(), 1), ("STATE_B".into(), -1)]
    );
    assert_eq!(
        values("enum wide_state"),
        [("BIG".into(), 0x2_0000_0001), ("MINUS".into(), -2)]
    );
    assert_eq!(values("struct sock"), []);
    let minus = btf.constant("MINUS").unwrap();
    assert_eq!((minus.value, minus.signed), (-2, true));
    assert_eq!(btf.enum_name(minus.ty, -2), Some("MINUS"));
    assert_eq!(btf.enum_name(minus.ty, 7), None);
    assert_eq!(btf.constant("STATE"), None);
    assert_eq!(btf.constant(""), None);
}

#[test]
fn enumerations_of_old_encoders_are_signed_by_their_values() {
    let mut w = Writer::new();
    let [a, b] = [w.string("A"), w.string("B")];
    w.add("minus", info(kind::ENUM, 1), 4, &[a, u32::MAX]);
    w.add("plus", info(kind::ENUM, 1), 4, &[b, 7]);
    let btf = Btf::parse(w.bytes()).unwrap();
    assert_eq!(
        btf.constant("A").map(|c| (c.value, c.signed)),
        Some((-1, true))
    );
    assert_eq!(
        btf.constant("B").map(|c| (c.value, c.signed)),
        Some((7, false))
    );
}

#[test]
fn types_are_written_as_c_does() {
    let btf = btf();
    let name = |id| btf.c_name(id);
    let function = btf.function("tcp_sendmsg").unwrap();
    let args: Vec<String> = btf
        .params(function.proto)
        .map(|param| btf.declaration(param.ty, param.name))
        .collect();
    assert_eq!(args, ["struct sock * sk", "const size_t size"]);
    let callback = btf.find_spelt("callback_t").unwrap();
    assert_eq!(name(callback), "callback_t");
    let Some((pointer, _)) = btf.resolved(callback) else {
        panic!("no pointer");
    };
    assert_eq!(name(pointer), "int (*)(struct sock *, ...)");
    assert_eq!(
        btf.declaration(pointer, "done"),
        "int (*done)(struct sock *, ...)"
    );
    let table = btf.find(Space::Variable, "table").unwrap();
    assert_eq!(
        btf.declaration(table, "table"),
        "volatile unsigned char table[3][8]"
    );
    assert_eq!(name(TypeId::VOID), "void");
    assert_eq!(name(TypeId(9999)), "?");
}

#[test]
fn definitions_are_written_as_c_does() {
    let btf = btf();
    let text = |spelt: &str| btf.definition(btf.find_spelt(spelt).unwrap()).unwrap();
    assert_eq!(
        text("struct outer"),
        "struct outer {\n\tunion {\n\t\tstruct {\n\t\t\tint a;\n\t\t\tint b;\n\t\t};\n\t\tunsigned char bytes[8];\n\t};\n\
         \tint low: 3;\n\tint high: 5;\n\tstruct sock *f;\n};"
    );
    assert_eq!(
        text("enum state"),
        "enum state {\n\tSTATE_A = 1,\n\tSTATE_B = -1,\n};"
    );
    assert_eq!(btf.definition(TypeId(1)), None);
}

#[test]
fn a_modules_types_build_on_the_bases() {
    let base = Arc::new(btf());
    let end = base.end_id();
    let strings = base.end_string();
    let mut w = Writer::new();
    let sock = base.find_spelt("struct sock").unwrap();
    // Ids and strings of the module's own go on where the base's end.
    let own = |at: u32| strings + at;
    let name = own(w.string("veth_xmit"));
    let param = own(w.string("skb"));
    let pointer = end;
    w.types.extend(
        [0, info(kind::PTR, 0), sock.0]
            .iter()
            .flat_map(|w| w.to_le_bytes()),
    );
    let proto = [0, info(kind::FUNC_PROTO, 1), 0, param, pointer];
    w.types.extend(proto.iter().flat_map(|w| w.to_le_bytes()));
    let function = [name, info(kind::FUNC, 0), end + 1];
    w.types
        .extend(function.iter().flat_map(|w| w.to_le_bytes()));
    let module = Btf::parse_module(w.bytes(), base.clone()).unwrap();

    let xmit = module.prototype("veth_xmit").unwrap();
    assert_eq!(
        (xmit.btf_id, xmit.arg_names),
        ((end + 2).into(), vec!["skb".to_owned()])
    );
    assert_eq!(module.c_name(TypeId(pointer)), "struct sock *");
    assert!(module.has_function("tcp_sendmsg") && !base.has_function("veth_xmit"));
    assert_eq!(module.function_names().collect::<Vec<_>>(), ["veth_xmit"]);
    assert_eq!(module.constant("BIG"), base.constant("BIG"));
    assert_eq!(base.kind(TypeId(pointer)), None);
}

#[test]
fn other_files_are_refused() {
    assert!(matches!(
        Btf::parse(b"\x7fELF".to_vec()),
        Err(BtfError::Elf)
    ));
    assert!(matches!(Btf::parse(Vec::new()), Err(BtfError::Header)));
    let mut other_order = example().bytes();
    other_order[..2].reverse();
    assert!(matches!(Btf::parse(other_order), Err(BtfError::BigEndian)));
    let mut unknown = Writer::new();
    unknown.add("new", info(31, 0), 0, &[]);
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

/// Every question there is, about every type.
fn ask_everything(bytes: Vec<u8>) {
    let Ok(btf) = Btf::parse(bytes) else { return };
    for id in btf.ids().chain([TypeId::VOID, TypeId(u32::MAX)]) {
        btf.kind(id);
        btf.size(id);
        btf.resolved(id);
        assert!(btf.declaration(id, "name").len() <= 1024);
        let members: Vec<Member<'_>> = btf.members(id).collect();
        for member in members.iter().take(8) {
            btf.member(id, member.name);
        }
        btf.member(id, "not there");
        btf.member_names(id);
        btf.definition(id);
        btf.params(id).for_each(drop);
        for value in btf.enum_values(id).take(8) {
            btf.constant(value.name);
        }
        btf.prototype(btf.name(id));
        btf.find_spelt(btf.name(id));
    }
}

#[test]
fn members_that_hold_themselves_end() {
    // Each of two anonymous members is the structure itself: a tree that doubles at every level.
    let mut w = Writer::new();
    let itself = w.next().0;
    w.record(
        "",
        kind::STRUCT << 24,
        8,
        &[("", itself, 0), ("", itself, 0)],
    );
    let array = w.next().0;
    w.add("", info(kind::ARRAY, 0), 0, &[array, array, u32::MAX]);
    let proto = w.next().0;
    w.proto(proto, &[("", proto), ("", proto)]);
    ask_everything(w.bytes());
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

    #[test]
    fn any_cut_is_survived(at in any::<prop::sample::Index>()) {
        let bytes = example().bytes();
        ask_everything(bytes[..at.index(bytes.len())].to_vec());
    }
}
