use super::*;

fn page(entries: Vec<Entry>, rev: Option<u64>) -> ClientList {
    ClientList { clients: entries, rev, page: None, more: None }
}

fn base(ports: &[u16]) -> ClientList {
    page(ports.iter().map(|&port| Entry::base("10.0.0.7".into(), port)).collect(), None)
}

fn entry(id: &str) -> Entry {
    Entry { id: Some(id.into()), name: Some(id.into()), ..Entry::base("10.0.0.7".into(), 1) }
}

fn joined(rev: u64, ids: &[&str]) -> Batch {
    Batch::Joined { rev, clients: ids.iter().map(|id| entry(id)).collect() }
}

fn left(rev: u64, id: &str, reason: &str) -> Batch {
    Batch::Left { rev, clients: vec![Parted { id: id.into(), reason: reason.into() }] }
}

#[expect(clippy::disallowed_methods, reason = "a test has to start somewhere; only differences matter")]
fn now() -> Instant {
    Instant::now()
}

/// Says what changed, briefly.
fn words(learned: &Learned) -> Vec<String> {
    let word = |change: &PeerChange| match change {
        PeerChange::Joined(peer) => format!("+{}", peer.label),
        PeerChange::Left(peer) => format!("-{} {}", peer.label, peer.gone.as_ref().unwrap().1),
        PeerChange::Late(peer) => format!("late {}", peer.label),
        PeerChange::Back(peer) => format!("back {}", peer.label),
        PeerChange::Listed(peers) => format!("{peers} here"),
    };
    learned.changes.iter().map(word).collect()
}

#[test]
fn whole_lists_of_a_base_server_tell_who_came_and_went() {
    let (mut peers, now) = (Peers::default(), now());
    assert_eq!(words(&peers.list(base(&[1, 2, 2]), now)), ["3 here"]);
    assert_eq!(words(&peers.list(base(&[1, 2, 2]), now)), Vec::<String>::new());
    assert_eq!(
        words(&peers.list(base(&[2, 3]), now)),
        ["+10.0.0.7:3", "-10.0.0.7:1 left: no longer listed", "-10.0.0.7:2 left: no longer listed"]
    );
    assert_eq!((peers.counts().live(), peers.counts().total()), (2, 4));
}

#[test]
fn a_peer_that_returns_gets_its_row_back() {
    let (mut peers, now) = (Peers::default(), now());
    peers.list(page(vec![entry("a")], Some(1)), now);
    let key = peers.iter().next().unwrap().key;
    assert_eq!(words(&peers.batch(left(2, "a", "timeout"), now)), ["-a timeout"]);
    assert_eq!(peers.get(key).unwrap().state, State::TimedOut);
    assert_eq!(words(&peers.batch(joined(3, &["a"]), now)), ["+a"]);
    let back = peers.get(key).unwrap();
    assert_eq!((back.state, back.sessions, back.gone.is_none()), (State::Online, 2, true));
    assert_eq!(peers.counts().total(), 1);
}

#[test]
fn late_peers_are_told_once_and_told_again_when_they_are_back() {
    let (mut peers, now) = (Peers::default(), now());
    peers.list(page(vec![entry("a")], Some(1)), now);
    let late = |rev| Batch::Joined {
        rev,
        clients: vec![Entry { state: Some("late".into()), age_ms: Some(9_000), ..entry("a") }],
    };
    assert_eq!(words(&peers.batch(late(2), now)), ["late a"]);
    assert_eq!(words(&peers.batch(late(3), now)), Vec::<String>::new());
    assert_eq!(words(&peers.batch(joined(4, &["a"]), now)), ["back a"]);
}

#[test]
fn what_was_missed_while_away_is_told_after_the_next_list() {
    let (mut peers, now) = (Peers::default(), now());
    peers.list(page(vec![entry("a"), entry("b")], Some(90)), now);
    peers.reconnected();
    assert_eq!(
        words(&peers.batch(joined(91, &["z"]), now)),
        Vec::<String>::new(),
        "of another server's life"
    );
    let learned = peers.list(page(vec![entry("b"), entry("c")], Some(1)), now);
    assert_eq!(words(&learned), ["+c", "-a left: no longer listed"]);
}

#[test]
fn a_gap_is_asked_for_once_and_again_only_after_a_while() {
    let (mut peers, now) = (Peers::default(), now());
    peers.list(page(vec![], Some(5)), now);
    assert_eq!(peers.batch(joined(7, &["b"]), now).sync_from, Some(5));
    assert_eq!(peers.batch(joined(8, &["c"]), now).sync_from, None);
    assert_eq!(peers.batch(joined(9, &["d"]), now + Duration::from_secs(6)).sync_from, Some(5));
    assert_eq!(peers.counts().total(), 0);
    for (rev, id) in [(6, "a"), (7, "b"), (7, "x"), (8, "c")] {
        assert_eq!(peers.batch(joined(rev, &[id]), now).sync_from, None, "{rev} closes the gap or is old");
    }
    assert_eq!(peers.iter().map(|peer| &*peer.id).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn this_client_itself_is_listed_and_not_announced() {
    let (mut peers, now) = (Peers::default(), now());
    peers.set_me(vec!["me".to_owned(), base_id("10.0.0.7", 4, 1)]);
    peers.list(page(vec![entry("a")], Some(1)), now);
    assert_eq!(words(&peers.batch(joined(2, &["me", "b"]), now)), ["+b"]);
    assert!(peers.iter().any(|peer| peer.me));
    peers.list(base(&[4]), now);
    assert_eq!(peers.iter().filter(|peer| peer.me && peer.gone.is_none()).count(), 1);
}

#[test]
fn departed_rows_are_bounded_and_the_oldest_go_first() {
    let (mut peers, now) = (Peers::default(), now());
    peers.list(page(vec![entry("stays")], Some(0)), now);
    let mut rev = 0;
    for nth in 0..GONE_MAX + 5 {
        let id = format!("c{nth}");
        peers.batch(joined(rev + 1, &[&id]), now);
        peers.batch(left(rev + 2, &id, "lost"), now);
        rev += 2;
    }
    assert_eq!(peers.counts().total(), GONE_MAX + 1);
    assert!(!peers.iter().any(|peer| &*peer.id == "c4") && peers.iter().any(|peer| &*peer.id == "c5"));
    peers.dismiss(None);
    assert_eq!((peers.counts().total(), peers.iter().count(), peers.by_id.len()), (1, 1, 1));
}

#[test]
fn ages_become_instants_when_they_arrive() {
    let (mut peers, now) = (Peers::default(), now() + Duration::from_secs(100));
    let told = Entry { age_ms: Some(1_500), up_ms: Some(60_000), ..entry("a") };
    let absurd = Entry { age_ms: Some(u64::MAX), ..entry("b") };
    peers.list(page(vec![told, absurd], Some(1)), now);
    let rows: Vec<_> = peers.iter().map(|peer| (peer.last_seen, peer.up_since)).collect();
    let ago = |ms| now.checked_sub(Duration::from_millis(ms));
    assert_eq!(rows, [(ago(1_500), ago(60_000)), (None, None)]);
}
