//! What is read from the kernel's memory by its types: members, bitfields, arrays and arguments, over one connection
//! whose ports, sizes and states the workload knows.

use serde_json::json;

use crate::lab::{Lab, Report};

const SENDS: u64 = 200;

/// Every way to a member: of a record that is copied and of one that is not, behind pointers, in anonymous unions, some
/// bits of an integer, enums, strings.
const MEMBERS: &str = r#"
kprobe:tcp_sendmsg /comm == "sender"/ {
    $sk = (struct sock *)arg0;
    $common = $sk->__sk_common;
    @family[$sk->__sk_common.skc_family] = count();
    @state[$sk->__sk_common.skc_state == TCP_ESTABLISHED] = count();
    @ports[$common.skc_num, $common.skc_dport >> 8 | ($common.skc_dport & 255) << 8] = count();
    @address[$common.skc_rcv_saddr] = count();
    @name[$sk->__sk_common.skc_prot->name] = count();
    @device[$sk->__sk_common.skc_net.net->loopback_dev->name] = count();
    @socket[$sk->sk_socket->state == SS_CONNECTED, $sk->sk_socket->type, $sk->sk_protocol] = count();
    @bits[$common.skc_reuse, $common.skc_net_refcnt, ((struct tcp_sock *)$sk)->nonagle & 1] = count();
    @task[curtask->pid == tid, curtask->tgid == pid, curtask->comm == comm, curtask->group_leader->comm] = count();
}
"#;

/// The connecting side sends, so its own port is `from`.
fn members(lab: &Lab, flags: &str) {
    let report = lab.probe(flags, MEMBERS, &format!("sends {SENDS} cycle"));
    let (from, to) = (report.said("from"), report.said("to"));
    // AF_INET.
    assert_only(&report, "@family", "2");
    assert_only(&report, "@state", "true");
    assert_only(&report, "@ports", &format!("{from},{to}"));
    // 127.0.0.1, its first byte lowest.
    assert_only(&report, "@address", &0x0100_007f.to_string());
    assert_only(&report, "@name", "TCP");
    assert_only(&report, "@device", "lo");
    // SOCK_STREAM and IPPROTO_TCP.
    assert_only(&report, "@socket", "true,1,6");
    // Nothing was bound for reuse; the socket holds its network namespace; TCP_NODELAY is set.
    assert_only(&report, "@bits", "0,1,1");
    assert_only(&report, "@task", "true,true,true,hetsync-workloa");
    report.assert_nothing_lost();
}

pub(crate) fn members_lowered(lab: &Lab) {
    members(lab, "");
}

pub(crate) fn members_not_lowered(lab: &Lab) {
    members(lab, "--no-lower");
}

const ARGS: &str = r#"
fentry:tcp_sendmsg /comm == "sender"/ {
    @size = sum(args.size);
    @left = sum(args.msg->msg_iter.count);
    @flags[args.msg->msg_flags] = count();
    @from[args.sk->__sk_common.skc_num] = count();
}
fexit:tcp_sendmsg /comm == "sender"/ {
    @sent = sum(retval);
    @whole[retval == args.size] = count();
}
fentry:tcp_recvmsg /comm == "sender"/ {
    @bits[args.sk.__sk_common.skc_reuse, args.sk.__sk_common.skc_net_refcnt] = count();
}
fexit:inet_csk_accept /comm == "hetsync-workloa"/ {
    @accepted[retval->__sk_common.skc_num, retval->__sk_common.skc_family] = count();
}
tracepoint:sock:inet_sock_set_state /args.newstate == TCP_ESTABLISHED/ {
    @established[args.sport, args.dport] = count();
    @of[args.family, args.protocol == IPPROTO_TCP, args.saddr[0], args.daddr[3]] = count();
}
"#;

pub(crate) fn arguments(lab: &Lab) {
    let report = lab.probe("", ARGS, &format!("sends {SENDS} cycle"));
    let (from, to) = (report.said("from"), report.said("to"));
    for bytes in ["@size", "@left", "@sent"] {
        assert_eq!(report.number(bytes), report.said("bytes"), "{bytes}");
    }
    assert_only(&report, "@whole", "true");
    // MSG_NOSIGNAL alone.
    assert_only(&report, "@flags", &0x4000.to_string());
    assert_only(&report, "@from", &from.to_string());
    // The accepted socket has its listener's SO_REUSEADDR; every send is read by one call or more.
    let bits = report.map("@bits").as_object().expect("a keyed map");
    assert_eq!(bits.len(), 1, "{bits:?}");
    assert!(bits["1,1"].as_u64() >= Some(SENDS), "{bits:?}");
    assert_eq!(report.map("@accepted"), &json!({ format!("{to},2"): 1 }));
    // Both ends became established, each once.
    let established = json!({ format!("{from},{to}"): 1, format!("{to},{from}"): 1 });
    assert_eq!(report.map("@established"), &established);
    assert_eq!(report.map("@of"), &json!({ "2,true,127,1": 2 }));
    report.assert_nothing_lost();
}

