//! The keeper and its file, on a clock that is moved by hand.
#![cfg(feature = "history")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::report::{Question, Report, read};
use super::*;
use crate::presence::event::Turn;
use crate::presence::{Departure, Reason, RowKey, Who};

const START_MS: u64 = 1_795_000_000_000;
const DAY: Duration = Duration::from_hours(24);

/// A keeper, its clock, and what it has said.
struct Lab {
    dir: tempfile::TempDir,
    moment: Arc<Mutex<Moment>>,
    said: Arc<Mutex<Vec<String>>>,
    shared: Arc<Shared>,
    keeper: Option<Keeper>,
    events: u64,
}

fn plan(path: PathBuf) -> Plan {
    Plan { path: Some(path), retention: 30 * DAY, max_bytes: 50_000_000 }
}

impl Lab {
    fn new() -> Self {
        Self::with(|dir| plan(dir.join("state/history-8080.db")))
    }

    fn with(plan: impl Fn(&Path) -> Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "a test has to start somewhere; only differences matter"
        )]
        let mono = Instant::now();
        let moment = Arc::new(Mutex::new(Moment { wall_ms: START_MS, mono }));
        let said = Arc::default();
        let mut lab = Self { moment, said, shared: Arc::default(), keeper: None, events: 0, dir };
        lab.start(plan(lab.dir.path()));
        lab
    }

    /// Starts the next server, on the file of the one before.
    fn start(&mut self, plan: Plan) {
        let (moment, said) = (self.moment.clone(), self.said.clone());
        let clock: Clock = Arc::new(move || *moment.lock().unwrap());
        let tell: Tell = Box::new(move |kind| said.lock().unwrap().push(kind.to_string()));
        self.keeper = None;
        self.keeper = Some(Keeper::new(plan, clock, tell, self.shared.clone()));
        self.keeper().tick();
    }

    fn keeper(&mut self) -> &mut Keeper {
        self.keeper.as_mut().unwrap()
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state/history-8080.db")
    }

    fn now(&self) -> Moment {
        *self.moment.lock().unwrap()
    }

    fn pass(&mut self, span: Duration) {
        {
            let mut moment = self.moment.lock().unwrap_or_else(PoisonError::into_inner);
            moment.wall_ms += flip::millis(span);
            moment.mono += span;
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.tick();
        }
    }

    fn happens(&mut self, row: u64, kind: EventKind) {
        self.events += 1;
        let name = format!("client-{row}");
        let who = Who {
            row: RowKey(row),
            id: name.as_str().into(),
            label: name.as_str().into(),
            peer: ([10, 0, 0, 1], 4_000).into(),
            user: Some("ada".into()),
            device: None,
            turn: Turn::default(),
        };
        let event = Event { seq: self.events, at: self.now().mono, who: Some(who), kind };
        self.keeper().take(&event);
        self.keeper().tick();
    }

    fn joins(&mut self, row: u64) {
        self.happens(row, EventKind::Joined);
    }

    fn goes(&mut self, row: u64, reason: Reason, up: u64) {
        let (silent, up) = (Duration::from_secs(2), Duration::from_secs(up));
        self.happens(row, EventKind::Gone { departure: Departure::new(reason, "so"), silent, up, missed: 0 });
    }

    fn said(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock().unwrap())
    }

    fn report(&self, client: Option<&str>) -> Report {
        let question = Question {
            path: self.path(),
            client: client.map(str::to_owned),
            since: 7 * DAY,
            limit: 100,
            now_ms: self.now().wall_ms,
        };
        read(&question).unwrap()
    }

    fn ends(&mut self) -> Option<String> {
        self.keeper.take().unwrap().end()
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn count(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_day_is_told_as_it_was() {
    let mut lab = Lab::new();
    lab.joins(1);
    lab.joins(2);
    lab.pass(secs(100));
    lab.goes(1, Reason::Timeout, 100);
    lab.pass(secs(20));
    lab.happens(1, EventKind::Resumed { away: secs(22) });
    lab.happens(2, EventKind::Late { silent: secs(5), interval: secs(3) });
    lab.happens(2, EventKind::Back { silent: secs(6), missed: 1 });
    lab.pass(secs(80));
    let report = lab.report(None);
    assert!(report.running, "also while a server writes");
    assert_eq!((report.matched, report.known), (2, secs(200)));
    let one = &report.clients[0];
    assert_eq!((one.label.as_str(), one.state, one.user.as_deref()), ("client-1", "online", Some("ada")));
    assert_eq!((one.sessions, one.outages, one.flaps), (2, 1, 1));
    // It was silent for two seconds before it was declared gone.
    assert_eq!((one.share.online, one.share.known, one.longest_gap), (secs(178), secs(200), secs(22)));
    assert_eq!(one.last_outages[0].lasted, Some(secs(22)));
    assert_eq!(report.clients[1].share.percent().as_deref(), Some("100%"));
    assert_eq!(report.clients[1].flaps, 1);
    let named = lab.report(Some("CLIENT-1"));
    let sessions: Vec<_> =
        named.clients[0].last_sessions.iter().map(|it| (it.reason.as_str(), it.up)).collect();
    assert_eq!(sessions, [("", secs(80)), ("timeout", secs(100))]);
    assert_eq!(lab.report(Some("ada")).matched, 2, "a user's clients");
    assert!(
        named.text().contains("uptime 89.00%") && named.text().contains("timeout: so"),
        "{}",
        named.text()
    );
    let json: serde_json::Value = serde_json::from_str(&named.json()).unwrap();
    assert_eq!(json["clients"][0]["uptime"], 0.89);
    assert_eq!(lab.ends(), None);
    assert!(!lab.path().with_extension("db-wal").exists(), "all of it is in the one file");
    assert_eq!(count(&lab.path(), "SELECT count(*) FROM flips"), 6);
    assert!(!lab.report(None).running);
    assert!(lab.said().is_empty());
}

#[test]
fn what_a_killed_server_left_open_is_closed_when_it_was_last_alive() {
    let mut lab = Lab::new();
    lab.joins(1);
    lab.pass(secs(1));
    lab.pass(secs(60));
    // Killed: the file is left as it is.
    lab.keeper = None;
    assert_eq!(lab.report(None).clients[0].state, "online", "as far as is known");
    assert!(!lab.report(None).running);
    lab.pass(secs(600));
    lab.start(plan(lab.path()));
    let named = lab.report(Some("client-1"));
    let session = &named.clients[0].last_sessions[0];
    assert_eq!(
        (session.reason.as_str(), session.detail.as_str(), session.up),
        ("unknown", "server ended", secs(61))
    );
    assert_eq!(count(&lab.path(), "SELECT count(*) FROM sessions WHERE end_ms IS NULL"), 0);
    lab.pass(secs(30));
    lab.happens(1, EventKind::Resumed { away: secs(690) });
    lab.pass(secs(9));
    // Neither the time without a server nor the way back to the next one is held against it.
    let one = &lab.report(None).clients[0];
    assert_eq!((one.share.online, one.share.known, one.outages), (secs(70), secs(70), 0));
}

#[test]
fn a_damaged_file_is_put_aside_and_a_new_one_begun() {
    let mut lab = Lab::new();
    lab.joins(1);
    lab.ends();
    fs::write(lab.path(), vec![0x55; 20_000]).unwrap();
    lab.start(plan(lab.path()));
    let said = lab.said();
    assert!(said.len() == 1 && said[0].contains("is damaged") && said[0].contains(".damaged"), "{said:?}");
    assert_eq!(fs::read(lab.path().with_extension("db.damaged")).unwrap().len(), 20_000);
    lab.joins(2);
    lab.pass(secs(1));
    assert_eq!(lab.report(None).clients[0].label, "client-2");
}

#[test]
fn a_file_that_is_damaged_while_it_is_open_is_replaced_and_told_who_is_here() {
    let mut lab = Lab::new();
    lab.joins(1);
    lab.pass(secs(1));
    let other = Connection::open(lab.path()).unwrap();
    let damage = "PRAGMA writable_schema = ON; PRAGMA schema_version = 99;
        UPDATE sqlite_schema SET rootpage = 77777 WHERE name = 'flips'";
    other.execute_batch(damage).unwrap();
    lab.joins(2);
    lab.pass(secs(1));
    let said = lab.said();
    assert!(said.len() == 1 && said[0].contains("is damaged"), "{said:?}");
    lab.pass(secs(1));
    let report = lab.report(None);
    assert_eq!(report.matched, 2, "{report:?}");
    assert_eq!(report.clients.iter().filter(|it| it.state == "online").count(), 2);
}

#[test]
fn a_file_somebody_else_holds_costs_one_warning_and_no_change() {
    let mut lab = Lab::new();
    let other = Connection::open(lab.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    lab.joins(1);
    for _ in 0..5 {
        lab.pass(secs(6));
    }
    lab.goes(1, Reason::Lost, 30);
    lab.pass(secs(1));
    let said = lab.said();
    assert!(said.len() == 1 && said[0].contains("another program") && said[0].contains("memory"), "{said:?}");
    other.execute_batch("COMMIT").unwrap();
    lab.pass(secs(6));
    assert_eq!(lab.said().len(), 1, "it says when it is written again");
    let one = &lab.report(Some("client-1")).clients[0];
    assert_eq!((one.last_sessions[0].up, one.outages), (secs(30), 1));
}

#[test]
fn a_second_server_with_the_same_file_keeps_its_history_in_memory_and_closes_nothing() {
    let mut lab = Lab::new();
    lab.joins(1);
    lab.pass(secs(1));
    let moment = lab.moment.clone();
    let (second, clock): (_, Clock) = (lab.said.clone(), Arc::new(move || *moment.lock().unwrap()));
    let tell: Tell = Box::new(move |kind| second.lock().unwrap().push(kind.to_string()));
    let mut keeper = Keeper::new(plan(lab.path()), clock, tell, Arc::default());
    keeper.tick();
    assert!(lab.said()[0].contains("another program is writing to it"));
    assert_eq!(keeper.recall(&["client-1".into()]), [None]);
    assert_eq!(count(&lab.path(), "SELECT count(*) FROM sessions WHERE end_ms IS NULL"), 1);
}

#[test]
fn where_nothing_can_be_written_the_newest_is_kept_in_memory_and_can_be_asked_for() {
    let mut lab = Lab::with(|dir| {
        fs::write(dir.join("file"), "").unwrap();
        plan(dir.join("file/history.db"))
    });
    lab.joins(1);
    lab.pass(secs(90));
    lab.goes(1, Reason::Lost, 90);
    lab.pass(secs(10));
    let past = lab.keeper().recall(&["client-1".into(), "client-2".into()]);
    let one = past[0].as_ref().unwrap();
    assert_eq!((one.day.online, one.day.known), (secs(90), secs(100)));
    assert_eq!((one.outages.len(), one.outages[0].lasted), (1, None));
    assert!(past[1].is_none());
    for row in 0..50_000 {
        lab.joins(row);
    }
    let said = lab.said();
    assert!(said.len() == 1 && said[0].contains("cannot be written"), "{said:?}");
    assert!(lab.ends().unwrap().contains("is incomplete"));
}

#[test]
fn a_file_of_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(&path).unwrap();
    let mut lab = Lab::with(|_| plan(path.clone()));
    lab.joins(1);
    lab.pass(secs(6));
    assert!(lab.said()[0].contains("belongs to another program"));
    drop(lab.keeper.take());
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn what_is_too_old_goes_with_whoever_is_known_by_nothing_else() {
    let mut lab = Lab::new();
    lab.joins(1);
    lab.pass(secs(10));
    lab.goes(1, Reason::Left, 10);
    lab.joins(2);
    lab.pass(31 * DAY);
    lab.joins(3);
    lab.pass(secs(1));
    lab.pass(secs(1));
    let path = lab.path();
    assert_eq!(count(&path, "SELECT count(*) FROM flips"), 1);
    assert_eq!(count(&path, "SELECT count(*) FROM clients"), 2, "one that is still here stays");
    assert_eq!(count(&path, "SELECT count(*) FROM sessions WHERE end_ms IS NULL"), 2);
}

#[test]
fn a_file_at_its_limit_loses_its_oldest_and_goes_on() {
    let mut lab = Lab::with(|dir| Plan { max_bytes: 1_000_000, ..plan(dir.join("state/history-8080.db")) });
    for round in 0..20 {
        for row in 0..500 {
            lab.joins(round * 500 + row);
            lab.goes(round * 500 + row, Reason::Lost, 1);
        }
        lab.pass(secs(60));
    }
    lab.pass(secs(1));
    let said = lab.said();
    assert!(said.is_empty(), "{said:?}");
    assert!(fs::metadata(lab.path()).unwrap().len() <= 1_000_000);
    assert_eq!(lab.report(Some("client-9999")).clients[0].sessions, 1);
    let oldest = count(&lab.path(), "SELECT min(at_ms) FROM flips");
    assert!(oldest > i64::try_from(START_MS).unwrap() + 120_000, "{oldest}");
    // What was thrown away is not known, and so nobody's absence.
    assert!(lab.report(None).from > Duration::from_millis(START_MS + 120_000));
}

#[test]
fn a_full_disk_costs_one_warning_and_nothing_that_fits_later() {
    let mut lab = Lab::new();
    lab.joins(1);
    lab.pass(secs(1));
    let limit = |lab: &mut Lab, pages: i64| {
        let db = lab.keeper().store().unwrap().db();
        db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    };
    limit(&mut lab, 1); // That is: as many as there are.
    for row in 2..900 {
        lab.joins(row);
    }
    lab.pass(secs(1));
    lab.pass(secs(6));
    let said = lab.said();
    assert!(said.len() == 1 && said[0].contains("no room left"), "{said:?}");
    limit(&mut lab, 1_000_000);
    lab.pass(secs(6));
    assert!(lab.said()[0].contains("again"));
    assert_eq!(count(&lab.path(), "SELECT count(*) FROM sessions"), 899);
}

#[test]
fn who_hands_events_over_never_waits_however_stuck_the_writing_is() {
    let (release, stuck) = std::sync::mpsc::channel::<()>();
    let dir = tempfile::tempdir().unwrap();
    let not_a_folder = dir.path().join("file");
    fs::write(&not_a_folder, "").unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test has to start somewhere; only differences matter")]
    let start = Instant::now();
    let clock: Clock = Arc::new(move || Moment { wall_ms: START_MS, mono: start });
    let warnings = Arc::new(AtomicU64::new(0));
    let told = warnings.clone();
    let tell: Tell = Box::new(move |_| {
        told.fetch_add(1, Relaxed);
        let _ = stuck.recv(); // The disk does not answer.
    });
    let history = History::start(plan(not_a_folder.join("h.db")), clock, tell).unwrap();
    let recorder = history.recorder();
    let who = Who {
        row: RowKey(1),
        id: "a".into(),
        label: "a".into(),
        peer: ([10, 0, 0, 1], 1).into(),
        user: None,
        device: None,
        turn: Turn::default(),
    };
    let event = Arc::new(Event { seq: 1, at: start, who: Some(who), kind: EventKind::Joined });
    while warnings.load(Relaxed) == 0 {
        std::thread::yield_now();
    }
    for _ in 0..WAITING_MAX + 1_000 {
        recorder.note(std::slice::from_ref(&event));
    }
    assert_eq!(recorder.dropped(), 1_000);
    assert!(history.asker().ask(vec!["a".into()]).is_none());
    drop(release);
    recorder.end();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert!(runtime.block_on(history.finish(secs(20))).unwrap().contains("is incomplete"));
    assert_eq!(warnings.load(Relaxed), 2, "that it cannot be written, and once that some was dropped");
}

#[test]
fn a_client_without_an_identity_is_known_again_by_its_name_and_machine() {
    let peer = Some(([10, 0, 0, 1], 4_000).into());
    assert_eq!(&*key(&"k3v9".into(), "a", peer), "k3v9");
    assert_eq!(&*key(&"~7".into(), "a", peer), "~a@10.0.0.1");
    assert_eq!(&*key(&"~7".into(), "a", None), "~a");
}

#[test]
fn a_server_that_asks_its_clients_to_leave_leaves_no_mark_on_them() {
    let mut lab = Lab::new();
    lab.joins(1);
    lab.pass(secs(100));
    let draining = EventKind::Draining { clients: 1 };
    let event = Event { seq: 2, at: lab.now().mono, who: None, kind: draining };
    lab.keeper().take(&event);
    lab.pass(secs(1));
    lab.goes(1, Reason::Left, 101);
    lab.pass(secs(3));
    assert_eq!(lab.ends(), None);
    lab.pass(secs(20));
    lab.start(plan(lab.path()));
    lab.pass(secs(5));
    lab.happens(1, EventKind::Resumed { away: secs(28) });
    lab.pass(secs(100));
    let one = &lab.report(None).clients[0];
    assert_eq!((one.share.online, one.share.known, one.longest_gap), (secs(200), secs(200), secs(0)));
}
