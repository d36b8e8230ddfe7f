//! How samples of sends and their outcomes rest in the item of a scope: packed, since there are many.

use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::HEXLOWER;

use crate::domain::conversion::{Outcomes, Sample};
use crate::domain::ids::{RecordKey, VerificationNonce};
use crate::domain::time::Timestamp;
use crate::platform::random::random_bytes;

/// What the attribute of a sample begins with, and no other.
const SAMPLE: char = 's';

/// Short, since there are many; a name that is taken is refused, and another is drawn.
pub(super) fn sample_name() -> String {
    format!("{SAMPLE}{}", HEXLOWER.encode(&random_bytes::<2>()))
}

/// Whose it is, which verification, when.
pub(super) fn packed(sample: &Sample) -> Vec<u8> {
    let at = u32::try_from(sample.at.0).unwrap_or(u32::MAX).to_be_bytes();
    [&sample.recipient.0[..], &sample.verification.0, &at].concat()
}

/// A sample, if the attribute is one.
pub(super) fn unpacked(name: &str, value: &AttributeValue) -> Option<Sample> {
    let rest = value
        .as_b()
        .ok()
        .filter(|_| name.starts_with(SAMPLE))?
        .as_ref();
    let (recipient, rest) = rest.split_first_chunk()?;
    let (verification, rest) = rest.split_first_chunk()?;
    Some(Sample {
        recipient: RecordKey(*recipient),
        verification: VerificationNonce(*verification),
        at: Timestamp(u32::from_be_bytes(rest.try_into().ok()?).into()),
    })
}

/// One bit an outcome, the oldest first.
pub(super) fn pack_bits(outcomes: &Outcomes) -> Vec<u8> {
    let byte = |eight: &[bool]| {
        eight
            .iter()
            .enumerate()
            .fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at)
    };
    outcomes.0.chunks(8).map(byte).collect()
}

/// The first `known` bits.
pub(super) fn unpack_bits(packed: &[u8], known: u32) -> Outcomes {
    let bits = packed
        .iter()
        .flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1));
    Outcomes(
        bits.take(usize::try_from(known).unwrap_or(usize::MAX))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::attributes::binary;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn outcomes_are_read_back_as_they_were_written(outcomes in proptest::collection::vec(any::<bool>(), 0..200)) {
            let outcomes = Outcomes(outcomes);
            prop_assert_eq!(unpack_bits(&pack_bits(&outcomes), outcomes.known()), outcomes);
        }
    }

    #[test]
    fn a_sample_is_read_back_and_nothing_else_is_taken_for_one() {
        let sample = Sample {
            recipient: RecordKey([7; 12]),
            verification: VerificationNonce([8; 4]),
            at: Timestamp(1_795_291_200),
        };
        assert_eq!(unpacked("s0a1b", &binary(&packed(&sample))), Some(sample));
        assert_eq!(unpacked("ring", &binary(&packed(&sample))), None);
        assert_eq!(unpacked("s0a1b", &binary(&[1; 25])), None);
    }
}
