//! The fuzz targets over their corpora, and over a few thousand mutations that are the same every time.
//!
//! Whatever a fuzzer finds goes into `fuzz/corpus`, and stays found here. With
//! `CORPORA_SECONDS=60` each target is given that long, with other mutations each time.
#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    unreachable_pub,
    reason = "the targets are test code, and are to panic"
)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

/// How many mutations of each seed a normal run tries.
const MUTATIONS: usize = 300;
/// Pieces that decide something somewhere.
const TOKENS: [&[u8]; 22] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\n",
    b"\r\n",
    b"\0",
    b"\x1b",
    b"\x1e",
    b"\xff",
    b"=",
    b"%",
    b"\"type\":",
    b"register",
    b"Identify",
    b"-1",
    b"1e999",
    b"\\u202e",
    b"\xe2\x80\xae",
    b"[server]\n",
];

/// Returns the seeds of a target, always in the same order.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Changes a text in one of the ways that break parsers.
fn mutated(rng: &mut Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..rng.usize(1..5) {
        let at = rng.usize(0..=data.len());
        let end = rng.usize(at..=data.len().min(at + 16));
        match rng.u8(0..7) {
            0 if at < data.len() => data[at] ^= 1 << rng.u8(0..8),
            1 if at < data.len() => data[at] = rng.u8(..),
            2 => data.truncate(at),
            3 => drop(data.drain(at..end)),
            4 => {
                let piece = data[at..end].repeat(rng.usize(1..40));
                data.splice(at..at, piece);
            }
            5 => {
                let from = rng.usize(0..=other.len());
                data.splice(at..end, other[from..].iter().copied());
            }
            _ => {
                let token = TOKENS[rng.usize(0..TOKENS.len())];
                data.splice(at..end, token.iter().copied());
            }
        }
        data.truncate(20_000);
    }
    data
}

/// Runs a target, and says which input it was that broke a promise.
fn try_on(name: &str, target: fn(&[u8]), data: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| target(data)) {
        let words = panic.downcast_ref::<String>().map_or("it panicked", String::as_str);
        panic!("{name}: {words}\nput this into fuzz/corpus/{name}: b\"{}\"", data.escape_ascii());
    }
}

#[test]
fn every_target_stands_its_corpus_and_the_same_mutations_of_it_every_time() {
    let asked = std::env::var("CORPORA_SECONDS").ok().and_then(|text| text.parse().ok());
    let only = std::env::var("CORPORA_TARGET").ok();
    for (name, target) in targets::TARGETS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let seeds = seeds(name);
        assert!(seeds.len() >= 3, "{name} has hardly a corpus");
        for seed in &seeds {
            try_on(name, target, seed);
        }
        let mut rng = Rng::with_seed(asked.map_or(7, |_| fastrand::u64(..)));
        let until = asked.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let mut tried = 0;
        loop {
            let go_on = match until {
                Some(until) => Instant::now() < until,
                None => tried < MUTATIONS * seeds.len(),
            };
            if !go_on {
                break;
            }
            let other = &seeds[rng.usize(0..seeds.len())];
            let data = mutated(&mut rng, &seeds[tried % seeds.len()], other);
            try_on(name, target, &data);
            tried += 1;
        }
        println!("{name}: {} seeds, {tried} mutations", seeds.len());
    }
}
