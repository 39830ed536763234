//! What came of it, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::plan::Plan;
use super::tally::{Spans, Tally};
use crate::presence::span::brief;
use crate::protocol::clean;

/// The report of a swarm; as JSON, every field carries its unit in its name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The server, as it was written.
    pub server: String,
    /// What the server said about itself; none of it from a base server.
    pub told: Option<Told>,
    /// `presence` or `base`.
    pub dialect: &'static str,
    /// What the clients were made from.
    pub seed: u32,
    /// How long it ran, the goodbyes not counted.
    pub elapsed_ms: u64,
    /// What became of the clients.
    pub clients: Clients,
    /// What was said.
    pub traffic: Traffic,
    /// From the first packet to a connection.
    pub connect_us: Spread,
    /// From the first packet to being registered.
    pub register_us: Spread,
    /// From a ping to its pong.
    pub pong_us: Spread,
    /// How much later than planned the pings were written: what this machine, not the server, is to blame for.
    pub own_lag_us: Spread,
    /// From the end of a frozen client's timeout to hearing of it.
    pub timeout_late_us: Spread,
}

/// What a server said about itself in its first welcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its name.
    pub name: String,
    /// Its program's version.
    pub version: String,
    /// Its interval.
    pub interval_ms: u64,
    /// Its timeout.
    pub timeout_ms: u64,
}

/// What became of the clients. `begun` is `registered` + `refused` + `failed` + `too_late`, and
/// `registered` is the sum of all that stand after it, the rate apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Clients {
    /// How many were asked for.
    pub asked: usize,
    /// How many were online at once, at most.
    pub online_most: u64,
    /// When all that were asked for were online, from the start.
    pub full_after_ms: Option<u64>,
    /// How many registered in a second until then.
    pub registered_per_s: Option<f64>,
    /// How many tried, replacements included.
    pub begun: u64,
    /// How many the server refused, by its code.
    pub refused: BTreeMap<&'static str, u64>,
    /// How many had no connection, by what went wrong.
    pub failed: BTreeMap<String, u64>,
    /// How many were still on their way in when it ended.
    pub too_late: u64,
    /// How many got in.
    pub registered: u64,
    /// How many stayed to the end.
    pub stayed: u64,
    /// How many made room for another.
    pub replaced: u64,
    /// How many the server asked to leave.
    pub drained: u64,
    /// How many were frozen and timed out, as they should.
    pub frozen_timed_out: u64,
    /// How many were timed out though they had spoken in time.
    pub wrongly_timed_out: u64,
    /// How many were timed out because they really were too late, though not frozen.
    pub late_and_timed_out: u64,
    /// How many the server ended, by its code.
    pub cut: BTreeMap<&'static str, u64>,
    /// How many were lost without a word.
    pub lost: u64,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traffic {
    /// Pings written.
    pub pings: u64,
    /// Pongs read.
    pub pongs: u64,
    /// Pongs a second, over the whole run.
    pub pongs_per_s: f64,
    /// Pings left out because the server did not read.
    pub held_back: u64,
    /// Lines that are no messages.
    pub unreadable: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
}

/// How spans are spread, in microseconds; all zero when there were none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Spread {
    /// How many there were.
    pub count: u64,
    /// The shortest.
    pub min: u64,
    /// Their mean.
    pub mean: f64,
    /// Half of them were not longer.
    pub p50: u64,
    /// 90 % were not longer.
    pub p90: u64,
    /// 99 % were not longer.
    pub p99: u64,
    /// 99.9 % were not longer.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Spread {
    fn of(spans: &Spans) -> Self {
        let spans = &spans.0;
        if spans.is_empty() {
            return Self::default();
        }
        let at = |share| spans.value_at_quantile(share).min(spans.max());
        Self {
            count: spans.len(),
            min: spans.min(),
            mean: (spans.mean() * 10.0).round() / 10.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: spans.max(),
        }
    }
}

impl Report {
    /// Sums up what was counted in `elapsed`.
    pub(super) fn new(plan: &Plan, tally: &Tally, elapsed: Duration) -> Self {
        let full = tally.full.filter(|full| !full.is_zero());
        let asked = u64::try_from(plan.clients).unwrap_or(u64::MAX);
        Self {
            server: plan.server.to_string(),
            told: tally.told.as_ref().map(|told| Told {
                name: clean::name(&told.name),
                version: clean::name(&told.version),
                interval_ms: ms(told.interval),
                timeout_ms: ms(told.timeout),
            }),
            dialect: plan.dialect.word(),
            seed: plan.seed,
            elapsed_ms: ms(elapsed),
            clients: Clients {
                asked: plan.clients,
                online_most: tally.online_most,
                full_after_ms: full.map(ms),
                registered_per_s: full.map(|full| per_second(asked, full)),
                begun: tally.begun,
                refused: tally.refused.clone(),
                failed: tally.failed.clone(),
                too_late: tally.too_late,
                registered: tally.registered,
                stayed: tally.stayed,
                replaced: tally.replaced,
                drained: tally.drained,
                frozen_timed_out: tally.frozen_out,
                wrongly_timed_out: tally.wrongly_timed_out,
                late_and_timed_out: tally.starved,
                cut: tally.cut.clone(),
                lost: tally.lost,
            },
            traffic: Traffic {
                pings: tally.pings,
                pongs: tally.pongs,
                pongs_per_s: per_second(tally.pongs, elapsed),
                held_back: tally.held_back,
                unreadable: tally.unreadable,
                bytes_in: tally.bytes_in,
                bytes_out: tally.bytes_out,
            },
            connect_us: Spread::of(&tally.connect),
            register_us: Spread::of(&tally.register),
            pong_us: Spread::of(&tally.pong),
            own_lag_us: Spread::of(&tally.own_lag),
            timeout_late_us: Spread::of(&tally.lateness),
        }
    }

