//! Explains wrong values that have a common cause: what happened, and what to do instead.
//!
//! Invariant: no sentence contains more than the beginning of a value that may be a secret.

use serde::de::IgnoredAny;

use super::hidden_characters::misplaced_character;
use crate::carrier::{COMMON_FIELDS, CarrierConfigError, ConfiguredCarrier};
use crate::domain::policy::GUESS_PROBABILITY_MAX;
use crate::platform::json::FieldError;
use crate::platform::spelling::did_you_mean;

/// Longest beginning of a value that is shown.
const SHOWN_CHARS_MAX: usize = 4;
/// Longest name of a member that is shown.
const NAME_CHARS_MAX: usize = 40;

/// How JSON keeps its quotation marks.
const QUOTING: &str = "Put single quotes around it: 'NAME=[{\"kind\":\"sns\"}]' in a shell, \
                       OtpCarriers: '[{\"kind\":\"sns\"}]' in a parameter file";

/// The sentence for a value that should be JSON and is not, because a shell, SAM or an editor has
/// changed its quotation marks or has added other characters. `None` for any other value.
#[must_use]
pub fn json_advice(value: &str) -> Option<String> {
    let parsed: Result<IgnoredAny, _> = serde_json::from_str(value);
    let error = parsed.err()?;
    if let Some(character) = misplaced_character(value) {
        return Some(format!("the JSON is not valid: {character}"));
    }
    let is_json = |text: &str| text.trim_start().starts_with(['{', '[']);
    if value.strip_prefix(['\'', '"']).is_some_and(is_json) {
        let advice = "the quotation marks around the JSON are a part of the value: leave them out \
                      where no shell removes them, such as in a file of variables";
        return Some(advice.to_owned());
    }
    if !is_json(value) {
        return None;
    }
    if value.contains("\\\"") {
        let advice = "the JSON has backslashes before its quotation marks";
        return Some(format!("{advice}. Write it without them. {QUOTING}"));
    }
    if value.contains(':') && !value.contains('"') {
        let advice = match value.contains('\'') {
            true => "the JSON has single quotation marks where it needs double ones",
            false => "the JSON has no quotation marks: they were removed where it was set",
        };
        return Some(format!("{advice}. {QUOTING}"));
    }
    if !error.is_eof() {
        return None;
    }
    let shown: String = value.escape_debug().take(SHOWN_CHARS_MAX).collect();
    Some(format!(
        "the JSON ends after {} characters (`{shown}`): it was cut where it was set. {QUOTING}",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_quotation_marks_are_explained() {
        for (value, expected) in [
            (
                "[{kind:sns}]",
                "the JSON has no quotation marks: they were removed",
            ),
            (
                "{shop:{brand:My Shop}}",
                "the JSON has no quotation marks: they were removed",
            ),
            (
                "[{'kind':'sns'}]",
                "the JSON has single quotation marks where it needs double",
            ),
            (
                r#"[{\"kind\":\"sns\"}]"#,
                "the JSON has backslashes before its quotation",
            ),
            (
                r#"'[{"kind":"sns"}]'"#,
                "the quotation marks around the JSON are a part of",
            ),
            (
                r#""[{"kind":"sns"}]""#,
                "the quotation marks around the JSON are a part of",
            ),
            ("[{", "the JSON ends after 2 characters (`[{`): it was cut"),
            (
                "[{\u{201c}kind\u{201d}:\u{201c}sns\u{201d}}]",
                "the JSON is not valid: character 3 is U+201C (typographic quotation mark)",
            ),
            (
                "\u{feff}[{\"kind\":\"sns\"}]",
                "the JSON is not valid: character 1 is U+FEFF (byte order mark)",
            ),
            (
                "[{\"kind\":\u{a0}\"sns\"}]",
                "the JSON is not valid: character 10 is U+00A0 (no-break space)",
            ),
        ] {
            let advice = json_advice(value).unwrap_or_default();
            assert!(advice.starts_with(expected), "{value}: {advice}");
        }
        for value in ["[{}]]", "{}", "x", "", "[{\"kind\":\"sns\"}]\n", "{\"a\":}"] {
            assert_eq!(json_advice(value), None, "{value}");
        }
    }
}
