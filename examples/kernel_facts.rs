//! Takes the part of a kernel's BTF that network scripts need, as the files under `tests/data/kernels` are made.
//!
//! `cargo run -p hetsync-probe --example kernel_facts -- /sys/kernel/btf/vmlinux part.btf`; with no files it takes the
//! running kernel's and only says how large the part is.

use hetsync_probe::kernel::btf::subset::{Wanted, subset};
use hetsync_probe::kernel::btf::{Btf, VMLINUX};
use std::path::Path;

const WANTED: Wanted<'static> = Wanted {
    types: &[
        "struct sock",
        "struct sock_common",
        "struct inet_sock",
        "struct inet_connection_sock",
        "struct tcp_sock",
        "struct request_sock",
        "struct sk_buff",
        "struct sk_buff_head",
        "struct skb_shared_info",
        "struct socket",
        "struct msghdr",
        "struct sockaddr",
        "struct sockaddr_in",
        "struct sockaddr_in6",
        "struct in_addr",
        "struct in6_addr",
        "struct iphdr",
        "struct ipv6hdr",
        "struct tcphdr",
        "struct udphdr",
        "struct ethhdr",
        "struct net",
        "struct net_device",
        "struct ns_common",
        "struct task_struct",
        "struct cred",
        "struct nsproxy",
        "struct list_head",
        "struct hlist_node",
        "struct path",
        "struct dentry",
        "struct qstr",
        "struct file",
        "enum tcp_ca_state",
        "enum skb_drop_reason",
        "possible_net_t",
        "kuid_t",
        "size_t",
        "ssize_t",
        "bool",
        "u8",
        "u16",
        "u32",
        "u64",
        "s8",
        "s16",
        "s32",
        "s64",
        "__be16",
        "__be32",
        "uint8_t",
        "uint16_t",
        "uint32_t",
        "uint64_t",
        "int8_t",
        "int16_t",
        "int32_t",
        "int64_t",
        "unsigned char",
        "short",
        "unsigned short",
        "int",
        "unsigned int",
        "long",
        "unsigned long",
        "long long",
        "unsigned long long",
    ],
    functions: &[
        "inet_csk_accept",
        "ip_rcv",
        "kfree_skb_reason",
        "skb_consume_udp",
        "tcp_close",
        "tcp_connect",
        "tcp_drop",
        "tcp_rcv_established",
        "tcp_recvmsg",
        "tcp_retransmit_skb",
        "tcp_sendmsg",
        "tcp_set_state",
        "tcp_v4_connect",
        "tcp_v4_syn_recv_sock",
        "tcp_v6_connect",
        "tcp_v6_syn_recv_sock",
        "udp_sendmsg",
        "unix_stream_recvmsg",
        "unix_stream_sendmsg",
        "vfs_read",
    ],
    raw_tracepoints: &[
        "inet_sock_set_state",
        "kfree_skb",
        "net_dev_queue",
        "sched_switch",
        "sys_enter",
        "tcp_probe",
        "tcp_retransmit_skb",
    ],
    constants: &[
        "TCP_ESTABLISHED",
        "SOCK_STREAM",
        "IPPROTO_TCP",
        "SS_CONNECTED",
    ],
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files = std::env::args().skip(1);
    let from = files.next().unwrap_or_else(|| VMLINUX.to_owned());
    if !Path::new(&from).exists() {
        println!("there is no {from} here");
        return Ok(());
    }
    let bytes = subset(&Btf::read(Path::new(&from))?, &WANTED);
    let part = Btf::parse(bytes.clone())?;
    let types = part.ids().count();
    println!(
        "{types} types in {} bytes, {} functions",
        bytes.len(),
        part.functions()
    );
    if let Some(to) = files.next() {
        std::fs::write(to, bytes)?;
    }
    Ok(())
}
