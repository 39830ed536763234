//! Lifecycle lines: one event, one line, for people or for programs.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

use super::{batched, detail, log_event, timestamp, waiting_line};
use crate::presence::{Event, EventKind};

/// How lifecycle lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// For people: `2026-11-21T09:36:17Z registered build-7 from 127.0.0.1:51822`.
    Text,
    /// For programs: one flat JSON object a line.
    Json,
}

/// Lifecycle lines of a run without a screen; dropping it writes out what is waiting.
#[derive(Debug)]
pub struct Lines {
    /// The queue and the thread behind it; `None` where only the log is written.
    out: Option<(NonBlocking, WorkerGuard)>,
    format: LineFormat,
}

impl Lines {
    /// Writes to stderr.
    #[must_use]
    pub fn stderr(format: LineFormat) -> Self {
        Self::to(io::stderr(), format)
    }

    /// Writes to any writer, from a thread of its own.
    pub fn to(writer: impl Write + Send + 'static, format: LineFormat) -> Self {
        Self { out: Some(waiting_line("lines").finish(batched(writer))), format }
    }

    /// Writes to the log alone: while a screen is drawn, nothing else may touch the terminal.
    #[must_use]
    pub fn log_only() -> Self {
        Self { out: None, format: LineFormat::Text }
    }

    /// Says where the server listens; the first line, and in text the only one without a time.
    pub fn listening(&self, address: SocketAddr) {
        tracing::info!(event = "listening", ?address);
        self.write(|format| match format {
            LineFormat::Text => format!("listening on {address}"),
            LineFormat::Json => Json::new("listening").field("addr", address).end(),
        });
    }

    /// Says what happened, here and in the log.
    pub fn event(&self, event: &Event) {
        log_event(event);
        self.write(|format| match format {
            LineFormat::Text => text(event),
            LineFormat::Json => json(event),
        });
    }

    /// Says what happened in other words than an event's, here and in the log.
    pub fn say(&self, word: &str, message: &str, trouble: bool) {
        if trouble {
            tracing::warn!(event = word, message = ?message);
        } else {
            tracing::info!(event = word, message = ?message);
        }
        self.remark(word, message);
    }

    /// Says something that is good to know, here and in the log.
    pub fn note(&self, message: &str) {
        tracing::info!(note = message);
        self.remark("note", message);
    }

    /// Says something that should be looked at, here and in the log.
    pub fn warn(&self, message: &str) {
        tracing::warn!(warning = message);
        self.remark("warning", message);
    }

    /// Returns how many lines were dropped because nobody read fast enough.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.out.as_ref().map_or(0, |(out, _)| out.error_counter().dropped_lines())
    }

    fn remark(&self, word: &str, message: &str) {
        self.write(|format| match format {
            LineFormat::Text => format!("{} {word}: {message}", timestamp()),
            LineFormat::Json => Json::new(word).field("message", message).end(),
        });
    }

    /// Queues one line, and sees to it that it is one.
    fn write(&self, line: impl FnOnce(LineFormat) -> String) {
        let Some((out, _)) = &self.out else { return };
        let line = line(self.format);
        let mut safe = String::with_capacity(line.len() + 1);
        for c in line.chars() {
            match self.format {
                _ if !is_harmful(c) => safe.push(c),
                LineFormat::Text => safe.extend(c.escape_unicode()),
                // Such a character stands inside a JSON string if anywhere, so its escape does too.
                LineFormat::Json => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(safe, "\\u{unit:04x}"); // a String takes everything
                    }
                }
            }
        }
        safe.push('\n');
        let _ = out.make_writer().write_all(safe.as_bytes()); // a full queue is counted by the writer
    }
}

