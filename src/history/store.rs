//! The one connection that writes.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use super::flip::{Change, Flip};
use super::timeline::{DAY, Over, Span, Stay, Timeline, known_since};
use super::trouble::Trouble;
use super::{Plan, sql};
use crate::files;
use crate::presence::past::Past;

/// How long a file that somebody else is writing to is waited for.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often the right to write is tried for within that time.
const LOOKS_MAX: u32 = 10;
/// What the file is called that is held by whoever has that right.
pub(super) const LOCK: &str = "-lock";
/// How many flips are forgotten in one step, so that writing is not held up.
const SLICE: i64 = 5_000;
/// How many such steps are made to find room for what has to be written.
const PRUNES_MAX: usize = 8;
/// How full the file may be, in percent of its limit, before the oldest go.
const FULL: u64 = 90;

/// One life of a server, as the file knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// When it began.
    pub(super) began_ms: u64,
    /// Its number, once it has one.
    pub(super) number: Option<i64>,
}

/// The file, open for writing. Nobody else writes to it meanwhile.
#[derive(Debug)]
pub(super) struct Store {
    db: Connection,
    run: i64,
    plan: Plan,
    /// Held for as long as the file is open, given back by the system when the process is killed.
    _lock: File,
}

impl Store {
    /// Opens the file, makes it if there is none, and closes what a killed server left open in it.
    ///
    /// Tells as well whether this life of the server is new to the file.
    pub(super) fn open(path: &Path, plan: &Plan, run: Run, now_ms: u64) -> Result<(Self, bool), Trouble> {
        let lock = hold(path)?;
        let mut db = connect(path, plan)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = match run.number {
            Some(number) => tx.prepare(sql::SAME_RUN)?.exists(params![number, int(run.began_ms)])?,
            None => false,
        };
        if !known {
            tx.execute(sql::BEGIN_RUN, params![int(run.began_ms), int(now_ms)])?;
        }
        let number = run.number.filter(|_| known).unwrap_or_else(|| tx.last_insert_rowid());
        tx.execute(sql::CLOSE_LEFT_OPEN, params![number])?;
        tx.execute(sql::END_LEFT_OPEN, params![number])?;
        tx.commit()?;
        Ok((Self { db, run: number, plan: plan.clone(), _lock: lock }, !known))
    }

    /// Returns the number of this life.
    pub(super) fn run(&self) -> i64 {
        self.run
    }

    /// Writes changes down in one step: all of them are in the file afterwards, or none.
    ///
    /// A file that has reached its limit loses its oldest part for it.
    pub(super) fn write(&mut self, flips: &[Flip], now_ms: u64) -> Result<(), Trouble> {
        let mut written = self.try_write(flips, now_ms);
        for _ in 0..PRUNES_MAX {
            if !written.as_ref().is_err_and(Trouble::is_full) {
                break;
            }
            let more = self.prune(now_ms, true)?;
            written = self.try_write(flips, now_ms);
            if !more {
                break;
            }
        }
        written
    }

