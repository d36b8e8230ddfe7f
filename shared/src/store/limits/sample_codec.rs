//! How samples and outcomes are stored and added: packed, as there are many and each byte is paid
//! for.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::conversion::{ConversionHistory, Sample};
use crate::domain::ids::{RecordKey, VerificationNonce};
use crate::domain::time::Timestamp;
use crate::store::attributes::{Item, binary, list};
use crate::store::expression::Update;

/// A sample in 22 bytes: key of the record, nonce of the verification, seconds since 1970, salt.
pub(super) fn sample_value(sample: &Sample) -> AttributeValue {
    let at = u32::try_from(sample.at.0).unwrap_or(u32::MAX).to_be_bytes();
    let parts = [
        &sample.recipient.0[..],
        &sample.verification.0,
        &at,
        &sample.salt,
    ];
    binary(&parts.concat())
}

/// What a released sample leaves in a list, so that the others keep their positions.
pub(super) fn released_value() -> AttributeValue {
    binary(&[0])
}

/// A list of samples.
pub(super) fn pack_samples(samples: &[Sample]) -> AttributeValue {
    AttributeValue::L(samples.iter().map(sample_value).collect())
}

/// Adds `sample` to a list with room for `samples_max`. The condition fails if the list is full or
/// has the sample.
pub(super) fn append_sample(
    update: Update,
    name: &str,
    sample: &Sample,
    samples_max: usize,
) -> Update {
    update
        .set(format!(
            "{name} = list_append(if_not_exists({name}, :no_samples), :samples)"
        ))
        .and(format!(
            "attribute_not_exists({name}[{}]) AND NOT contains({name}, :sample)",
            samples_max - 1
        ))
        .value(":no_samples", AttributeValue::L(vec![]))
        .value(":samples", AttributeValue::L(vec![sample_value(sample)]))
        .value(":sample", sample_value(sample))
}

/// Reads a list of samples, without those that were released.
pub(super) fn unpack_samples(item: &Item, name: &str) -> Vec<Sample> {
    list(item, name).iter().filter_map(unpack_sample).collect()
}

/// Where a list has `sample`.
pub(super) fn sample_position(item: &Item, name: &str, sample: &Sample) -> Option<usize> {
    let mut samples = list(item, name).iter().map(unpack_sample);
    samples.position(|stored| stored.as_ref() == Some(sample))
}

fn unpack_sample(value: &AttributeValue) -> Option<Sample> {
    let (recipient, rest) = value.as_b().ok()?.as_ref().split_first_chunk()?;
    let (verification, rest) = rest.split_first_chunk()?;
    let (at, salt) = rest.split_first_chunk()?;
    Some(Sample {
        recipient: RecordKey(*recipient),
        verification: VerificationNonce(*verification),
        at: Timestamp(u32::from_be_bytes(*at).into()),
        salt: salt.try_into().ok()?,
    })
}

/// One bit for each outcome, the oldest first.
pub(super) fn pack_outcomes(history: &ConversionHistory) -> Vec<u8> {
    let byte = |eight: &[bool]| {
        eight
            .iter()
            .enumerate()
            .fold(0, |byte, (at, approved)| byte | u8::from(*approved) << at)
    };
    history.0.chunks(8).map(byte).collect()
}

/// Reads the first `known` outcomes.
pub(super) fn unpack_outcomes(packed: &[u8], known: u32) -> ConversionHistory {
    let bits = packed
        .iter()
        .flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1));
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    ConversionHistory(bits.take(known).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn outcomes_are_read_back_as_written(
            outcomes in proptest::collection::vec(any::<bool>(), 0..200),
        ) {
            let history = ConversionHistory(outcomes);
            let packed = pack_outcomes(&history);
            prop_assert_eq!(unpack_outcomes(&packed, history.known()), history);
        }
    }

    #[test]
    fn samples_are_read_back_as_written() {
        let sample = Sample {
            recipient: RecordKey([7; 12]),
            verification: VerificationNonce([8; 4]),
            at: Timestamp(1_795_291_200),
            salt: [9; 2],
        };
        let AttributeValue::L(mut samples) = pack_samples(&[sample]) else {
            panic!("not a list");
        };
        samples.insert(0, released_value());
        let item = Item::from([("samples".to_owned(), AttributeValue::L(samples))]);
        assert_eq!(unpack_samples(&item, "samples"), [sample]);
        assert_eq!(sample_position(&item, "samples", &sample), Some(1));
        let other = Sample {
            salt: [8; 2],
            ..sample
        };
        assert_eq!(sample_position(&item, "samples", &other), None);
    }
}
