//! Facts of real kernels from files: what scripts are checked against where no kernel is.

use hetsync_probe::kernel::btf::Kind;
use hetsync_probe::kernel::files::Files;
use hetsync_probe::kernel::tracepoint::FieldShape;
use hetsync_probe::kernel::{FunctionFact, Kernel};

use super::top;

const KERNELS: [&str; 3] = ["5.10", "6.1", "6.12"];

fn kernel(version: &str) -> Files {
    let folder = top().join("tests/data/kernels").join(version);
    let list = std::fs::read_to_string(folder.join("functions")).expect("functions");
    Files::new()
        .with_btf(&folder.join("btf"))
        .expect("BTF")
        .with_functions(list)
        .with_tracepoints(folder)
}

#[test]
fn members_that_network_tools_read_are_in_every_kernel() {
    for version in KERNELS {
        let kernel = kernel(version);
        let btf = kernel.btf().expect("BTF");
        let sock = btf.find_spelt("struct sock").expect("struct sock");
        let common = btf.member(sock, "__sk_common").expect("__sk_common");
        assert_eq!(btf.c_name(common.ty), "struct sock_common", "{version}");
        // Through two anonymous members; the offsets have been the same since 3.x.
        for (name, offset, bytes) in [
            ("skc_daddr", 0, 4),
            ("skc_rcv_saddr", 4, 4),
            ("skc_dport", 12, 2),
            ("skc_num", 14, 2),
            ("skc_family", 16, 2),
            ("skc_v6_daddr", 56, 16),
        ] {
            let field = btf.member(common.ty, name).expect(name);
            let at = common.offset().unwrap() + field.offset().unwrap();
            assert_eq!(
                (at, btf.size(field.ty)),
                (offset, Some(bytes)),
                "{version} {name}"
            );
        }
        let bitfield = btf
            .member(common.ty, "skc_reuseport")
            .expect("skc_reuseport");
        assert_eq!(
            (bitfield.bits, bitfield.bit_offset),
            (Some(1), 19 * 8 + 4),
            "{version}"
        );
        let established = btf.constant("TCP_ESTABLISHED").expect("TCP_ESTABLISHED");
        assert_eq!(
            (established.value, established.signed),
            (1, false),
            "{version}"
        );
        let comm = btf.member(btf.find_spelt("struct task_struct").unwrap(), "comm");
        let comm = btf.resolved(comm.expect("comm").ty).unwrap().1;
        assert!(
            matches!(comm, Kind::Array { count: 16, .. }),
            "{version} {comm:?}"
        );
    }
}

#[test]
fn prototypes_of_kernels_differ_where_they_do() {
    for version in KERNELS {
        let kernel = kernel(version);
        let sendmsg = kernel.prototype("tcp_sendmsg").expect("tcp_sendmsg");
        assert_eq!(sendmsg.arg_names, ["sk", "msg", "size"], "{version}");
        assert_eq!(sendmsg.arg_bytes, [8, 8, 8], "{version}");
        // 6.x lost the non-blocking argument of 5.10.
        let recvmsg = kernel.prototype("tcp_recvmsg").expect("tcp_recvmsg");
        let args = if version == "5.10" { 6 } else { 5 };
        assert_eq!(recvmsg.args, args, "{version}");
        let probe = kernel
            .btf()
            .unwrap()
            .raw_tracepoint("tcp_probe")
            .expect("tcp_probe");
        assert_eq!(probe.len(), 2, "{version}");
        assert!(
            kernel
                .raw_tracepoints("tcp_*")
                .unwrap()
                .contains(&"tcp_probe".to_owned())
        );
    }
}

#[test]
fn functions_are_in_their_modules() {
    for version in ["6.1", "6.12"] {
        let kernel = kernel(version);
        assert_eq!(kernel.function("tcp_sendmsg"), FunctionFact::Present);
        assert_eq!(kernel.module_of("tcp_sendmsg").as_deref(), Some("vmlinux"));
        assert_eq!(
            kernel.module_of("veth_xmit").as_deref(),
            Some("veth"),
            "{version}"
        );
        let FunctionFact::Absent(near) = kernel.function("tcp_sendmgs") else {
            panic!("{version} has tcp_sendmgs");
        };
        assert_eq!(near[0], "tcp_sendmsg");
    }
}

#[test]
fn records_of_tracepoints_are_read() {
    for version in KERNELS {
        let kernel = kernel(version);
        let names = kernel.tracepoints("tcp:*").expect("names");
        assert!(
            names.contains(&"tcp:tcp_probe".to_owned()),
            "{version} {names:?}"
        );
        let probe = kernel
            .tracepoint("tcp", "tcp_probe")
            .unwrap()
            .expect("tcp_probe");
        let saddr = probe.field("saddr").expect("saddr");
        assert_eq!(
            (saddr.elements(), saddr.element_bytes(), saddr.offset),
            (28, 1, 8),
            "{version}"
        );
        let switch = kernel
            .tracepoint("sched", "sched_switch")
            .unwrap()
            .expect("sched_switch");
        let comm = switch.field("prev_comm").expect("prev_comm");
        assert_eq!(
            (comm.ty.as_str(), comm.elements()),
            ("char", 16),
            "{version}"
        );
        let queue = kernel
            .tracepoint("net", "net_dev_queue")
            .unwrap()
            .expect("net_dev_queue");
        assert_eq!(
            queue.field("name").unwrap().shape,
            FieldShape::DataLoc,
            "{version}"
        );
        assert_eq!(kernel.tracepoint("tcp", "no_such"), Ok(None));
        assert_eq!(kernel.tracepoint("..", "tcp"), Ok(None));
    }
}

/// The probes of a script that is right on this kernel.
fn checked(script: &str, version: &str) -> hetsync_probe::sema::hir::Program {
    let (script, _) = hetsync_probe::syntax::parse(script);
    let kernel = kernel(version);
    let options = hetsync_probe::sema::Options {
        params: vec![],
        kernel: &kernel,
        pid_filter: None,
        settings: vec![],
        max_keys: 4096,
        allow_unsafe: false,
    };
    hetsync_probe::sema::check(&script, &options)
        .expect("right")
        .0
}

#[test]
fn attach_points_whose_arguments_are_laid_out_differently_have_bodies_of_their_own() {
    let script = "tracepoint:net:net_dev_queue, tracepoint:net:net_dev_xmit, tracepoint:net:netif_receive_skb \
        { printf(\"%s %d\\n\", str(args.name), args.len); }";
    for version in KERNELS {
        let program = checked(script, version);
        let points: Vec<usize> = (program.probes.iter())
            .map(|probe| probe.points.len())
            .collect();
        assert_eq!(points, [2, 1], "{version}");
        let formats = program.formats.len();
        assert_eq!(formats, 2, "{version}");
    }
    let alike = "tracepoint:net:net_dev_queue, tracepoint:net:net_dev_xmit { print(args.len); }";
    assert_eq!(checked(alike, "6.1").probes.len(), 1);
}

#[test]
fn names_of_the_parent_and_of_other_ids_are_members_of_the_task() {
    let script = "kprobe:vfs_read { @[ppid, pcomm, euid, egid] = count(); }";
    for version in KERNELS {
        let program = checked(script, version);
        let key: Vec<String> = program.maps[0]
            .key
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            key,
            ["uint32", "string[24]", "uint64", "uint64"],
            "{version}"
        );
    }
}
