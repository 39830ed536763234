//! Who was here when the server ended, kept in a small file for the next start.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};

use super::join::wall_ms;
use crate::files;
use crate::presence::Dialect;
use crate::presence::EventKind;
use crate::presence::known::Known;
use crate::protocol::register::{Register, Tags};
use crate::server::{KnownList, Remote};
use crate::tasks;

/// How the file is laid out; it grows when an older program could not read it any more.
const VERSION: u32 = 1;
/// The largest file that is read: a hundred thousand clients need half of that.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// How much is written at once.
const WRITE_BYTES: usize = 64 * 1024;
/// How long the last write may take while the program stops.
pub(super) const LAST_WRITE_MAX: Duration = Duration::from_secs(1);

/// The file of one server.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    path: PathBuf,
}

/// Such a file, and whom it tells to expect.
pub(super) type Opened = (Memory, Vec<Known>);

/// The file as it is read.
#[derive(Debug, Deserialize)]
struct Stored {
    version: u32,
    /// The wall clock, in milliseconds since 1970, from which the ages below count.
    written_ms: u64,
    clients: Vec<Client>,
}

/// The file as it is written, one client after the other: a large fleet is not laid out as text a second time.
#[derive(Debug, Serialize)]
struct Sheet<'a> {
    version: u32,
    written_ms: u64,
    #[serde(serialize_with = "one_by_one")]
    clients: &'a [Known],
}

/// A client in the file. What it told of itself is checked again when it is read: a file can be edited.
#[derive(Debug, Serialize, Deserialize)]
struct Client {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    ip: String,
    port: u16,
    peer: SocketAddr,
    v: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dialect: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
    sessions: u32,
    silent_ms: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
}

impl Memory {
    /// Reads the file of the server that listens on `addr`, and adds to `remarks` what is wrong with it.
    ///
    /// A damaged file is set aside. Nothing that fails here is worth dying
    /// for: then nobody is expected.
    pub(super) fn open(state_dir: &Path, addr: SocketAddr, remarks: &mut Vec<String>) -> Opened {
        // A server on one address of several is another one than that on all of them.
        let host = match addr.ip() {
            ip if ip.is_unspecified() => String::new(),
            ip => format!("-{}", ip.to_string().replace(':', "_")),
        };
        let path = state_dir.join(format!("server-{}{host}.json", addr.port()));
        let known = match read(&path) {
            Ok(Some(stored)) => {
                let all = stored.clients.len();
                let known = restored(stored, wall_ms());
                if known.len() < all {
                    let bad = all - known.len();
                    remarks.push(format!(
                        "{}: {bad} of {all} clients make no sense and are left out",
                        path.display()
                    ));
                }
                known
            }
            Ok(None) => Vec::new(),
            Err(error) => {
                remarks.push(set_aside(&path, &error));
                Vec::new()
            }
        };
        (Self { path }, known)
    }

    /// Writes down who is known whenever that changes, until the server is over.
    pub(super) fn keep(self, known: watch::Receiver<KnownList>, remote: Remote) -> Keeper {
        Keeper(tasks::spawn(self.follow(known, remote)))
    }

    /// Returns what went wrong with the last write, if anything did.
    async fn follow(self, mut known: watch::Receiver<KnownList>, remote: Remote) -> Option<String> {
        let mut trouble: Option<String> = None;
        while known.changed().await.is_ok() {
            let (clients, wall_ms) = (known.borrow_and_update().take(), wall_ms());
            let path = self.path.clone();
            // Writing may take as long as its disk likes; heartbeats do not wait for it, nor does a verdict.
            let written = spawn_blocking(move || write(&path, &clients, wall_ms)).await;
            let error = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the log has the details".to_owned()),
            };
            let was = trouble.take();
            trouble = error.map(|error| {
                format!(
                    "who is here cannot be written to {}: {error} (after a restart nobody will be expected; make \
                     room, or its folder writable, or set remember = false under [server])",
                    self.path.display()
                )
            });
            match (&was, &trouble) {
                (None, Some(words)) => remote.note(EventKind::Trouble(words.clone())).await,
                (Some(_), None) => {
                    let words = format!("who is here is written to {} again", self.path.display());
                    remote.note(EventKind::Notice(words)).await;
                }
                _ => {}
            }
        }
        trouble
    }
}

/// The task that writes the file. It ends with the server whose clients it writes down.
#[derive(Debug)]
pub(super) struct Keeper(JoinHandle<Option<String>>);

