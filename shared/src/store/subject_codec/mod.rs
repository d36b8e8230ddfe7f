//! Packed values of a subject: factors, entries of the log, recipients, decisions. Each is read as
//! a whole only. Their shapes belong to the format version of the item.

mod decision;
mod factor;
mod log_entry;
mod recipient;
mod replays;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::proof::Proof;
use crate::domain::time::Timestamp;

pub(super) use factor::{pack_factor, unpack_factor};

/// A value that is stored in a packed form of its own.
pub(super) trait Packed: Sized {
    /// The form.
    type Stored: Serialize + DeserializeOwned;
    fn to_stored(&self) -> Self::Stored;
    fn from_stored(stored: Self::Stored) -> Option<Self>;
}

pub(super) fn pack<T: Packed>(value: &T) -> Vec<u8> {
    // Plain values with derived shapes: writing them to memory cannot fail.
    postcard::to_allocvec(&value.to_stored()).unwrap_or_default()
}

pub(super) fn unpack<T: Packed>(packed: &[u8]) -> Option<T> {
    T::from_stored(postcard::from_bytes(packed).ok()?)
}

pub(super) fn pack_all<T: Packed>(values: &[T]) -> Vec<u8> {
    let stored: Vec<_> = values.iter().map(Packed::to_stored).collect();
    postcard::to_allocvec(&stored).unwrap_or_default()
}

/// Empty if the list is absent. A value that cannot be read is left out.
pub(super) fn unpack_all<T: Packed>(packed: &[u8]) -> Vec<T> {
    let stored: Vec<T::Stored> = postcard::from_bytes(packed).unwrap_or_default();
    stored.into_iter().filter_map(T::from_stored).collect()
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.0).unwrap_or(u32::MAX)
}

fn time(seconds: u32) -> Timestamp {
    Timestamp(seconds.into())
}

/// The place of `value` in `all`, which numbers it.
fn number_of<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let index = all.iter().position(|known| known == value);
    index
        .and_then(|index| u8::try_from(index).ok())
        .unwrap_or(u8::MAX)
}

fn numbered<T: Copy>(all: &[T], number: u8) -> Option<T> {
    all.get(usize::from(number)).copied()
}

fn stored_proofs(proofs: &[Proof]) -> Vec<u8> {
    let numbers = proofs.iter().map(|proof| number_of(&Proof::ALL, proof));
    numbers.collect()
}

fn proofs(stored: Vec<u8>) -> Option<Vec<Proof>> {
    let proofs = stored
        .into_iter()
        .map(|number| numbered(&Proof::ALL, number));
    proofs.collect()
}

fn stored_proof_lists(lists: &[Vec<Proof>]) -> Vec<Vec<u8>> {
    lists.iter().map(|list| stored_proofs(list)).collect()
}

fn proof_lists(stored: Vec<Vec<u8>>) -> Option<Vec<Vec<Proof>>> {
    stored.into_iter().map(proofs).collect()
}
