//! The tokens that let somebody in, as a file has them: one `name:role:secret` a line.

use std::fmt;
use std::sync::Arc;

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::rights::{Rights, Role};

/// The longest secret, in bytes; what `register` may carry.
pub const SECRET_BYTES_MAX: usize = 256;
/// The shortest. At ten wrong guesses a minute even this takes longer than anybody lives.
pub const SECRET_BYTES_MIN: usize = 8;
/// The longest name of a token, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// How many tokens there may be: each attempt is compared with every one of them.
pub const TOKENS_MAX: usize = 1_000;
/// The largest file that is read.
pub const FILE_BYTES_MAX: usize = 512 * 1024;
/// How many mistakes are listed.
const MISTAKES_MAX: usize = 20;

/// The tokens in force; at least one.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<[Token]>);

/// One token.
#[derive(Debug)]
struct Token {
    name: String,
    role: Role,
    secret: Secret,
}

/// A secret, in as much space as the longest takes: how long it is cannot be told from how long comparing takes.
struct Secret {
    bytes: [u8; SECRET_BYTES_MAX],
    length: u16,
}

/// Nobody needs to see it.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Takes a text over; `None` if it is too long to be one.
    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; SECRET_BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, length: u16::try_from(text.len()).ok()? })
    }

    /// Tells whether two are the same. Every comparison of secrets is this one: it takes as long
    /// for those that differ in the first byte as for those that differ in the last.
    fn is(&self, other: &Self) -> Choice {
        #[cfg(test)]
        tests::COMPARED.set(tests::COMPARED.get() + 1);
        self.bytes.ct_eq(&other.bytes) & self.length.ct_eq(&other.length)
    }
}

/// Everything that is wrong with a file of tokens: a sentence each, with its line. Never a word of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensError {
    /// The line, counted from 1, and what is wrong there.
    pub mistakes: Vec<(usize, &'static str)>,
}

impl fmt::Display for TokensError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> =
            self.mistakes.iter().map(|(line, words)| format!("line {line}: {words}")).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for TokensError {}

impl Tokens {
    /// Reads a file of tokens. Blank lines, and lines that begin with `#`, say nothing.
    ///
    /// # Errors
    /// Every line that makes no sense; and a file without a single token, which is more likely to
    /// be half written than meant.
    pub fn parse(file: &[u8]) -> Result<Self, TokensError> {
        let one = |line, words| TokensError { mistakes: vec![(line, words)] };
        if file.len() > FILE_BYTES_MAX {
            return Err(one(1, "the file is larger than 512 KiB"));
        }
        let mut tokens: Vec<Token> = Vec::new();
        let mut mistakes = Vec::new();
        let mut lines = 0;
        for (number, line) in (1..).zip(file.split(|&b| b == b'\n')) {
            lines = number;
            match token(line).and_then(|token| token.map(|token| fits(token, &tokens)).transpose()) {
                Ok(token) => tokens.extend(token),
                Err(words) if mistakes.len() < MISTAKES_MAX => mistakes.push((number, words)),
                Err(_) => {}
            }
        }
        if !mistakes.is_empty() {
            return Err(TokensError { mistakes });
        }
        if tokens.is_empty() {
            return Err(one(lines, "there is no token in the file (write name:role:secret)"));
        }
        Ok(Self(tokens.into()))
    }

    /// Returns what whoever presents this may do; `None` if it is no token.
    ///
    /// It is compared with all of them, found or not, and each time in full.
    #[must_use]
    pub fn rights(&self, presented: &str) -> Option<Rights> {
        let presented = Secret::new(presented)?;
        let mut found = 0;
        for (place, token) in (1..=u32::MAX).zip(self.0.iter()) {
            found.conditional_assign(&place, token.secret.is(&presented));
        }
        let place = usize::try_from(found.checked_sub(1)?).ok()?;
        self.0.get(place).map(|token| Rights::of(token.role))
    }

    /// Returns how many there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Reads one line; `None` if it says nothing.
fn token(line: &[u8]) -> Result<Option<Token>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "this is not UTF-8")?.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut parts = line.splitn(3, ':').map(str::trim);
    let (Some(name), Some(role), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("this is not name:role:secret");
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err("the name has 1 to 64 characters of A-Z a-z 0-9 . _ @ -");
    }
    // What stands there is not shown: who mixes up the order has written the secret.
    let role = Role::from_word(role).ok_or("the second part is no role (join, watch, notify or admin)")?;
    let long_enough = (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len());
    if !long_enough || !secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("the secret has 8 to 256 visible ASCII characters, without blanks");
    }
    let secret = Secret::new(secret).ok_or("the secret is too long")?;
    Ok(Some(Token { name: name.to_owned(), role, secret }))
}

