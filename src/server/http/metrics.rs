//! Figures for Prometheus: names with their units, and never a label per client.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use crate::presence::lateness::Lateness;
use crate::presence::{Dialect, Reason, State};
use crate::server::ledger::Facts;

/// The content type of the text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text, as it grows.
struct Page(String);

impl Page {
    /// Announces a metric; `kind` is `gauge`, `counter` or `summary`.
    fn about(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP presence_{name} {help}\n# TYPE presence_{name} {kind}"); // a String takes everything
    }

    fn value(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "presence_{name} {value}");
    }

    /// Announces a metric without labels and gives its value.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.about(name, kind, help);
        self.value(name, value);
    }

    /// Announces a metric with one label and gives its values; the words are ours and need no escape.
    fn each<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'static str, V)>,
    ) {
        self.about(name, kind, help);
        for (word, value) in values {
            let _ = writeln!(self.0, "presence_{name}{{{label}=\"{word}\"}} {value}");
        }
    }

    fn spread(&mut self, name: &str, help: &str, spans: &Lateness) {
        self.about(name, "summary", help);
        for (quantile, percent) in [("0.5", 50), ("0.99", 99), ("1", 100)] {
            let value = secs(spans.percentile(percent));
            let _ = writeln!(self.0, "presence_{name}{{quantile=\"{quantile}\"}} {value}");
        }
        self.value(&format!("{name}_count"), spans.total());
    }
}

fn secs(span: Duration) -> f64 {
    span.as_secs_f64()
}

/// Writes everything.
pub(super) fn page(facts: &Facts, http: usize) -> String {
    let mut page = Page(String::with_capacity(8 * 1024));
    people(&mut page, facts, http);
    beats(&mut page, facts);
    page.0
}

/// Who is here, and who was.
fn people(page: &mut Page, facts: &Facts, http: usize) {
    let (view, totals) = (&facts.view, &facts.totals);
    let states = State::ALL.into_iter().map(|state| (state.word(), view.counts.of(state)));
    page.each("clients", "gauge", "Rows by state.", "state", states);
    let dialects = Dialect::ALL.into_iter().zip(facts.dialects);
    let dialects = dialects.filter(|(dialect, _)| *dialect != Dialect::Http);
    let dialects = dialects.map(|(dialect, count)| (dialect.word(), count));
    page.each("clients_live", "gauge", "Connected clients by what they speak.", "dialect", dialects);
    page.one("clients_max", "gauge", "How many clients may be connected.", view.max_clients);
    page.one("connecting", "gauge", "Connections that have not registered.", view.connecting);
    page.one("http_connections", "gauge", "Connections that ask over HTTP.", http);
    page.one("unacknowledged", "gauge", "Departures nobody has acknowledged.", view.alerts.unacked);
    page.one("sessions_total", "counter", "Sessions that began.", totals.sessions);
    let reasons = Reason::ALL.into_iter().zip(totals.departures);
    let reasons = reasons.map(|(reason, count)| (reason.word(), count));
    page.each("departures_total", "counter", "Sessions that ended, by reason.", "reason", reasons);
    page.one("late_total", "counter", "Times a client was late.", totals.late);
    page.one("refused_total", "counter", "Newcomers turned away and told of.", totals.refused);
    page.one("rows_forgotten_total", "counter", "Departed rows forgotten.", totals.cleaned);
    let (lived, ended) = (secs(totals.lived), totals.ended());
    page.about("session_duration_seconds", "summary", "How long ended sessions lasted.");
    page.value("session_duration_seconds_sum", lived);
    page.value("session_duration_seconds_count", ended);
}

/// Heartbeats, and the verdicts on those that did not come.
fn beats(page: &mut Page, facts: &Facts) {
    let view = &facts.view;
    let missed = facts.missed + facts.totals.owed;
    page.one("heartbeats_received_total", "counter", "Heartbeats received.", facts.received.count);
    page.one("heartbeats_sent_total", "counter", "Answers to heartbeats and pings sent.", facts.sent.count);
    page.one("heartbeats_missed_total", "counter", "Heartbeats that were due and did not come.", missed);
    page.one("interval_seconds", "gauge", "Heartbeat interval in force.", secs(view.settings.interval()));
    page.one("timeout_seconds", "gauge", "Connection timeout in force.", secs(view.settings.timeout()));
    page.one("settings_revision", "gauge", "Revision of both.", view.rev.0);
    page.spread("verdict_lateness_seconds", "How late timeouts were detected.", &facts.lateness);
    page.spread("rtt_seconds", "Round trips of connected clients.", &facts.rtt);
    let record = &view.record;
    page.one("false_timeouts_total", "counter", "Timed-out clients that were alive.", record.false_timeouts);
    page.one("paused_seconds_total", "counter", "How long the server could not look.", secs(record.paused));
    page.one("uptime_seconds", "gauge", "How long the server has been up.", secs(facts.uptime));
    page.about("build_info", "gauge", "Always 1.");
    page.value(concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1);
}
