//! Sids: Twilio's form of ids, two letters and 32 hex digits. A verification has the same 128 bits
//! in every dialect.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::domain::ids::VerificationId;

const VERIFICATION: &str = "VE";

/// `prefix` and the digits of `bytes`.
pub(super) fn sid(prefix: &str, bytes: [u8; 16]) -> String {
    format!("{prefix}{}", HEXLOWER.encode(&bytes))
}

/// The sid of a verification.
pub(super) fn verification_sid(id: VerificationId) -> String {
    sid(VERIFICATION, id.0)
}

/// Whether `text` is two capital letters and 32 hex digits in any case.
pub(super) fn is_sid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_prefix = |prefix: &[u8]| prefix.iter().all(u8::is_ascii_uppercase);
    bytes.len() == 34 && is_prefix(&bytes[..2]) && bytes[2..].iter().all(u8::is_ascii_hexdigit)
}

/// The verification that `text` names; `None` unless it is a verification's sid.
pub(super) fn parse_verification_sid(text: &str) -> Option<VerificationId> {
    let digits = text.strip_prefix(VERIFICATION)?;
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?;
    bytes.try_into().ok().map(VerificationId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verification_has_the_same_bits_in_every_dialect() {
        let id = VerificationId([0xa5; 16]);
        let text = verification_sid(id);
        assert_eq!(text, format!("VE{}", "a5".repeat(16)));
        assert_eq!(parse_verification_sid(&text), Some(id));
        let upper_case = format!("VE{}", "A5".repeat(16));
        assert_eq!(parse_verification_sid(&upper_case), Some(id));
        for other in [
            "",
            "VE",
            "VEa5",
            &text[1..],
            &format!("{text}0"),
            &id.to_string(),
        ] {
            assert_eq!(parse_verification_sid(other), None, "{other}");
        }
    }
}
