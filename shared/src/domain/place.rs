//! Places: countries, devices and networks from which a subject's challenges were approved. They
//! are known by keyed hashes only.

use std::net::{IpAddr, Ipv6Addr};

use crate::domain::phone::is_country;
use crate::domain::time::{DAY_SECONDS, Timestamp};

/// Places of each kind that are kept.
const PLACES_MAX: usize = 20;
/// A place is forgotten this long after its last approval.
const PLACE_SECONDS: i64 = 180 * DAY_SECONDS;

/// Keyed hash of a country, a device or a network of one subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlaceHash(pub [u8; 8]);

/// A place and when a challenge was last approved from there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownPlace {
    /// The place.
    pub hash: PlaceHash,
    /// The last approval.
    pub approved_at: Timestamp,
}

/// Known places of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KnownPlaces(pub Vec<KnownPlace>);

/// All known places of a subject.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Places {
    /// Countries.
    pub countries: KnownPlaces,
    /// Devices.
    pub devices: KnownPlaces,
    /// Networks.
    pub networks: KnownPlaces,
}

/// Where a request comes from, as far as it says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RequestPlace {
    /// Its country.
    pub country: Option<PlaceHash>,
    /// Its device.
    pub device: Option<PlaceHash>,
    /// Its network.
    pub network: Option<PlaceHash>,
}

impl KnownPlaces {
    /// Whether `place` is known. A place that the request does not name is not.
    #[must_use]
    pub fn knows(&self, place: Option<PlaceHash>) -> bool {
        place.is_some_and(|place| self.0.iter().any(|known| known.hash == place))
    }

    /// Adds `place`. The one that was not used for the longest time makes room for it.
    fn learn(&mut self, place: Option<PlaceHash>, at: Timestamp) {
        let Some(hash) = place else { return };
        match self.0.iter_mut().find(|known| known.hash == hash) {
            Some(known) => known.approved_at = known.approved_at.max(at),
            None => self.0.push(KnownPlace {
                hash,
                approved_at: at,
            }),
        }
        if self.0.len() > PLACES_MAX {
            let unused = self.0.iter().enumerate().min_by_key(|(_, p)| p.approved_at);
            if let Some((index, _)) = unused {
                self.0.remove(index);
            }
        }
    }

    fn prune(&mut self, now: Timestamp) {
        self.0
            .retain(|place| now < place.approved_at + PLACE_SECONDS);
    }
}

impl Places {
    /// Adds the place of an approved challenge.
    pub fn learn(&mut self, place: &RequestPlace, at: Timestamp) {
        self.countries.learn(place.country, at);
        self.devices.learn(place.device, at);
        self.networks.learn(place.network, at);
    }

    /// Forgets places that were not used for 180 days.
    pub fn prune(&mut self, now: Timestamp) {
        for places in [&mut self.countries, &mut self.devices, &mut self.networks] {
            places.prune(now);
        }
    }

    /// Whether no place is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.countries, &self.devices, &self.networks]
            .iter()
            .all(|places| places.0.is_empty())
    }
}

/// Whether `code` is an ISO 3166 alpha-2 code, in upper case. Some places have no phone numbers.
#[must_use]
pub fn is_place_country(code: &str) -> bool {
    is_country(code) || ["AQ", "BV", "GS", "HM", "PN", "TF", "UM"].contains(&code)
}

/// The network of an address: the first 24 bits of IPv4, the first 56 of IPv6.
#[must_use]
pub fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (!0 << 72))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn place(n: u8) -> RequestPlace {
        RequestPlace {
            country: Some(PlaceHash([n; 8])),
            ..RequestPlace::default()
        }
    }

    #[test]
    fn place_unused_for_longest_is_evicted() {
        let mut places = Places::default();
        for n in 0..20u8 {
            places.learn(&place(n), NOW + i64::from(n));
        }
        places.learn(&place(0), NOW + 100);
        places.learn(&place(20), NOW + 101);
        let knows = |n| places.countries.knows(place(n).country);
        assert_eq!(
            [knows(0), knows(1), knows(2), knows(20)],
            [true, false, true, true]
        );
        assert_eq!(places.countries.0.len(), 20);
        assert!(places.devices.0.is_empty() && !places.devices.knows(None));
    }

    #[test]
    fn place_is_forgotten_after_180_days() {
        let mut places = Places::default();
        places.learn(&place(1), NOW);
        places.prune(NOW + PLACE_SECONDS - 1);
        assert!(!places.is_empty());
        places.prune(NOW + PLACE_SECONDS);
        assert!(places.is_empty());
    }

    #[test]
    fn addresses_of_one_network_have_one_place() {
        let network = |ip: &str| network_of(ip.parse().expect("an address")).to_string();
        assert_eq!(network("203.0.113.7"), "203.0.113.0");
        assert_eq!(network("::ffff:203.0.113.9"), "203.0.113.0");
        assert_eq!(network("2001:db8:1:2ff:3::4"), "2001:db8:1:200::");
    }

    #[test]
    fn places_of_any_kind_are_learned() {
        let of = |n: u8| Some(PlaceHash([n; 8]));
        let place = RequestPlace {
            country: of(1),
            device: of(2),
            network: of(3),
        };
        for only in [
            RequestPlace {
                country: None,
                ..place
            },
            RequestPlace {
                device: None,
                ..place
            },
            RequestPlace {
                network: None,
                ..place
            },
        ] {
            let mut places = Places::default();
            assert!(places.is_empty());
            places.learn(&only, NOW);
            assert!(!places.is_empty());
            assert_eq!(places.countries.knows(of(1)), only.country.is_some());
            assert_eq!(places.devices.knows(of(2)), only.device.is_some());
            assert_eq!(places.networks.knows(of(3)), only.network.is_some());
            assert!(!places.countries.knows(of(9)));
            places.prune(NOW + PLACE_SECONDS);
            assert!(places.is_empty());
        }
    }

    #[test]
    fn place_keeps_its_latest_approval() {
        let mut places = Places::default();
        places.learn(&place(1), NOW + 5);
        places.learn(&place(1), NOW);
        assert_eq!(places.countries.0[0].approved_at, NOW + 5);
    }

    #[test]
    fn places_without_phone_numbers_are_countries() {
        for code in ["FR", "AQ", "UM"] {
            assert!(is_place_country(code), "{code}");
        }
        for code in ["", "fr", "ZZ", "001"] {
            assert!(!is_place_country(code), "{code}");
        }
    }
}
