//! The book of notifications on their way: who was told, who confirmed, who cannot any more.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::notify::{Posted, Tally};
use super::row::ConnNo;

/// How many notifications may be on their way at once.
pub const IN_FLIGHT_MAX: usize = 64;
/// How many receipts may be waited for, over all notifications.
pub const PENDING_MAX: usize = 500_000;
/// How long a client may take to confirm.
pub const RECEIPT_WITHIN: Duration = Duration::from_secs(30);
/// How long a decided one is still shown.
pub const SHOWN_FOR: Duration = Duration::from_secs(5);
/// How many decided ones are still shown.
const SHOWN_MAX: usize = 8;
/// When a sender is told how far it has come: at once, and after these spans.
const INTERIM: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// How a notification could be given to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// It waits for the client to read it and to confirm.
    Awaiting,
    /// It waits for the client to read it, and nothing will confirm that.
    Sent,
    /// The client would not understand it.
    Unsupported,
    /// The connection takes nothing more.
    Refused,
}

/// How far a notification has come, for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The sender's connection; `None` for an operator here.
    pub to: Option<ConnNo>,
    /// What is known.
    pub posted: Posted,
}

/// One notification on its way.
#[derive(Debug)]
struct Flight {
    posted: Posted,
    sender: Option<ConnNo>,
    waiting: HashSet<ConnNo>,
    sent_at: Instant,
    expires: Instant,
    /// How many interim reports were made.
    reports: usize,
    decided: Option<Instant>,
}

impl Flight {
    /// Returns when its sender is told next, if nothing is decided before.
    fn report_at(&self) -> Option<Instant> {
        match self.reports.checked_sub(1) {
            None => Some(self.sent_at),
            Some(nth) => INTERIM.get(nth).map(|span| self.sent_at + *span),
        }
    }

    /// Returns when it wants to be looked at.
    fn due(&self) -> Instant {
        match self.decided {
            Some(at) => at + SHOWN_FOR,
            None => self.report_at().map_or(self.expires, |at| at.min(self.expires)),
        }
    }
}

/// Every notification on its way, and those that have just been decided.
///
/// A client is counted once for each: when it confirms, when its connection
/// ends, or when its time is over, whichever comes first.
#[derive(Debug, Default)]
pub struct Deliveries {
    last: u64,
    flights: BTreeMap<u64, Flight>,
}

