//! Who stands at the door without having registered, counted by address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many connections from each address have not registered.
///
/// Entries come and go with their connections, and of those there is a limit.
#[derive(Debug, Clone)]
pub(crate) struct Doormat {
    most: u32,
    counts: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Doormat {
    /// Starts to count; at most `most` may stand there from one address.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, counts: Arc::default() }
    }

    /// Counts one more, until the return value is dropped; `None` when there are too many.
    ///
    /// Connections of this machine are not limited: behind a proxy everybody
    /// would be one of them.
    pub(crate) fn step_on(&self, ip: IpAddr) -> Option<Mat> {
        if ip.is_loopback() {
            return Some(Mat(None));
        }
        let owner = owner_of(ip);
        let mut counts = self.counts();
        let count = counts.entry(owner).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Mat(Some(Box::new((self.clone(), owner)))))
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those who are counted.
#[derive(Debug)]
pub(crate) struct Mat(Option<Box<(Doormat, IpAddr)>>);

impl Drop for Mat {
    fn drop(&mut self) {
        let Some((doormat, owner)) = self.0.as_deref() else { return };
        if let Entry::Occupied(mut count) = doormat.counts().entry(*owner) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Returns what one owner's addresses have in common: a household is given a whole IPv6 /64.
fn owner_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_its_limit_and_nobody_else_pays_for_it() {
        let doormat = Doormat::new(2);
        let there: Vec<_> = (0..3).map(|_| doormat.step_on(ip("10.0.0.1"))).collect();
        assert!(there[0].is_some() && there[1].is_some() && there[2].is_none());
        assert!(doormat.step_on(ip("10.0.0.2")).is_some());
        drop(there);
        assert!(doormat.step_on(ip("10.0.0.1")).is_some());
        assert!(doormat.counts().is_empty(), "nobody is left, and nothing of them");
    }

    #[test]
    fn a_whole_prefix_is_one_owner_and_this_machine_is_none() {
        let doormat = Doormat::new(1);
        let _first = doormat.step_on(ip("2001:db8::1")).unwrap();
        assert!(doormat.step_on(ip("2001:db8::2")).is_none());
        assert!(doormat.step_on(ip("2001:db8:0:1::1")).is_some());
        let own: Vec<_> = (0..9).map(|_| doormat.step_on(ip("127.0.0.1"))).collect();
        assert!(own.iter().all(Option::is_some));
        assert!(doormat.step_on(ip("::1")).is_some());
    }
}
