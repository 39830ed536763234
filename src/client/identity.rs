//! Who this client is, across restarts.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::files::{private, write_private};
use crate::protocol::register::is_id;

/// How many clients of one name and server may run on one machine.
const SLOTS_MAX: u32 = 256;
/// How much of an identity file is read; a good one has about 100 bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024;
/// The longest part of a file name made from one address or name.
const PART_BYTES_MAX: usize = 96;
/// What ids are made of; 8 of these are 41 bits.
const ID_LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LEN: usize = 8;

/// A client's identity, held exclusively for as long as this lives.
///
/// Two clients of one name on one machine must not fight over one identity,
/// so each takes the first free slot: a lock file, locked until the process
/// ends however it ends. The lock is a file of its own because the identity
/// file is replaced on every change, and a lock does not survive that.
#[derive(Debug)]
pub struct Identity {
    id: String,
    generation: u64,
    resume: Option<String>,
    place: Option<Place>,
    changes: u64,
}

/// Where an identity is kept.
#[derive(Debug)]
struct Place {
    file: PathBuf,
    /// Which of the changes is in the file; held while one is written.
    written: Arc<Mutex<u64>>,
    /// Dropping this gives the slot back.
    _lock: File,
}

/// An identity as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    id: String,
    #[serde(rename = "gen")]
    generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resume: Option<String>,
}

/// A change of an identity that is still to be written; writing may block, so its owner chooses where.
#[derive(Debug)]
pub struct Save {
    file: PathBuf,
    stored: Stored,
    nth: u64,
    written: Arc<Mutex<u64>>,
}

impl Identity {
    /// Takes the first free identity of `name` at `server` under `dir`, and says what went wrong on the way.
    ///
    /// `wall_ms` is the wall clock in milliseconds since 1970. The generation
    /// is that or one more than the last, whichever is higher, so that it
    /// grows even when the clock was set back. Nothing that fails here is worth
    /// dying for: without a usable folder the identity lasts as long as the process.
    #[must_use]
    pub fn open(dir: &Path, server: &str, name: &str, id: Option<&str>, wall_ms: u64) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let identity = match take_slot(dir, server, name, id) {
            Ok(place) => Self::load(place, id, wall_ms, &mut warnings),
            Err(error) => {
                warnings.push(format!(
                    "could not keep an identity in {}: {error} (this client will look like a new one after \
                     a restart; make the folder writable)",
                    dir.display()
                ));
                Self::ephemeral(id, wall_ms)
            }
        };
        (identity, warnings)
    }

    /// Makes an identity that is kept nowhere.
    #[must_use]
    pub fn ephemeral(id: Option<&str>, wall_ms: u64) -> Self {
        Self {
            id: id.map_or_else(new_id, str::to_owned),
            generation: wall_ms,
            resume: None,
            place: None,
            changes: 0,
        }
    }

    /// Reads what the slot remembers, and remembers this start.
    fn load(place: Place, id: Option<&str>, wall_ms: u64, warnings: &mut Vec<String>) -> Self {
        let stored = match read(&place.file) {
            Ok(stored) => stored,
            Err(error) => {
                let aside = place.file.with_extension("damaged");
                let kept = fs::rename(&place.file, &aside).is_ok();
                warnings.push(format!(
                    "identity file {} is damaged: {error} ({}; a new identity was made)",
                    place.file.display(),
                    if kept { format!("kept as {}", aside.display()) } else { "it will be replaced".into() }
                ));
                None
            }
        };
        let generation = stored.as_ref().map_or(0, |it| it.generation.saturating_add(1)).max(wall_ms);
        let (known, resume) = stored.map_or((None, None), |it| (Some(it.id), it.resume));
        let id = id.map(str::to_owned).or(known).unwrap_or_else(new_id);
        let mut identity = Self { id, generation, resume, place: Some(place), changes: 0 };
        if let Some(Err(error)) = identity.save().map(Save::run) {
            warnings.push(format!(
                "could not save the identity: {error} (free some space, or make its folder writable)"
            ));
        }
        identity
    }

    /// Returns the name that stays the same across restarts.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns which life of the client this is; it grows with every start.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the secret of the last welcome.
    #[must_use]
    pub fn resume(&self) -> Option<&str> {
        self.resume.as_deref()
    }

    /// Takes the secret of a welcome; returns what is to be written, if it is news and has a place.
    pub fn remember(&mut self, resume: &str) -> Option<Save> {
        if self.resume.as_deref() == Some(resume) {
            return None;
        }
        self.resume = Some(resume.to_owned());
        self.save()
    }

    fn save(&mut self) -> Option<Save> {
        self.changes += 1;
        let stored = Stored { id: self.id.clone(), generation: self.generation, resume: self.resume.clone() };
        self.place.as_ref().map(|place| Save {
            file: place.file.clone(),
            stored,
            nth: self.changes,
            written: Arc::clone(&place.written),
        })
    }
}