impl Keeper {
    /// Waits for the last write, once the server has stopped; returns what went wrong with it.
    pub(super) async fn finish(self) -> Option<String> {
        match tokio::time::timeout(LAST_WRITE_MAX, self.0).await {
            Ok(ended) => ended.unwrap_or_default(),
            Err(_) => Some("the disk is too slow to write down who was here".to_owned()),
        }
    }
}

/// Reads the file; `None` if there is none yet.
fn read(path: &Path) -> io::Result<Option<Stored>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than 64 MiB"));
    }
    let text = str::from_utf8(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let stored: Stored = serde_json::from_str(text)?;
    if stored.version != VERSION {
        let words = format!("its version is {}, and this program reads {VERSION}", stored.version);
        return Err(io::Error::new(io::ErrorKind::InvalidData, words));
    }
    Ok(Some(stored))
}

/// Puts a file that cannot be understood out of the way; returns what to say.
fn set_aside(path: &Path, error: &io::Error) -> String {
    let damaged = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
    let aside = path.with_extension("damaged");
    let what = match damaged.then(|| fs::rename(path, &aside)) {
        Some(Ok(())) => format!("is damaged: {error} (kept as {})", aside.display()),
        Some(Err(_)) => format!("is damaged: {error} (it will be replaced)"),
        None => format!("cannot be read: {error} (make it readable)"),
    };
    format!("{} {what}: nobody is expected back", path.display())
}

/// Returns the clients of a file with their ages as they are now; those that would not be let in are left out.
fn restored(stored: Stored, wall_ms: u64) -> Vec<Known> {
    // A clock that was set back makes nobody younger.
    let since_ms = wall_ms.saturating_sub(stored.written_ms);
    let client = |client: Client| {
        let register = Register {
            client_ip: client.ip,
            client_port: client.port,
            v: (client.v > 0).then_some(client.v.into()),
            id: client.id,
            name: client.name,
            user: client.user,
            device: client.device,
            platform: client.platform,
            tags: client.tags,
            ..Register::default()
        };
        let checked = register.check().ok().filter(|it| it.version == 0 || it.identity.is_some())?;
        Some(Known {
            id: checked.identity.map(|identity| identity.id),
            claim: checked.claim,
            peer: client.peer,
            version: checked.version,
            dialect: client.dialect.as_deref().and_then(Dialect::from_word).unwrap_or_default(),
            profile: checked.profile,
            sessions: client.sessions,
            silent: Duration::from_millis(client.silent_ms.saturating_add(since_ms)),
            missing: client.missing,
        })
    };
    stored.clients.into_iter().filter_map(client).collect()
}

/// Writes the file anew.
fn write(path: &Path, known: &[Known], wall_ms: u64) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    files::write_private_with(path, |file| {
        let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
        serde_json::to_writer(&mut file, &Sheet { version: VERSION, written_ms: wall_ms, clients: known })?;
        file.write_all(b"\n")?;
        file.flush()
    })
}

fn one_by_one<S: Serializer>(known: &&[Known], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(known.iter().map(client))
}

