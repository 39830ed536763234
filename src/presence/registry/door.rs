//! Who is let in, and onto which row.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::takeover::Tenure;
use super::{Limits, Live, Registry, Row, Standing, Told, label};
use crate::presence::dialect::Dialect;
use crate::presence::event::EventKind;
use crate::presence::pulse::Pulse;
use crate::presence::reason::{Departure, Reason};
use crate::presence::rhythm::Rhythm;
use crate::presence::row::{Claim, ConnNo, Identity, Profile, RowKey, State};
use crate::presence::secret::Secret;

/// A client at the door: checked and clean, not yet let in.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// The address it claims.
    pub claim: Claim,
    /// Where it really comes from.
    pub peer: SocketAddr,
    /// Protocol version; 0 for a legacy client.
    pub version: u8,
    /// What it speaks.
    pub dialect: Dialect,
    /// Who it says it is.
    pub identity: Option<Identity>,
    /// What it tells about itself.
    pub profile: Profile,
    /// The secret of its last welcome.
    pub resume: Option<Arc<str>>,
    /// An identity to give it, should it be a v1 client without one.
    pub fresh_id: Arc<str>,
    /// A secret to give it, should it have none that holds.
    pub fresh_secret: Secret,
    /// Where its session notes signs of life.
    pub pulse: Arc<Pulse>,
}

/// A newcomer that was let in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Its row.
    pub row: RowKey,
    /// The number of its connection.
    pub conn: ConnNo,
    /// Its identity.
    pub id: Arc<str>,
    /// Its secret; a legacy client has none.
    pub secret: Option<Secret>,
    /// How long it had been away, if it was known.
    pub away: Option<Duration>,
    /// The connection it takes the place of, which must be cut.
    pub replaced: Option<ConnNo>,
}

/// Why a newcomer is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many clients as allowed are here.
    Full {
        /// How many are allowed.
        max_clients: usize,
    },
    /// As many clients as allowed are here from its address.
    PerIp {
        /// How many are allowed.
        max_per_ip: usize,
    },
    /// A newer life of the same client is here.
    StaleGeneration,
    /// The identity is held by a client that is well, and the newcomer did not prove to be it.
    InUse {
        /// Who holds it.
        holder: SocketAddr,
        /// Whether that is an earlier connection of the same life, as far as can be seen.
        is_itself: bool,
    },
    /// Two machines keep taking one identity from each other.
    Conflict {
        /// Who keeps it.
        holder: SocketAddr,
    },
    /// The operator removed it and said for how long.
    Blocked {
        /// How long the block still lasts.
        remaining: Duration,
    },
}
/// Whom a block keeps out.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Blocked {
    Id(Arc<str>),
    Ip(IpAddr),
}

impl Registry {
    /// Lets a newcomer in, on a new row or on the one it had.
    ///
    /// # Errors
    /// There is no place for it, or its identity belongs to somebody else.
    pub fn join(&mut self, now: Instant, newcomer: &Newcomer) -> Result<Admission, Refusal> {
        self.check_block(now, newcomer)?;
        let mut identity = newcomer.identity.clone().or_else(|| {
            // A v1 client that leaves the choice to us gets a name nobody else has.
            (newcomer.version > 0).then(|| Identity {
                id: newcomer.fresh_id.clone(),
                generation: 0,
                attempt: 0,
            })
        });
        let known = if let Some(identity) = &mut identity {
            let known = self.by_id.get_key_value(&identity.id);
            known.map(|(id, &key)| {
                // Who comes back brings its identity in another copy, which nobody has to keep.
                identity.id = id.clone();
                key
            })
        } else {
            let label = label(&newcomer.profile, &newcomer.claim);
            self.by_claim.get(&(newcomer.claim.clone(), label, newcomer.peer.ip())).copied()
        };
        let replaced = match (known, &identity) {
            (Some(key), Some(identity)) => self.judge_takeover(now, key, identity, newcomer)?,
            _ => None,
        };
        self.check_room(newcomer, replaced)?;
        if let Some(conn) = replaced {
            self.depart(now, conn, Departure::new(Reason::Replaced, format!("by {}", newcomer.peer)));
        }
        Ok(self.admit(now, newcomer, identity.as_ref(), known, replaced))
    }

