//! Settings of an app: the name, bounds and parser of each, in one table.
//!
//! Invariant: no other file knows the name or the bounds of a setting.

use crate::domain::code::{Alphabet, CODE_LENGTH_MAX, CODE_LENGTH_MIN};
use crate::domain::conversion::ConversionRule;
use crate::domain::factor::{LOOK_AHEAD, SKEW_STEPS};
use crate::domain::money::Money;
use crate::domain::pasted_text;
use crate::domain::phone::is_country;
use crate::domain::policy::{Gsm7Mode, Policy, ResendCode, TTL_SECONDS, is_sender_id};
use crate::domain::rate_limit::Quota;
use crate::domain::time::DAY_SECONDS;
use crate::message::{has_visible_text, parse_language_tag};
use crate::platform::spelling::did_you_mean;

/// Largest number of sends in a window that counts over many recipients.
const SENDS_MAX: u32 = 1_000_000;
/// Longest part of a list item that an error shows.
const ITEM_CHARS_MAX: usize = 40;

/// Values of a setting that is switched on or off.
const SWITCH: [(&str, bool); 2] = [("off", false), ("on", true)];

/// One setting: its name (`OTP_` and upper case in the environment, as it is in `OTP_APPS`) and how
/// a value is read.
pub struct Setting {
    /// Lower case.
    pub name: &'static str,
    set: fn(&mut Policy, &str) -> Result<(), String>,
}

impl Setting {
    /// Reads `value` into `policy`.
    ///
    /// # Errors
    /// A sentence that says what the value must be.
    pub fn set(&self, policy: &mut Policy, value: &str) -> Result<(), String> {
        (self.set)(policy, value)
    }
}