fn client(known: &Known) -> Client {
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    let profile = &known.profile;
    let tags = profile.tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Client {
        id: text(&known.id),
        ip: known.claim.ip.to_string(),
        port: known.claim.port,
        peer: known.peer,
        v: known.version,
        dialect: (known.dialect != Dialect::default()).then(|| known.dialect.word().to_owned()),
        name: text(&profile.name),
        user: text(&profile.user),
        device: text(&profile.device),
        platform: text(&profile.platform),
        tags: Tags(tags),
        sessions: known.sessions,
        silent_ms: u64::try_from(known.silent.as_millis()).unwrap_or(u64::MAX),
        missing: known.missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDR: ([u8; 4], u16) = ([0, 0, 0, 0], 8_080);

    fn known(name: &str, silent: u64) -> Known {
        let register = Register {
            client_ip: "10.0.0.7".into(),
            client_port: 3_000,
            v: Some(1),
            id: Some(format!("id-{name}")),
            name: Some(name.to_owned()),
            tags: Tags(vec![("role".into(), "ci".into())]),
            ..Register::default()
        };
        let it = register.check().unwrap();
        Known {
            id: it.identity.map(|identity| identity.id),
            claim: it.claim,
            peer: ([127, 0, 0, 1], 50_000).into(),
            version: it.version,
            dialect: Dialect::default(),
            profile: it.profile,
            sessions: 3,
            silent: Duration::from_secs(silent),
            missing: silent > 60,
        }
    }

    fn open(dir: &Path) -> (Memory, Vec<Known>, Vec<String>) {
        let mut remarks = Vec::new();
        let (memory, known) = Memory::open(dir, ADDR.into(), &mut remarks);
        (memory, known, remarks)
    }

    #[test]
    fn what_was_known_is_read_back_older_by_the_time_between() {
        let legacy = Known { id: None, version: 0, dialect: Dialect::WebSocket, ..known("old", 5) };
        let all = [known("a", 1), known("b", 100), legacy];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/f.json");
        write(&path, &all, 10_000).unwrap();
        let back = restored(read(&path).unwrap().unwrap(), 17_000);
        let older: Vec<_> =
            all.iter().map(|it| Known { silent: it.silent + Duration::from_secs(7), ..it.clone() }).collect();
        assert_eq!(back, older);
        let set_back = restored(read(&path).unwrap().unwrap(), 3_000);
        assert_eq!(set_back, all);
    }

    #[test]
    fn a_file_cut_anywhere_is_set_aside_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let (memory, none, remarks) = open(dir.path());
        assert!(none.is_empty() && remarks.is_empty(), "no file is no trouble: {remarks:?}");
        write(&memory.path, &[known("a", 1), known("b", 100)], wall_ms()).unwrap();
        let whole = fs::read(&memory.path).unwrap();
        assert_eq!(open(dir.path()).1.len(), 2);
        // Without its last byte, a line end, it is whole.
        for cut in 0..whole.len() - 1 {
            fs::write(&memory.path, &whole[..cut]).unwrap();
            let (_, known, remarks) = open(dir.path());
            assert!(known.is_empty(), "{cut}");
            assert!(remarks.len() == 1 && remarks[0].contains("damaged"), "{cut}: {remarks:?}");
            assert!(!memory.path.exists());
            assert_eq!(fs::read(memory.path.with_extension("damaged")).unwrap(), &whole[..cut]);
        }
    }

    #[test]
    fn a_file_of_another_version_or_beyond_all_measure_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (memory, ..) = open(dir.path());
        fs::write(&memory.path, r#"{"version":2,"written_ms":0,"clients":[]}"#).unwrap();
        assert!(open(dir.path()).2[0].contains("version is 2"));
        File::create(&memory.path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(open(dir.path()).2[0].contains("larger than 64 MiB"));
        assert!(open(dir.path()).2.is_empty());
    }

    #[test]
    fn what_an_edited_file_says_is_checked_like_what_a_client_says() {
        let dir = tempfile::tempdir().unwrap();
        let (memory, ..) = open(dir.path());
        let one = |id: &str, ip: &str, name: &str| {
            format!(
                r#"{{"id":"{id}","ip":"{ip}","port":1,"peer":"1.2.3.4:5","v":1,"name":"{name}","sessions":1,"silent_ms":1}}"#
            )
        };
        let text = [
            one("a", "h", "evil\\u001b[2J"),
            one("b c", "h", "x"),
            one("d", "a b", "x"),
            r#"{"ip":"h","port":1,"peer":"1.2.3.4:5","v":1,"sessions":1,"silent_ms":1}"#.to_owned(),
        ];
        let text = format!(r#"{{"version":1,"written_ms":0,"clients":[{}]}}"#, text.join(","));
        fs::write(&memory.path, text).unwrap();
        let (_, known, remarks) = open(dir.path());
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].profile.name.as_deref(), Some("evil\u{fffd}[2J"));
        assert!(remarks[0].contains("3 of 4"), "{remarks:?}");
    }

    #[test]
    fn each_port_has_its_file_and_so_has_a_server_on_one_address_alone() {
        let dir = Path::new("/s");
        let path = |addr: &str| Memory::open(dir, addr.parse().unwrap(), &mut Vec::new()).0.path;
        assert_eq!(path("0.0.0.0:8080"), dir.join("server-8080.json"));
        assert_eq!(path("[::]:8081"), dir.join("server-8081.json"));
        assert_eq!(path("127.0.0.1:8080"), dir.join("server-8080-127.0.0.1.json"));
        assert_eq!(path("[::1]:8080"), dir.join("server-8080-__1.json"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let not_a_folder = dir.path().join("file");
        fs::write(&not_a_folder, "").unwrap();
        assert!(write(&not_a_folder.join("f.json"), &[], 0).is_err());
        let taken = dir.path().join("f.json");
        fs::create_dir(&taken).unwrap();
        assert!(write(&taken, &[], 0).is_err());
        assert!(!dir.path().join("f.tmp").exists());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.json");
        write(&path, &[], 0).unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