    fn check_block(&mut self, now: Instant, newcomer: &Newcomer) -> Result<(), Refusal> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        self.blocks.retain(|_, &mut until| until > now);
        let whom = match &newcomer.identity {
            Some(identity) => Blocked::Id(identity.id.clone()),
            None => Blocked::Ip(newcomer.peer.ip()),
        };
        match self.blocks.get(&whom) {
            Some(until) => Err(Refusal::Blocked { remaining: until.saturating_duration_since(now) }),
            None => Ok(()),
        }
    }

    /// Returns the connection the newcomer replaces, if the row is held and may be taken.
    fn judge_takeover(
        &mut self,
        now: Instant,
        key: RowKey,
        identity: &Identity,
        newcomer: &Newcomer,
    ) -> Result<Option<ConnNo>, Refusal> {
        let Some(row) = self.rows.get_mut(&key) else { return Ok(None) };
        let Standing::Here(conn) = row.standing else { return Ok(None) };
        let fresh = self.live.get(&conn).is_some_and(|live| {
            now.saturating_duration_since(live.pulse.last_seen()) <= live.terms.late_after()
        });
        let (peer, id) = (row.peer, row.id.clone());
        let Some(tenure) = &mut row.tenure else { return Ok(None) };
        let verdict = tenure.judge(now, peer, fresh, identity, newcomer);
        if let Err(Refusal::Conflict { holder }) = verdict {
            self.emit(now, None, EventKind::Conflict { id, holder, challenger: newcomer.peer });
        }
        verdict.map(|()| Some(conn))
    }

    fn check_room(&self, newcomer: &Newcomer, replaced: Option<ConnNo>) -> Result<(), Refusal> {
        let Limits { max_clients, max_per_ip, .. } = self.limits;
        if replaced.is_none() && self.live.len() >= max_clients {
            return Err(Refusal::Full { max_clients });
        }
        let ip = newcomer.peer.ip();
        let frees_one =
            replaced.and_then(|conn| self.row_of(conn)).is_some_and(|(_, row)| row.peer.ip() == ip);
        let there = self.per_ip.get(&ip).copied().unwrap_or(0) - usize::from(frees_one);
        if max_per_ip > 0 && there >= max_per_ip {
            return Err(Refusal::PerIp { max_per_ip });
        }
        Ok(())
    }

    fn admit(
        &mut self,
        now: Instant,
        newcomer: &Newcomer,
        identity: Option<&Identity>,
        known: Option<RowKey>,
        replaced: Option<ConnNo>,
    ) -> Admission {
        self.last_conn += 1;
        let conn = ConnNo(self.last_conn);
        let known = known
            .filter(|key| self.rows.contains_key(key))
            .or_else(|| self.take_listed(&label(&newcomer.profile, &newcomer.claim)));
        let key = known.unwrap_or_else(|| {
            self.last_row += 1;
            RowKey(self.last_row)
        });
        let mistaken = known.and_then(|key| self.mistaken_about(now, key, identity));
        let away = known.and_then(|key| self.leave_graveyard(now, key));
        let id = identity.map_or_else(|| format!("~{}", key.0).into(), |identity| identity.id.clone());
        if identity.is_some() {
            self.by_id.insert(id.clone(), key);
        }
        let old = self.rows.remove(&key);
        let sessions = old.as_ref().map_or(0, |row| row.sessions) + 1;
        let mut rhythm = old.as_ref().map_or_else(|| Rhythm::new(now), |row| row.rhythm.clone());
        if old.is_some() {
            rhythm.change(now);
        }
        let told = old.as_ref().map_or_else(Told::default, |row| row.told);
        let mut tenure = old.and_then(|row| row.tenure);
        match (&mut tenure, &identity) {
            (Some(tenure), Some(identity)) => tenure.pass_to(identity, newcomer),
            (None, Some(identity)) => {
                tenure = Some(Tenure::new(identity, Some(newcomer.fresh_secret)));
            }
            (_, None) => {}
        }
        let secret = tenure.as_ref().and_then(|tenure| tenure.secret);
        let row = Row {
            id: id.clone(),
            label: label(&newcomer.profile, &newcomer.claim),
            claim: self.texts.share_claim(newcomer.claim.clone()),
            peer: newcomer.peer,
            version: newcomer.version,
            dialect: newcomer.dialect,
            profile: self.texts.share_profile(newcomer.profile.clone()),
            sessions,
            rhythm,
            tenure,
            told,
            standing: Standing::Here(conn),
        };
        self.rows.insert(key, Box::new(row));
        let pulse = newcomer.pulse.clone();
        pulse.set_revision(self.rev);
        let live = Live::new(now, key, pulse, self.settings, newcomer.version > 0);
        self.tally.add(&live);
        self.live.push(conn, live);
        self.look_again(now, conn);
        *self.per_ip.entry(newcomer.peer.ip()).or_default() += 1;
        self.counts.add(State::Online);
        let kind = away.map_or(EventKind::Joined, |away| EventKind::Resumed { away });
        self.emit(now, Some(key), kind);
        if let Some(ago) = mistaken {
            self.record.false_timeouts += 1;
            self.emit(now, Some(key), EventKind::FalseTimeout { ago });
        }
        self.meet(key, &label(&newcomer.profile, &newcomer.claim));
        Admission { row: key, conn, id, secret, away, replaced }
    }

    /// Returns how long ago a client was timed out that must have been alive: it is back within twice the
    /// timeout, and in the same life.
    fn mistaken_about(&self, now: Instant, key: RowKey, identity: Option<&Identity>) -> Option<Duration> {
        let row = self.rows.get(&key)?;
        let Standing::Gone(gone) = &row.standing else { return None };
        let generation = row.tenure.as_ref()?.generation;
        let same_life = identity.is_some_and(|it| it.generation == generation && it.generation > 0);
        let ago = now.saturating_duration_since(gone.at);
        let soon = ago <= self.settings.timeout() * 2;
        (gone.departure.reason == Reason::Timeout && same_life && soon).then_some(ago)
    }

    /// Takes a departed row back among the living; returns how long it was silent.
    fn leave_graveyard(&mut self, now: Instant, key: RowKey) -> Option<Duration> {
        let row = self.rows.get(&key)?;
        let state = self.state_of(row);
        let gone = match &row.standing {
            Standing::Here(_) => return None,
            Standing::Awaited(_) => return self.leave_roll(now, key),
            Standing::Gone(gone) => gone,
        };
        self.by_claim.remove(&row.claimed());
        let away = now.saturating_duration_since(gone.last_seen);
        if let Some(number) = gone.alert {
            self.alerts.clear(number);
        }
        self.counts.remove(state);
        Some(away)
    }
    /// Keeps a client out until the block ends: by identity, or by address when it has none.
    pub fn block(&mut self, key: RowKey, until: Instant) {
        let Some(row) = self.rows.get(&key) else { return };
        let whom = match row.tenure {
            None if self.is_unseen(key) => return,
            Some(_) => Blocked::Id(row.id.clone()),
            None => Blocked::Ip(row.peer.ip()),
        };
        self.blocks.insert(whom, until);
    }
}