/// All settings of an app.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "brand",
        set: |p, v| brand(v).map(|v| p.brand = v),
    },
    Setting {
        name: "locale",
        set: |p, v| language_tag(v).map(|v| p.locale = v),
    },
    Setting {
        name: "code_length",
        set: |p, v| whole(v, CODE_LENGTH_MIN..=CODE_LENGTH_MAX).map(|v| p.code_length = v),
    },
    Setting {
        name: "code_alphabet",
        set: |p, v| {
            one_of(
                v,
                &[
                    ("digits", Alphabet::Digits),
                    ("alphanumeric", Alphabet::Alphanumeric),
                ],
            )
            .map(|v| p.code_alphabet = v)
        },
    },
    Setting {
        name: "code_ttl_seconds",
        set: |p, v| whole(v, TTL_SECONDS).map(|v| p.code_ttl_seconds = v),
    },
    Setting {
        name: "max_attempts",
        set: |p, v| whole(v, 1..=10).map(|v| p.max_attempts = v),
    },
    Setting {
        name: "guess_budget",
        set: |p, v| whole(v, 1..=100).map(|v| p.guess_budget = v),
    },
    Setting {
        name: "resend_code",
        set: |p, v| {
            one_of(
                v,
                &[("same", ResendCode::Same), ("fresh", ResendCode::Fresh)],
            )
            .map(|v| p.resend_code = v)
        },
    },
    Setting {
        name: "caller_codes",
        set: |p, v| one_of(v, &[("off", false), ("on", true)]).map(|v| p.caller_codes = v),
    },
    Setting {
        name: "cooldown_seconds",
        set: |p, v| list(v, |item| whole(item, 0..=DAY_SECONDS)).map(|v| p.cooldown_seconds = v),
    },
    Setting {
        name: "sends_per_hour",
        set: |p, v| whole(v, 1..=1000).map(|v| p.sends_per_hour = v),
    },
    Setting {
        name: "sends_per_day",
        set: |p, v| whole(v, 1..=1000).map(|v| p.sends_per_day = v),
    },
    Setting {
        name: "client_sends_per_hour",
        set: |p, v| whole(v, 1..=SENDS_MAX).map(|v| p.client_sends_per_hour = v),
    },
    Setting {
        name: "prefix_sends",
        set: |p, v| quota(v).map(|v| p.prefix_sends = v),
    },
    Setting {
        name: "spend_per_day",
        set: |p, v| budget(v).map(|v| p.spend_per_day = Some(v)),
    },
    Setting {
        name: "conversion_min",
        set: |p, v| conversion_min(v).map(|v| p.conversion_min = v),
    },
    Setting {
        name: "allowed_countries",
        set: |p, v| {
            let is_all = pasted_text::plain(v) == "*";
            p.allowed_countries = if is_all { vec![] } else { list(v, country)? };
            Ok(())
        },
    },
    Setting {
        name: "blocked_prefixes",
        set: |p, v| list(v, phone_prefix).map(|v| p.blocked_prefixes = v),
    },
    Setting {
        name: "sender_id",
        set: |p, v| sender_id(v).map(|v| p.sender_id = Some(v)),
    },
    Setting {
        name: "text_reference",
        set: |p, v| one_of(v, &SWITCH).map(|v| p.text_reference = v),
    },
    Setting {
        name: "text_time",
        set: |p, v| one_of(v, &SWITCH).map(|v| p.text_time = v),
    },
    Setting {
        name: "web_domain",
        set: |p, v| host(v).map(|v| p.web_domain = Some(v)),
    },
    Setting {
        name: "android_hash",
        set: |p, v| android_hash(v).map(|v| p.android_hash = Some(v)),
    },
    Setting {
        name: "gsm7",
        set: |p, v| {
            one_of(
                v,
                &[
                    ("prefer", Gsm7Mode::Prefer),
                    ("strict", Gsm7Mode::Strict),
                    ("off", Gsm7Mode::Off),
                ],
            )
            .map(|v| p.gsm7 = v)
        },
    },
    Setting {
        name: "factor_guess_budget",
        set: |p, v| whole(v, 1..=100).map(|v| p.factor_guess_budget = v),
    },
    Setting {
        name: "totp_skew",
        set: |p, v| whole(v, SKEW_STEPS).map(|v| p.totp_skew = v),
    },
    Setting {
        name: "hotp_look_ahead",
        set: |p, v| whole(v, LOOK_AHEAD).map(|v| p.hotp_look_ahead = v),
    },
    Setting {
        name: "unique_recipients",
        set: |p, v| one_of(v, &[("on", true), ("off", false)]).map(|v| p.unique_recipients = v),
    },
    Setting {
        name: "decision_ttl_seconds",
        set: |p, v| whole(v, TTL_SECONDS).map(|v| p.decision_ttl_seconds = v),
    },
];

fn whole<T>(value: &str, range: std::ops::RangeInclusive<T>) -> Result<T, String>
where
    T: PartialOrd + std::str::FromStr + std::fmt::Display,
{
    // `parse` alone would take "+5".
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| value.parse::<T>().ok()).flatten();
    number.filter(|n| range.contains(n)).ok_or_else(|| {
        format!(
            "must be a whole number from {} to {}",
            range.start(),
            range.end()
        )
    })
}

fn quota(value: &str) -> Result<Quota, String> {
    let wrong =
        || format!("must be sends/seconds such as `20/600`, at most {SENDS_MAX}/{DAY_SECONDS}");
    let (sends, seconds) = value.split_once('/').ok_or_else(wrong)?;
    let quota = whole(sends, 1..=SENDS_MAX).and_then(|sends| {
        Ok(Quota {
            sends,
            seconds: whole(seconds, 1..=DAY_SECONDS)?,
        })
    });
    quota.map_err(|_| wrong())
}

fn conversion_min(value: &str) -> Result<Option<ConversionRule>, String> {
    let wrong =
        || "must be percent/window such as `10/100`, from 1/10 to 100/1000, or `0`".to_owned();
    if value == "0" {
        return Ok(None);
    }
    let (percent, window) = value.split_once('/').ok_or_else(wrong)?;
    let rule = whole(percent, 1..=100).and_then(|percent| {
        Ok(ConversionRule {
            percent,
            window: whole(window, 10..=1000)?,
        })
    });
    rule.map(Some).map_err(|_| wrong())
}

