//! How soon does a change of settings reach everybody: `cargo bench --bench retune [-- CLIENTS]`.
//!
//! From the instant the server is asked, as a hotkey does it, to the instant the last client has read `config`.
#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot set itself up should say so and stop")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use presence_tui::net;
use presence_tui::presence::Settings;
use presence_tui::presence::command::Command;
use presence_tui::presence::event::Origin;
use presence_tui::presence::registry::Limits;
use presence_tui::server::{HubHost, Options, Server};
use tokio::net::TcpListener;
use tokio::time::Instant;

fn main() {
    let n = common::asked(1_000);
    let _ = net::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = |interval, timeout| {
            Settings::new(Duration::from_secs(interval), Duration::from_secs(timeout)).unwrap()
        };
        let limits =
            Limits { max_clients: n, max_per_ip: 0, retention: Duration::from_hours(1), ..Limits::default() };
        let options = Options {
            name: "bench".to_owned(),
            settings: settings(60, 120),
            limits,
            expected: Vec::new(),
            expect_names: Vec::new(),
            register_timeout: Duration::from_secs(5),
        };
        let server = Server::start(options, HubHost::Thread).unwrap();
        let listener = net::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        server.open(TcpListener::from_std(listener).unwrap());
        let waiting: Vec<_> = common::fleet(addr, n)
            .await
            .into_iter()
            .map(|mut client| {
                tokio::spawn(async move {
                    let line = common::read_line(&mut client).await;
                    line.starts_with(b"{\"type\":\"config\"").then(Instant::now)
                })
            })
            .collect();
        let asked = Instant::now();
        server.remote().command(Command::Set(settings(5, 15), Origin::Key)).await;
        let mut took = Vec::with_capacity(n);
        for client in waiting {
            took.extend(client.await.unwrap().map(|at| at.duration_since(asked)));
        }
        took.sort_unstable();
        println!("{} of {n} clients were told the new settings", took.len());
        let at = |percent| common::percentile(&took, percent);
        println!("p50 {:.1?}, p99 {:.1?}, the last {:.1?}", at(50), at(99), at(100));
    });
}
