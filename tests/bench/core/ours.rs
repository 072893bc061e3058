//! The server of this project as `hetsync serve` runs it.

use std::sync::atomic::{AtomicUsize, Ordering};

use hetsync_core::net::{Notice, Server, listen};

use crate::{Running, WORKERS};

pub(crate) fn start(quick_ack: bool) -> Running {
    let listener = listen(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = listener.get_ref().local_addr().expect("its address");
    Running::new(address, move || {
        let (gone, all_gone) = smol::channel::bounded::<()>(1);
        let left = AtomicUsize::new(0);
        let server = Server::builder()
            .workers(WORKERS)
            .quick_ack(quick_ack)
            .observer(move |_, notice| {
                if let Notice::Disconnected { .. } = notice
                    && left.fetch_add(1, Ordering::Relaxed) + 1 == WORKERS
                {
                    gone.close();
                }
            });
        let stop = async move {
            let _ = all_gone.recv().await;
        };
        smol::block_on(server.build().run(listener, stop)).expect("the server");
    })
}
