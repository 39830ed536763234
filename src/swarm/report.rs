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
    /// How often each pinged; absent where they went by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
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
            interval_ms: plan.interval.map(ms),
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
        let own = self
            .interval_ms
            .map_or_else(String::new, |ms| format!(", a ping every {}", brief(Duration::from_millis(ms))));
        format!("{asked} clients at {server} for {span} (dialect {dialect}{own}, seed {seed})\n{told}\n")
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

    /// Writes the table of spans, without lines for what never happened.
    fn spreads(&self, text: &mut String) {
        let mut spreads = vec![
            ("connect", &self.connect_us),
            ("register", &self.register_us),
            ("pong", &self.pong_us),
            ("timeout, late by", &self.timeout_late_us),
            ("own lag", &self.own_lag_us),
        ];
        spreads.retain(|(_, spread)| spread.count > 0);
        if spreads.is_empty() {
            return;
        }
        text.push('\n');
        let mut line = |word: &str, cells: [String; 6]| {
            let [count, spans @ ..] = cells;
            let _ = write!(text, "  {word:<20}{count:>13}"); // a String takes everything
            for span in spans {
                let _ = write!(text, "{span:>10}"); // Likewise.
            }
            text.push('\n');
        };
        line("", ["count", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned));
        for (word, it) in spreads {
            let [p50, p90, p99, p999, max] = [it.p50, it.p90, it.p99, it.p999, it.max].map(fine);
            line(word, [grouped(it.count), p50, p90, p99, p999, max]);
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
mod tests;
