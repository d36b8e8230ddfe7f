//! Variables of a text: what it says, the values sanitized, and how they replace the placeholders
//! of a template.
//!
//! Invariant: a value is never read as part of a template.

use std::borrow::Cow;

use super::locales::Locale;
use super::sanitize::{sanitize, sanitize_name};
use super::transliterate::{replace_punctuation, transliterate};
use crate::domain::policy::Gsm7Mode;

/// Longest brand in a text, in characters.
const BRAND_CHARS_MAX: usize = 32;
/// Longest amount, currency and payee in a text, in characters. The API accepts no longer ones: a
/// payment is never cut.
const TRANSACTION_CHARS_MAX: usize = 64;

/// What a text says.
#[derive(Clone, Copy)]
pub struct Wording<'a> {
    /// The app's name in the text.
    pub brand: &'a str,
    /// The code in canonical form, without separators.
    pub code: &'a str,
    /// How long the code is valid.
    pub minutes: i64,
    /// Amount, currency and payee of the payment that the code confirms.
    pub transaction: Option<[&'a str; 3]>,
    /// Two letters that name the text (`OTP_TEXT_REFERENCE`).
    pub reference: Option<&'a str>,
    /// Time of sending, in hours and minutes (`OTP_TEXT_TIME`).
    pub sent_at: Option<&'a str>,
    /// The host for which browsers fill the code in (`OTP_WEB_DOMAIN`).
    pub web_domain: Option<&'a str>,
    /// The hash of the Android app that reads the message (`OTP_ANDROID_HASH`).
    pub android_hash: Option<&'a str>,
    /// Whether to prefer GSM-7 to the native spelling.
    pub gsm7: Gsm7Mode,
}

/// The variables of a text, sanitized.
#[derive(Clone)]
pub(super) struct Values {
    brand: String,
    code: String,
    digits: String,
    minutes: String,
    /// The minutes with their word, in the locale of the text.
    duration: Option<String>,
    reference: String,
    sent_at: String,
    amount: String,
    currency: String,
    payee: String,
}

impl Values {
    pub(super) fn new(wording: &Wording) -> Self {
        let [amount, currency, payee] = wording.transaction.unwrap_or_default();
        let characters: Vec<String> = wording.code.chars().map(String::from).collect();
        Self {
            brand: sanitize_name(wording.brand, BRAND_CHARS_MAX),
            code: wording.code.to_owned(),
            // Every speech synthesis pauses at a comma. Without commas it reads 4217 as four
            // thousand two hundred and seventeen.
            digits: characters.join(", "),
            minutes: wording.minutes.to_string(),
            duration: None,
            reference: wording.reference.unwrap_or_default().to_owned(),
            sent_at: wording.sent_at.unwrap_or_default().to_owned(),
            amount: sanitize(amount, TRANSACTION_CHARS_MAX),
            currency: sanitize_name(currency, TRANSACTION_CHARS_MAX),
            payee: sanitize_name(payee, TRANSACTION_CHARS_MAX),
        }
    }

    /// The values for a text in the language of `locale`.
    pub(super) fn in_locale(wording: &Wording, locale: Locale) -> Self {
        let values = Self::new(wording);
        let duration = locale.duration(wording.minutes);
        Self {
            duration: duration.map(|duration| values.fill(duration)),
            ..values
        }
    }

    /// The values with punctuation of GSM-7 in place of other punctuation. No letter changes.
    pub(super) fn with_gsm7_punctuation(&self) -> Self {
        self.clone().respell(replace_punctuation)
    }

    /// The values in GSM-7. A value of which no letter or digit would be left is kept as it is: a
    /// payment without its payee is worse than a second SMS part.
    pub(super) fn into_gsm7(self) -> Self {
        let into_gsm7 = |value: &str| {
            let transliterated = transliterate(value).trim().to_owned();
            if transliterated.contains(char::is_alphanumeric) {
                transliterated
            } else {
                value.to_owned()
            }
        };
        Self {
            duration: self.duration.as_deref().map(into_gsm7),
            ..self.respell(into_gsm7)
        }
    }

    /// The app's values in another spelling. They are sanitized again: "evil·com" becomes a link
    /// when its dot does.
    fn respell(self, spell: impl Fn(&str) -> String) -> Self {
        Self {
            brand: sanitize_name(&spell(&self.brand), BRAND_CHARS_MAX),
            amount: sanitize(&spell(&self.amount), TRANSACTION_CHARS_MAX),
            currency: sanitize_name(&spell(&self.currency), TRANSACTION_CHARS_MAX),
            payee: sanitize_name(&spell(&self.payee), TRANSACTION_CHARS_MAX),
            ..self
        }
    }

    /// `template` with the values in place of its placeholders.
    pub(super) fn fill(&self, template: &str) -> String {
        fill(&self.for_currency(template), |name| {
            self.get(name).map(Cow::from)
        })
    }

    /// Like [`Values::fill`], for display: a right-to-left text does not change the order within a
    /// value.
    pub(super) fn fill_isolated(&self, locale: Locale, template: &str) -> String {
        if locale.is_right_to_left() {
            fill(&self.for_currency(template), |name| {
                self.get(name).map(isolate)
            })
        } else {
            self.fill(template)
        }
    }

    /// `template` without the place of the currency, if the amount names its own.
    pub(super) fn for_currency<'t>(&self, template: &'t str) -> Cow<'t, str> {
        match self.currency.is_empty() {
            true => template.replace("{amount} {currency}", "{amount}").into(),
            false => template.into(),
        }
    }

    /// The value of the placeholder `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        Some(match name {
            "brand" => &self.brand,
            "code" => &self.code,
            "digits" => &self.digits,
            "minutes" => &self.minutes,
            "duration" => self.duration.as_deref()?,
            "reference" => &self.reference,
            "time" => &self.sent_at,
            "amount" => &self.amount,
            "currency" => &self.currency,
            "payee" => &self.payee,
            _ => return None,
        })
    }
}

/// `template` with `value(name)` in place of each `{name}`. One pass, so that a value with braces
/// in it stays a value.
pub(super) fn fill<'a>(template: &str, value: impl Fn(&str) -> Option<Cow<'a, str>>) -> String {
    let mut filled = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let placeholder = after
            .split_once('}')
            .and_then(|(name, behind)| Some((value(name)?, behind)));
        if let Some((value, behind)) = placeholder {
            filled.push_str(&value);
            rest = behind;
        } else {
            filled.push('{');
            rest = after;
        }
    }
    filled + rest
}

/// `value` between a left-to-right isolate and its end, if right-to-left words around it would
/// change the order in which it is displayed: between Arabic words "1 234,50" appears as "234,50
/// 1".
fn isolate(value: &str) -> Cow<'_, str> {
    let is_number = value.starts_with(|c: char| c.is_ascii_digit())
        && value.ends_with(|c: char| c.is_ascii_digit())
        && value
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | ','));
    let is_name = value.starts_with(char::is_alphabetic) && value.ends_with(char::is_alphanumeric);
    // The phone orders a value that has right-to-left letters itself.
    let is_left_to_right = value.chars().all(
        |c| !matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'),
    );
    if is_number || is_name || !is_left_to_right {
        value.into()
    } else {
        format!("\u{2066}{value}\u{2069}").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_braces_is_not_a_template() {
        let value = |name: &str| {
            Some(Cow::from(match name {
                "a" => "{b}",
                "b" => "B",
                _ => return None,
            }))
        };
        assert_eq!(fill("{a} {b} {c} {} } {a", value), "{b} B {c} {} } {a");
    }
}
