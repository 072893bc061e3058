//! Functions and built-ins, by meaning and as compiled code, which the bench compares to the byte.

use crate::bench::{Bench, Left, Part};
use hetsync_probe::interp::Firing;
use hetsync_probe::layout;

/// Addresses of the bench's memory.
const TEXT: u64 = 0xffff_8880_0000_1000;
const BYTES: u64 = 0xffff_8880_0000_2000;
const PROCESS: u64 = 0x7f00_0000_1000;

/// Runs the body of a kprobe whose first arguments are a string, 32 bytes, and a string of the process.
fn run<T>(body: &str, see: impl FnOnce(&Left<'_>) -> T) -> T {
    let mut bench = Bench::new(&format!("kprobe:f {{ {body} }}"));
    bench.world.kernel.add(TEXT, b"hello world\0".to_vec());
    bench.world.kernel.add(BYTES, (0..32).collect());
    bench.world.user.add(PROCESS, b"user text\0".to_vec());
    let mut firing = Firing::default();
    (firing.args[0], firing.args[1], firing.args[2]) = (TEXT, BYTES, PROCESS);
    bench.fire("kprobe:f", 0, firing);
    see(&bench.run())
}

fn number(body: &str) -> i64 {
    run(body, |left| left.value("r", &[])).expect("@r has no keys")
}

/// The bytes of `@r`.
fn bytes(body: &str, len: usize) -> Vec<u8> {
    run(body, |left| {
        let words = (0..len.div_ceil(8)).map(|at| left.word("r", &[], 0, at));
        let mut bytes: Vec<u8> = words
            .flat_map(|w| w.expect("assigned").to_le_bytes())
            .collect();
        bytes.truncate(len);
        bytes
    })
}

#[test]
fn byte_order_is_changed_by_width() {
    for (expr, expected) in [
        ("bswap((uint16)0x0102)", 0x0201),
        ("bswap((uint32)0x01020304)", 0x0403_0201),
        ("bswap((uint64)0x0102030405060708)", 0x0807_0605_0403_0201),
        ("bswap((uint8)5)", 5),
        ("ntohs(0x5000)", 0x50),
        ("htons(0xff0050)", 0x5000),
        ("ntohl(0x0100007f)", 0x7f00_0001),
        ("htonl(arg3 + 1)", 0x0100_0000),
    ] {
        assert_eq!(number(&format!("@r = {expr};")), expected, "{expr}");
    }
}

#[test]
fn addresses_carry_their_family() {
    let mut v4 = layout::FAMILY_V4.to_le_bytes().to_vec();
    v4.extend([127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes("@r = ntop(0x0100007f);", 24), v4);
    assert_eq!(bytes("@r = ntop(pton(\"127.0.0.1\"));", 24), v4);
    assert_eq!(bytes("@r = ntop(arg3 + 2, 0x0100007f);", 24), v4);
    let mut v6 = layout::FAMILY_V6.to_le_bytes().to_vec();
    v6.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(bytes("@r = ntop(pton(\"2001:db8::9\"));", 24), v6);
    // One variable, first of one family, then of the other.
    let both = "$a = ntop(0x0100007f); if (pid) { $a = ntop(pton(\"2001:db8::9\")); } @r = $a;";
    assert_eq!(bytes(both, 24), v6);
}

#[test]
fn strings_are_read_up_to_their_end_or_length() {
    for (expr, expected) in [
        ("str(arg0)", "hello world"),
        ("str(arg0, 6)", "hello"),
        ("str(arg0, 1)", ""),
        ("str(arg0, 0)", ""),
        ("str(arg0, tid - 95)", "hello"),
        ("str(arg0, tid)", "hello world"),
        ("str(arg0, arg3)", ""),
        ("str(uptr(arg2))", "user text"),
        ("str(uptr(arg2), tid - 97)", "use"),
        ("str(arg2)", ""),
        ("str(arg3)", ""),
    ] {
        let body = format!("@r = {expr};");
        let mut wanted = expected.as_bytes().to_vec();
        wanted.push(0);
        assert_eq!(bytes(&body, wanted.len()), wanted, "{expr}");
    }
    let seen = |left: &Left<'_>| left.value("m", &[Part::Text("hello world")]);
    assert_eq!(run("@m[str(arg0)] = count();", seen), Some(1));
}

#[test]
fn buffers_have_their_length_and_nothing_behind_it() {
    for (expr, expected) in [
        ("buf(arg1, 3)", &[0u8, 1, 2][..]),
        ("buf(arg1, tid - 97)", &[0, 1, 2, 3]),
        ("buf(arg1, arg3)", &[]),
        ("buf(pton(\"1.2.3.4\"))", &[1, 2, 3, 4]),
    ] {
        let mut wanted = (expected.len() as u64).to_le_bytes().to_vec();
        wanted.extend_from_slice(expected);
        wanted.resize(16, 0);
        assert_eq!(bytes(&format!("@r = {expr};"), 16), wanted, "{expr}");
    }
    // What cannot be read is zeros, whatever its length.
    let unreadable = bytes("@r = buf(arg3, 5);", 16);
    assert_eq!(unreadable, [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn texts_are_compared_searched_and_measured() {
    for (expr, expected) in [
        ("strncmp(\"abc\", \"abd\", 2)", 0),
        ("strncmp(\"abc\", \"abd\", 3)", 1),
        ("strncmp(\"abc\", \"abcd\", 3)", 0),
        ("strncmp(\"abc\", \"abcd\", 4)", 1),
        ("strncmp(str(arg0, 32), \"hello there, all of you\", 6)", 0),
        ("strncmp(str(arg0, 32), \"hello there, all of you\", 7)", 1),
        ("strncmp(str(arg0, 32), str(arg0, 32), 5000)", 0),
        ("strncmp(comm, \"worker\", 16)", 0),
        ("strcontains(str(arg0, 32), \"o w\")", 1),
        ("strcontains(str(arg0, 32), \"world\")", 1),
        ("strcontains(str(arg0, 32), \"worlds\")", 0),
        ("strcontains(str(arg0, 32), \"hello wo\")", 1),
        ("strcontains(str(arg0, 32), \"\")", 1),
        ("strcontains(str(arg3, 32), \"a\")", 0),
        ("strcontains(str(arg0, 32), \"hello wor\")", 1),
        ("strcontains(str(arg0, 32), \"ello world\")", 1),
        ("strcontains(str(arg0, 32), \"hello world\")", 1),
        ("strcontains(str(arg0, 32), \"hello worls\")", 0),
        ("strcontains(str(arg0, 32), \"hallo world\")", 0),
        ("strcontains(str(arg0, 32), \"hello world \")", 0),
        ("strcontains(str(arg0, 11), \"hello world\")", 0),
        ("strcontains(str(uptr(arg2)), \"user text\")", 1),
        (
            "strcontains(\"aaaaaaaaaaaaaaaaaab\", \"aaaaaaaaaaaaaaaaab\")",
            1,
        ),
        (
            "strcontains(\"aaaaaaaaaaaaaaaaaa\", \"aaaaaaaaaaaaaaaaab\")",
            0,
        ),
        (
            "strcontains(\"xx01234567890123456789012345678901234567890123456789012345678901\", \"01234567890123456789012345678901234567890123456789012345678901\")",
            1,
        ),
        ("strlen(str(arg0, 32))", 11),
        ("strlen(str(arg3, 32))", 0),
        ("strlen(str(arg0))", 11),
        ("strlen(\"12345678\")", 8),
        ("strlen(\"1234567\")", 7),
        ("strlen(\"a\")", 1),
        ("strlen(comm)", 6),
    ] {
        assert_eq!(number(&format!("@r = {expr};")), expected, "{expr}");
    }
}

#[test]
fn bytes_are_compared_in_order() {
    for (expr, expected) in [
        ("memcmp(\"abc\", \"abd\", 2)", 0),
        ("memcmp(\"abc\", \"abd\", 3)", -1),
        ("memcmp(\"abz\", \"abd\", 3)", 22),
        ("memcmp(\"abc\", \"abcd\", 4)", -100),
        ("memcmp(\"\", \"\", 1024)", 0),
        ("memcmp(\"a\", \"b\", 0)", 0),
        ("memcmp(str(arg0, 32), \"hello world\", 12)", 0),
        ("memcmp(str(arg0, 32), \"hello worlD\", 12)", 0x64 - 0x44),
        ("memcmp(comm, \"worker\", 16)", 0),
        (
            "memcmp(pton(\"10.0.0.1\"), pton(\"10.0.0.200\"), 4)",
            1 - 200,
        ),
        ("memcmp(pton(\"10.0.0.1\"), pton(\"10.0.0.200\"), 3)", 0),
        (
            "memcmp(pton(\"2001:db8::1\"), pton(\"2001:db8::1\"), 16)",
            0,
        ),
        ("memcmp(buf(arg1, 9), buf(arg1 + 1, 9), 9)", -1),
        ("memcmp(buf(arg1, 9), buf(arg1, 10), 9)", 0),
        // What is behind a buffer's length is zeros.
        ("memcmp(buf(arg1, 9), buf(arg1, 10), 10)", -9),
        ("memcmp(kptr(arg1), kptr(arg1), 20)", 0),
        ("memcmp(kptr(arg1), kptr(arg1 + 1), 20)", -1),
        ("memcmp(uptr(arg2), \"user text\", 10)", 0),
        // What cannot be read is zeros.
        ("memcmp(kptr(arg3), pton(\"0.0.0.0\"), 4)", 0),
    ] {
        assert_eq!(number(&format!("@r = {expr};")), expected, "{expr}");
    }
}

#[test]
fn a_socket_has_a_number() {
    let cookie = |argument: &str| {
        let records = "struct sock { int a; }; struct tcp_sock { int a; };";
        let mut bench = Bench::new(&format!("{records} kprobe:f {{ {argument} }}"));
        bench.only_traced = true;
        let mut firing = Firing::default();
        firing.args[0] = TEXT;
        bench.fire("kprobe:f", 0, firing);
        bench.run().value("r", &[])
    };
    for (body, expected) in [
        ("@r = socket_cookie((struct sock *)arg0);", 4097),
        (
            "$sk = (struct sock *)arg0; @r = socket_cookie($sk) + pid;",
            4197,
        ),
        (
            "$sk = (struct tcp_sock *)arg0; if (arg1 == 0) { @r = socket_cookie($sk); }",
            4097,
        ),
        ("@r = socket_cookie((struct sock *)arg1);", 0),
    ] {
        assert_eq!(cookie(body), Some(expected), "{body}");
    }
}

#[test]
fn keys_are_asked_for_without_being_made() {
    assert_eq!(number("@m[1] = 0; @r = has_key(@m, 1);"), 1);
    assert_eq!(number("@m[1] = 0; @r = has_key(@m, 2);"), 0);
    assert_eq!(
        number("@m[1, \"a\"] = count(); @r = has_key(@m, (1, \"a\"));"),
        1
    );
    let keys = run("@m[1] = 0; @r = has_key(@m, 2);", |left| left.keys("m"));
    assert_eq!(keys, 1);
}

#[test]
fn what_is_known_of_the_thread_and_the_machine() {
    for (name, expected) in [
        ("uid", 1000),
        ("gid", 1001),
        ("cgroup", 77),
        ("rand", 0x9e37_79b9),
        ("jiffies", 4_294_967_300),
        ("numaid", 0),
    ] {
        assert_eq!(number(&format!("@r = {name};")), expected, "{name}");
    }
}

#[test]
fn stacks_are_numbers_and_those_of_a_process_have_its_id() {
    let word = |body, at| run(body, |left| left.word("r", &[], 0, at));
    assert_eq!(word("@r = kstack(3);", 0), Some(5));
    assert_eq!(word("@r = ustack(perf, 3);", 0), Some(9));
    assert_eq!(word("@r = ustack;", 1), Some(100));
    assert_eq!(word("@r = usym(arg0);", 0), Some(TEXT));
    assert_eq!(word("@r = usym(arg0);", 1), Some(100));
    assert_eq!(word("@r = ksym(arg0);", 0), Some(TEXT));
    let mut bench = Bench::new("begin { @r = kstack; }");
    bench.fire("begin", 0, Firing::default());
    assert_eq!(bench.run().value("r", &[]), Some(layout::NO_STACK));
}

#[test]
fn the_numbers_of_stacks_that_found_no_room_are_counted() {
    let mut bench = Bench::new("kprobe:f { @r = kstack; }");
    let mut firing = Firing::default();
    firing.stacks[0] = layout::STACK_TAKEN as u64;
    bench.fire("kprobe:f", 0, firing);
    let left = bench.run();
    assert_eq!(
        left.contents.losses[layout::Loss::Stacks.counter(1, 0) as usize],
        1
    );
}

#[test]
fn what_is_printed_carries_values_of_every_kind() {
    let events = |body: &str| run(body, |left| left.contents.events.len());
    assert_eq!(
        events("printf(\"%s %r %s\", str(arg0), buf(arg1, 9), ntop(1));"),
        1
    );
    assert_eq!(
        events("time(); cat(\"/proc/%d\", pid); join(arg1); errorf(\"%s\", kstack);"),
        4
    );
    assert_eq!(
        events("@c[1] = count(); print(@c[1]); print((1, ntop(1), \"a\"));"),
        2
    );
}

#[test]
fn registers_are_read_by_name() {
    let sampled = |expr: &str| {
        let mut bench = Bench::new(&format!("profile:hz:99 {{ @r = {expr}; }}"));
        let mut firing = Firing::default();
        (firing.args[0], firing.args[2], firing.retval) = (5, 7, 9);
        bench.fire("profile:hz:99", 0, firing);
        bench.run().value("r", &[])
    };
    for (expr, expected) in [
        ("reg(\"di\") * 100 + reg(\"dx\") * 10 + reg(\"ax\")", 579),
        ("usermode", 0),
        ("ctx != 0", 1),
    ] {
        assert_eq!(sampled(expr), Some(expected), "{expr}");
    }
    for (expr, expected) in [
        ("is_err(-2)", 1),
        ("is_err(arg0)", 0),
        ("nsecs(boot) - nsecs(monotonic)", 0),
        ("nsecs(tai) - nsecs(sw_tai)", 0),
    ] {
        assert_eq!(number(&format!("@r = {expr};")), expected, "{expr}");
    }
}

#[test]
fn values_are_looked_for_in_lists_and_networks() {
    for (expr, expected) in [
        ("arg3 in (1, 2)", 0),
        ("arg3 + 2 in (1, 2)", 1),
        ("\"b\" in (\"a\", comm, \"b\")", 1),
        ("ntohs(0x5000) in port(443, 80)", 1),
        ("arg3 + 81 in port(443, 80)", 0),
        // 10.1.2.3 as it is sent.
        ("0x0302010a in cidr(\"10.0.0.0/8\")", 1),
        ("arg3 + 0x0302010a in cidr(\"10.1.2.0/23\")", 1),
        ("arg3 + 0x0302010b in cidr(\"10.0.0.0/8\")", 0),
        ("arg3 + 0x0302010a in cidr(\"10.1.2.3\")", 1),
        ("arg3 + 0x0302010a in cidr(\"0.0.0.0/0\")", 1),
        ("pton(\"192.168.7.1\") in cidr(\"192.168.0.0/16\")", 1),
        ("pton(\"2001:db8::7\") in cidr(\"2001:db8::/32\")", 1),
        ("pton(\"2001:db8::7\") in cidr(\"2001:db8::/125\")", 1),
        ("pton(\"2001:db8::8\") in cidr(\"2001:db8::/125\")", 0),
        ("pton(\"::ffff:10.1.2.3\") in cidr(\"10.0.0.0/8\")", 1),
        ("pton(\"::ffff:11.1.2.3\") in cidr(\"10.0.0.0/8\")", 0),
        ("pton(\"fe80::1\") in cidr(\"::/0\")", 1),
        ("ntop(0x0302010a) in cidr(\"10.0.0.0/8\")", 1),
        ("ntop(pton(\"::1\")) in cidr(\"10.0.0.0/8\")", 0),
        ("ntop(pton(\"::1\")) in cidr(\"::1/128\")", 1),
    ] {
        assert_eq!(number(&format!("@r = {expr};")), expected, "{expr}");
    }
    assert_eq!(number("$n = 0; @r = ($n++ in (5, 0, 7)) * 10 + $n;"), 11);
}

#[test]
fn an_assertion_that_fails_ends_the_body() {
    let body =
        "@r = 1; assert(arg3 == 0, \"so far\"); @r = 2; assert(arg3 != 0, \"%d\", 5); @r = 3;";
    assert_eq!(number(body), 2);
}

/// What `flow()` knows of sockets and packets.
const RECORDS: &str = "struct sock_common { uint32 skc_daddr; uint32 skc_rcv_saddr; uint16 skc_dport; uint16 skc_num; \
    uint16 skc_family; uint8 skc_v6_daddr[16]; uint8 skc_v6_rcv_saddr[16]; };
    struct sock { struct sock_common __sk_common; };
    struct inet_sock { struct sock sk; };
    struct sk_buff { uint16 network_header; unsigned char *head; };";

/// The flow of a socket or packet whose bytes these are, as the report writes it.
fn flow(expr: &str, pieces: &[(u64, Vec<u8>)]) -> String {
    let mut bench = Bench::new(&format!("{RECORDS} kprobe:f {{ @r[{expr}] = count(); }}"));
    for (address, bytes) in pieces {
        bench.world.kernel.add(*address, bytes.clone());
    }
    let mut firing = Firing::default();
    firing.args[0] = TEXT;
    bench.fire("kprobe:f", 0, firing);
    let left = bench.run();
    let map = left.contents.map(hetsync_probe::sema::hir::MapId(0));
    let (key, _) = map.first_key_value().expect("a key");
    let ty = hetsync_probe::sema::hir::Type::Flow;
    let names: &[String] = &[];
    let found = hetsync_probe::report::value::Scalar::decode(&ty, key, names);
    found.expect("a whole flow").to_string()
}

fn socket(family: u16, v4: [[u8; 4]; 2], v6: [&str; 2]) -> Vec<(u64, Vec<u8>)> {
    let [own, peer] = v4;
    let [own6, peer6] = v6.map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets());
    let mut bytes = [peer, own].concat();
    bytes.extend(80u16.to_be_bytes());
    bytes.extend(40_000u16.to_le_bytes());
    bytes.extend(family.to_le_bytes());
    bytes.extend(peer6);
    bytes.extend(own6);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    vec![(TEXT, bytes)]
}

#[test]
fn the_flow_of_a_socket_is_its_own_end_and_the_peers() {
    let (own, peer) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let sock = "flow((struct sock *)arg0)";
    let of = |family, v6| flow(sock, &socket(family, [own, peer], v6));
    assert_eq!(of(2, ["::", "::"]), "10.0.0.1:40000 -> 10.0.0.2:80");
    assert_eq!(
        of(10, ["2001:db8::1", "2001:db8::2"]),
        "[2001:db8::1]:40000 -> [2001:db8::2]:80"
    );
    // A socket of version 6 that speaks version 4.
    assert_eq!(
        of(10, ["::ffff:10.0.0.1", "::ffff:10.0.0.2"]),
        "10.0.0.1:40000 -> 10.0.0.2:80"
    );
    assert_eq!(of(1, ["::", "::"]), "-");
    for way in [
        "flow((struct sock_common *)arg0)",
        "flow((struct inet_sock *)arg0)",
    ] {
        let found = flow(way, &socket(2, [own, peer], ["::", "::"]));
        assert_eq!(found, "10.0.0.1:40000 -> 10.0.0.2:80", "{way}");
    }
}

fn packet(header: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut skb = 32u16.to_le_bytes().to_vec();
    skb.resize(8, 0);
    skb.extend(BYTES.to_le_bytes());
    let mut head = vec![0xee; 32];
    head.extend(header);
    head.resize(128, 0);
    vec![(TEXT, skb), (BYTES, head)]
}

#[test]
fn the_flow_of_a_packet_is_in_its_headers() {
    let of = |header: &[u8]| flow("flow((struct sk_buff *)arg0)", &packet(header));
    let v4 = |words: u8, fragment: u16, protocol: u8| {
        let mut header = vec![0x40 | words, 0, 0, 0, 0, 0];
        header.extend(fragment.to_be_bytes());
        header.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        header.resize(4 * usize::from(words), 0xcc);
        header.extend([0x9c, 0x40, 0, 80]);
        header
    };
    assert_eq!(of(&v4(5, 0, 6)), "10.0.0.1:40000 -> 10.0.0.2:80");
    // With options; the first of several pieces; not the first; a protocol without ports.
    assert_eq!(of(&v4(7, 0, 17)), "10.0.0.1:40000 -> 10.0.0.2:80");
    assert_eq!(of(&v4(5, 0x2000, 17)), "10.0.0.1:40000 -> 10.0.0.2:80");
    assert_eq!(of(&v4(5, 0x2001, 17)), "10.0.0.1:0 -> 10.0.0.2:0");
    assert_eq!(of(&v4(5, 0, 1)), "10.0.0.1:0 -> 10.0.0.2:0");
    let mut v6 = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
    for address in ["fe80::1", "fe80::2"] {
        v6.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    v6.extend([0x9c, 0x40, 0, 80]);
    assert_eq!(of(&v6), "[fe80::1]:40000 -> [fe80::2]:80");
    // Where the header is not yet written.
    assert_eq!(of(&[0; 40]), "-");
}

#[test]
fn flows_are_compared_and_kept() {
    let body = "$a = flow((struct sock *)arg0); $b = flow((struct sock *)arg0); @f = $a; @same[$a == $b, @f == $a] += 1;";
    let mut bench = Bench::new(&format!(
        "{RECORDS} kprobe:f {{ {body} @n[flow((struct sock *)arg0)] += 2; }}"
    ));
    for (address, bytes) in socket(2, [[10, 0, 0, 1], [10, 0, 0, 2]], ["::", "::"]) {
        bench.world.kernel.add(address, bytes);
    }
    let mut firing = Firing::default();
    firing.args[0] = TEXT;
    bench.fire("kprobe:f", 0, firing);
    let left = bench.run();
    assert_eq!(left.value("same", &[Part::Int(1), Part::Int(1)]), Some(1));
    assert_eq!(left.keys("n"), 1);
}

#[test]
fn rates_are_sums() {
    let sum = |body: &str| run(body, |left| left.word("r", &[], 0, 1));
    assert_eq!(sum("@r = rate(); @r = rate();"), Some(2));
    assert_eq!(sum("@r = rate(tid); @r = rate(tid - 1);"), Some(201));
}
