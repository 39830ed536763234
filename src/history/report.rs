//! What `presence-tui history` tells: read from the file, also while a server writes to it.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::store::{LOCK, beside, check, int, ms, runs, stay};
use super::timeline::{Over, Span, Stay, Timeline, known_since};
use super::{Trouble, sql};
use crate::presence::past::{Outage, Share};

/// How long a file that is just being replaced is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The file.
    pub path: PathBuf,
    /// Whose history: an identity, a name, a user, or a part of one; everybody's when there is none.
    pub client: Option<String>,
    /// How far back.
    pub since: Duration,
    /// How many clients, and how many sessions and outages of each, are told at most.
    pub limit: usize,
    /// What time it is, in milliseconds since 1970.
    pub now_ms: u64,
}

/// The answer. Times are counted since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// From when on.
    pub from: Duration,
    /// Until when: now, or when the server was last there.
    pub until: Duration,
    /// Whether a server is writing to the file.
    pub running: bool,
    /// How much of that time a server was there to tell.
    pub known: Duration,
    /// How many clients there are to tell of.
    pub matched: usize,
    /// They, the one that was here least first.
    pub clients: Vec<Client>,
    /// Whether one client, or a few, were asked for by name.
    pub by_name: bool,
}

/// One client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its identity.
    pub id: String,
    /// Its name, or its claimed address.
    pub label: String,
    /// The person it belongs to.
    pub user: Option<String>,
    /// How it is: `online`, `down`, `left`, or `unknown` since the server ended.
    pub state: &'static str,
    /// When it was last heard of.
    pub seen: Duration,
    /// How much of the time it was here.
    pub share: Share,
    /// How many sessions it had.
    pub sessions: usize,
    /// How many outages.
    pub outages: usize,
    /// How often it was late and came back, or failed.
    pub flaps: u64,
    /// The longest time it is known not to have been here.
    pub longest_gap: Duration,
    /// The outages, newest first, within the limit.
    pub last_outages: Vec<Outage>,
    /// The sessions, newest first, within the limit; only of a client that was asked for by name.
    pub last_sessions: Vec<Session>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// When it began.
    pub start: Duration,
    /// When it ended; `None` while it lasts.
    pub end: Option<Duration>,
    /// How long it was, or is.
    pub up: Duration,
    /// Why it ended, in one word; empty while it lasts.
    pub reason: String,
    /// What more is known of that.
    pub detail: String,
    /// Where the client came from.
    pub peer: String,
}

/// A client as the file names it.
struct Known {
    number: i64,
    id: String,
    label: String,
    user: Option<String>,
    first: u64,
    seen: u64,
}

/// Reads the answer.
///
/// # Errors
/// The file cannot be opened, is none of ours, or is damaged.
pub fn read(question: &Question) -> Result<Report, Trouble> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(&question.path, flags)?;
    db.busy_timeout(PATIENCE)?;
    check(&db)?;
    db.execute_batch("PRAGMA mmap_size = 268435456; PRAGMA cache_size = -32768;")?;
    let running = is_written_to(&question.path);
    let tx = db.transaction()?; // Everything as it was at one moment.
    let report = Reader { db: &tx, question }.report(running)?;
    tx.commit()?;
    Ok(report)
}

