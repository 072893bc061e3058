//! Setting an interface's XDP program by netlink, the way that works on every kernel redbpf knows.

use libc::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `IFLA_XDP` of include/uapi/linux/if_link.h, and the nested attributes in it.
const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const NLA_F_NESTED: u16 = 1 << 15;

/// Sets (or with `fd` -1 removes) the XDP program of an interface; 0, or a negative error number that is in `errno` too.
///
/// # Safety
/// Always sound; unsafe as the function it stands for.
pub unsafe fn bpf_set_link_xdp_fd(ifindex: c_int, fd: c_int, flags: u32) -> c_int {
    match set_link_xdp_fd(ifindex, fd, flags) {
        Ok(()) => 0,
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            // SAFETY: the calling thread's own errno.
            unsafe { *libc::__errno_location() = number };
            -number
        }
    }
}

/// The request: a header, an `ifinfomsg`, and `IFLA_XDP` with descriptor and flags in it.
fn request(ifindex: c_int, fd: c_int, flags: u32) -> Vec<u8> {
    let mut nested = attribute(IFLA_XDP_FD, &fd.to_ne_bytes());
    if flags != 0 {
        nested.extend(attribute(IFLA_XDP_FLAGS, &flags.to_ne_bytes()));
    }
    let xdp = attribute(IFLA_XDP | NLA_F_NESTED, &nested);

    let mut message = Vec::new();
    let length = size_of::<libc::nlmsghdr>() + 16 + xdp.len();
    message.extend((length as u32).to_ne_bytes());
    message.extend(libc::RTM_SETLINK.to_ne_bytes());
    message.extend(((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
    message.extend(1u32.to_ne_bytes()); // sequence number
    message.extend(0u32.to_ne_bytes()); // to the kernel
    message.extend([libc::AF_UNSPEC as u8, 0, 0, 0]);
    message.extend(ifindex.to_ne_bytes());
    message.extend([0; 8]); // interface flags and which of them to change: none
    message.extend(xdp);
    message
}

/// One attribute; every payload here is whole words, so no padding is needed.
fn attribute(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + payload.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(payload);
    bytes
}

fn set_link_xdp_fd(ifindex: c_int, fd: c_int, flags: u32) -> io::Result<()> {
    // SAFETY: a new descriptor that nobody else owns.
    let socket = unsafe {
        let socket = libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            libc::NETLINK_ROUTE,
        );
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(socket)
    };
    let message = request(ifindex, fd, flags);
    let mut answer = [0u8; 4096];
    // SAFETY: both buffers are live and as long as said. An unconnected netlink socket sends to the kernel.
    let received = unsafe {
        let sent = libc::send(
            socket.as_raw_fd(),
            message.as_ptr().cast(),
            message.len(),
            0,
        );
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::recv(
            socket.as_raw_fd(),
            answer.as_mut_ptr().cast(),
            answer.len(),
            0,
        )
    };
    if received < 0 {
        return Err(io::Error::last_os_error());
    }
    acknowledged(&answer[..received as usize])
}

/// An acknowledgement is an error message whose number is 0.
fn acknowledged(answer: &[u8]) -> io::Result<()> {
    let header = size_of::<libc::nlmsghdr>();
    let kind = answer.get(4..6).map(|b| u16::from_ne_bytes([b[0], b[1]]));
    let number = answer
        .get(header..header + 4)
        .map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    match (kind.map(c_int::from), number) {
        (Some(libc::NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(libc::NLMSG_ERROR), Some(number)) => Err(io::Error::from_raw_os_error(-number)),
        _ => Err(io::Error::from_raw_os_error(libc::EPROTO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_says_its_own_length() {
        let message = request(7, -1, 2);
        assert_eq!(message.len(), 16 + 16 + 4 + 8 + 8);
        assert_eq!(message[..4], (message.len() as u32).to_ne_bytes());
    }

    #[test]
    fn an_answer_that_is_no_acknowledgement_is_an_error() {
        for answer in [&[][..], &[0; 5], &[0; 36]] {
            assert!(acknowledged(answer).is_err());
        }
        let mut answer = [0u8; 36];
        answer[4] = libc::NLMSG_ERROR as u8;
        assert!(acknowledged(&answer).is_ok());
        answer[16..20].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert_eq!(
            acknowledged(&answer).unwrap_err().raw_os_error(),
            Some(libc::EPERM)
        );
    }

    #[test]
    fn no_such_interface_is_an_error() {
        // SAFETY: sound by its contract.
        assert!(unsafe { bpf_set_link_xdp_fd(i32::MAX, -1, 0) } < 0);
    }
}