impl Deliveries {
    /// Tells whether one more may be sent.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let open = self.flights.values().filter(|flight| flight.decided.is_none());
        let (count, pending) = open.fold((0, 0), |(n, sum), flight| (n + 1, sum + flight.waiting.len()));
        count < IN_FLIGHT_MAX && pending < PENDING_MAX
    }

    /// Returns the number the next one will have.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.last + 1
    }

    /// Sends one off: `handed` says to whom and how, `offline` how many are not here.
    pub fn send(
        &mut self,
        now: Instant,
        sender: Option<ConnNo>,
        [from, subject]: [Arc<str>; 2],
        handed: impl IntoIterator<Item = (ConnNo, Handed)>,
        offline: usize,
    ) {
        let mut tally = Tally { targets: offline, offline, ..Tally::default() };
        let mut waiting = HashSet::new();
        for (conn, how) in handed {
            tally.targets += 1;
            match how {
                Handed::Awaiting => {
                    waiting.insert(conn);
                }
                Handed::Sent => tally.sent += 1,
                Handed::Unsupported => tally.unsupported += 1,
                Handed::Refused => tally.failed += 1,
            }
        }
        self.last += 1;
        let posted = Posted { number: self.last, from, subject, tally };
        let expires = now + RECEIPT_WITHIN;
        let flight = Flight { posted, sender, waiting, sent_at: now, expires, reports: 0, decided: None };
        self.flights.insert(self.last, flight);
    }

    /// Counts a receipt; one that nobody waits for changes nothing. Returns whether it was waited for.
    pub fn receipt(&mut self, conn: ConnNo, number: u64) -> bool {
        let Some(flight) = self.flights.get_mut(&number) else { return false };
        let waited = flight.waiting.remove(&conn);
        flight.posted.tally.delivered += usize::from(waited);
        waited
    }

    /// Takes note that a connection has ended: what it has not confirmed has failed.
    pub fn gone(&mut self, conn: ConnNo) {
        for flight in self.flights.values_mut() {
            let waited = flight.waiting.remove(&conn);
            flight.posted.tally.failed += usize::from(waited);
        }
    }

    /// Gives everybody the time back in which nothing could be heard.
    pub fn forgive(&mut self, pause: Duration) {
        for flight in self.flights.values_mut() {
            flight.expires += pause;
        }
    }

    /// Does what is due, and returns what senders should know now.
    pub fn advance(&mut self, now: Instant) -> Vec<Report> {
        let mut reports = Vec::new();
        for flight in self.flights.values_mut().filter(|flight| flight.decided.is_none()) {
            if flight.expires <= now {
                flight.posted.tally.expired += flight.waiting.len();
                flight.waiting = HashSet::new();
            }
            let decided = flight.waiting.is_empty();
            if decided {
                flight.decided = Some(now);
            } else if flight.report_at().is_none_or(|at| at > now) {
                continue;
            }
            flight.reports += 1;
            reports.push(Report { to: flight.sender, posted: flight.posted.clone() });
        }
        let decided = self.flights.iter().rev().filter(|(_, flight)| flight.decided.is_some());
        let eldest = decided.map(|(&number, _)| number).nth(SHOWN_MAX - 1).unwrap_or(0);
        self.flights.retain(|&number, flight| {
            flight.decided.is_none_or(|at| at + SHOWN_FOR > now && number >= eldest)
        });
        reports
    }

    /// Returns when [`Self::advance`] is wanted next.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.flights.values().map(Flight::due).min()
    }

    /// Returns those on their way and those just decided, oldest first.
    #[must_use]
    pub fn shown(&self) -> Vec<Posted> {
        self.flights.values().map(|flight| flight.posted.clone()).collect()
    }

    /// Tells whether there is nothing to show and nothing to wait for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        Instant::now()
    }

    fn words() -> [Arc<str>; 2] {
        ["hq".into(), "reboot".into()]
    }

    fn to(conns: impl IntoIterator<Item = u64>) -> Vec<(ConnNo, Handed)> {
        conns.into_iter().map(|conn| (ConnNo(conn), Handed::Awaiting)).collect()
    }

    #[test]
    fn every_client_is_counted_once_whatever_happens_to_it_first() {
        let (now, mut book) = (start(), Deliveries::default());
        let mut handed = to(1..=5);
        handed.extend([
            (ConnNo(6), Handed::Sent),
            (ConnNo(7), Handed::Unsupported),
            (ConnNo(8), Handed::Refused),
        ]);
        book.send(now, Some(ConnNo(9)), words(), handed, 2);
        assert_eq!(book.advance(now)[0].posted.tally.pending(), 5);
        assert!(book.receipt(ConnNo(1), 1));
        assert!(!book.receipt(ConnNo(1), 1), "a second receipt is no second delivery");
        assert!(!book.receipt(ConnNo(6), 1) && !book.receipt(ConnNo(70), 1) && !book.receipt(ConnNo(2), 4));
        book.gone(ConnNo(1));
        book.gone(ConnNo(2));
        book.gone(ConnNo(2));
        book.gone(ConnNo(8));
        assert!(!book.receipt(ConnNo(2), 1), "too late");
        assert!(book.receipt(ConnNo(3), 1));
        let reports = book.advance(now + RECEIPT_WITHIN);
        let tally =
            Tally { targets: 10, delivered: 2, sent: 1, failed: 2, unsupported: 1, offline: 2, expired: 2 };
        assert_eq!(
            reports,
            [Report {
                to: Some(ConnNo(9)),
                posted: Posted { number: 1, from: "hq".into(), subject: "reboot".into(), tally }
            }]
        );
        assert!(!book.receipt(ConnNo(4), 1), "expired");
        assert_eq!(book.shown()[0].tally.pending(), 0);
    }

    #[test]
    fn a_sender_hears_at_once_then_twice_then_when_all_is_decided() {
        let (now, mut book) = (start(), Deliveries::default());
        book.send(now, None, words(), to(1..=2), 0);
        let mut told = Vec::new();
        for ms in 0..=40_000 {
            let at = now + Duration::from_millis(ms);
            if book.due().is_some_and(|due| due <= at) {
                told.extend(book.advance(at).into_iter().map(|report| (ms, report.posted.tally.pending())));
            }
        }
        assert_eq!(told, [(0, 2), (1_000, 2), (10_000, 2), (30_000, 0)]);
        assert!(book.is_empty(), "decided ones are forgotten");
        assert_eq!(book.due(), None);
    }

    #[test]
    fn one_that_is_for_nobody_is_decided_at_once() {
        let (now, mut book) = (start(), Deliveries::default());
        book.send(now, None, words(), [], 0);
        let reports = book.advance(now);
        assert_eq!((reports.len(), reports[0].posted.tally), (1, Tally::default()));
        assert_eq!(book.advance(now), []);
    }

    #[test]
    fn a_pause_of_our_own_expires_nothing() {
        let (now, mut book) = (start(), Deliveries::default());
        book.send(now, None, words(), to([1]), 0);
        let hour = Duration::from_hours(1);
        book.forgive(hour);
        assert_eq!(book.advance(now + hour)[0].posted.tally.expired, 0);
        assert!(book.receipt(ConnNo(1), 1));
    }

    #[test]
    fn how_many_are_on_their_way_and_shown_is_bounded() {
        let (now, mut book) = (start(), Deliveries::default());
        for n in 0..IN_FLIGHT_MAX {
            assert!(book.has_room(), "{n}");
            assert_eq!(book.next_number(), n as u64 + 1);
            book.send(now, None, words(), to([1]), 0);
        }
        assert!(!book.has_room());
        book.gone(ConnNo(1));
        for n in 0..IN_FLIGHT_MAX as u64 {
            assert!(!book.receipt(ConnNo(1), n), "all of them failed");
        }
        book.advance(now);
        assert!(book.has_room() && book.shown().len() <= SHOWN_MAX, "{}", book.shown().len());
        for n in 0..1_000 {
            book.send(now + Duration::from_millis(n), None, words(), [], 1);
            book.advance(now + Duration::from_millis(n));
        }
        assert_eq!(book.shown().len(), SHOWN_MAX);
    }
}
