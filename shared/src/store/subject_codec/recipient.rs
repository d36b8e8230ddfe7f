//! Verified recipients and places, packed.

use serde::{Deserialize, Serialize};

use super::{Packed, seconds, time};
use crate::domain::ids::RecordKey;
use crate::domain::place::{KnownPlace, KnownPlaces, PlaceHash, Places};
use crate::domain::verified_recipient::VerifiedRecipient;
use crate::store::recipient_codec::{channel_from_number, channel_number};

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StoredVerifiedRecipient {
    recipient: [u8; 12],
    sealed_to: Vec<u8>,
    channel: u8,
    purpose: String,
    first_verified_at: u32,
    verified_at: u32,
    is_unique: bool,
    counts_from: u32,
}

impl Packed for VerifiedRecipient {
    type Stored = StoredVerifiedRecipient;

    fn to_stored(&self) -> StoredVerifiedRecipient {
        StoredVerifiedRecipient {
            recipient: self.recipient.0,
            sealed_to: self.sealed_to.clone(),
            channel: channel_number(self.channel),
            purpose: self.purpose.clone(),
            first_verified_at: seconds(self.first_verified_at),
            verified_at: seconds(self.verified_at),
            is_unique: self.is_unique,
            counts_from: self.counts_from,
        }
    }

    fn from_stored(stored: StoredVerifiedRecipient) -> Option<Self> {
        Some(Self {
            recipient: RecordKey(stored.recipient),
            sealed_to: stored.sealed_to,
            channel: channel_from_number(stored.channel)?,
            purpose: stored.purpose,
            first_verified_at: time(stored.first_verified_at),
            verified_at: time(stored.verified_at),
            is_unique: stored.is_unique,
            counts_from: stored.counts_from,
        })
    }
}

/// Hash and time of each place.
type StoredPlaces = Vec<([u8; 8], u32)>;

impl Packed for Places {
    /// Countries, devices, networks.
    type Stored = [StoredPlaces; 3];

    fn to_stored(&self) -> Self::Stored {
        [&self.countries, &self.devices, &self.networks].map(|places| {
            let places = places.0.iter();
            places
                .map(|place| (place.hash.0, seconds(place.approved_at)))
                .collect()
        })
    }

    fn from_stored(stored: Self::Stored) -> Option<Self> {
        let [countries, devices, networks] = stored.map(|places| {
            let places = places.into_iter().map(|(hash, at)| KnownPlace {
                hash: PlaceHash(hash),
                approved_at: time(at),
            });
            KnownPlaces(places.collect())
        });
        Some(Self {
            countries,
            devices,
            networks,
        })
    }
}
