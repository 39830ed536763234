//! What is tried on bytes that nobody wrote: one function for each place where strangers' bytes come in.
//!
//! Each takes any bytes and panics when a promise is broken. `fuzz_targets` hands
//! them to a fuzzer, `tests/corpora.rs` runs them over the corpora with every
//! `cargo test`: one body, so that what a fuzzer finds stays found.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;
use presence_tui::config::{Environment, Role, Sources, save_settings};
use presence_tui::presence::Settings;
use presence_tui::presence::row::Profile;
use presence_tui::protocol::netsync::{self, Splitter, VALUE_BYTES_MAX, Value};
use presence_tui::protocol::sniff::{Verdict, sniff};
use presence_tui::protocol::websocket::{Frame, Owed, Talk, close_reason, decoded, name_of};
use presence_tui::protocol::{ClientMessage, ErrorCode, LineCodec, ServerMessage, clean, register};
use tokio_util::codec::Decoder;
use unicode_width::UnicodeWidthStr;

/// Something that is tried on any bytes.
pub type Target = fn(&[u8]);

/// The name of each target, and the target.
pub const TARGETS: [(&str, Target); 6] = [
    ("codec", codec),
    ("netsync", split),
    ("sniffing", sniffing),
    ("config", config),
    ("websocket", websocket),
    ("register", registering),
];

/// The longest line of the trial: short, so that the limit is met often.
const LINE_BYTES: usize = 64;
/// The longest reason a close frame can carry.
const CLOSE_BYTES_MAX: usize = 123;

/// Takes the first byte as a seed for where the rest is cut.
fn cuts(data: &[u8]) -> (usize, &[u8]) {
    match data.split_first() {
        Some((&first, rest)) => (usize::from(first) % 37 + 1, rest),
        None => (1, data),
    }
}

/// Bytes to lines to messages and back: the same however the stream is cut, and never more than one line held.
pub fn codec(data: &[u8]) {
    let (step, stream) = cuts(data);
    let whole = lines(stream, stream.len().max(1));
    assert_eq!(whole, lines(stream, step), "a stream cut every {step} bytes gives other lines");
    for line in stream.split(|&b| b == b'\n') {
        if let Ok(message) = ClientMessage::decode(line)
            && !matches!(message, ClientMessage::Other)
        {
            let once = message.encode();
            let again = ClientMessage::decode(&once).expect("what we write we understand");
            assert_eq!(again.encode(), once);
        }
        if let Ok(message) = ServerMessage::decode(line)
            && !matches!(message, ServerMessage::Other)
        {
            let once = message.encode();
            let again = ServerMessage::decode(&once).expect("what we write we understand");
            assert_eq!(again.encode(), once);
        }
    }
}

/// Cuts a stream that comes in pieces of `step` bytes; `None` at the end stands for a line that is too long.
fn lines(stream: &[u8], step: usize) -> Vec<Option<Vec<u8>>> {
    let (mut codec, mut buffer) = (LineCodec::new(LINE_BYTES), BytesMut::new());
    let mut lines = Vec::new();
    for mut piece in stream.chunks(step) {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(codec.room(&buffer).min(piece.len()));
            assert!(!now.is_empty(), "a buffer without a line must have room");
            buffer.extend_from_slice(now);
            assert!(buffer.len() <= LINE_BYTES + 2, "{} bytes are held", buffer.len());
            piece = rest;
            loop {
                match codec.decode(&mut buffer) {
                    Ok(Some(line)) => {
                        assert!(line.len() <= LINE_BYTES && !line.contains(&b'\n'));
                        lines.push(Some(line.to_vec()));
                    }
                    Ok(None) => break,
                    Err(_) => {
                        lines.push(None);
                        return lines;
                    }
                }
            }
        }
    }
    lines
}

/// Values with nothing between them: the same however the stream is cut, bounded, and complete.
pub fn split(data: &[u8]) {
    let (step, stream) = cuts(data);
    let (values, ended) = values(stream, stream.len().max(1));
    assert_eq!((&values, ended), (&self::values(stream, step).0, self::values(stream, step).1));
    for value in values {
        assert!(!value.is_empty() && value.len() <= VALUE_BYTES_MAX);
        if let Value::Identify { hostname } = netsync::read(&value) {
            in_place_of(Some(&hostname));
        }
    }
}

/// Splits a stream; also tells whether it could not be split to its end.
fn values(stream: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut splitter, mut buffer) = (Splitter::default(), BytesMut::new());
    let mut values = Vec::new();
    for mut piece in stream.chunks(step) {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(splitter.room(&buffer).min(piece.len()));
            assert!(!now.is_empty(), "a buffer without a value must have room");
            buffer.extend_from_slice(now);
            piece = rest;
            loop {
                match splitter.next(&mut buffer) {
                    Ok(Some(value)) => values.push(value.to_vec()),
                    Ok(None) => break,
                    Err(_) => return (values, true),
                }
            }
        }
    }
    (values, false)
}

/// What is spoken: a verdict stands whatever follows, and more bytes are only asked for while few have come.
pub fn sniffing(data: &[u8]) {
    let mut before = Verdict::More;
    for end in 0..=data.len().min(512) {
        let verdict = sniff(&data[..end]);
        assert!(before == Verdict::More || before == verdict, "{before:?} became {verdict:?} at {end}");
        before = verdict;
    }
    assert!(before != Verdict::More || data.len() < 256, "still undecided after {} bytes", data.len());
}