/// Tells whether a server holds the right to write to the file.
fn is_written_to(path: &Path) -> bool {
    let lock = File::open(beside(path, LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

struct Reader<'a> {
    db: &'a Connection,
    question: &'a Question,
}

impl Reader<'_> {
    fn report(&self, running: bool) -> rusqlite::Result<Report> {
        let question = self.question;
        let alive: Option<i64> = self.db.query_row("SELECT max(alive_ms) FROM runs", [], |row| row.get(0))?;
        let now = if running { question.now_ms } else { alive.map_or(question.now_ms, ms) };
        let until = now.max(1);
        let horizon: i64 = self.db.query_row(sql::HORIZON, [], |row| row.get(0))?;
        let back = u64::try_from(question.since.as_millis()).unwrap_or(u64::MAX);
        let window = Span::new(question.now_ms.saturating_sub(back).max(ms(horizon)), until);
        let runs = runs(self.db, window.from, until)?;
        let all = self.clients()?;
        let by_name = question.client.is_some();
        let chosen = match &question.client {
            Some(wanted) => matching(all, wanted),
            None => all,
        };
        let only = by_name.then_some(&chosen);
        let (mut stays, flaps) = (self.stays(window, until, only)?, self.flaps(window.from, only)?);
        let mut clients = Vec::new();
        for known in chosen {
            let stays = stays.remove(&known.number).unwrap_or_default();
            if stays.is_empty() && !by_name {
                continue;
            }
            let flaps = flaps.get(&known.number).copied().unwrap_or(0);
            clients.push((known.number, client(known, stays, flaps, &runs, window, question.limit)));
        }
        let share = |client: &Client| {
            let online = client.share.online.as_millis() * 1_000_000;
            online.checked_div(client.share.known.as_millis()).unwrap_or(u128::MAX)
        };
        clients.sort_by_cached_key(|(_, client)| (share(client), client.label.clone()));
        let matched = clients.len();
        clients.truncate(question.limit);
        if by_name {
            for (number, client) in &mut clients {
                client.last_sessions = self.sessions(*number, window.from, until)?;
            }
        }
        let known = Timeline::new(Vec::new(), &known_since(0, runs)).share(window).known;
        Ok(Report {
            path: question.path.clone(),
            from: Duration::from_millis(window.from),
            until: Duration::from_millis(until),
            running,
            known,
            matched,
            clients: clients.into_iter().map(|(_, client)| client).collect(),
            by_name,
        })
    }

    fn clients(&self) -> rusqlite::Result<Vec<Known>> {
        let mut clients = self.db.prepare(sql::CLIENTS)?;
        let known = clients.query_map([], |row| {
            Ok(Known {
                number: row.get(0)?,
                id: row.get(1)?,
                label: row.get(2)?,
                user: row.get(3)?,
                first: ms(row.get(4)?),
                seen: ms(row.get(5)?),
            })
        })?;
        known.collect()
    }

    /// Returns the stays that touch the window: of these clients, or of everybody.
    fn stays(
        &self,
        window: Span,
        until: u64,
        chosen: Option<&Vec<Known>>,
    ) -> rusqlite::Result<HashMap<i64, Vec<Stay>>> {
        let mut found: HashMap<i64, Vec<Stay>> = HashMap::new();
        if let Some(chosen) = chosen {
            let mut of = self.db.prepare(sql::STAYS_OF)?;
            for known in chosen {
                let stays =
                    of.query_map(params![known.number, int(window.from)], |row| stay(row, 0, until))?;
                found.insert(known.number, stays.collect::<Result<_, _>>()?);
            }
            return Ok(found);
        }
        let mut all = self.db.prepare(sql::STAYS)?;
        let mut rows = all.query(params![int(window.from)])?;
        while let Some(row) = rows.next()? {
            found.entry(row.get(0)?).or_default().push(stay(row, 1, until)?);
        }
        Ok(found)
    }

    /// Returns how often clients flapped: these, or everybody.
    fn flaps(&self, from: u64, chosen: Option<&Vec<Known>>) -> rusqlite::Result<HashMap<i64, u64>> {
        let flaps = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, ms(row.get(1)?)));
        let Some(chosen) = chosen else {
            return self.db.prepare(sql::FLAPS)?.query_map(params![int(from)], flaps)?.collect();
        };
        let mut of = self.db.prepare(sql::FLAPS_OF)?;
        let mut found = HashMap::new();
        for known in chosen {
            for one in of.query_map(params![int(from), known.number], flaps)? {
                found.extend([one?]);
            }
        }
        Ok(found)
    }

    fn sessions(&self, client: i64, from: u64, until: u64) -> rusqlite::Result<Vec<Session>> {
        let limit = i64::try_from(self.question.limit).unwrap_or(i64::MAX);
        let mut sessions = self.db.prepare(sql::SESSIONS_OF)?;
        let session = |row: &rusqlite::Row<'_>| {
            let (start, end, up): (i64, Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Session {
                start: Duration::from_millis(ms(start)),
                end: end.map(|end| Duration::from_millis(ms(end))),
                up: Duration::from_millis(up.map_or_else(|| until.saturating_sub(ms(start)), ms)),
                reason: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
                detail: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
                peer: row.get(5)?,
            })
        };
        sessions.query_map(params![client, int(from), limit], session)?.collect()
    }
}

/// Returns whom a word means: a client by its identity or its name, or all of a user; else whose name has it inside.
fn matching(all: Vec<Known>, wanted: &str) -> Vec<Known> {
    let wanted = wanted.to_lowercase();
    let is = |text: &str| text.to_lowercase() == wanted;
    let exactly = |known: &Known| is(&known.id) || is(&known.label) || known.user.as_deref().is_some_and(is);
    let (exact, others): (Vec<_>, Vec<_>) = all.into_iter().partition(exactly);
    if exact.is_empty() {
        let has = |known: &Known| known.label.to_lowercase().contains(&wanted);
        return others.into_iter().filter(has).collect();
    }
    exact
}

fn client(known: Known, stays: Vec<Stay>, flaps: u64, runs: &[Span], window: Span, limit: usize) -> Client {
    let state = match stays.iter().max_by_key(|stay| stay.span.to).map(|stay| stay.over) {
        Some(Over::Here) => "online",
        Some(Over::Failed(_)) => "down",
        Some(Over::Unknown) => "unknown",
        Some(Over::Decided) | None => "left",
    };
    let sessions = stays.len();
    let line = Timeline::new(stays, &known_since(known.first.max(window.from), runs.to_vec()));
    Client {
        state,
        seen: Duration::from_millis(if state == "online" { window.to } else { known.seen }),
        share: line.share(window),
        sessions,
        outages: line.outages(window).count(),
        flaps,
        longest_gap: line.longest_gap(window),
        last_outages: line.outages(window).take(limit).collect(),
        last_sessions: Vec::new(),
        id: known.id,
        label: known.label,
        user: known.user,
    }
}