    /// Tells whether as many clients as asked for were online at once.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.clients.online_most >= u64::try_from(self.clients.asked).unwrap_or(u64::MAX)
    }

    /// Writes it as one line of JSON, its end included.
    #[must_use]
    pub fn json(&self) -> String {
        // Nothing in it can fail to be JSON.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Writes it for people, in columns.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.headline();
        let mut row = |word: &str, count: u64, note: &str| {
            let line = format!("  {word:<20}{:>13}   {note}", grouped(count));
            text.push_str(line.trim_end());
            text.push('\n');
        };
        let clients = &self.clients;
        row("registered", clients.registered, &self.how_fast());
        row("stayed to the end", clients.stayed, "");
        let mut seldom = |word: &str, count: u64, note: &str| {
            if count > 0 {
                row(word, count, note);
            }
        };
        seldom("replaced", clients.replaced, "");
        seldom("frozen, timed out", clients.frozen_timed_out, "");
        seldom("drained", clients.drained, "the server asked them to leave");
        seldom("too late, timed out", clients.late_and_timed_out, "not the server's fault: see own lag");
        seldom("TIMED OUT WRONGLY", clients.wrongly_timed_out, "they had spoken in time");
        seldom("lost", clients.lost, "closed without a word");
        seldom("cut", total(&clients.cut), &listed(&clients.cut));
        seldom("refused", total(&clients.refused), &listed(&clients.refused));
        seldom("failed", total(&clients.failed), &listed(&clients.failed));
        seldom("not in before the end", clients.too_late, "");
        let traffic = &self.traffic;
        row("pings", traffic.pings, "");
        row("pongs", traffic.pongs, &format!("{:.1} a second", traffic.pongs_per_s));
        if traffic.held_back > 0 {
            row("pings left out", traffic.held_back, "the server did not read");
        }
        if traffic.unreadable > 0 {
            row("lines not understood", traffic.unreadable, "");
        }
        row("bytes in", traffic.bytes_in, "");
        row("bytes out", traffic.bytes_out, "");
        self.spreads(&mut text);
        text
    }

    fn headline(&self) -> String {
        let span = brief(Duration::from_millis(self.elapsed_ms));
        let (asked, server, dialect, seed) =
            (grouped(self.clients.asked as u64), &self.server, self.dialect, self.seed);
        let told = self.told.as_ref().map_or_else(String::new, |told| {
            let span = |ms| brief(Duration::from_millis(ms));
            let (interval, timeout) = (span(told.interval_ms), span(told.timeout_ms));
            format!("server {:?} {}, interval {interval}, timeout {timeout}\n", told.name, told.version)
        });
        format!("{asked} clients at {server} for {span} (dialect {dialect}, seed {seed})\n{told}\n")
    }

    fn how_fast(&self) -> String {
        match (self.clients.full_after_ms, self.clients.registered_per_s) {
            (Some(after), Some(rate)) => {
                let after = brief(Duration::from_millis(after));
                let asked = grouped(self.clients.asked as u64);
                format!("all {asked} online after {after}, {rate:.0} a second")
            }
            _ => format!("at most {} online at once", grouped(self.clients.online_most)),
        }
    }

    fn spreads(&self, text: &mut String) {
        let heads = ["count", "p50", "p90", "p99", "p99.9", "max"];
        let _ = write!(text, "\n  {:<20}{:>13}", "", heads[0]); // a String takes everything
        heads[1..].iter().for_each(|head| text.push_str(&format!("{head:>10}")));
        text.push('\n');
        for (word, spread) in [
            ("connect", &self.connect_us),
            ("register", &self.register_us),
            ("pong", &self.pong_us),
            ("timeout, late by", &self.timeout_late_us),
            ("own lag", &self.own_lag_us),
        ] {
            if spread.count == 0 {
                continue;
            }
            let _ = write!(text, "  {word:<20}{:>13}", grouped(spread.count)); // Likewise.
            for us in [spread.p50, spread.p90, spread.p99, spread.p999, spread.max] {
                text.push_str(&format!("{:>10}", fine(us)));
            }
            text.push('\n');
        }
    }
}