/// Checks a token against those before it.
fn fits(token: Token, before: &[Token]) -> Result<Token, &'static str> {
    if before.len() >= TOKENS_MAX {
        return Err("there are more than 1000 tokens");
    }
    if before.iter().any(|other| other.name == token.name) {
        return Err("this name was given before");
    }
    if before.iter().any(|other| other.secret.is(&token.secret).into()) {
        return Err("this secret was given before");
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How many comparisons this thread has made.
        pub(super) static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    const FILE: &str = "# who may come in\n\n\
        machines:join:4f9a61c2d8\r\n  wall : watch : with:colons:in-it \nops:notify:tell-everybody\nada:admin:correct-horse\n";

    #[test]
    fn a_secret_has_the_rights_of_its_role() {
        let tokens = Tokens::parse(FILE.as_bytes()).unwrap();
        assert_eq!(tokens.len(), 4);
        for (secret, role) in [
            ("4f9a61c2d8", Role::Join),
            ("with:colons:in-it", Role::Watch),
            ("tell-everybody", Role::Notify),
            ("correct-horse", Role::Admin),
        ] {
            assert_eq!(tokens.rights(secret), Some(Rights::of(role)), "{secret}");
        }
        let long = format!("4f9a61c2d8{}", "\0".repeat(300));
        for wrong in ["", "4f9a61c2d", "4f9a61c2d80", "4f9a61c2d8\0", "correct-hors", &long, "machines"] {
            assert_eq!(tokens.rights(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_attempt_is_compared_with_every_token_by_the_one_comparison() {
        let tokens = Tokens::parse(FILE.as_bytes()).unwrap();
        for presented in ["4f9a61c2d8", "correct-horse", "4f9a61c2d9", "x", ""] {
            COMPARED.set(0);
            let _ = tokens.rights(presented);
            assert_eq!(COMPARED.get(), 4, "{presented:?}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_without_the_secret() {
        let long = format!("a:join:{}", "x".repeat(257));
        for (line, hint) in [
            ("just-a-secret", "name:role:secret"),
            ("name:some-secret-text", "name:role:secret"),
            ("name:some-secret-text:join", "no role"),
            ("name:Admin:some-secret-text", "no role"),
            (":join:some-secret-text", "the name has"),
            ("a b:join:some-secret-text", "the name has"),
            ("a:join:short", "8 to 256"),
            ("a:join:", "8 to 256"),
            ("a:join:some secret text", "8 to 256"),
            ("a:join:söme-secret-text", "8 to 256"),
            (&long, "8 to 256"),
            ("good:join:another-secret", "name was given"),
            ("other:join:the-good-one", "secret was given"),
        ] {
            let error = Tokens::parse(format!("good:join:the-good-one\n{line}\n").as_bytes()).unwrap_err();
            let words = error.to_string();
            assert!(words.starts_with("line 2: ") && words.contains(hint), "{line}: {words}");
            assert!(!words.contains("secret-text") && !words.contains("the-good-one"), "{words}");
        }
        let error = Tokens::parse(b"a\nb:join:long-enough\nc\n\xff\n").unwrap_err();
        assert_eq!(error.mistakes.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 4]);
    }

    #[test]
    fn a_file_that_names_nobody_is_a_mistake_and_so_is_a_huge_one() {
        for file in ["", "\n", "# all:admin:commented-out\n"] {
            assert!(Tokens::parse(file.as_bytes()).unwrap_err().to_string().contains("no token"));
        }
        assert!(Tokens::parse(&vec![b'#'; FILE_BYTES_MAX + 1]).is_err());
        let many: Vec<_> = (0..=TOKENS_MAX).map(|n| format!("n{n}:join:secret-{n}\n")).collect();
        assert_eq!(Tokens::parse(many.concat().as_bytes()).unwrap_err().mistakes[0].0, TOKENS_MAX + 1);
    }

    #[test]
    fn nothing_shows_a_secret() {
        let shown = format!("{:?}", Tokens::parse(FILE.as_bytes()).unwrap());
        assert!(!shown.contains("4f9a") && !shown.contains("horse"), "{shown}");
    }
}