impl Save {
    /// Writes the identity beside its old file and then puts it in its place, readable by its owner alone.
    ///
    /// Of two changes that are written at the same time the newer one stays.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn run(self) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written > self.nth {
            return Ok(());
        }
        let mut text = serde_json::to_vec(&self.stored)?;
        text.push(b'\n');
        // The resume secret is a secret.
        write_private(&self.file, &text)?;
        *written = self.nth;
        Ok(())
    }
}

/// Locks the first free slot.
fn take_slot(dir: &Path, server: &str, name: &str, id: Option<&str>) -> io::Result<Place> {
    let dir = dir.join("identities");
    fs::create_dir_all(&dir)?;
    let mut base = format!("{}_{}", file_part(server), file_part(name));
    if let Some(id) = id {
        base = format!("{base}_{}", file_part(id));
    }
    for slot in 1..=SLOTS_MAX {
        let lock =
            private().read(true).write(true).create(true).open(dir.join(format!("{base}.{slot}.lock")))?;
        match lock.try_lock() {
            Ok(()) => {
                let file = dir.join(format!("{base}.{slot}.json"));
                return Ok(Place { file, written: Arc::default(), _lock: lock });
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::other(format!("all {SLOTS_MAX} identities of this name are in use")))
}

/// Reads an identity file; `None` if there is none yet.
fn read(path: &Path) -> io::Result<Option<Stored>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let stored: Stored = serde_json::from_str(&text)?;
    if !is_id(&stored.id) || stored.generation == u64::MAX {
        return Err(io::Error::other("it holds no valid id and generation"));
    }
    Ok(Some(stored))
}

/// Writes a text so that it can be part of a file name, and no two texts look alike.
fn file_part(text: &str) -> String {
    let mut part = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => part.push(char::from(byte)),
            other => part.extend(['%', hex(other >> 4), hex(other & 15)]),
        }
    }
    if part.len() > PART_BYTES_MAX {
        // FNV-1a tells long texts apart that begin alike; it need not be more than that.
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        part.truncate(PART_BYTES_MAX - 17);
        part.push('-');
        part.extend(hash.to_be_bytes().into_iter().flat_map(|byte| [hex(byte >> 4), hex(byte & 15)]));
    }
    part
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0')
}