    fn try_write(&mut self, flips: &[Flip], now_ms: u64) -> Result<(), Trouble> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        put(&tx, self.run, flips)?;
        tx.execute(sql::ALIVE, params![self.run, int(now_ms)])?;
        Ok(tx.commit()?)
    }

    /// Forgets some of what is too old or, when `forced`, some of the oldest whatever its age; returns whether
    /// there is more to forget.
    pub(super) fn prune(&mut self, now_ms: u64, forced: bool) -> Result<bool, Trouble> {
        let used: i64 = self.db.query_row(sql::PAGES_USED, [], |row| row.get(0))?;
        let crowded = forced || u64::try_from(used).unwrap_or(0) > self.plan.max_bytes / 100 * FULL;
        let keep_from = int(now_ms.saturating_sub(millis(self.plan.retention)));
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Of what is merely too many, an eighth at most goes in one step.
        let there: i64 = tx.query_row(sql::FLIPS_ABOUT, [], |row| row.get(0))?;
        let (slice, before) = if crowded { (SLICE.min(there / 8 + 1), i64::MAX) } else { (SLICE, keep_from) };
        let (count, last, at): (i64, Option<i64>, Option<i64>) =
            tx.query_row(sql::OLD_FLIPS, params![slice, before], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        if let Some(last) = last {
            tx.execute(sql::FORGET_FLIPS, params![last])?;
        }
        let horizon = if crowded { at.unwrap_or(keep_from).max(keep_from) } else { keep_from };
        let sessions = tx.execute(sql::FORGET_SESSIONS, params![horizon, SLICE])?;
        let more = count == slice || i64::try_from(sessions).unwrap_or(SLICE) == SLICE;
        if crowded || !more {
            tx.execute(sql::FORGET_CLIENTS, params![horizon])?;
            tx.execute(sql::FORGET_RUNS, params![horizon])?;
        }
        tx.execute(sql::MOVE_HORIZON, params![horizon])?;
        tx.commit()?;
        self.db.prepare(sql::GIVE_BACK)?.query([])?.next()?;
        Ok(more && count > 0)
    }

    /// Returns what is remembered of each of these clients.
    pub(super) fn past(&self, keys: &[Arc<str>], now_ms: u64) -> Result<Vec<Option<Arc<Past>>>, Trouble> {
        let from = now_ms.saturating_sub(7 * DAY);
        let horizon: i64 = self.db.query_row(sql::HORIZON, [], |row| row.get(0))?;
        let runs = runs(&self.db, from, now_ms)?;
        let mut find = self.db.prepare(sql::CLIENT_BY_ID)?;
        let mut stays = self.db.prepare(sql::STAYS_OF)?;
        let mut past = |key: &Arc<str>| -> rusqlite::Result<Option<Arc<Past>>> {
            let mut found = find.query_map(params![&**key], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let Some((client, first)): Option<(i64, i64)> = found.next().transpose()? else {
                return Ok(None);
            };
            let rows = stays.query_map(params![client, int(from)], |row| stay(row, 0, now_ms))?;
            let first = ms(first.max(horizon)).max(from);
            let known = known_since(first, runs.clone());
            Ok(Some(Arc::new(Timeline::new(rows.collect::<Result<_, _>>()?, &known).past(now_ms))))
        };
        Ok(keys.iter().map(&mut past).collect::<Result<_, _>>()?)
    }

    /// Ends this life: nothing stays open, and everything is in the one file.
    pub(super) fn end(self, now_ms: u64) -> Result<(), Trouble> {
        self.db.execute(sql::CLOSE_ALL, params![self.run, int(now_ms)])?;
        self.db.execute(sql::END_RUN, params![self.run, int(now_ms)])?;
        // Best effort: where a reader is in the way, its last page is written by whoever opens the file next.
        let _ = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.db.close().map_err(|(_, error)| error.into())
    }

    #[cfg(test)]
    pub(super) fn db(&self) -> &Connection {
        &self.db
    }
}

/// Returns the file beside the history that belongs to it, such as `history-8080.db-lock`.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Takes the right to write to a file, or says that somebody has it.
fn hold(path: &Path) -> Result<File, Trouble> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let lock = files::private().create(true).truncate(false).write(true).open(beside(path, LOCK))?;
    let mut looks = 0;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // Whoever reads the file looks for a moment whether anybody has the right.
            Err(TryLockError::WouldBlock) if looks < LOOKS_MAX => {
                looks += 1;
                std::thread::sleep(PATIENCE / LOOKS_MAX);
            }
            Err(TryLockError::WouldBlock) => return Err(Trouble::held()),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// Connects for writing, and makes the tables where there are none.
fn connect(path: &Path, plan: &Plan) -> Result<Connection, Trouble> {
    // SQLite would make a file that everybody can read.
    files::private().create(true).append(true).open(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(PATIENCE)?;
    let is_new: bool = db.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    if is_new {
        db.execute_batch(sql::BEFORE_TABLES)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(sql::SCHEMA)?;
        tx.pragma_update(None, "application_id", sql::APPLICATION)?;
        tx.pragma_update(None, "user_version", sql::VERSION)?;
        tx.commit()?;
    }
    check(&db)?;
    db.execute_batch(sql::FOR_WRITING)?;
    let page: i64 = db.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = plan.max_bytes / u64::try_from(page).unwrap_or(4_096).max(1);
    let _: i64 = db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0))?;
    Ok(db)
}

