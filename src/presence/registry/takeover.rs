//! When one identity has two claimants: who stays.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::{Newcomer, Refusal};
use crate::presence::row::Identity;
use crate::presence::secret::Secret;

/// Takeovers of one identity within this span count towards a conflict.
const CONFLICT_SPAN: Duration = Duration::from_mins(1);
/// The takeover that makes it one, when two addresses are involved.
const CONFLICT_TAKEOVERS: usize = 3;

/// What a row remembers of its claimants, so that two of them can be told apart.
#[derive(Debug, Clone)]
pub(super) struct Tenure {
    /// Which life of the client holds or held the row last.
    pub(super) generation: u64,
    /// Which of the connections of that life.
    attempt: u64,
    /// What proves that a newcomer is that same client; a restart loses it.
    pub(super) secret: Option<Secret>,
    /// On the heap once there is any: few rows are ever taken over.
    takeovers: Option<Box<Takeovers>>,
}

/// When a row was taken over lately, and from where to where.
#[derive(Debug, Clone, Default)]
struct Takeovers(VecDeque<(Instant, IpAddr, IpAddr)>);

impl Tenure {
    pub(super) fn new(holder: &Identity, secret: Option<Secret>) -> Self {
        Self { generation: holder.generation, attempt: holder.attempt, secret, takeovers: None }
    }

    /// Decides whether `newcomer` may take the row from a holder that is still connected.
    ///
    /// The higher (generation, attempt) wins. A holder that is still fresh can
    /// only be replaced by who knows its secret. The third takeover within a
    /// minute between two addresses is two machines with one identity (a
    /// cloned disk, say): the holder stays.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        holder_peer: SocketAddr,
        holder_is_fresh: bool,
        identity: &Identity,
        newcomer: &Newcomer,
    ) -> Result<(), Refusal> {
        if (identity.generation, identity.attempt) <= (self.generation, self.attempt) {
            return Err(Refusal::StaleGeneration);
        }
        let proven = self.proves(newcomer);
        if holder_is_fresh && !proven {
            // One whose welcome was lost on the way never learned the secret: it may wait for itself to go.
            let is_itself = identity.generation == self.generation && newcomer.peer.ip() == holder_peer.ip();
            return Err(Refusal::InUse { holder: holder_peer, is_itself });
        }
        let Takeovers(takeovers) = &mut **self.takeovers.get_or_insert_default();
        while takeovers.front().is_some_and(|&(at, ..)| now.saturating_duration_since(at) > CONFLICT_SPAN) {
            takeovers.pop_front();
        }
        takeovers.push_back((now, holder_peer.ip(), newcomer.peer.ip()));
        let two_addresses = takeovers.iter().any(|&(_, from, to)| from != to);
        if takeovers.len() >= CONFLICT_TAKEOVERS && two_addresses {
            takeovers.pop_front();
            return Err(Refusal::Conflict { holder: holder_peer });
        }
        Ok(())
    }

    /// Hands the row to `holder`; a client that proved itself keeps its secret.
    ///
    /// Were the secret new each time, a welcome lost on the way would lock the client out.
    pub(super) fn pass_to(&mut self, holder: &Identity, newcomer: &Newcomer) {
        (self.generation, self.attempt) = (holder.generation, holder.attempt);
        if !self.proves(newcomer) {
            self.secret = Some(newcomer.fresh_secret);
        }
    }

    fn proves(&self, newcomer: &Newcomer) -> bool {
        let told = newcomer.resume.as_deref();
        self.secret.is_some_and(|secret| told.is_some_and(|told| secret.is(told)))
    }
}
