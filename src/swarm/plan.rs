//! What is to be done: the numbers somebody asked for, checked against their limits and each other.

use std::time::Duration;

use thiserror::Error;

use crate::net::addr::{AddrError, ServerAddr};
use crate::presence::settings::{INTERVAL_MAX, INTERVAL_MIN, TIMEOUT_MAX};
use crate::presence::span;

/// The most clients of one swarm; a million connections are past what one machine is good for.
pub const CLIENTS_MAX: usize = 1_000_000;
/// The most connections a second; beyond it the timer is too coarse to keep them apart.
const RATE_MAX: f64 = 100_000.0;
/// How often a base client pings unless told otherwise.
const BASE_INTERVAL: Duration = Duration::from_mins(1);
/// The longest run.
const DURATION_MAX: Duration = Duration::from_hours(24 * 7);

/// What the clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Presence protocol v1.
    Presence,
    /// The base protocol.
    Base,
}

impl Dialect {
    /// Returns the word for it, as it is given on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Base => "base",
        }
    }
}

/// What was asked for, as it was written.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The server's address.
    pub server: &'a str,
    /// How many clients.
    pub clients: usize,
    /// How many may connect in a second.
    pub rate: &'a str,
    /// How often each pings.
    pub interval: Option<&'a str>,
    /// The server's timeout, where it does not tell.
    pub timeout: Option<&'a str>,
    /// How many fall silent.
    pub freeze: usize,
    /// How many leave in a second.
    pub churn: &'a str,
    /// What they speak.
    pub dialect: Dialect,
    /// Whether they ask for the roster.
    pub roster: bool,
    /// For how long.
    pub duration: Option<&'a str>,
    /// What the clients are made from.
    pub seed: Option<u32>,
    /// Whether a pong is answered by the next ping at once.
    pub closed_loop: bool,
}

/// A load that can be put on a server.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub server: ServerAddr,
    /// How many clients, 1 to [`CLIENTS_MAX`].
    pub clients: usize,
    /// How many may connect in a second.
    pub rate: f64,
    /// How often each pings; `None` for as often as the server asks.
    pub interval: Option<Duration>,
    /// The server's timeout; only given for a base server, which does not tell it.
    pub timeout: Option<Duration>,
    /// How many fall silent once all have connected.
    pub freeze: usize,
    /// How many leave in a second and are replaced.
    pub churn: f64,
    /// What they speak.
    pub dialect: Dialect,
    /// Whether they ask for the roster.
    pub roster: bool,
    /// For how long; `None` until asked to stop.
    pub duration: Option<Duration>,
    /// What the clients are made from.
    pub seed: u32,
    /// Whether a pong is answered by the next ping at once.
    pub closed_loop: bool,
}

/// Why a load makes no sense.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PlanError {
    /// The server's address is none.
    #[error(transparent)]
    Server(#[from] AddrError),
    /// The server's address asks for TLS.
    #[error("a swarm speaks no TLS: write {0} without tls://, where the server allows that")]
    Tls(ServerAddr),
    /// Too many clients, or none.
    #[error("-n {0} is not possible (write a number from 1 to {CLIENTS_MAX})")]
    Clients(usize),
    /// A rate that is none.
    #[error("--{flag} {text:?} is not a number a second (write {least} to {RATE_MAX}, such as 500 or 500/s)")]
    Rate {
        /// Which flag.
        flag: &'static str,
        /// What was written.
        text: String,
        /// The lowest that would do.
        least: &'static str,
    },
    /// A duration that is none, or out of its range.
    #[error("--{flag} {text:?} is {problem}")]
    Span {
        /// Which flag.
        flag: &'static str,
        /// What was written.
        text: String,
        /// What is wrong with it, and what to write.
        problem: String,
    },
    /// More are to fall silent than there are.
    #[error("--freeze {freeze} is more than there are clients (-n {clients})")]
    Freeze {
        /// How many were to fall silent.
        freeze: usize,
        /// How many there are.
        clients: usize,
    },
    /// Everybody is frozen, so nobody can leave.
    #[error("--churn needs clients that are not frozen (raise -n, or lower --freeze)")]
    NobodyToLeave,
    /// They leave faster than they may be replaced.
    #[error("--churn {churn} is more than may connect in a second (--rate {rate})")]
    ChurnAboveRate {
        /// How many leave in a second.
        churn: f64,
        /// How many may connect in a second.
        rate: f64,
    },
    /// The base protocol has no roster to ask for.
    #[error("--roster needs --dialect presence: base clients get lists without asking")]
    BaseRoster,
    /// A v1 server tells its timeout, so it is not to be told.
    #[error("--timeout needs --dialect base: other servers tell their timeout themselves")]
    TimeoutIsTold,
}