/// Makes sure that it is our file, laid out as we know it.
pub(super) fn check(db: &Connection) -> Result<(), Trouble> {
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match (application, version) {
        (sql::APPLICATION, sql::VERSION) => Ok(()),
        (sql::APPLICATION, _) => Err(Trouble::strange("it is laid out by a newer version of this program")),
        _ => Err(Trouble::strange("it belongs to another program")),
    }
}

fn put(tx: &Transaction<'_>, run: i64, flips: &[Flip]) -> rusqlite::Result<()> {
    let (mut client, mut flipped) = (tx.prepare(sql::CLIENT)?, tx.prepare(sql::FLIP)?);
    let (mut begin, mut end) = (tx.prepare(sql::BEGIN)?, tx.prepare(sql::END)?);
    let (mut whole, mut missed) = (tx.prepare(sql::WHOLE)?, tx.prepare(sql::MISSED_END)?);
    for flip in flips {
        let (row, at, peer) = (int(flip.row), int(flip.at_ms), flip.peer.to_string());
        let first = match &flip.change {
            Change::Ended { up_ms, .. } => int(flip.began_ms(*up_ms)),
            _ => at,
        };
        let who = params![&*flip.key, &*flip.label, flip.user.as_deref(), first, at];
        let who: i64 = client.query_row(who, |row| row.get(0))?;
        let silent = match &flip.change {
            Change::Began { away_ms } => {
                missed.execute(params![run, row, at])?;
                begin.execute(params![who, run, row, peer, at])?;
                away_ms.map(int)
            }
            Change::Ended { reason, detail, silent_ms, up_ms } => {
                let last = int(flip.last_ms(*reason, *silent_ms, *up_ms));
                let (up, word) = (int(*up_ms), reason.word());
                if end.execute(params![run, row, last, at, up, word, detail])? == 0 {
                    whole.execute(params![who, run, row, peer, first, last, at, up, word, detail])?;
                }
                Some(int(*silent_ms))
            }
            Change::Wavered { silent_ms } => Some(int(*silent_ms)),
            Change::Renamed => continue,
        };
        flipped.execute(params![who, at, flip.word, silent])?;
    }
    Ok(())
}

/// Returns when servers ran; the one that still does, until `now_ms`.
pub(super) fn runs(db: &Connection, from: u64, now_ms: u64) -> rusqlite::Result<Vec<Span>> {
    let mut runs = db.prepare(sql::RUNS)?;
    let span = |row: &rusqlite::Row<'_>| {
        let (began, ended, runs): (i64, i64, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Span::new(ms(began), if runs { now_ms } else { ms(ended) }))
    };
    runs.query_map(params![int(from)], span)?.collect()
}

/// Reads a stay whose beginning stands in the column `at`; one that is open lasts until `now_ms`.
pub(super) fn stay(row: &rusqlite::Row<'_>, at: usize, now_ms: u64) -> rusqlite::Result<Stay> {
    let (start, last): (i64, Option<i64>) = (row.get(at)?, row.get(at + 1)?);
    let over = Over::from_word(row.get_ref(at + 2)?.as_str_or_null()?);
    Ok(Stay { span: Span::new(ms(start), last.map_or(now_ms, ms)), over })
}

/// Puts a damaged file out of the way; returns where it is kept.
pub(super) fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let aside = beside(path, ".damaged");
    fs::rename(path, &aside)?;
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(path, ending)); // Usually there is none; a new file must not find it.
    }
    Ok(aside)
}

/// Returns a time or a span as the file has it.
pub(super) fn int(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Returns a time or a span as the program has it; a file can be edited.
pub(super) fn ms(int: i64) -> u64 {
    u64::try_from(int).unwrap_or(0)
}

fn millis(span: Duration) -> u64 {
    super::flip::millis(span)
}