/// Writes microseconds with three digits that matter: `840us`, `1.24ms`, `41.2ms`, `3.05s`.
#[must_use]
pub fn fine(us: u64) -> String {
    let digits = |whole: u64, unit: u64| {
        let after = match whole / unit {
            0..10 => 2,
            10..100 => 1,
            _ => 0,
        };
        let scale = unit / 10_u64.pow(after);
        let rounded = (whole + scale / 2) / scale; // in units of the last digit shown
        let one = 10_u64.pow(after);
        let width = usize::try_from(after).unwrap_or(0);
        match after {
            0 => rounded.to_string(),
            _ => format!("{}.{:0width$}", rounded / one, rounded % one),
        }
    };
    match us {
        0..1_000 => format!("{us}us"),
        1_000..1_000_000 => digits(us, 1_000) + "ms",
        _ => digits(us, 1_000_000) + "s",
    }
}

/// Writes a number with a comma after every three digits.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn total<K>(counts: &BTreeMap<K, u64>) -> u64 {
    counts.values().sum()
}

fn listed<K: AsRef<str>>(counts: &BTreeMap<K, u64>) -> String {
    let each: Vec<_> =
        counts.iter().map(|(word, &count)| format!("{} {}", grouped(count), word.as_ref())).collect();
    each.join(", ")
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Returns how many that is in a second, to a tenth.
#[expect(clippy::cast_precision_loss, reason = "a rate is read to three digits")]
fn per_second(count: u64, span: Duration) -> f64 {
    if span.is_zero() { 0.0 } else { (count as f64 / span.as_secs_f64() * 10.0).round() / 10.0 }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::ASKED;
    use super::super::plan::{Asked, Plan};
    use super::super::tally::{Fate, Refusal};
    use super::*;
    use crate::protocol::ErrorCode;

    fn report() -> Report {
        let millis = Duration::from_millis;
        let mut tally = Tally::new(6).unwrap();
        tally.begun = 13;
        for n in 0..10 {
            tally.registered(millis(n));
        }
        for fate in [
            Fate::Stayed,
            Fate::Stayed,
            Fate::Replaced,
            Fate::Drained,
            Fate::FrozenOut { late: Some(millis(12)) },
            Fate::FrozenOut { late: None },
            Fate::WronglyTimedOut,
            Fate::Starved,
            Fate::Cut(ErrorCode::Kicked),
            Fate::Lost,
        ] {
            tally.ended(&fate, 1);
        }
        tally.refused(Refusal::Told(ErrorCode::Full), Some("6 of 6 clients"));
        tally.refused(Refusal::Failed("connection refused".to_owned()), None);
        tally.refused(Refusal::TooLate, None);
        tally.settled = Some(millis(4_000));
        tally.full = tally.settled;
        (tally.pings, tally.pongs) = (1_234_568, 1_234_567);
        for us in 1..=1_000 {
            tally.pong.record(Duration::from_micros(us));
        }
        Report::new(&Plan::new(&Asked { clients: 6, ..ASKED }).unwrap(), &tally, millis(10_000))
    }

    #[test]
    fn every_client_has_one_fate() {
        let report = report();
        let c = &report.clients;
        assert_eq!(c.begun, c.registered + total(&c.refused) + total(&c.failed) + c.too_late);
        let fates = [
            c.stayed,
            c.replaced,
            c.drained,
            c.frozen_timed_out,
            c.wrongly_timed_out,
            c.late_and_timed_out,
            total(&c.cut),
            c.lost,
        ];
        assert_eq!(c.registered, fates.iter().sum::<u64>());
        assert!(report.is_full());
    }

    #[test]
    fn rates_and_percentiles_are_what_was_counted() {
        let report = report();
        assert_eq!((report.traffic.pongs_per_s, report.clients.registered_per_s), (123_456.7, Some(1.5)));
        let Spread { count, min, mean, p50, p90, p99, p999, max } = report.pong_us;
        assert_eq!((count, min, p50, p90, p99, p999, max), (1_000, 1, 500, 900, 990, 999, 1_000));
        assert!((mean - 500.5).abs() < 0.11, "{mean}");
        assert_eq!(report.timeout_late_us.count, 1);
        assert_eq!(report.connect_us, Spread::default());
    }

    #[test]
    fn people_read_it_in_columns_and_programs_as_json() {
        let report = report();
        let text = report.text();
        for words in [
            "6 clients at hq:8080 for 10s (dialect presence, seed 1)",
            "all 6 online after 4s, 2 a second",
            "TIMED OUT WRONGLY               1   they had spoken in time",
            "refused                         1   1 full",
            "pongs                   1,234,567   123456.7 a second",
            "pong                        1,000     500us     900us     990us     999us    1.00ms",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        assert!(!text.lines().any(|line| line.ends_with(' ')));
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["clients"]["cut"]["kicked"], 1);
        assert_eq!(json["pong_us"]["p99"], 990);
        assert_eq!(json["told"], serde_json::Value::Null);
    }

    #[test]
    fn spans_keep_three_digits() {
        for (us, text) in [
            (0, "0us"),
            (999, "999us"),
            (1_000, "1.00ms"),
            (1_236, "1.24ms"),
            (41_249, "41.2ms"),
            (412_499, "412ms"),
            (3_050_000, "3.05s"),
            (75_000_000, "75.0s"),
            (3_600_000_000, "3600s"),
        ] {
            assert_eq!(fine(us), text);
        }
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