impl Plan {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// The first value that is out of its range, or does not go with another.
    pub fn new(asked: &Asked<'_>) -> Result<Self, PlanError> {
        let clients = asked.clients;
        if !(1..=CLIENTS_MAX).contains(&clients) {
            return Err(PlanError::Clients(clients));
        }
        if asked.freeze > clients {
            return Err(PlanError::Freeze { freeze: asked.freeze, clients });
        }
        let rate = per_second("rate", asked.rate, "0.1").and_then(|rate| match rate {
            0.1.. => Ok(rate),
            _ => Err(no_rate("rate", asked.rate, "0.1")),
        })?;
        let churn = per_second("churn", asked.churn, "0")?;
        if churn > 0.0 && asked.freeze == clients {
            return Err(PlanError::NobodyToLeave);
        }
        if churn > rate {
            return Err(PlanError::ChurnAboveRate { churn, rate });
        }
        if asked.roster && asked.dialect == Dialect::Base {
            return Err(PlanError::BaseRoster);
        }
        if asked.timeout.is_some() && asked.dialect == Dialect::Presence {
            return Err(PlanError::TimeoutIsTold);
        }
        let interval = asked
            .interval
            .map(|text| within("interval", text, INTERVAL_MIN, INTERVAL_MAX))
            .transpose()?
            .or((asked.dialect == Dialect::Base).then_some(BASE_INTERVAL));
        let timeout =
            asked.timeout.map(|text| within("timeout", text, INTERVAL_MIN, TIMEOUT_MAX)).transpose()?;
        let least = Duration::from_millis(100);
        let duration =
            asked.duration.map(|text| within("duration", text, least, DURATION_MAX)).transpose()?;
        Ok(Self {
            server: plain(asked.server)?,
            clients,
            rate,
            interval,
            timeout,
            freeze: asked.freeze,
            churn,
            dialect: asked.dialect,
            roster: asked.roster,
            duration,
            seed: asked.seed.unwrap_or_else(|| fastrand::u32(..)),
            closed_loop: asked.closed_loop,
        })
    }

    /// Returns how long it takes until everybody has been sent in.
    #[must_use]
    pub fn ramp(&self) -> Duration {
        self.gap() * u32::try_from(self.clients).unwrap_or(u32::MAX)
    }

    /// Returns how far apart two connections are begun.
    #[must_use]
    pub fn gap(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate)
    }

    /// Tells whether the client in this place falls silent; they are the first ones.
    #[must_use]
    pub fn is_frozen(&self, place: usize) -> bool {
        place < self.freeze
    }

    /// Returns when the client in this place, registered at `registered`, has to make room; both counted from the start.
    ///
    /// They take turns: from the end of the ramp one goes every 1/churn
    /// seconds, in the order of their places, and round again. So the rate is
    /// exact, and nobody has to be told.
    #[must_use]
    pub fn leaves_at(&self, place: usize, registered: Duration) -> Option<Duration> {
        if self.churn <= 0.0 || self.is_frozen(place) {
            return None;
        }
        let turn = Duration::from_secs_f64(1.0 / self.churn);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let first = self.ramp() + turn.saturating_mul(count(place - self.freeze + 1));
        let round = turn.saturating_mul(count(self.clients - self.freeze));
        let missed = registered.saturating_sub(first).as_nanos().div_ceil(round.as_nanos().max(1));
        let missed = u32::try_from(missed).unwrap_or(u32::MAX);
        Some(first.saturating_add(round.saturating_mul(missed)))
    }
}

fn per_second(flag: &'static str, text: &str, least: &'static str) -> Result<f64, PlanError> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse::<f64>().ok();
    number
        .filter(|number| (0.0..=RATE_MAX).contains(number))
        // Less than one in a quarter of an hour is a mistake, and would overflow what is computed from it.
        .filter(|&number| number == 0.0 || number >= 0.001)
        .ok_or_else(|| no_rate(flag, text, least))
}

fn no_rate(flag: &'static str, text: &str, least: &'static str) -> PlanError {
    PlanError::Rate { flag, text: text.to_owned(), least }
}

fn within(flag: &'static str, text: &str, least: Duration, most: Duration) -> Result<Duration, PlanError> {
    let problem = match span::parse(text) {
        Ok(span) if (least..=most).contains(&span) => return Ok(span),
        Ok(_) => format!("out of range (write {} to {})", span::brief(least), span::brief(most)),
        Err(error) => error.to_string(),
    };
    Err(PlanError::Span { flag, text: text.to_owned(), problem })
}

