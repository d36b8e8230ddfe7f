//! Explains wrong values that have a common cause: what happened, and what to do instead.
//!
//! Invariant: no sentence contains more than the beginning of a value that may be a secret.

use serde::de::IgnoredAny;

use crate::carrier::{COMMON_FIELDS, CarrierConfigError, ConfiguredCarrier};
use crate::domain::policy::GUESS_PROBABILITY_MAX;
use crate::platform::json::FieldError;
use crate::platform::spelling::did_you_mean;

/// Longest beginning of a value that is shown.
const SHOWN_CHARS_MAX: usize = 4;
/// Longest name of a member that is shown.
const NAME_CHARS_MAX: usize = 40;

/// The sentence for a value that is only the beginning of a JSON document, because a shell or SAM
/// has interpreted its quotation marks. `None` for any other value.
pub(super) fn cut_json(value: &str) -> Option<String> {
    let parsed: Result<IgnoredAny, _> = serde_json::from_str(value);
    if !parsed.is_err_and(|error| error.is_eof()) {
        return None;
    }
    let shown: String = value.escape_debug().take(SHOWN_CHARS_MAX).collect();
    Some(format!(
        "the JSON ends after {} characters (`{shown}`): it was cut where it was set. Put single \
         quotes around it: 'NAME=[{{\"kind\":\"sns\"}}]' in a shell, \
         OtpCarriers: '[{{\"kind\":\"sns\"}}]' in a parameter file",
        value.chars().count()
    ))
}

/// The name of a member or an app in a sentence about it.
pub(super) fn shown_name(name: &str) -> String {
    let name: String = name.escape_debug().take(NAME_CHARS_MAX).collect();
    format!("`{name}`")
}

/// The name of a member that does not exist, with the one of `known` that may be meant.
pub(super) fn unknown_name<const N: usize>(name: &str, known: [&str; N]) -> String {
    format!("{}{}", shown_name(name), did_you_mean(name, known))
}

/// `problem`, one of a list of carriers. For a missing field that may be a secret it says where
/// secrets belong: of a list in the document, the operator's tool sets them.
pub(super) fn carrier_problem(problem: &CarrierConfigError, is_stored: bool) -> String {
    let hint = secret_hint(problem, is_stored).unwrap_or_default();
    format!("{problem}{hint}")
}

fn secret_hint(problem: &CarrierConfigError, is_stored: bool) -> Option<String> {
    let CarrierConfigError::InvalidFields { entry, fields } = problem else {
        return None;
    };
    let may_be_secret = |error: &&FieldError| {
        error.detail.starts_with("Is required") && !COMMON_FIELDS.contains(&error.field.as_str())
    };
    let field = &fields.iter().find(may_be_secret)?.field;
    let name = entry.name.as_deref().or(entry.kind)?;
    if is_stored {
        return Some(format!(
            "; `lambda-otp carrier set {name} --ask {field}` sets it if it is a credential, and \
             `lambda-otp carrier add` adds a carrier together with its credentials"
        ));
    }
    Some(format!(
        ". Secrets belong in OTP_SECRETS: {{\"carriers\":{{\"{name}\":{{\"{field}\":\"...\"}}}}}}"
    ))
}

/// The sentence about a policy under which codes are guessed too easily.
pub(super) fn too_guessable(probability: f64) -> String {
    format!(
        "a code could be guessed with probability {probability:.1e} in a day; at most \
         {GUESS_PROBABILITY_MAX:.0e} is allowed"
    )
}

/// The sentence about a spend limit while some of `carriers` have no price; `None` if all have one.
/// `source` defines the carriers.
pub(super) fn missing_prices(carriers: &[ConfiguredCarrier], source: &str) -> Option<String> {
    let without = carriers.iter().filter(|carrier| carrier.price.is_empty());
    let names: Vec<&str> = without.map(|carrier| carrier.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    Some(format!(
        "limits nothing, because these carriers have no price: {}. Add one to each of them in \
         {source}, such as \"price\":{{\"FR\":0.045,\"*\":0.08}}",
        names.join(", ")
    ))
}
