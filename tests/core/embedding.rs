//! A server inside another program: its handle, its reports, its end.

use hetsync_core::net::{Client, Handle, Reports, Server, listen};
use hetsync_core::server::Config;
use hetsync_core::{Name, Payload};
use smol::stream::StreamExt;

fn server() -> Server {
    let other: Name = "side".parse().expect("a name");
    let config = Config {
        workers: 1,
        ..Config::default()
    };
    Server::builder().workers(1).job(other, config).build()
}

fn local() -> async_io::Async<std::net::TcpListener> {
    listen(([127, 0, 0, 1], 0).into()).expect("a port")
}

fn submit(client: &mut Client, times: usize) {
    for _ in 0..times {
        let result = smol::block_on(client.submit(Payload::from_floats(&[1.0])));
        assert_eq!(result.expect("a result").to_floats(), [1.0]);
    }
}

#[test]
fn each_reader_is_told_of_each_round_from_when_it_asked() {
    let server = server();
    let handle = server.handle();
    let (first, dropped) = (handle.reports(), handle.reports());
    drop(dropped);
    let running = server.start(local()).expect("it starts");
    let mut client = Client::new(running.address());
    submit(&mut client, 3);
    let second = handle.reports();
    submit(&mut client, 2);
    assert_eq!(running.stop().expect("it ends").rounds(), 5);
    let rounds = |reports: Reports| -> Vec<u64> {
        let all = smol::stream::block_on(reports);
        all.map(|reported| reported.report.round.0).collect()
    };
    assert_eq!(rounds(first), [0, 1, 2, 3, 4]);
    assert_eq!(rounds(second), [3, 4]);
    assert_eq!(rounds(handle.reports()), [0; 0], "it is over");
    assert!(handle.snapshot().is_none());
}

#[test]
fn reports_that_nobody_reads_are_dropped_and_counted() {
    let server = server();
    let mut reports = server.handle().reports();
    let running = server.start(local()).expect("it starts");
    submit(&mut Client::new(running.address()), 1030);
    running.stop().expect("it ends");
    assert_eq!(reports.dropped(), 6);
    assert_eq!(reports.next_blocking().expect("a report").report.round.0, 6);
}

/// Inside another runtime, where the future may be dropped at any time.
#[test]
fn a_server_that_is_dropped_ends_its_reports() {
    smol::block_on(async {
        let server = server();
        let handle: Handle = server.handle();
        let mut reports = handle.reports();
        let listener = local();
        let address = listener.get_ref().local_addr().expect("an address");
        let running = smol::spawn(server.run(listener, smol::future::pending()));
        let mut client = Client::new(address);
        client
            .submit(Payload::from_floats(&[2.0]))
            .await
            .expect("a result");
        let first = reports.next().await.expect("a report");
        assert_eq!(
            (first.job, first.report.arrivals.len()),
            (Name::default(), 1)
        );
        let snapshot = handle.snapshot().expect("it runs");
        assert_eq!(snapshot.jobs.len(), 2);
        running.cancel().await;
        assert!(reports.next().await.is_none());
        assert!(handle.snapshot().is_none());
    });
}

/// Stopped before it runs, it does not serve.
#[test]
fn a_stop_that_comes_early_is_not_lost() {
    let server = server();
    server.handle().stop();
    let stats = smol::block_on(server.run(local(), smol::future::pending()));
    assert_eq!(stats.expect("it ends").rounds(), 0);
}
