//! Every example on the protocol page is a message this program understands.

use std::borrow::Cow;
use std::{fs, io};

use bytes::BytesMut;
use presence_tui::protocol::netsync::{self, Splitter, Value};
use presence_tui::protocol::websocket::close_code;
use presence_tui::protocol::{ClientMessage, ErrorCode, ServerMessage};

fn page() -> io::Result<String> {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md"))
}

/// Returns the messages in the page's blocks of a kind; an indented line continues the one above.
fn examples(page: &str, kind: &str) -> Vec<String> {
    let mut examples: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == format!("```{kind}");
        } else if inside && line.starts_with(['{', '"']) {
            examples.push(line.to_owned());
        } else if inside && let Some(last) = examples.last_mut() {
            last.push_str(line);
        }
    }
    examples
}

#[test]
fn every_example_of_the_page_is_understood() -> io::Result<()> {
    let examples = examples(&page()?, "json");
    assert!(examples.len() > 15, "only {} examples were found", examples.len());
    for example in examples {
        let by_server = ClientMessage::decode(example.as_bytes());
        let by_client = ServerMessage::decode(example.as_bytes());
        let understood = matches!(&by_server, Ok(message) if !matches!(message, ClientMessage::Other))
            || matches!(&by_client, Ok(message) if !matches!(message, ServerMessage::Other));
        assert!(understood, "{example}\nas a server: {by_server:?}\nas a client: {by_client:?}");
    }
    Ok(())
}

#[test]
fn every_netsync_value_of_the_page_is_understood_and_needs_nothing_before_the_next() -> io::Result<()> {
    let examples = examples(&page()?, "netsync");
    assert!(examples.len() >= 3, "only {} values were found", examples.len());
    let mut glued = BytesMut::from(examples.concat().as_bytes());
    let mut splitter = Splitter::default();
    for example in examples {
        let value = splitter.next(&mut glued).ok().flatten();
        assert_eq!(value.as_deref(), Some(example.as_bytes()));
        assert_ne!(netsync::read(example.as_bytes()), Value::Broken, "{example}");
    }
    Ok(())
}

#[test]
fn the_close_codes_of_the_page_are_those_of_the_program() -> io::Result<()> {
    let page = page()?;
    let (_, table) = page.split_once("| close code | after |\n").unwrap_or_default();
    let mut told = Vec::new();
    for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let code: u16 = cells.next().and_then(|cell| cell.parse().ok()).unwrap_or_default();
        for word in cells.next().unwrap_or_default().split('`').skip(1).step_by(2) {
            let error = ErrorCode::from(Cow::Borrowed(word));
            assert_ne!(error, ErrorCode::Unknown, "{row}");
            assert_eq!(close_code(Some(error)), code, "{row}");
            told.push(error);
        }
    }
    assert_eq!(close_code(None), 1000);
    assert_eq!(told.len(), 16, "every code but the unknown one: {told:?}");
    Ok(())
}