/// Makes an id nobody else has.
fn new_id() -> String {
    let mut id = String::with_capacity(ID_LEN);
    let mut bytes = [0; 32];
    while id.len() < ID_LEN {
        if getrandom::fill(&mut bytes).is_err() {
            // A system without randomness is no reason not to join: ids need to differ, not to be secret.
            fastrand::Rng::new().fill(&mut bytes);
        }
        // Bytes beyond the last multiple of 36 would favour the first letters.
        let fair = bytes.iter().filter(|&&byte| byte < 252);
        let letters = fair.filter_map(|&byte| ID_LETTERS.get(usize::from(byte % 36)));
        id.extend(letters.map(|&letter| char::from(letter)).take(ID_LEN - id.len()));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, wall_ms: u64) -> Identity {
        let (identity, warnings) = Identity::open(dir, "hq:8080", "build 7", None, wall_ms);
        assert_eq!(warnings, Vec::<String>::new());
        identity
    }

    #[test]
    fn two_clients_get_two_identities_and_the_first_to_return_gets_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (open(dir.path(), 1_000), open(dir.path(), 1_000));
        let (a, b) = (first.id().to_owned(), second.id().to_owned());
        assert_ne!(a, b);
        drop(first);
        let again = open(dir.path(), 2_000);
        assert_eq!(again.id(), a);
        drop((again, second));
        let back = [open(dir.path(), 3_000), open(dir.path(), 3_000)];
        assert_eq!([back[0].id(), back[1].id()], [a, b]);
    }

    #[test]
    fn another_server_or_name_is_another_identity() {
        let dir = tempfile::tempdir().unwrap();
        let first = open(dir.path(), 1).id().to_owned();
        for (server, name) in [("hq:8081", "build 7"), ("hq:8080", "build_7"), ("hq:8080", "build%207")] {
            let (other, warnings) = Identity::open(dir.path(), server, name, None, 1);
            assert!(warnings.is_empty());
            assert_ne!(other.id(), first);
        }
    }

    #[test]
    fn the_generation_grows_even_when_the_clock_steps_back() {
        let dir = tempfile::tempdir().unwrap();
        let lives: Vec<u64> =
            [5_000, 9_000, 1_000, 0, 9_500].map(|wall_ms| open(dir.path(), wall_ms).generation()).into();
        assert_eq!(lives, [5_000, 9_000, 9_001, 9_002, 9_500]);
    }

    #[test]
    fn the_secret_is_kept_across_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let mut identity = open(dir.path(), 1);
        identity.remember("s3cret").unwrap().run().unwrap();
        assert!(identity.remember("s3cret").is_none(), "nothing new to write");
        let id = identity.id().to_owned();
        drop(identity);
        let again = open(dir.path(), 1);
        assert_eq!((again.id(), again.resume()), (&*id, Some("s3cret")));
    }

    #[test]
    fn an_older_change_never_overwrites_a_newer_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut identity = open(dir.path(), 1);
        let (older, newer) = (identity.remember("old").unwrap(), identity.remember("new").unwrap());
        newer.run().unwrap();
        older.run().unwrap();
        drop(identity);
        assert_eq!(open(dir.path(), 1).resume(), Some("new"));
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_a_new_identity_made() {
        for damage in ["", "{", "[]", r#"{"id":"a b","gen":1}"#, r#"{"id":"a","gen":-1}"#, "\u{0}\u{0}"] {
            let dir = tempfile::tempdir().unwrap();
            let file = open(dir.path(), 1).place.unwrap().file;
            fs::write(&file, damage).unwrap();
            let (identity, warnings) = Identity::open(dir.path(), "hq:8080", "build 7", None, 7);
            assert!(is_id(identity.id()) && identity.generation() == 7);
            assert!(warnings.len() == 1 && warnings[0].contains("damaged"), "{warnings:?}");
            assert_eq!(fs::read_to_string(file.with_extension("damaged")).unwrap(), damage);
            drop(identity);
            open(dir.path(), 8);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_used_costs_a_warning_and_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let not_a_folder = dir.path().join("file");
        fs::write(&not_a_folder, "").unwrap();
        let (identity, warnings) = Identity::open(&not_a_folder, "hq", "n", None, 4);
        assert!(is_id(identity.id()) && identity.id().len() == ID_LEN && identity.generation() == 4);
        assert!(warnings.len() == 1 && warnings[0].contains("writable"), "{warnings:?}");
    }

    #[test]
    fn a_chosen_id_has_its_own_generations_and_leaves_the_kept_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let kept = open(dir.path(), 1).id().to_owned();
        for life in [9, 10] {
            let (chosen, _) = Identity::open(dir.path(), "hq:8080", "build 7", Some("kiosk"), 9);
            assert_eq!((chosen.id(), chosen.generation()), ("kiosk", life));
        }
        assert_eq!(open(dir.path(), 1).id(), kept);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_files() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mut identity = open(dir.path(), 1);
        identity.remember("x").unwrap().run().unwrap();
        for entry in fs::read_dir(dir.path().join("identities")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn file_names_stay_short_and_inside_their_folder() {
        for text in ["../../etc/passwd", &"ü".repeat(300), "a/b\\c:d", "", "..", "\0"] {
            let part = file_part(text);
            assert!(part.len() <= PART_BYTES_MAX && !part.contains(['/', '\\', ':', '\0']), "{part}");
        }
        assert_ne!(file_part(&"ü".repeat(300)), file_part(&"ü".repeat(301)));
    }
}
