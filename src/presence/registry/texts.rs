//! Texts that many rows have in common, kept once.

use std::collections::HashSet;
use std::sync::Arc;

use crate::presence::row::{Claim, Profile};

/// How many texts are looked out for. A fleet that has more of them goes without, after a while, for a while.
const TEXTS_MAX: usize = 1_024;

/// Finds equal texts: a fleet has few platforms, few users and, behind one gateway, few addresses.
#[derive(Debug, Default)]
pub(super) struct Texts(HashSet<Arc<str>>);

impl Texts {
    /// Returns the claim with its address shared.
    pub(super) fn share_claim(&mut self, claim: Claim) -> Claim {
        Claim { ip: self.share(claim.ip), port: claim.port }
    }

    /// Returns the profile with everything shared but what is each client's own.
    pub(super) fn share_profile(&mut self, profile: Profile) -> Profile {
        let Profile { name, user, device, platform, tags } = profile;
        Profile {
            name,
            user: user.map(|text| self.share(text)),
            device,
            platform: platform.map(|text| self.share(text)),
            tags: tags.into_iter().map(|(key, value)| (self.share(key), self.share(value))).collect(),
        }
    }

    fn share(&mut self, text: Arc<str>) -> Arc<str> {
        if let Some(known) = self.0.get(&text) {
            return known.clone();
        }
        if self.0.len() == TEXTS_MAX {
            // Whoever has a text keeps it; only newcomers no longer find it. What was forgotten by all is freed.
            self.0.clear();
        }
        self.0.insert(text.clone());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(ip: &str) -> Claim {
        Claim { ip: ip.into(), port: 1 }
    }

    #[test]
    fn equal_texts_of_two_clients_are_one() {
        let mut texts = Texts::default();
        let profile = |name: &str| Profile {
            name: Some(name.into()),
            platform: Some("linux/x86_64".into()),
            tags: vec![("role".into(), "ci".into())],
            ..Profile::default()
        };
        let (a, b) = (profile("a"), profile("b"));
        let (mine, yours) = (texts.share_profile(a.clone()), texts.share_profile(b.clone()));
        assert_eq!((&mine, &yours), (&a, &b), "nothing is changed by it");
        let [one, other] = [&mine, &yours].map(|it| it.platform.as_ref().unwrap());
        assert!(Arc::ptr_eq(one, other) && Arc::ptr_eq(&mine.tags[0].1, &yours.tags[0].1));
        assert!(Arc::ptr_eq(&texts.share_claim(claim("::1")).ip, &texts.share_claim(claim("::1")).ip));
    }

    #[test]
    fn a_fleet_that_names_something_new_each_time_fills_no_memory() {
        let mut texts = Texts::default();
        for number in 0..TEXTS_MAX * 3 {
            texts.share_claim(claim(&format!("host-{number}")));
        }
        assert!(texts.0.len() <= TEXTS_MAX);
    }
}