/// Arrays of a tracepoint's record by elements and whole; narrow numbers below 0; records behind pointers that the
/// process passed.
const FURTHER: &str = r#"
tracepoint:sock:inet_sock_set_state /args.newstate == TCP_ESTABLISHED/ {
    $from = args.saddr;
    @elements[$from[0], $from[3], args.saddr_v6[11], args.saddr_v6[12]] = count();
    @whole[args.saddr] = count();
    @number[(uint32)args.saddr, $from == args.daddr] = count();
}
tracepoint:syscalls:sys_enter_connect /comm == "hetsync-workloa"/ {
    $to = (struct sockaddr_in *)args.uservaddr;
    @user[$to->sin_port >> 8 | ($to->sin_port & 255) << 8, $to->sin_addr.s_addr, args.addrlen] = count();
}
fentry:do_sys_openat2 /comm == "cat"/ { @folder[args.dfd] = count(); }
fexit:do_sys_openat2 /comm == "cat" && retval < 0/ { @failed[retval] = count(); }
tracepoint:syscalls:sys_exit_openat /comm == "cat" && args.ret < 0/ { @returned[args.ret] = count(); }
"#;

pub(crate) fn further(lab: &Lab) {
    // Two files that are not there.
    let over = "sh -c 'hetsync-workload sends 10; cat /no1 /no2 2> /dev/null; true'";
    let report = lab.probe_over("", FURTHER, over);
    // Both ends are 127.0.0.1, which as an address of version 6 is ::ffff:127.0.0.1.
    assert_eq!(report.map("@elements"), &json!({ "127,1,255,127": 2 }));
    assert_eq!(report.map("@whole"), &json!({ "[127,0,0,1]": 2 }));
    let address = 0x0100_007f;
    assert_eq!(
        report.map("@number"),
        &json!({ format!("{address},true"): 2 })
    );
    let user = format!("{},{address},16", report.said("to"));
    assert_eq!(report.map("@user"), &json!({ user: 1 }));
    // AT_FDCWD; the C library's start may open files of its own.
    let folder = report.map("@folder").as_object().expect("a keyed map");
    assert!(folder.keys().eq(["-100"]), "{folder:?}");
    assert!(folder["-100"].as_u64() >= Some(2), "{folder:?}");
    // ENOENT.
    assert_eq!(report.map("@failed"), &json!({ "-2": 2 }));
    assert_eq!(report.map("@returned"), &json!({ "-2": 2 }));
    report.assert_nothing_lost();
}

/// A function of a module, by the module's own types.
const MODULE: &str = r#"
fentry:veth:veth_newlink { @name[args.dev->name, probe] = count(); }
fexit:veth_newlink { @result[retval] = count(); @of[args.dev->name] = count(); }
kprobe:veth_newlink { @kprobe[((struct net_device *)arg1)->name] = count(); }
latency:veth:veth_newlink { @latency[args.dev->name, retval] = count(); }
"#;

pub(crate) fn of_a_module(lab: &Lab) {
    let over = "sh -c 'ip link add hpa type veth peer name hpb && ip link del hpa'";
    if lab.kernel() == hetsync_guest::Kernel::V5_10 {
        // Modules have no BTF there.
        let output =
            lab.run("hetsync-probe check --this-kernel -e 'fentry:veth_newlink { @ = count(); }'");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("E0220"), "{told}");
        return;
    }
    let report = lab.probe_over("", MODULE, over);
    let name = "fentry:veth:veth_newlink";
    assert_eq!(report.map("@name"), &json!({ format!("hpa,{name}"): 1 }));
    assert_eq!(report.map("@result"), &json!({ "0": 1 }));
    for map in ["@of", "@kprobe"] {
        assert_eq!(report.map(map), &json!({ "hpa": 1 }), "{map}");
    }
    assert_eq!(report.map("@latency"), &json!({ "hpa,0": 1 }));
    report.assert_nothing_lost();
}

/// Every send was counted under this key.
fn assert_only(report: &Report, map: &str, key: &str) {
    assert_eq!(report.map(map), &json!({ key: SENDS }), "{map}");
}
