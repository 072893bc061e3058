//! Constants that network scripts take from headers which BTF does not have: those are macros there.

/// Names and values, as on Linux for x86-64 and 64-bit Arm.
const TABLE: &[(&str, i64)] = &[
    // include/linux/socket.h: address families.
    ("AF_UNSPEC", 0),
    ("AF_UNIX", 1),
    ("AF_LOCAL", 1),
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("AF_PACKET", 17),
    ("AF_VSOCK", 40),
    ("AF_XDP", 44),
    // include/uapi/linux/in.h: protocols; an enum in kernels, listed for those without BTF.
    ("IPPROTO_IP", 0),
    ("IPPROTO_ICMP", 1),
    ("IPPROTO_IGMP", 2),
    ("IPPROTO_TCP", 6),
    ("IPPROTO_UDP", 17),
    ("IPPROTO_IPV6", 41),
    ("IPPROTO_GRE", 47),
    ("IPPROTO_ESP", 50),
    ("IPPROTO_ICMPV6", 58),
    ("IPPROTO_SCTP", 132),
    ("IPPROTO_RAW", 255),
    // include/linux/net.h: kinds of sockets.
    ("SOCK_STREAM", 1),
    ("SOCK_DGRAM", 2),
    ("SOCK_RAW", 3),
    ("SOCK_RDM", 4),
    ("SOCK_SEQPACKET", 5),
    ("SOCK_DCCP", 6),
    ("SOCK_PACKET", 10),
    // include/net/tcp_states.h.
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
    ("TCP_NEW_SYN_RECV", 12),
    // include/uapi/linux/icmp.h and icmpv6.h.
    ("ICMP_ECHOREPLY", 0),
    ("ICMP_DEST_UNREACH", 3),
    ("ICMP_SOURCE_QUENCH", 4),
    ("ICMP_REDIRECT", 5),
    ("ICMP_ECHO", 8),
    ("ICMP_TIME_EXCEEDED", 11),
    ("ICMP_PARAMETERPROB", 12),
    ("ICMP_TIMESTAMP", 13),
    ("ICMP_TIMESTAMPREPLY", 14),
    ("ICMPV6_DEST_UNREACH", 1),
    ("ICMPV6_PKT_TOOBIG", 2),
    ("ICMPV6_TIME_EXCEED", 3),
    ("ICMPV6_PARAMPROB", 4),
    ("ICMPV6_ECHO_REQUEST", 128),
    ("ICMPV6_ECHO_REPLY", 129),
    // include/uapi/linux/if_ether.h.
    ("ETH_P_IP", 0x0800),
    ("ETH_P_ARP", 0x0806),
    ("ETH_P_8021Q", 0x8100),
    ("ETH_P_IPV6", 0x86dd),
    ("ETH_ALEN", 6),
    // include/uapi/asm-generic/errno-base.h and errno.h.
    ("EPERM", 1),
    ("ENOENT", 2),
    ("ESRCH", 3),
    ("EINTR", 4),
    ("EIO", 5),
    ("EBADF", 9),
    ("EAGAIN", 11),
    ("EWOULDBLOCK", 11),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EFAULT", 14),
    ("EBUSY", 16),
    ("EEXIST", 17),
    ("ENODEV", 19),
    ("EINVAL", 22),
    ("EMFILE", 24),
    ("ENOSPC", 28),
    ("EPIPE", 32),
    ("ENOSYS", 38),
    ("ENOTSOCK", 88),
    ("EMSGSIZE", 90),
    ("ENOPROTOOPT", 92),
    ("EPROTONOSUPPORT", 93),
    ("EOPNOTSUPP", 95),
    ("EAFNOSUPPORT", 97),
    ("EADDRINUSE", 98),
    ("EADDRNOTAVAIL", 99),
    ("ENETDOWN", 100),
    ("ENETUNREACH", 101),
    ("ECONNABORTED", 103),
    ("ECONNRESET", 104),
    ("ENOBUFS", 105),
    ("EISCONN", 106),
    ("ENOTCONN", 107),
    ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111),
    ("EHOSTDOWN", 112),
    ("EHOSTUNREACH", 113),
    ("EALREADY", 114),
    ("EINPROGRESS", 115),
    // include/uapi/linux/limits.h, if.h, sched.h.
    ("PATH_MAX", 4096),
    ("NAME_MAX", 255),
    ("IFNAMSIZ", 16),
    ("TASK_COMM_LEN", 16),
    // include/linux/sched.h: states of a thread, the same in every kernel.
    ("TASK_RUNNING", 0),
    ("TASK_INTERRUPTIBLE", 1),
    ("TASK_UNINTERRUPTIBLE", 2),
];

/// The value of a constant.
pub(super) fn value(name: &str) -> Option<i64> {
    TABLE
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_constant_is_listed_twice() {
        for (i, (name, _)) in TABLE.iter().enumerate() {
            assert!(TABLE[..i].iter().all(|(other, _)| other != name), "{name}");
        }
        assert_eq!(value("AF_INET6"), Some(10));
        assert_eq!(value("TASK_RUNNING"), Some(0));
        assert_eq!(value("AF_INET7"), None);
    }
}
