//! Wrong tokens, counted for each address, so that nobody can try many.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// So many wrong tokens from one address within [`WINDOW`] shut it out.
pub const WRONG_MAX: u8 = 10;
/// Over how long they are counted.
pub const WINDOW: Duration = Duration::from_mins(1);
/// For how long an address is shut out.
pub const SHUT_OUT: Duration = Duration::from_mins(1);
/// How many addresses are remembered; beyond them the one nearest to being forgotten goes.
pub const ADDRESSES_MAX: usize = 4_096;

/// The addresses that presented wrong tokens lately.
#[derive(Debug, Default)]
pub struct Tries {
    by_address: HashMap<IpAddr, Tried>,
}

/// What one address did.
#[derive(Debug)]
struct Tried {
    wrong: u8,
    /// When this is forgotten: the end of the window, or of being shut out.
    until: Instant,
}

impl Tried {
    fn is_shut_out(&self) -> bool {
        self.wrong >= WRONG_MAX
    }
}

impl Tries {
    /// Returns for how much longer an address is shut out, if it is.
    #[must_use]
    pub fn shut_out(&self, now: Instant, address: IpAddr) -> Option<Duration> {
        let tried = self.by_address.get(&net_of(address)).filter(|tried| tried.is_shut_out())?;
        tried.until.checked_duration_since(now).filter(|rest| !rest.is_zero())
    }

    /// Counts a wrong token; returns whether it shut the address out.
    pub fn wrong(&mut self, now: Instant, address: IpAddr) -> bool {
        let address = net_of(address);
        if !self.by_address.contains_key(&address) {
            self.make_room(now);
        }
        let tried = self.by_address.entry(address).or_insert(Tried { wrong: 0, until: now });
        if tried.until <= now {
            *tried = Tried { wrong: 0, until: now + WINDOW };
        }
        tried.wrong = tried.wrong.saturating_add(1);
        if tried.wrong == WRONG_MAX {
            tried.until = now + SHUT_OUT;
        }
        tried.wrong == WRONG_MAX
    }

    /// Forgets what is over; where that is not enough, what would be forgotten next.
    fn make_room(&mut self, now: Instant) {
        if self.by_address.len() < ADDRESSES_MAX {
            return;
        }
        self.by_address.retain(|_, tried| tried.until > now);
        if self.by_address.len() < ADDRESSES_MAX {
            return;
        }
        let next = self.by_address.iter().min_by_key(|(_, tried)| (tried.is_shut_out(), tried.until));
        if let Some(address) = next.map(|(address, _)| *address) {
            self.by_address.remove(&address);
        }
    }
}

/// Returns what counts as one address: of IPv6 a whole /64, as that is what one machine gets.
fn net_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    fn v4(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn ten_wrong_ones_within_a_minute_shut_an_address_out_for_a_minute() {
        let (mut tries, start) = (Tries::default(), Instant::now());
        for n in 1..=WRONG_MAX {
            assert_eq!(tries.shut_out(start, v4(1)), None);
            assert_eq!(tries.wrong(start + Duration::from_secs(n.into()), v4(1)), n == WRONG_MAX);
        }
        let shut = start + Duration::from_secs(WRONG_MAX.into());
        assert_eq!(tries.shut_out(shut, v4(1)), Some(SHUT_OUT));
        assert_eq!(tries.shut_out(shut, v4(2)), None, "nobody else is");
        assert!(!tries.wrong(shut + Duration::from_secs(30), v4(1)));
        assert_eq!(tries.shut_out(shut + SHUT_OUT, v4(1)), None, "knocking does not make it longer");
        assert!(!tries.wrong(shut + SHUT_OUT, v4(1)), "and it begins anew");
        assert_eq!(tries.shut_out(shut + SHUT_OUT, v4(1)), None);
    }

    #[test]
    fn a_few_a_minute_are_forgiven() {
        let (mut tries, mut now) = (Tries::default(), Instant::now());
        for _ in 0..100 {
            now += WINDOW / 8;
            assert!(!tries.wrong(now, v4(1)));
        }
    }

    #[test]
    fn the_table_is_bounded_and_keeps_those_that_are_shut_out() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        for _ in 0..WRONG_MAX {
            tries.wrong(now, v4(0));
        }
        for n in 1..5_000 {
            tries.wrong(now + Duration::from_micros(n.into()), v4(n));
            assert!(tries.by_address.len() <= ADDRESSES_MAX);
        }
        assert!(tries.shut_out(now + Duration::from_secs(1), v4(0)).is_some());
        tries.wrong(now + WINDOW * 2, v4(1));
        assert_eq!(tries.by_address.len(), 1, "what is over is forgotten at once");
    }

    #[test]
    fn a_machine_with_many_ipv6_addresses_is_one() {
        let (mut tries, now) = (Tries::default(), Instant::now());
        for n in 0..u16::from(WRONG_MAX) {
            tries.wrong(now, Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, n).into());
        }
        assert!(tries.shut_out(now, "2001:db8:0:7::ffff".parse().unwrap()).is_some());
        assert!(tries.shut_out(now, "2001:db8:0:8::".parse().unwrap()).is_none());
        for _ in 0..WRONG_MAX {
            tries.wrong(now, "::ffff:192.0.2.1".parse().unwrap());
        }
        assert!(tries.shut_out(now, "192.0.2.1".parse().unwrap()).is_some());
    }
}