fn budget(value: &str) -> Result<Money, String> {
    let money = Money::parse(value).filter(|money| *money > Money::default());
    money.ok_or_else(|| "must be a decimal number over 0 such as `25` or `12.50`".into())
}

fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<_> = choices
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    let chosen = choices
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, choice)| *choice);
    chosen.ok_or_else(|| {
        let question = did_you_mean(value, choices.iter().map(|(name, _)| *name));
        format!("must be {}{question}", names.join(" or "))
    })
}

fn list<T>(value: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = (1..).zip(value.split(',').map(str::trim));
    let read_item = |(position, item): (usize, &str)| {
        let shown: String = item.escape_debug().take(ITEM_CHARS_MAX).collect();
        read(item).map_err(|problem| format!("item {position} of the list, `{shown}`, {problem}"))
    };
    items.map(read_item).collect()
}

/// The name in a text.
///
/// # Errors
/// A sentence that says what the value must be.
pub fn brand(value: &str) -> Result<String, String> {
    let name = pasted_text::plain_name(value);
    // What was not UTF-8 has become replacement characters.
    let is_clean = !name.contains(|character: char| {
        character.is_control() || character == char::REPLACEMENT_CHARACTER
    });
    let fits = (1..=64).contains(&name.chars().count()) && is_clean && has_visible_text(&name);
    fits.then_some(name)
        .ok_or_else(|| "must be a text of 1 to 64 characters that can be seen".into())
}

fn language_tag(value: &str) -> Result<String, String> {
    parse_language_tag(value)
        .ok_or_else(|| "must be a BCP 47 language tag such as `en` or `pt-BR`".into())
}

fn country(value: &str) -> Result<String, String> {
    let code = pasted_text::plain(value).to_ascii_uppercase();
    let hint = match code.as_str() {
        "UK" => " (that of the United Kingdom is `GB`)",
        _ => "",
    };
    is_country(&code)
        .then_some(code)
        .ok_or_else(|| format!("must be an ISO 3166 code such as `FR`{hint}"))
}