/// Reads the address of a server that is reached without TLS.
fn plain(text: &str) -> Result<ServerAddr, PlanError> {
    let server: ServerAddr = text.parse()?;
    if server.is_tls() { Err(PlanError::Tls(server)) } else { Ok(server) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::swarm) const ASKED: Asked<'static> = Asked {
        server: "hq",
        clients: 1_000,
        rate: "1000",
        interval: None,
        timeout: None,
        freeze: 0,
        churn: "0",
        dialect: Dialect::Presence,
        roster: false,
        duration: None,
        seed: Some(1),
        closed_loop: false,
    };

    #[test]
    fn what_goes_together_is_a_plan() {
        let plan = Plan::new(&ASKED).unwrap();
        assert_eq!((plan.server.to_string().as_str(), plan.interval, plan.seed), ("hq:8080", None, 1));
        assert_eq!(plan.ramp(), Duration::from_secs(1));
        let asked = Asked { rate: "250/s", churn: "0.5/s", interval: Some("300ms"), ..ASKED };
        let plan = Plan::new(&asked).unwrap();
        assert_eq!((plan.rate, plan.churn, plan.ramp()), (250.0, 0.5, Duration::from_secs(4)));
        assert_eq!(plan.interval, Some(Duration::from_millis(300)));
        let base = Plan::new(&Asked { dialect: Dialect::Base, ..ASKED }).unwrap();
        assert_eq!(base.interval, Some(Duration::from_mins(1)), "nobody tells a base client how often");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_flag_and_a_way_out() {
        for (asked, words) in [
            (Asked { server: "hq:0", ..ASKED }, "65535"),
            (Asked { clients: 0, ..ASKED }, "1 to 1000000"),
            (Asked { clients: 1_000_001, ..ASKED }, "1 to 1000000"),
            (Asked { rate: "0", ..ASKED }, "--rate \"0\""),
            (Asked { rate: "fast", ..ASKED }, "500/s"),
            (Asked { rate: "NaN", ..ASKED }, "--rate"),
            (Asked { rate: "-5", ..ASKED }, "--rate"),
            (Asked { rate: "1000000", ..ASKED }, "100000"),
            (Asked { churn: "-1", ..ASKED }, "--churn"),
            (Asked { churn: "1e-9", ..ASKED }, "--churn"),
            (Asked { churn: "2000", ..ASKED }, "--rate 1000"),
            (Asked { churn: "1", freeze: 1_000, ..ASKED }, "not frozen"),
            (Asked { freeze: 1_001, ..ASKED }, "--freeze 1001"),
            (Asked { interval: Some("50ms"), ..ASKED }, "100ms to 1h"),
            (Asked { interval: Some("soon"), ..ASKED }, "not a duration"),
            (Asked { duration: Some("0"), ..ASKED }, "--duration"),
            (Asked { timeout: Some("9d"), dialect: Dialect::Base, ..ASKED }, "100ms to 1d"),
            (Asked { timeout: Some("9s"), ..ASKED }, "--timeout needs --dialect base"),
            (Asked { roster: true, dialect: Dialect::Base, ..ASKED }, "--dialect presence"),
        ] {
            let error = Plan::new(&asked).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn clients_take_turns_leaving_at_the_rate_that_was_asked_for() {
        let plan = Plan::new(&Asked { clients: 10, freeze: 2, churn: "4", rate: "10", ..ASKED }).unwrap();
        let secs = Duration::from_secs_f64;
        assert_eq!(plan.leaves_at(1, Duration::ZERO), None, "it is frozen");
        assert_eq!(plan.leaves_at(2, secs(0.3)), Some(secs(1.25)));
        assert_eq!(plan.leaves_at(9, secs(1.0)), Some(secs(3.0)));
        // Whoever takes a place in time leaves a round later, whoever is late misses its turn.
        assert_eq!(plan.leaves_at(2, secs(1.26)), Some(secs(3.25)));
        assert_eq!(plan.leaves_at(2, secs(3.4)), Some(secs(5.25)));
        // 8 clients that leave every 2 s each are 4 a second.
        let mut turns: Vec<_> = (2..10).filter_map(|place| plan.leaves_at(place, secs(0.9))).collect();
        turns.sort();
        assert!(turns.windows(2).all(|pair| pair[0] + secs(0.25) == pair[1]), "{turns:?}");
        assert_eq!(Plan::new(&ASKED).unwrap().leaves_at(5, secs(1.0)), None);
    }
}
