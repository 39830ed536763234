//! Resident memory per idle registered connection: `cargo bench --bench memory [-- CLIENTS]`.
#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]

mod common;

use std::time::Duration;

fn main() {
    let n = common::asked(10_000);
    let _ = presence_tui::net::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let Ok(runtime) = runtime else { return println!("no runtime") };
    runtime.block_on(async {
        let Ok(state) = tempfile::tempdir() else { return println!("no room for the server's files") };
        let server = common::Served::remembering(&["--interval", "1h", "--timeout", "2h"], state.path());
        let settle = Duration::from_secs(3);
        tokio::time::sleep(settle).await;
        let empty = server.rss();
        let started = tokio::time::Instant::now();
        let mut fleet = common::fleet(server.addr, n).await;
        let took = started.elapsed();
        // A ping each, so that whatever a first ping allocates is there.
        for client in &mut fleet {
            use tokio::io::AsyncWriteExt;
            if client.write_all(b"{\"type\":\"ping\",\"seq\":1}\n").await.is_ok() {
                common::read_line(client).await;
            }
        }
        tokio::time::sleep(settle).await;
        let (full, cpu) = (server.rss(), server.cpu_ms());
        let each = (full - empty) / n as u64;
        println!("{n} idle registered connections, registered in {took:.1?}, {cpu} ms of server CPU");
        println!("empty {} KiB, full {} KiB: {each} B a connection", empty / 1024, full / 1024);
    });
}
