//! Which dialect a connection speaks, told by its first bytes.
//!
//! Every dialect on the port lets the client speak first, and no two of them
//! begin alike. Nothing is taken out of what is looked at.

/// How much blank space may stand before the first word; beyond it the line protocol's own rules take over.
const BLANKS_MAX: usize = 64;
/// What a netsync client begins with, apart from a bare string.
const IDENTIFY: &[u8] = b"\"Identify\"";
/// What a TLS handshake begins with: the type of its record. No text does.
const HANDSHAKE: u8 = 0x16;
/// Methods a request may begin with, each with the blank behind it.
const METHODS: [&[u8]; 9] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"TRACE ", b"CONNECT "];

/// How a connection starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With an object: the presence protocol, whose `type` need not come first.
    Presence,
    /// With `{"Identify"` or a bare string.
    Netsync,
    /// With a request, which may ask for a WebSocket.
    Http,
    /// With a TLS handshake, inside which it starts once more.
    Tls,
}

/// What the bytes so far tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is this.
    Known(Start),
    /// It is nothing that is spoken here.
    Unknown,
    /// It may still become several things: wait for more.
    More,
}

/// Looks at everything a connection has said so far.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Verdict {
    if bytes.first() == Some(&HANDSHAKE) {
        return Verdict::Known(Start::Tls);
    }
    let Some(said) = behind_blanks(bytes) else { return Verdict::Known(Start::Presence) };
    match said.first() {
        None => Verdict::More,
        Some(b'{') => object(said.get(1..).unwrap_or_default()),
        Some(b'"') => Verdict::Known(Start::Netsync),
        Some(_) => request(said),
    }
}

/// Returns what stands behind blank space, unless there is too much of it.
fn behind_blanks(bytes: &[u8]) -> Option<&[u8]> {
    let said = bytes.trim_ascii_start();
    (bytes.len() - said.len() <= BLANKS_MAX).then_some(said)
}

/// Looks behind the brace of an object.
fn object(inside: &[u8]) -> Verdict {
    let Some(said) = behind_blanks(inside) else { return Verdict::Known(Start::Presence) };
    if said.starts_with(IDENTIFY) {
        Verdict::Known(Start::Netsync)
    } else if IDENTIFY.starts_with(said) {
        Verdict::More
    } else {
        Verdict::Known(Start::Presence)
    }
}

fn request(said: &[u8]) -> Verdict {
    if METHODS.iter().any(|method| said.starts_with(method)) {
        Verdict::Known(Start::Http)
    } else if METHODS.iter().any(|method| method.starts_with(said)) {
        Verdict::More
    } else {
        Verdict::Unknown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_dialect_is_known_by_its_start() {
        for (start, said) in [
            (Start::Presence, &b"{\"type\":\"register\""[..]),
            (Start::Presence, b"\r\n\n {\"client_ip\":\"h\",\"type\":\"register\"}"),
            (Start::Presence, b"{\"Identity\":1"),
            (Start::Presence, b"{}"),
            (Start::Presence, b"{ \"t"),
            (Start::Netsync, b"{\"Identify\":{\"hostname\":\"bench-1\"}}"),
            (Start::Netsync, b" { \"Identify\" : {}"),
            (Start::Netsync, b"\"Ping\""),
            (Start::Http, b"GET / HTTP/1.1\r\n"),
            (Start::Http, b"\r\nHEAD /healthz HTTP/1.1"),
            (Start::Http, b"POST "),
            (Start::Tls, b"\x16"),
            (Start::Tls, b"\x16\x03\x01\x02\x00"),
        ] {
            assert_eq!(sniff(said), Verdict::Known(start), "{:?}", String::from_utf8_lossy(said));
        }
    }

    #[test]
    fn half_a_start_waits_and_a_wrong_one_does_not() {
        for half in [&b""[..], b" \r\n", b"{", b"{ ", b"{\"", b"{\"Identify", b"G", b"GET", b"P", b"\nPO"] {
            assert_eq!(sniff(half), Verdict::More, "{:?}", String::from_utf8_lossy(half));
        }
        for wrong in
            [&b"hello"[..], b"GETTING", b"get /", b"[1]", b" \x16\x03\x01\x02\x00", b"SSH-2.0", b"\0", b"12"]
        {
            assert_eq!(sniff(wrong), Verdict::Unknown, "{:?}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn blank_space_does_not_wait_for_ever() {
        assert_eq!(sniff(&[b'\n'; BLANKS_MAX]), Verdict::More);
        assert_eq!(sniff(&[b'\n'; BLANKS_MAX + 1]), Verdict::Known(Start::Presence));
        let brace = [&b"{"[..], &[b' '; BLANKS_MAX + 1]].concat();
        assert_eq!(sniff(&brace), Verdict::Known(Start::Presence));
    }

    proptest! {
        #[test]
        fn a_verdict_stands_whatever_follows(
            said in prop_oneof![
                Just(b"{\"type\":\"register\"}\n".to_vec()),
                Just(b"{\"Identify\":{\"hostname\":\"a\"}}".to_vec()),
                Just(b"GET /clients HTTP/1.1\r\n\r\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..40),
            ],
            more in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let verdict = sniff(&said);
            if verdict != Verdict::More {
                let longer = [said.as_slice(), more.as_slice()].concat();
                prop_assert_eq!(sniff(&longer), verdict);
            }
            for cut in 0..said.len() {
                let earlier = sniff(&said[..cut]);
                prop_assert!(earlier == Verdict::More || earlier == verdict);
            }
        }
    }
}