/// A file of settings: values in range or problems in plain words; what is saved means what was saved.
pub fn config(data: &[u8]) {
    let dir = folder();
    let file = dir.join("config.toml");
    if std::fs::write(&file, data).is_err() {
        return; // No disk is no finding.
    }
    let sources = |role| Sources {
        role,
        config: Some(file.clone()),
        flags: Vec::new(),
        environment: Environment::default(),
        cwd: dir.clone(),
        host_name: "bench".to_owned(),
    };
    for role in [Role::Serve, Role::Join] {
        match sources(role).resolve() {
            Ok(config) => {
                let settings = config.server.settings;
                assert!(settings.timeout() > settings.interval());
                let printed = config.print();
                assert!(!printed.chars().any(|c| c != '\n' && harmful(c)), "{printed:?}");
            }
            Err(error) => {
                assert!(!error.problems.is_empty());
                for problem in error.problems {
                    assert!(!problem.chars().any(harmful), "{problem:?}");
                }
            }
        }
    }
    if sources(Role::Serve).resolve().is_ok()
        && let Ok(wanted) = Settings::new(Duration::from_millis(7_300), Duration::from_millis(41_500))
        && save_settings(&file, wanted).is_ok()
    {
        let again = sources(Role::Serve).resolve().expect("what was saved can be read");
        assert_eq!(again.server.settings, wanted, "what was saved is not what is read");
    }
}

/// Returns a folder of this process.
fn folder() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let dir = base.join(format!("presence-tui-targets-{}", std::process::id()));
    let _ = std::fs::create_dir_all(&dir); // The write that follows tells.
    dir
}

/// Frames: each becomes exactly one line, each pong at most one frame, and what is owed is no more than was heard.
pub fn websocket(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut talk: Option<Talk> = None;
    let mut heard = 0;
    for piece in text.split('\u{1e}').take(64) {
        let frame = match piece.as_bytes().first() {
            Some(b'B') => Frame::Binary,
            Some(b'C') => Frame::Control,
            _ => Frame::Text(piece),
        };
        let talk = talk.get_or_insert_with(|| Talk::begun_with(frame));
        let mut lines = BytesMut::new();
        talk.hear(frame, &mut lines);
        assert_eq!(
            lines.iter().position(|&b| b == b'\n'),
            Some(lines.len() - 1),
            "{piece:?} became {lines:?}"
        );
        heard += 1;
        if let Talk::Bare(owed) = talk {
            assert!(owed.len() <= heard);
            assert!(owed.iter().all(|owed| matches!(owed, Owed::Message | Owed::Word(_) | Owed::Nothing)));
        }
    }
    if let Some(mut talk) = talk {
        let _ = talk.say(data);
        let said = (0..=heard).filter(|_| talk.say(b"{\"type\":\"pong\"}").is_some()).count();
        assert!(!talk.is_bare() || said <= heard);
    }
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    assert!(decoded(&text).len() <= text.len() * 3);
    in_place_of(name_of(path, query).as_deref());
    assert!(close_reason(ErrorCode::Kicked, &text).len() <= CLOSE_BYTES_MAX);
}

/// The first line of a client: refused, or clean and bounded in every text.
pub fn registering(data: &[u8]) {
    let mut profile = Profile::default();
    match ClientMessage::decode(data) {
        Ok(ClientMessage::Register(register)) => {
            let Ok(registration) = register.check() else { return };
            assert!((1..=253).contains(&registration.claim.ip.len()) && registration.claim.ip.is_ascii());
            if let Some(identity) = &registration.identity {
                assert!(register::is_id(&identity.id));
            }
            profile = registration.profile;
        }
        Ok(ClientMessage::Update(update)) => {
            let _ = update.apply(&mut profile);
        }
        Ok(ClientMessage::Chat(chat)) => {
            let chat = chat.cleaned(|| "now".to_owned());
            assert!(!chat.message.chars().any(|c| !matches!(c, '\n' | '\t') && harmful(c)));
            for text in [&chat.timestamp, &chat.channel] {
                let text = text.as_deref().unwrap_or_default();
                assert!(text.len() <= clean::NAME_BYTES_MAX && !text.chars().any(harmful));
            }
        }
        Ok(_) => {}
        Err(error) => {
            let complaint = clean::line(&error.to_string(), 200);
            assert!(complaint.len() <= 200 && !complaint.chars().any(harmful));
        }
    }
    let tags = profile.tags.iter().flat_map(|(key, value)| [key, value]);
    let names = [&profile.name, &profile.user, &profile.device, &profile.platform];
    for text in names.into_iter().flatten().chain(tags) {
        assert!(!text.chars().any(harmful), "{text:?}");
        assert!(text.len() <= clean::NAME_BYTES_MAX && text.width() <= clean::NAME_CELLS_MAX, "{text:?}");
    }
    assert!(profile.tags.len() <= 16);
}

/// A client that cannot register is registered by us, whatever it is called.
fn in_place_of(name: Option<&str>) {
    let line = register::in_place_of(name, SocketAddr::from(([127, 0, 0, 1], 1)));
    let Ok(ClientMessage::Register(register)) = ClientMessage::decode(&line) else {
        panic!("{name:?} makes no register: {:?}", String::from_utf8_lossy(&line))
    };
    let registration = register.check().unwrap_or_else(|invalid| panic!("{name:?}: {invalid}"));
    assert!(!registration.profile.name.unwrap_or_default().chars().any(harmful));
}

/// What must never reach a terminal. Written here again, and not taken from the code it is to judge.
fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
