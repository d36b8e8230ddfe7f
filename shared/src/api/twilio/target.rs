//! Targets: which verification a path names.

use super::parameters::recipient;
use super::path::percent_decoded;
use super::rejection::Rejection;
use super::sid::parse_verification_sid;
use crate::service::target::Target;

/// The verification that a path names: by its sid, or by the URL-encoded `To` of its recipient.
///
/// # Errors
/// 404.
pub fn target_of(segment: &str) -> Result<Target, Rejection> {
    let text = percent_decoded(segment).ok_or_else(Rejection::not_found)?;
    if let Some(id) = parse_verification_sid(&text) {
        return Ok(Target::Id(id));
    }
    let addresses = recipient(&text).map_err(|_| Rejection::not_found())?;
    Ok(Target::LatestOf(addresses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::twilio::sid::verification_sid;
    use crate::domain::ids::VerificationId;

    #[test]
    fn path_names_a_verification_by_sid_or_recipient() {
        let id = VerificationId([1; 16]);
        let sid = verification_sid(id);
        assert_eq!(target_of(&sid).ok(), Some(Target::Id(id)));
        let latest = |address: &str| Some(Target::LatestOf(vec![address.to_owned()]));
        assert_eq!(target_of("%2B12025550143").ok(), latest("+12025550143"));
        assert_eq!(
            target_of("Ann%40Example.com").ok(),
            latest("ann@example.com")
        );
        for segment in ["VE1", "12025550143", "%", "-"] {
            assert!(target_of(segment).is_err(), "{segment}");
        }
    }
}