fn phone_prefix(value: &str) -> Result<String, String> {
    let value: String = pasted_text::plain(value)
        .replace('＋', "+")
        .chars()
        .filter(|character| !matches!(character, ' ' | '-' | '.' | '/' | '(' | ')'))
        .collect();
    let digits = value.strip_prefix('+').unwrap_or_default();
    // No country's code begins with 0, so such a prefix would block no number.
    let fits = (1..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    fits.then_some(value)
        .ok_or_else(|| "must be `+` and up to 15 digits, the first of them not 0".into())
}

fn sender_id(value: &str) -> Result<String, String> {
    let message = "must be up to 11 letters, digits and spaces with at least one letter";
    let name = pasted_text::plain(value);
    is_sender_id(&name)
        .then_some(name)
        .ok_or_else(|| message.into())
}

fn host(value: &str) -> Result<String, String> {
    let is_plain = |l: &str| {
        l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let label = |l: &str| (1..=63).contains(&l.len()) && is_plain(l);
    let is_address = value
        .split('.')
        .next_back()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    let fits =
        value.len() <= 100 && value.contains('.') && value.split('.').all(label) && !is_address;
    fits.then(|| value.to_ascii_lowercase())
        .ok_or_else(|| "must be a host name such as `shop.example`".into())
}

/// The SMS Retriever hash of an Android app.
///
/// # Errors
/// A sentence that says what the value must be.
pub fn android_hash(value: &str) -> Result<String, String> {
    let fits = value.len() == 11
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
    fits.then(|| value.to_owned())
        .ok_or_else(|| "must be the 11 characters of an SMS Retriever hash".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::GUESS_PROBABILITY_MAX;
    use crate::domain::rate_limit::Limit;

    fn set(name: &str, value: &str) -> Result<Policy, String> {
        let mut policy = Policy::default();
        SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .expect("a setting of that name")
            .set(&mut policy, value)?;
        Ok(policy)
    }

    #[test]
    fn value_out_of_bounds_error_names_the_bounds() {
        assert_eq!(
            set("code_length", "3").expect_err("too short"),
            "must be a whole number from 4 to 10"
        );
        assert_eq!(
            set("resend_code", "new").expect_err("no such word"),
            "must be `same` or `fresh`"
        );
        for (name, value) in [
            ("code_length", "+6"),
            ("code_length", "6.0"),
            ("code_ttl_seconds", "59"),
            ("cooldown_seconds", "30,,60"),
            ("sends_per_hour", "1001"),
            ("sender_id", "12345"),
            ("allowed_countries", "FR,XX"),
            ("blocked_prefixes", "44"),
            ("android_hash", "short"),
            ("web_domain", "https://shop.example"),
            ("client_sends_per_hour", "0"),
            ("client_sends_per_hour", "1000001"),
            ("prefix_sends", "20"),
            ("prefix_sends", "0/600"),
            ("prefix_sends", "20/86401"),
            ("prefix_sends", "20/+600"),
            ("spend_per_day", "0"),
            ("spend_per_day", "-5"),
            ("conversion_min", "0/100"),
            ("conversion_min", "101/100"),
            ("conversion_min", "10/9"),
            ("conversion_min", "10/1001"),
            ("gsm7", "maybe"),
            ("factor_guess_budget", "101"),
            ("totp_skew", "3"),
            ("hotp_look_ahead", "0"),
            ("hotp_look_ahead", "51"),
            ("unique_recipients", "yes"),
            ("decision_ttl_seconds", "59"),
        ] {
            assert!(set(name, value).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn pasted_values_are_read_as_typed() {
        let policy = |name, value| set(name, value).unwrap_or_else(|e| panic!("{name}: {e}"));
        for brand in [
            "Acme Shop",
            " Acme\u{a0}Shop\n",
            "\u{feff}Acme\tShop\u{200b}",
            "\u{2066}Acme\u{202f}Shop\u{2069}",
        ] {
            assert_eq!(policy("brand", brand).brand, "Acme Shop", "{brand:?}");
            let sender = policy("sender_id", brand).sender_id;
            assert_eq!(sender.as_deref(), Some("Acme Shop"), "{brand:?}");
        }
        assert_eq!(policy("brand", "Joe’s – ۱۲۳").brand, "Joe’s – ۱۲۳");
        assert_eq!(
            policy("sender_id", "Shop ２４").sender_id.as_deref(),
            Some("Shop 24")
        );
        assert_eq!(policy("locale", "pt_br\n").locale, "pt-br");
        let countries = policy("allowed_countries", "fr, De\u{a0},us\n").allowed_countries;
        assert_eq!(countries, ["FR", "DE", "US"]);
        assert!(
            policy("allowed_countries", "*\n")
                .allowed_countries
                .is_empty()
        );
        let prefixes = policy("blocked_prefixes", "＋44 70, (+99),+٨٨١").blocked_prefixes;
        assert_eq!(prefixes, ["+4470", "+99", "+881"]);
    }

    #[test]
    fn limits_over_many_recipients_are_read_with_their_windows() {
        assert_eq!(
            set("prefix_sends", "1000000/86400").map(|p| p.quota(Limit::Prefix)),
            Ok((1_000_000, 86_400))
        );
        assert_eq!(
            set("conversion_min", "0").map(|p| p.conversion_min),
            Ok(None)
        );
        assert_eq!(
            set("conversion_min", "50/10").map(|p| p.conversion_min),
            Ok(Some(ConversionRule {
                percent: 50,
                window: 10
            }))
        );
        assert_eq!(
            set("spend_per_day", "0.5").map(|p| p.quota(Limit::Spend)),
            Ok((1, 86_400)),
            "a quota is at least 1"
        );
        assert_eq!(
            set("spend_per_day", "12.99").map(|p| p.quota(Limit::Spend)),
            Ok((12, 86_400))
        );
        assert_eq!(set("gsm7", "strict").map(|p| p.gsm7), Ok(Gsm7Mode::Strict));
    }

    #[test]
    fn short_codes_exceed_the_guess_probability() {
        assert!(
            set("code_length", "4")
                .expect("a length")
                .guess_probability()
                > GUESS_PROBABILITY_MAX
        );
    }
}