/// Tells whether a terminal would obey a character, or a reader not see it.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}')
        || matches!(c, '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Writes an event for people.
fn text(event: &Event) -> String {
    let mut line = format!("{} {}", timestamp(), event.kind.word());
    if let Some(who) = &event.who {
        // A name with blanks in it must not look like words of ours.
        let plain = !who.label.is_empty() && !who.label.contains(|c: char| c.is_whitespace() || c == '"');
        let _ = if plain {
            write!(line, " {} from {}", who.label, who.peer)
        } else {
            write!(line, " {:?} from {}", who.label, who.peer)
        }; // a String takes everything
    }
    let detail = detail(&event.kind);
    if !detail.is_empty() {
        line.push_str(": ");
        line.push_str(&detail);
    }
    line
}

/// Writes an event for programs.
fn json(event: &Event) -> String {
    let mut json = Json::new(event.kind.word()).field("seq", event.seq);
    if let Some(who) = &event.who {
        json = json.field("id", &*who.id).field("name", &*who.label).field("peer", who.peer);
    }
    match &event.kind {
        EventKind::Joined | EventKind::Updated => json,
        EventKind::Resumed { away } => json.field("away_ms", ms(*away)),
        EventKind::FalseTimeout { ago } => json.field("ago_ms", ms(*ago)),
        EventKind::Late { silent, interval } => {
            json.field("silent_ms", ms(*silent)).field("interval_ms", ms(*interval))
        }
        EventKind::Back { silent, missed } => json.field("silent_ms", ms(*silent)).field("missed", missed),
        EventKind::Gone { departure, silent, up, missed } => json
            .field("reason", departure.reason.word())
            .field_unless_empty("detail", &departure.detail)
            .field("silent_ms", ms(*silent))
            .field("up_ms", ms(*up))
            .field("missed", missed),
        EventKind::Refused { peer, code, message } => match event.who {
            Some(_) => json.field("code", code).field("message", message),
            None => json.field("peer", peer).field("code", code).field("message", message),
        },
        EventKind::Conflict { id, holder, challenger } => match event.who {
            Some(_) => json.field("holder", holder).field("challenger", challenger),
            None => json.field("id", &**id).field("holder", holder).field("challenger", challenger),
        },
        EventKind::Settings { rev, old, new, origin } => json
            .field("rev", rev.0)
            .field("interval_ms", ms(new.interval()))
            .field("timeout_ms", ms(new.timeout()))
            .field("old_interval_ms", ms(old.interval()))
            .field("old_timeout_ms", ms(old.timeout()))
            .field("origin", origin.to_string()),
        EventKind::Trouble(words) | EventKind::Notice(words) => json.field("message", words),
        EventKind::NotBack { lost, unseen } => json
            .field("lost", lost.count)
            .field("unseen", unseen.count)
            .field("message", event.kind.to_string()),
        EventKind::Draining { clients } => json.field("clients", clients),
    }
    .end()
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A flat JSON object whose fields keep the order they were given in.
struct Json(String);

impl Json {
    /// Starts with the time and the word every line has.
    fn new(event: &str) -> Self {
        Self("{".to_owned()).field("ts", timestamp()).field("event", event)
    }

    /// Adds a field; `name` is one of ours and needs no escape.
    fn field(mut self, name: &str, value: impl Serialize) -> Self {
        // Strings and numbers only: nothing in them can fail to be written.
        if let Ok(value) = serde_json::to_string(&value) {
            let comma = if self.0.len() > 1 { "," } else { "" };
            let _ = write!(self.0, "{comma}\"{name}\":{value}"); // a String takes everything
        }
        self
    }

    fn field_unless_empty(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.field(name, value) }
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::*;
    use crate::presence::event::Origin;
    use crate::presence::{Departure, Reason, Revision, RowKey, Settings, Who};

    /// A writer that can be read afterwards.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the lines that `say` leads to.
    fn lines(format: LineFormat, say: impl Fn(&Lines)) -> Vec<String> {
        let sink = Sink::default();
        let lines = Lines::to(sink.clone(), format);
        say(&lines);
        drop(lines);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn event(label: &str, kind: EventKind) -> Event {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let at = Instant::now();
        let peer = "127.0.0.1:51822".parse().unwrap();
        let who = Who { row: RowKey(1), id: "k3v9".into(), label: label.into(), peer, user: None };
        Event { seq: 7, at, who: Some(who), kind }
    }

    fn gone(reason: Reason, detail: &'static str) -> EventKind {
        let (silent, up) = (Duration::from_secs(15), Duration::from_mins(90));
        EventKind::Gone { departure: Departure::new(reason, detail), silent, up, missed: 3 }
    }

    fn settings() -> EventKind {
        let new = Settings::new(Duration::from_secs(5), Duration::from_secs(15)).unwrap();
        EventKind::Settings { rev: Revision(8), old: Settings::default(), new, origin: Origin::Key }
    }

    /// Returns the text line of an event, without its time.
    fn text_of(label: &str, kind: &EventKind) -> String {
        let all = lines(LineFormat::Text, |lines| lines.event(&event(label, kind.clone())));
        assert_eq!(all.len(), 1, "{all:?}");
        let (time, rest) = all[0].split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok() && time.len() == 20, "{time}");
        rest.to_owned()
    }

    #[test]
    fn the_first_line_is_the_address_and_nothing_else() {
        let address: SocketAddr = "[::1]:8080".parse().unwrap();
        assert_eq!(lines(LineFormat::Text, |lines| lines.listening(address)), ["listening on [::1]:8080"]);
        let json: serde_json::Value =
            serde_json::from_str(&lines(LineFormat::Json, |lines| lines.listening(address))[0]).unwrap();
        assert_eq!((&json["event"], &json["addr"]), (&"listening".into(), &"[::1]:8080".into()));
    }

    #[test]
    fn an_event_reads_like_a_sentence() {
        let from = "from 127.0.0.1:51822";
        for (kind, want) in [
            (EventKind::Joined, format!("registered build-7 {from}")),
            (
                EventKind::Resumed { away: Duration::from_secs(23) },
                format!("resumed build-7 {from}: after 23s"),
            ),
            (
                gone(Reason::Timeout, ""),
                format!("timed_out build-7 {from}: no ping for 15s (missed 3), up 1h30m"),
            ),
            (gone(Reason::Left, "quit"), format!("left build-7 {from}: quit, up 1h30m")),
            (gone(Reason::Lost, ""), format!("lost build-7 {from}: up 1h30m")),
            (settings(), format!("settings build-7 {from}: 8: interval 1m -> 5s, timeout 2m -> 15s (key)")),
        ] {
            assert_eq!(text_of("build-7", &kind), want);
        }
        assert_eq!(text_of("two words", &EventKind::Joined), format!("registered \"two words\" {from}"));
    }

    #[test]
    fn json_lines_are_flat_and_say_only_what_applies() {
        let all = lines(LineFormat::Json, |lines| {
            lines.event(&event("build-7", gone(Reason::Timeout, "")));
            lines.event(&Event { who: None, ..event("", settings()) });
            lines.warn("careful");
        });
        let read: Vec<serde_json::Value> =
            all.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(all[0].starts_with("{\"ts\":\""), "{}", all[0]);
        assert!(all[0].ends_with(
            ",\"event\":\"timed_out\",\"seq\":7,\"id\":\"k3v9\",\"name\":\"build-7\",\"peer\":\"127.0.0.1:51822\",\
             \"reason\":\"timeout\",\"silent_ms\":15000,\"up_ms\":5400000,\"missed\":3}"
        ), "{}", all[0]);
        assert_eq!((&read[1]["interval_ms"], &read[1]["old_timeout_ms"]), (&5_000.into(), &120_000.into()));
        assert!(read[1].get("peer").is_none());
        assert_eq!((&read[2]["event"], &read[2]["message"]), (&"warning".into(), &"careful".into()));
    }

    #[test]
    fn one_event_is_one_line_whatever_it_contains() {
        let hostile = "ev\u{1b}[31mil\r\nfake\u{202e}\u{9b}\u{2028}\u{e0041}\u{7f}";
        for format in [LineFormat::Text, LineFormat::Json] {
            let all = lines(format, |lines| {
                lines.event(&event(hostile, gone(Reason::Left, hostile)));
                lines.event(&event(hostile, EventKind::Trouble(hostile.to_owned())));
                lines.note(hostile);
            });
            assert_eq!(all.len(), 3, "{all:?}");
            assert!(!all.iter().any(|line| line.chars().any(is_harmful)), "{all:?}");
            if format == LineFormat::Json {
                let read: serde_json::Value = serde_json::from_str(&all[0]).unwrap();
                assert_eq!((&read["name"], &read["detail"]), (&hostile.into(), &hostile.into()));
            }
        }
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_never_the_caller() {
        /// Blocks in its first write until it is let go.
        struct Stuck(std::sync::mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv(); // an error means it is let go for good
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (let_go, stuck) = std::sync::mpsc::channel();
        let lines = Lines::to(Stuck(stuck), LineFormat::Text);
        let far_too_many = 2 * super::super::LINES_WAITING_MAX;
        for _ in 0..far_too_many {
            lines.note("x");
        }
        // What waits in the queue is kept, and so is the batch the writer has taken.
        assert!((1..far_too_many / 2).contains(&lines.dropped()), "{}", lines.dropped());
        drop(let_go);
    }
}
