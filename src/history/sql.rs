//! The file: its tables, and every statement that is put to it.
//!
//! All times are wall-clock milliseconds since 1970, all spans are milliseconds of the monotonic clock.
//! `presence-tui history` is one reader; `sqlite3 FILE` is as good.

/// Says whose file it is, at the place SQLite keeps for that: "PRTU".
pub(super) const APPLICATION: i64 = 0x5052_5455;
/// How the tables are laid out; it grows when an older program could not read them any more.
pub(super) const VERSION: i64 = 1;

/// What has to be said before the first table is made.
pub(super) const BEFORE_TABLES: &str = "
    PRAGMA auto_vacuum = INCREMENTAL;   -- what is pruned is given back to the disk
    PRAGMA journal_mode = WAL;          -- who reads does not hold up who writes
";

/// What has to be said on every connection that writes.
///
/// With `NORMAL` a process that is killed loses nothing that was committed; a power cut may cost the last
/// moments, and never the file.
pub(super) const FOR_WRITING: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA journal_size_limit = 4194304;
    PRAGMA cache_size = -512;           -- who only adds needs few pages
    PRAGMA temp_store = MEMORY;
";

/// The tables.
pub(super) const SCHEMA: &str = "
    -- The lives of the server. `alive_ms` is when it was last there to tell; no `ended_ms`: it runs, or was killed.
    CREATE TABLE runs (
        run      INTEGER PRIMARY KEY,
        began_ms INTEGER NOT NULL,
        alive_ms INTEGER NOT NULL,
        ended_ms INTEGER
    ) STRICT;

    -- Who was ever here, as last heard of. `id` is its identity, or ~NAME@IP for a client that has none.
    CREATE TABLE clients (
        client   INTEGER PRIMARY KEY,
        id       TEXT NOT NULL UNIQUE,
        label    TEXT NOT NULL,
        user     TEXT,
        first_ms INTEGER NOT NULL,
        seen_ms  INTEGER NOT NULL
    ) STRICT;

    -- From registering to being gone. `last_ms` is when it was last here for certain: before `end_ms` where
    -- its silence had to be waited out. Both are empty while it is here.
    CREATE TABLE sessions (
        session  INTEGER PRIMARY KEY,
        client   INTEGER NOT NULL,
        run      INTEGER NOT NULL,
        row      INTEGER NOT NULL,
        peer     TEXT NOT NULL,
        start_ms INTEGER NOT NULL,
        last_ms  INTEGER,
        end_ms   INTEGER,
        up_ms    INTEGER,
        reason   TEXT,
        detail   TEXT
    ) STRICT;
    -- Both have all that is needed to reckon with: one for a client, one for everybody in some time.
    CREATE INDEX sessions_of ON sessions (client, start_ms, last_ms, reason);
    CREATE INDEX sessions_when ON sessions (last_ms, client, start_ms, reason);
    CREATE UNIQUE INDEX sessions_open ON sessions (run, row) WHERE end_ms IS NULL;

    -- Every change of state, in the order they happened.
    CREATE TABLE flips (
        flip      INTEGER PRIMARY KEY,
        client    INTEGER NOT NULL,
        at_ms     INTEGER NOT NULL,
        kind      TEXT NOT NULL,
        silent_ms INTEGER
    ) STRICT;
    CREATE INDEX flaps ON flips (client, at_ms) WHERE kind IN ('back', 'timed_out', 'lost');

    -- One row: what happened before was thrown away.
    CREATE TABLE horizon (since_ms INTEGER NOT NULL) STRICT;
    INSERT INTO horizon VALUES (0);
";

// A server starts, lives and ends.

pub(super) const SAME_RUN: &str = "SELECT 1 FROM runs WHERE run = ?1 AND began_ms = ?2";
pub(super) const BEGIN_RUN: &str = "INSERT INTO runs (began_ms, alive_ms) VALUES (?1, max(?1, ?2))";
pub(super) const ALIVE: &str = "UPDATE runs SET alive_ms = max(alive_ms, ?2) WHERE run = ?1";
pub(super) const END_RUN: &str = "UPDATE runs SET alive_ms = max(alive_ms, ?2), ended_ms = ?2 WHERE run = ?1";

/// Closes what other lives left open: `?1` is ours. They were killed, and last known alive at `alive_ms`.
pub(super) const CLOSE_LEFT_OPEN: &str = "
    UPDATE sessions SET (last_ms, end_ms, up_ms, reason, detail) = (
        SELECT max(alive_ms, start_ms), max(alive_ms, start_ms), max(alive_ms - start_ms, 0), 'unknown', 'server ended'
        FROM (SELECT coalesce((SELECT alive_ms FROM runs WHERE runs.run = sessions.run), 0) AS alive_ms)
    ) WHERE end_ms IS NULL AND run <> ?1";
pub(super) const END_LEFT_OPEN: &str =
    "UPDATE runs SET ended_ms = alive_ms WHERE ended_ms IS NULL AND run <> ?1";
/// Closes what is open in this life `?1`, at `?2`.
pub(super) const CLOSE_ALL: &str = "
    UPDATE sessions SET last_ms = max(?2, start_ms), end_ms = max(?2, start_ms), up_ms = max(?2 - start_ms, 0),
        reason = 'unknown', detail = 'server ended'
    WHERE end_ms IS NULL AND run = ?1";

