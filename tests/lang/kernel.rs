//! A kernel of a few named functions, and two thousand more to run into limits.

use hetsync_probe::kernel::tracepoint::{Format, Unreadable};
use hetsync_probe::kernel::{FunctionFact, Kernel, Prototype, glob};
use std::sync::Arc;

const NAMED: [&str; 11] = [
    "f",
    "g",
    "inet_csk_accept",
    "nmi_enter",
    "nmi_handle",
    "tcp_drop",
    "tcp_rcv_established",
    "tcp_recvmsg",
    "tcp_retransmit_skb",
    "tcp_sendmsg",
    "tcp_v4_connect",
];

const TRACEPOINTS: [&str; 3] = [
    "sock:inet_sock_set_state",
    "tcp:tcp_probe",
    "tcp:tcp_retransmit_skb",
];

/// The kernel; `listed` says whether its list of functions can be read.
pub(crate) struct Small {
    pub(crate) listed: bool,
}

impl Small {
    fn functions(&self) -> impl Iterator<Item = String> {
        let many = (0..2000).map(|n| format!("zz_fn_{n}"));
        NAMED.iter().map(|name| name.to_string()).chain(many)
    }
}

impl Kernel for Small {
    fn function(&self, name: &str) -> FunctionFact {
        if !self.listed {
            return FunctionFact::Unknown;
        }
        if self.functions().any(|known| known == name) {
            return FunctionFact::Present;
        }
        let near = NAMED
            .iter()
            .filter(|known| strsim_like(known, name))
            .map(|known| known.to_string());
        FunctionFact::Absent(near.take(3).collect())
    }

    fn matching_functions(&self, pattern: &str) -> Option<Vec<String>> {
        self.listed.then(|| {
            self.functions()
                .filter(|name| glob::matches(pattern, name))
                .collect()
        })
    }

    fn is_forbidden(&self, name: &str) -> bool {
        name == "nmi_handle"
    }

    fn prototype(&self, _: &str) -> Option<Prototype> {
        None
    }

    fn tracepoints(&self, pattern: &str) -> Result<Vec<String>, Unreadable> {
        if !self.listed {
            return Err(Unreadable::NotMounted);
        }
        let all = TRACEPOINTS.iter().map(|name| name.to_string());
        Ok(all.filter(|name| glob::matches(pattern, name)).collect())
    }

    fn tracepoint(&self, category: &str, name: &str) -> Result<Option<Arc<Format>>, Unreadable> {
        let found = self.tracepoints(&format!("{category}:{name}"))?;
        Ok((!found.is_empty()).then(Arc::default))
    }
}

/// The same letters in another order.
fn strsim_like(a: &str, b: &str) -> bool {
    let sorted = |text: &str| {
        let mut letters: Vec<char> = text.chars().collect();
        letters.sort_unstable();
        letters
    };
    sorted(a) == sorted(b)
}
