//! Who plays: names a person would use, each with its labels and its distance from the server.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

/// One simulated client, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// What stays the same whenever it comes back.
    pub(super) id: String,
    pub(super) name: String,
    /// The person it belongs to; only laptops have one.
    pub(super) user: Option<String>,
    pub(super) tags: Vec<(String, String)>,
    /// How much later than sent it hears what the server says.
    pub(super) latency: Duration,
}

/// A kind of machine.
struct Family {
    role: &'static str,
    /// What its machines are called; those beyond the list are numbered.
    names: &'static [&'static str],
    sites: &'static [&'static str],
    /// Latency in milliseconds; `0..1` for a machine in the next room.
    latency_ms: Range<u64>,
}

/// What a fleet is made of, in the order it is dealt out.
const FAMILIES: [Family; 9] = [
    Family {
        role: "agent",
        names: &["agent-alpha", "agent-bravo", "agent-charlie", "agent-delta"],
        sites: &["fra", "nyc"],
        latency_ms: 0..1,
    },
    Family {
        role: "build",
        names: &["build-07", "build-08", "build-09", "build-11"],
        sites: &["fra"],
        latency_ms: 0..1,
    },
    Family {
        role: "edge",
        names: &["edge-fra-1", "edge-nyc-1", "edge-sgp-2", "edge-lon-3"],
        sites: &["fra", "nyc", "sgp", "lon"],
        latency_ms: 20..200,
    },
    Family {
        role: "sensor",
        names: &["sensor-dock-2", "sensor-roof", "sensor-cold-1", "sensor-gate-4"],
        sites: &["lon", "nyc"],
        latency_ms: 20..60,
    },
    Family {
        role: "camera",
        names: &["cam-gate", "cam-lobby", "cam-yard", "cam-dock"],
        sites: &["lon", "fra"],
        latency_ms: 0..1,
    },
    Family {
        role: "db",
        names: &["db-primary", "db-replica", "db-archive", "db-reports"],
        sites: &["fra", "nyc"],
        latency_ms: 0..1,
    },
    Family {
        role: "laptop",
        names: &["laptop-mia", "laptop-jo", "laptop-ravi", "laptop-ines"],
        sites: &["home"],
        latency_ms: 20..90,
    },
    Family {
        role: "kiosk",
        names: &["kiosk-west", "kiosk-east", "kiosk-north", "kiosk-hall"],
        sites: &["lon", "sgp"],
        latency_ms: 30..120,
    },
    Family {
        role: "worker",
        names: &["worker-01", "worker-02", "worker-03", "worker-04"],
        sites: &["fra", "sgp"],
        latency_ms: 0..1,
    },
];

/// From which number on further machines of a family are numbered; beyond every number in a name above.
const NUMBERED_FROM: usize = 21;

/// Returns the member with this number, counted from 0; no two have the same name.
pub(super) fn member(number: usize, rng: &mut Rng) -> Member {
    let family = &FAMILIES[number % FAMILIES.len()];
    let nth = number / FAMILIES.len();
    let name = family.names.get(nth).map_or_else(
        || {
            let stem = family.names[0].split('-').next().unwrap_or(family.role);
            format!("{stem}-{}", nth - family.names.len() + NUMBERED_FROM)
        },
        |&name| name.to_owned(),
    );
    let user = (family.role == "laptop").then(|| name.trim_start_matches("laptop-").to_owned());
    let site = family.sites[nth % family.sites.len()];
    Member {
        id: format!("demo-{:02}", number + 1),
        name,
        user,
        tags: [("role", family.role), ("site", site)].map(|(key, value)| (key.into(), value.into())).into(),
        latency: Duration::from_millis(rng.u64(family.latency_ms.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_of_five_thousand_have_the_same_name_or_id() {
        let members: Vec<_> = (0..5_000).map(|number| member(number, &mut Rng::with_seed(1))).collect();
        let names: HashSet<_> = members.iter().map(|member| &member.name).collect();
        let ids: HashSet<_> = members.iter().map(|member| &member.id).collect();
        assert_eq!((names.len(), ids.len()), (5_000, 5_000));
        assert!(ids.contains(&"demo-03".to_owned()));
    }

    #[test]
    fn some_are_far_away_and_laptops_belong_to_somebody() {
        let mut rng = Rng::with_seed(1);
        let members: Vec<_> = (0..24).map(|number| member(number, &mut rng)).collect();
        let far = members.iter().filter(|member| !member.latency.is_zero());
        let bounds = Duration::from_millis(20)..=Duration::from_millis(200);
        assert!(far.clone().count() >= 6 && far.clone().all(|member| bounds.contains(&member.latency)));
        let laptops: Vec<_> = members.iter().filter_map(|member| member.user.as_deref()).collect();
        assert_eq!(laptops, ["mia", "jo"]);
        assert!(members.iter().all(|member| member.tags.iter().any(|(key, _)| key == "role")));
    }
}
