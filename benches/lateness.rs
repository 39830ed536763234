//! How late are verdicts when everybody falls silent at once: `cargo bench --bench lateness [-- CLIENTS]`.
//!
//! Seen from outside, by the clients themselves: from the instant a client's
//! time is up to the instant it reads that it was timed out. That is its
//! timeout and, because nobody else is there and all fall silent together,
//! one more interval in which verdicts are held back.
#![allow(missing_docs, clippy::print_stdout, reason = "a bench prints its figures")]

mod common;

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() {
    let n = common::asked(10_000);
    let _ = presence_tui::net::raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let Ok(runtime) = runtime else { return println!("no runtime") };
    runtime.block_on(async {
        let server =
            common::Served::start(&["--interval", "5s", "--timeout", "10s", "--max-pings-per-second", "0"]);
        let fleet = common::fleet(server.addr, n).await;
        // The last sign of life of all of them, as close together as one machine can send them.
        let mut waiting = Vec::with_capacity(n);
        for mut client in fleet {
            if client.write_all(b"\n").await.is_ok() {
                waiting.push((Instant::now(), client));
            }
        }
        let spread = waiting.last().map(|(last, _)| last.duration_since(waiting[0].0)).unwrap_or_default();
        let told: Vec<_> = waiting
            .into_iter()
            .map(|(last_word, mut client)| {
                tokio::spawn(async move {
                    // It is asked before it is judged, and does not answer.
                    let timed_out = loop {
                        let line = common::read_line(&mut client).await;
                        if line.is_empty() || line.windows(9).any(|word| word == b"\"timeout\"") {
                            break !line.is_empty();
                        }
                    };
                    timed_out.then(|| last_word.elapsed().saturating_sub(TIMEOUT + INTERVAL))
                })
            })
            .collect();
        let mut late = Vec::with_capacity(n);
        for verdict in told {
            late.extend(verdict.await.ok().flatten());
        }
        late.sort_unstable();
        println!("{n} clients fell silent within {spread:.0?}; {} were told so", late.len());
        let at = |percent| common::percentile(&late, percent);
        println!(
            "seen by the clients: p50 {:.1?}, p90 {:.1?}, p99 {:.1?}, max {:.1?}",
            at(50),
            at(90),
            at(99),
            at(100)
        );
        println!("measured by the server: {}", server.stop());
    });
}
