//! Every example on the protocol page is a message this program understands.

use std::{fs, io};

use presence_tui::protocol::{ClientMessage, ServerMessage};

/// Returns the messages in the page's `json` blocks; an indented line continues the one above.
fn examples(page: &str) -> Vec<String> {
    let mut examples: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            inside = line == "```json";
        } else if inside && line.starts_with('{') {
            examples.push(line.to_owned());
        } else if inside && let Some(last) = examples.last_mut() {
            last.push_str(line);
        }
    }
    examples
}

#[test]
fn every_example_of_the_page_is_understood() -> io::Result<()> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md"))?;
    let examples = examples(&page);
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