// A client flips.

pub(super) const CLIENT: &str = "
    INSERT INTO clients (id, label, user, first_ms, seen_ms) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (id) DO UPDATE SET label = ?2, user = ?3, seen_ms = max(seen_ms, ?5)
    RETURNING client";
pub(super) const FLIP: &str = "INSERT INTO flips (client, at_ms, kind, silent_ms) VALUES (?1, ?2, ?3, ?4)";
pub(super) const BEGIN: &str =
    "INSERT INTO sessions (client, run, row, peer, start_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const END: &str = "
    UPDATE sessions SET last_ms = max(?3, start_ms), end_ms = max(?4, start_ms), up_ms = ?5, reason = ?6, detail = ?7
    WHERE run = ?1 AND row = ?2 AND end_ms IS NULL";
/// A session whose beginning is not in the file.
pub(super) const WHOLE: &str = "
    INSERT INTO sessions (client, run, row, peer, start_ms, last_ms, end_ms, up_ms, reason, detail)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
/// A session of the same row whose end was never heard of: at the latest when the next one began.
pub(super) const MISSED_END: &str = "
    UPDATE sessions SET last_ms = max(?3, start_ms), end_ms = max(?3, start_ms), up_ms = max(?3 - start_ms, 0),
        reason = 'unknown', detail = 'its end was not written'
    WHERE run = ?1 AND row = ?2 AND end_ms IS NULL";

// What is too old, or too much, goes; the oldest first.

pub(super) const PAGES_USED: &str = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
/// About how many flips there are: they are numbered in order, and go in order.
pub(super) const FLIPS_ABOUT: &str =
    "SELECT coalesce((SELECT max(flip) FROM flips) - (SELECT min(flip) FROM flips) + 1, 0)";
/// The newest of the oldest `?1` flips from before `?2`.
pub(super) const OLD_FLIPS: &str = "
    SELECT count(*), max(flip), max(at_ms) FROM (SELECT flip, at_ms FROM flips ORDER BY flip LIMIT ?1)
    WHERE at_ms < ?2";
pub(super) const FORGET_FLIPS: &str = "DELETE FROM flips WHERE flip <= ?1";
pub(super) const FORGET_SESSIONS: &str = "
    DELETE FROM sessions WHERE session IN
        (SELECT session FROM sessions WHERE end_ms < ?1 ORDER BY session LIMIT ?2)";
pub(super) const FORGET_CLIENTS: &str = "
    DELETE FROM clients WHERE seen_ms < ?1
        AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.client = clients.client)";
pub(super) const FORGET_RUNS: &str = "DELETE FROM runs WHERE ended_ms < ?1";
pub(super) const MOVE_HORIZON: &str = "UPDATE horizon SET since_ms = max(since_ms, ?1)";
pub(super) const GIVE_BACK: &str = "PRAGMA incremental_vacuum(512)";

// Questions.

pub(super) const HORIZON: &str = "SELECT since_ms FROM horizon";
/// When servers ran, as far as it touches the time from `?1` on.
pub(super) const RUNS: &str = "SELECT began_ms, coalesce(ended_ms, alive_ms), ended_ms IS NULL FROM runs WHERE coalesce(ended_ms, alive_ms) >= ?1";
pub(super) const CLIENT_BY_ID: &str = "SELECT client, first_ms FROM clients WHERE id = ?1";
/// One client's stays that touch the time from `?2` on; all of it stands in the index.
pub(super) const STAYS_OF: &str = "
    SELECT start_ms, last_ms, reason FROM sessions INDEXED BY sessions_of
    WHERE client = ?1 AND (last_ms IS NULL OR last_ms >= ?2) ORDER BY start_ms";
/// Everybody's stays that touch the time from `?1` on, in no order.
pub(super) const STAYS: &str = "
    SELECT client, start_ms, last_ms, reason FROM sessions INDEXED BY sessions_when
    WHERE last_ms IS NULL
    UNION ALL
    SELECT client, start_ms, last_ms, reason FROM sessions INDEXED BY sessions_when
    WHERE last_ms >= ?1";
pub(super) const CLIENTS: &str =
    "SELECT client, id, label, user, first_ms, seen_ms FROM clients ORDER BY client";
/// How often each client was late and came back, or failed, from `?1` on.
pub(super) const FLAPS: &str = "
    SELECT client, count(*) FROM flips INDEXED BY flaps
    WHERE kind IN ('back', 'timed_out', 'lost') AND at_ms >= ?1 GROUP BY client";
/// How often the client `?2` did.
pub(super) const FLAPS_OF: &str = "
    SELECT client, count(*) FROM flips INDEXED BY flaps
    WHERE kind IN ('back', 'timed_out', 'lost') AND at_ms >= ?1 AND client = ?2 GROUP BY client";
/// One client's newest sessions that touch the time from `?2` on, at most `?3`.
pub(super) const SESSIONS_OF: &str = "
    SELECT start_ms, end_ms, up_ms, reason, detail, peer FROM sessions
    WHERE client = ?1 AND (last_ms IS NULL OR last_ms >= ?2) ORDER BY start_ms DESC LIMIT ?3";
