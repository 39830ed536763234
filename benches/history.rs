//! How long questions to a history of a million flips take, and how long ten thousand flips at once.
//!
//! ```sh
//! cargo bench --bench history
//! ```
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a bench tells what it finds")]

#[cfg(not(all(unix, feature = "history")))]
fn main() {}

#[cfg(all(unix, feature = "history"))]
fn main() {
    bench::run();
}

#[cfg(all(unix, feature = "history"))]
mod bench {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use presence_tui::history::report::{Question, read};
    use presence_tui::history::{Clock, History, Moment, Plan};
    use presence_tui::presence::{Event, EventKind, RowKey, Who};
    use rusqlite::{Connection, params};

    /// Now, in milliseconds since 1970; the file goes thirty days back from here.
    const NOW_MS: i64 = 1_795_000_000_000;
    const DAYS: i64 = 30;
    const DAY_MS: i64 = 86_400_000;
    const FLIPS: i64 = 1_000_000;
    /// Rows of a large screen.
    const SHOWN: i64 = 60;
    const CLIENTS_AT_ONCE: u64 = 10_000;

    pub(super) fn run() {
        for clients in [100, 10_000] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("history.db");
            fill(&path, clients);
            let size = std::fs::metadata(&path).unwrap().len() / 1_000_000;
            println!("\n{FLIPS} flips of {clients} clients in {DAYS} days, {size} MB");
            for (name, days, client) in [
                ("everybody, 24 hours", 1, None),
                ("everybody, 7 days", 7, None),
                ("everybody, 30 days", DAYS, None),
                ("one client, 30 days", DAYS, Some("client-7")),
            ] {
                let since = Duration::from_millis(u64::try_from(days * DAY_MS).unwrap());
                let client = client.map(str::to_owned);
                let question = Question { path: path.clone(), client, since, limit: 50, now_ms: ms(NOW_MS) };
                best(name, || drop(read(&question).unwrap().text()));
            }
            screen(path);
        }
        write();
    }

    fn ms(int: i64) -> u64 {
        u64::try_from(int).unwrap()
    }

    /// Asks a few times; the CPU time is what it takes on a machine that has nothing else to do.
    fn best(name: &str, mut question: impl FnMut()) {
        const TIMES: u32 = 7;
        let cpu = cpu();
        let mut spans: Vec<Duration> = (0..TIMES)
            .map(|_| {
                let began = now();
                question();
                now() - began
            })
            .collect();
        let cpu = self::cpu().saturating_sub(cpu) / TIMES;
        spans.sort();
        println!("{name:<30} median {:>9.1?}, longest {:>9.1?}, CPU {cpu:>9.1?}", spans[3], spans[6]);
    }

    /// Returns the CPU time of this process.
    fn cpu() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::try_from(time).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures")]
    fn now() -> Instant {
        Instant::now()
    }

    fn start(path: PathBuf) -> History {
        let clock: Clock = Arc::new(|| Moment { wall_ms: ms(NOW_MS), mono: now() });
        let plan = Plan { path: Some(path), retention: Duration::MAX, max_bytes: 1 << 40 };
        History::start(plan, clock, Box::new(|said| println!("{said}"))).unwrap()
    }

    fn finish(history: History) {
        history.recorder().end();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert_eq!(runtime.block_on(history.finish(Duration::from_mins(1))), None);
    }

    /// Makes a file in which every client comes, is late, is back and fails, over and over.
    fn fill(path: &Path, clients: i64) {
        finish(start(path.to_owned()));
        let mut db = Connection::open(path).unwrap();
        let tx = db.transaction().unwrap();
        let (rounds, from) = (FLIPS / 4 / clients, NOW_MS - DAYS * DAY_MS);
        tx.execute("UPDATE runs SET began_ms = ?1, alive_ms = ?2, ended_ms = ?2", [from, NOW_MS]).unwrap();
        let mut client = tx.prepare("INSERT INTO clients VALUES (?1, ?2, ?2, NULL, ?3, ?4)").unwrap();
        let mut session = tx
            .prepare("INSERT INTO sessions VALUES (NULL, ?1, 1, ?1, '10.0.0.1:4000', ?2, ?3, ?4, ?5, ?6, '')")
            .unwrap();
        let mut flip = tx.prepare("INSERT INTO flips VALUES (NULL, ?1, ?2, ?3, ?4)").unwrap();
        for number in 0..clients {
            client.execute(params![number, format!("client-{number}"), from, NOW_MS]).unwrap();
        }
        let step = DAYS * DAY_MS / rounds;
        for round in 0..rounds {
            for number in 0..clients {
                let at = from + round * step + number * step / clients;
                let (last, end) = (at + step * 8 / 10, at + step * 9 / 10);
                let reason = if round % 3 == 0 { "left" } else { "timeout" };
                session.execute(params![number, at, last, end, end - at, reason]).unwrap();
                for (after, kind) in [(0, "resumed"), (3, "late"), (4, "back"), (9, "timed_out")] {
                    flip.execute(params![number, at + step * after / 10, kind, 5_000]).unwrap();
                }
            }
        }
        drop((client, session, flip));
        tx.commit().unwrap();
    }

    /// What a dashboard asks for every few seconds.
    fn screen(path: PathBuf) {
        let history = start(path);
        let asker = history.asker();
        let keys: Vec<Arc<str>> = (0..SHOWN).map(|number| format!("client-{number}").into()).collect();
        best("60 rows of a screen, 7 days", || {
            let answer = asker.ask(keys.clone()).unwrap().blocking_recv().unwrap();
            assert!(answer.iter().all(Option::is_some));
        });
        finish(history);
    }

    /// Everybody goes at once.
    fn write() {
        let dir = tempfile::tempdir().unwrap();
        let history = start(dir.path().join("history.db"));
        let recorder = history.recorder();
        let events: Vec<_> = (0..CLIENTS_AT_ONCE)
            .map(|number| {
                let name: Arc<str> = format!("client-{number}").into();
                let peer = ([10, 0, 0, 1], 4_000).into();
                let (user, device, turn) = (None, None, presence_tui::presence::event::Turn::default());
                let (row, id) = (RowKey(number), name.clone());
                let who = Who { row, id, label: name, peer, user, device, turn };
                Arc::new(Event { seq: number, at: now(), who: Some(who), kind: EventKind::Joined })
            })
            .collect();
        let began = now();
        let mut longest = Duration::ZERO;
        for batch in events.chunks(1_024) {
            let before = now();
            recorder.note(batch);
            longest = longest.max(now() - before);
        }
        let handed = now() - began;
        while recorder.written() < CLIENTS_AT_ONCE {
            std::thread::yield_now();
        }
        println!(
            "\n{CLIENTS_AT_ONCE} flips at once: handed over in {handed:.1?} (a batch: {longest:.1?} at most), on the \
             disk after {:.1?}, dropped {}",
            now() - began,
            recorder.dropped()
        );
        finish(history);
    }
}
