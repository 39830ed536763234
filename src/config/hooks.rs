//! What is run or told when a client flips: how it is written, and what is refused.

use super::value::{self, Written, nearest, shown};
use crate::net::web::HttpUrl;
use crate::presence::Flip;

/// How many commands one flip may run.
const COMMANDS_MAX: usize = 8;
/// The longest command, in bytes.
const COMMAND_BYTES_MAX: usize = 4_096;

/// A command that is run on flips: a program and its arguments, no shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCommand {
    /// As it was written.
    pub written: String,
    /// The program: a path, or a name to be found in `PATH`.
    pub program: String,
    /// What it is given.
    pub arguments: Vec<String>,
}

/// What `hooks` goes by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HooksConfig {
    /// What is run.
    pub commands: Vec<HookCommand>,
    /// For which flips.
    pub events: Vec<Flip>,
    /// Where the same is posted.
    pub webhook: Option<HttpUrl>,
    /// Names or ids of clients that nobody is told of.
    pub muted: Vec<String>,
}

/// Reads the commands; a variable separates them by commas.
pub(super) fn commands(written: &Written) -> Result<Vec<HookCommand>, String> {
    let texts: Vec<&str> = match written {
        Written::Plain(text) => text.split(',').filter(|text| !text.trim().is_empty()).collect(),
        Written::List(items) => {
            items.iter().map(|item| value::text(item, "a command")).collect::<Result<_, _>>()?
        }
        _ => return Err(format!("{written} is not a list of commands (such as [\"notify-oncall.sh\"])")),
    };
    if texts.len() > COMMANDS_MAX {
        return Err(format!("{} commands are too many (at most {COMMANDS_MAX})", texts.len()));
    }
    texts.into_iter().map(command).collect()
}

fn command(text: &str) -> Result<HookCommand, String> {
    let text = text.trim();
    if text.len() > COMMAND_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(format!(
            "{} is not a command (one line, at most {COMMAND_BYTES_MAX} bytes)",
            shown(text)
        ));
    }
    let mut words = words(text)?.into_iter();
    match words.next().filter(|program| !program.is_empty()) {
        Some(program) => Ok(HookCommand { written: text.to_owned(), program, arguments: words.collect() }),
        None => Err(format!("\"{}\" names no program", shown(text))),
    }
}

/// Splits a command at its blanks; what stands between two `"` or two `'` stays together, and nothing else is special.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("{} has a {open} that is not closed", shown(text)));
    }
    words.extend(word);
    Ok(words)
}

/// Reads the names of flips.
pub(super) fn events(written: &Written) -> Result<Vec<Flip>, String> {
    let known = Flip::ALL.map(Flip::word);
    let mut events = Vec::new();
    for word in value::words(written)? {
        let flip = Flip::from_word(&word).ok_or_else(|| {
            let hint = match nearest(&word, known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("one of {}", known.join(", ")),
            };
            format!("{} is no event a hook is run for ({hint})", shown(&word))
        })?;
        if !events.contains(&flip) {
            events.push(flip);
        }
    }
    Ok(events)
}

/// Reads where to post.
pub(super) fn webhook(written: &Written) -> Result<HttpUrl, String> {
    let text = value::text(written, "the address of a webhook")?;
    text.parse().map_err(|error| format!("not the address of a webhook: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<HookCommand>, String> {
        commands(&Written::List(vec![Written::Text(text.to_owned())]))
    }

    #[test]
    fn a_command_is_split_at_blanks_and_quotes_keep_words_together() {
        for (text, words) in [
            ("notify.sh", vec!["notify.sh"]),
            ("  a  b\u{a0}c ", vec!["a", "b", "c"]),
            ("say 'two words' x\"y z\"", vec!["say", "two words", "xy z"]),
            ("say '' \"it's\"", vec!["say", "", "it's"]),
            (r"C:\bin\say.exe $HOME ; `x`", vec![r"C:\bin\say.exe", "$HOME", ";", "`x`"]),
        ] {
            let command = read(text).unwrap().remove(0);
            let read: Vec<_> = [command.program].into_iter().chain(command.arguments).collect();
            assert_eq!(read, words, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        for (text, hint) in
            [("say 'two words", "not closed"), ("''", "no program"), (" ", "blank"), ("a\nb", "one line")]
        {
            let error = read(text).unwrap_err();
            assert!(error.contains(hint), "{text:?}: {error}");
        }
        let nine = Written::List(vec![Written::Text("x".to_owned()); 9]);
        assert!(commands(&nine).unwrap_err().contains("too many"));
        assert!(commands(&Written::Text("x".to_owned())).unwrap_err().contains("list"));
        assert_eq!(commands(&Written::Plain("a b, c".to_owned())).unwrap().len(), 2);
    }

    #[test]
    fn events_are_known_words() {
        let plain = |text: &str| events(&Written::Plain(text.to_owned()));
        assert_eq!(plain("lost, timed_out,lost"), Ok(vec![Flip::Lost, Flip::TimedOut]));
        assert!(plain("timedout").unwrap_err().contains("did you mean timed_out?"));
        assert!(plain("everything").unwrap_err().contains("one of timed_out"));
    }
}
