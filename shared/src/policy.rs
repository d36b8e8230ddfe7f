//! Policy: every limit and default of an app, one row each.
//! Pure. A row is the only place that knows a setting's name, its bounds and its meaning.

use crate::code::{Alphabet, CODE_LENGTH_MAX, CODE_LENGTH_MIN};
use crate::message::Gsm7;
use crate::timestamp::{DAY_SECONDS, HOUR_SECONDS};
use crate::traffic::{ConversionMin, HELD_SECONDS, Money, Quota};

/// Shortest and longest life of a code, in seconds.
pub const TTL_SECONDS: std::ops::RangeInclusive<i64> = 60..=1800;
/// NIST SP 800-63B-4 allows an out-of-band code to live ten minutes; over it the start warns.
pub const TTL_SECONDS_NIST_MAX: i64 = 600;
/// A policy under which a recipient's code is guessed with a greater probability in a day does not start.
pub const GUESS_PROBABILITY_MAX: f64 = 1e-3;

/// Most sends of a window that counts over many recipients.
const SENDS_MAX: u32 = 1_000_000;

/// What one app asks of its verifications.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    /// Name in the text.
    pub brand: String,
    /// The app's language, a BCP 47 tag.
    pub locale: String,
    /// Characters of a code.
    pub code_length: u8,
    /// What they are.
    pub code_alphabet: Alphabet,
    /// Life of a code, from the first send.
    pub code_ttl_seconds: i64,
    /// k: attempts of a verification.
    pub max_attempts: u8,
    /// F: wrong attempts of a recipient in any 24 h.
    pub guess_budget: u8,
    /// What a resend carries.
    pub resend_code: ResendCode,
    /// Wait before the 2nd, 3rd, … send within an hour; the last repeats.
    pub cooldown_seconds: Vec<i64>,
    /// Sends to a recipient in any hour.
    pub sends_per_hour: u16,
    /// Sends to a recipient in any 24 h.
    pub sends_per_day: u16,
    /// Sends of a client network in any hour.
    pub client_sends_per_hour: u32,
    /// Sends to neighbouring numbers.
    pub prefix_sends: Quota,
    /// Most that is spent in a day, UTC; absent: no end.
    pub spend_per_day: Option<Money>,
    /// Least share of approved sends of a prefix and of a country; absent: none is asked for.
    pub conversion_min: Option<ConversionMin>,
    /// ISO 3166 alpha-2; empty: all.
    pub allowed_countries: Vec<String>,
    /// `+…` prefixes that are never sent to.
    pub blocked_prefixes: Vec<String>,
    /// Name that the message comes from; absent: made from the brand.
    pub sender_id: Option<String>,
    /// Host of the WebOTP last line.
    pub web_domain: Option<String>,
    /// SMS Retriever hash of the Android app.
    pub android_hash: Option<String>,
    /// What is done for a text to fit the phones' own alphabet.
    pub gsm7: Gsm7,
}

/// What a resend carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResendCode {
    /// The code of the first send: codes alive at once multiply the odds of a guess.
    Same,
    /// A new one that replaces it.
    Fresh,
}

/// One setting: its name (`OTP_` and upper case in the environment, as it is in `OTP_APPS`) and how a value is read.
pub struct Row {
    /// Lower case.
    pub name: &'static str,
    set: fn(&mut Policy, &str) -> Result<(), String>,
}

impl Row {
    /// Reads `value` into `policy`.
    ///
    /// # Errors
    /// A sentence that says what the value must be.
    pub fn set(&self, policy: &mut Policy, value: &str) -> Result<(), String> {
        (self.set)(policy, value)
    }
}

/// All settings of an app.
pub const ROWS: &[Row] = &[
    Row { name: "brand", set: |p, v| short_text(v).map(|v| p.brand = v) },
    Row { name: "locale", set: |p, v| language_tag(v).map(|v| p.locale = v) },
    Row { name: "code_length", set: |p, v| whole(v, CODE_LENGTH_MIN..=CODE_LENGTH_MAX).map(|v| p.code_length = v) },
    Row {
        name: "code_alphabet",
        set: |p, v| one_of(v, &[("digits", Alphabet::Digits), ("alphanumeric", Alphabet::Alphanumeric)]).map(|v| p.code_alphabet = v),
    },
    Row { name: "code_ttl_seconds", set: |p, v| whole(v, TTL_SECONDS).map(|v| p.code_ttl_seconds = v) },
    Row { name: "max_attempts", set: |p, v| whole(v, 1..=10).map(|v| p.max_attempts = v) },
    Row { name: "guess_budget", set: |p, v| whole(v, 1..=100).map(|v| p.guess_budget = v) },
    Row { name: "resend_code", set: |p, v| one_of(v, &[("same", ResendCode::Same), ("fresh", ResendCode::Fresh)]).map(|v| p.resend_code = v) },
    Row { name: "cooldown_seconds", set: |p, v| list(v, |item| whole(item, 0..=DAY_SECONDS)).map(|v| p.cooldown_seconds = v) },
    Row { name: "sends_per_hour", set: |p, v| whole(v, 1..=1000).map(|v| p.sends_per_hour = v) },
    Row { name: "sends_per_day", set: |p, v| whole(v, 1..=1000).map(|v| p.sends_per_day = v) },
    Row { name: "client_sends_per_hour", set: |p, v| whole(v, 1..=SENDS_MAX).map(|v| p.client_sends_per_hour = v) },
    Row { name: "prefix_sends", set: |p, v| quota(v).map(|v| p.prefix_sends = v) },
    Row { name: "spend_per_day", set: |p, v| budget(v).map(|v| p.spend_per_day = Some(v)) },
    Row { name: "conversion_min", set: |p, v| conversion_min(v).map(|v| p.conversion_min = v) },
    Row {
        name: "allowed_countries",
        set: |p, v| {
            p.allowed_countries = if v == "*" { vec![] } else { list(v, country)? };
            Ok(())
        },
    },
    Row { name: "blocked_prefixes", set: |p, v| list(v, phone_prefix).map(|v| p.blocked_prefixes = v) },
    Row { name: "sender_id", set: |p, v| sender_id(v).map(|v| p.sender_id = Some(v)) },
    Row { name: "web_domain", set: |p, v| host(v).map(|v| p.web_domain = Some(v)) },
    Row { name: "android_hash", set: |p, v| android_hash(v).map(|v| p.android_hash = Some(v)) },
    Row { name: "gsm7", set: |p, v| one_of(v, &[("prefer", Gsm7::Prefer), ("strict", Gsm7::Strict), ("off", Gsm7::Off)]).map(|v| p.gsm7 = v) },
];

impl Default for Policy {
    fn default() -> Self {
        Self {
            brand: "Example".into(),
            locale: "en".into(),
            code_length: 6,
            code_alphabet: Alphabet::Digits,
            code_ttl_seconds: 300,
            max_attempts: 5,
            guess_budget: 20,
            resend_code: ResendCode::Same,
            cooldown_seconds: vec![30, 60, 120, 300, 600],
            sends_per_hour: 5,
            sends_per_day: 10,
            client_sends_per_hour: 30,
            prefix_sends: Quota { sends: 20, seconds: 600 },
            spend_per_day: None,
            conversion_min: Some(ConversionMin { percent: 10, window: 100 }),
            allowed_countries: vec![],
            blocked_prefixes: vec![],
            sender_id: None,
            web_domain: None,
            android_hash: None,
            gsm7: Gsm7::Prefer,
        }
    }
}

impl Policy {
    /// Probability at most that a recipient's code is guessed in a day: F/N.
    #[must_use]
    pub fn guess_probability(&self) -> f64 {
        f64::from(self.guess_budget) / self.code_alphabet.combinations(self.code_length)
    }

    /// The name that a message comes from, where the country takes one: letters, digits and spaces, at most 11, with a
    /// letter among them.
    #[must_use]
    pub fn sender(&self) -> Option<String> {
        if self.sender_id.is_some() {
            return self.sender_id.clone();
        }
        let cut: String = self.brand.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ').take(11).collect();
        sender_id(cut.trim()).ok()
    }

    /// Quota and window of `limit`, for the `RateLimit-Policy` header. That of `spend` is in whole units of money.
    #[must_use]
    pub fn quota(&self, limit: Limit) -> (u64, i64) {
        match limit {
            Limit::Cooldown => (1, self.cooldown_seconds.last().copied().unwrap_or(0)),
            Limit::RecipientHour => (u64::from(self.sends_per_hour), HOUR_SECONDS),
            Limit::RecipientDay => (u64::from(self.sends_per_day), DAY_SECONDS),
            Limit::GuessBudget => (u64::from(self.guess_budget), DAY_SECONDS),
            Limit::Client => (u64::from(self.client_sends_per_hour), HOUR_SECONDS),
            Limit::Prefix => (u64::from(self.prefix_sends.sends), self.prefix_sends.seconds),
            Limit::Country => (1, HELD_SECONDS),
            Limit::Spend => (self.spend_per_day.map_or(1, Money::units).max(1), DAY_SECONDS),
        }
    }
}

/// What can refuse a send for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Too soon after the last send.
    Cooldown,
    /// Too many sends in an hour.
    RecipientHour,
    /// Too many sends in a day.
    RecipientDay,
    /// Too many wrong attempts in a day.
    GuessBudget,
    /// Too many sends of a client network in an hour.
    Client,
    /// Too many sends to neighbouring numbers, or too few of them approved.
    Prefix,
    /// Too few approved of those to the country.
    Country,
    /// The money of the day is spent.
    Spend,
}

impl Limit {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cooldown => "cooldown",
            Self::RecipientHour => "recipient_hour",
            Self::RecipientDay => "recipient_day",
            Self::GuessBudget => "guess_budget",
            Self::Client => "client",
            Self::Prefix => "prefix",
            Self::Country => "country",
            Self::Spend => "spend",
        }
    }
}

fn whole<T>(value: &str, range: std::ops::RangeInclusive<T>) -> Result<T, String>
where
    T: PartialOrd + std::str::FromStr + std::fmt::Display,
{
    // `parse` alone would take "+5".
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| value.parse::<T>().ok()).flatten();
    number.filter(|n| range.contains(n)).ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

fn quota(value: &str) -> Result<Quota, String> {
    let wrong = || format!("must be sends/seconds such as `20/600`, at most {SENDS_MAX}/{DAY_SECONDS}");
    let (sends, seconds) = value.split_once('/').ok_or_else(wrong)?;
    let quota = whole(sends, 1..=SENDS_MAX).and_then(|sends| Ok(Quota { sends, seconds: whole(seconds, 1..=DAY_SECONDS)? }));
    quota.map_err(|_| wrong())
}

fn conversion_min(value: &str) -> Result<Option<ConversionMin>, String> {
    let wrong = || "must be percent/window such as `10/100`, from 1/10 to 100/1000, or `0`".to_owned();
    if value == "0" {
        return Ok(None);
    }
    let (percent, window) = value.split_once('/').ok_or_else(wrong)?;
    let rule = whole(percent, 1..=100).and_then(|percent| Ok(ConversionMin { percent, window: whole(window, 10..=1000)? }));
    rule.map(Some).map_err(|_| wrong())
}

fn budget(value: &str) -> Result<Money, String> {
    let money = Money::parse(value).filter(|money| *money > Money::default());
    money.ok_or_else(|| "must be a decimal number over 0 such as `25` or `12.50`".into())
}

fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
    let chosen = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    chosen.ok_or_else(|| format!("must be {}", names.join(" or ")))
}

fn list<T>(value: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    value.split(',').map(|item| read(item.trim()).map_err(|problem| format!("each item of the comma list {problem}"))).collect()
}

fn short_text(value: &str) -> Result<String, String> {
    // What was not UTF-8 has become replacement characters.
    let is_clean = !value.contains(|character: char| character.is_control() || character == char::REPLACEMENT_CHARACTER);
    let fits = (1..=64).contains(&value.chars().count()) && is_clean && crate::message::shows(value);
    fits.then(|| value.trim().to_owned()).ok_or_else(|| "must be a text of 1 to 64 characters that can be seen".into())
}

fn language_tag(value: &str) -> Result<String, String> {
    crate::message::is_language_tag(value).then(|| value.to_owned()).ok_or_else(|| "must be a BCP 47 language tag such as `en` or `pt-BR`".into())
}

fn country(value: &str) -> Result<String, String> {
    crate::phone::is_country(value).then(|| value.to_owned()).ok_or_else(|| "must be an ISO 3166 code such as `FR`".into())
}

fn phone_prefix(value: &str) -> Result<String, String> {
    let digits = value.strip_prefix('+').unwrap_or_default();
    // No country's code begins with 0, so such a prefix would block nobody.
    let fits = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    fits.then(|| value.to_owned()).ok_or_else(|| "must be `+` and up to 15 digits, the first of them not 0".into())
}

fn sender_id(value: &str) -> Result<String, String> {
    let characters = value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ');
    let fits = (1..=11).contains(&value.len()) && characters && value.bytes().any(|b| b.is_ascii_alphabetic());
    fits.then(|| value.to_owned()).ok_or_else(|| "must be up to 11 letters, digits and spaces with at least one letter".into())
}

fn host(value: &str) -> Result<String, String> {
    let is_plain = |l: &str| l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !l.starts_with('-') && !l.ends_with('-');
    let label = |l: &str| (1..=63).contains(&l.len()) && is_plain(l);
    let is_address = value.split('.').next_back().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    let fits = value.len() <= 100 && value.contains('.') && value.split('.').all(label) && !is_address;
    fits.then(|| value.to_ascii_lowercase()).ok_or_else(|| "must be a host name such as `shop.example`".into())
}

fn android_hash(value: &str) -> Result<String, String> {
    let fits = value.len() == 11 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
    fits.then(|| value.to_owned()).ok_or_else(|| "must be the 11 characters of an SMS Retriever hash".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Policy, String> {
        let mut policy = Policy::default();
        ROWS.iter().find(|row| row.name == name).expect("a row of that name").set(&mut policy, value)?;
        Ok(policy)
    }

    #[test]
    fn a_value_out_of_bounds_says_what_it_must_be() {
        assert_eq!(set("code_length", "3").expect_err("too short"), "must be a whole number from 4 to 10");
        assert_eq!(set("resend_code", "new").expect_err("no such word"), "must be `same` or `fresh`");
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
        ] {
            assert!(set(name, value).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn limits_over_many_recipients_are_read_with_their_windows() {
        assert_eq!(set("prefix_sends", "1000000/86400").map(|p| p.quota(Limit::Prefix)), Ok((1_000_000, 86_400)));
        assert_eq!(set("conversion_min", "0").map(|p| p.conversion_min), Ok(None));
        assert_eq!(set("conversion_min", "50/10").map(|p| p.conversion_min), Ok(Some(ConversionMin { percent: 50, window: 10 })));
        assert_eq!(set("spend_per_day", "0.5").map(|p| p.quota(Limit::Spend)), Ok((1, 86_400)), "a quota is at least 1");
        assert_eq!(set("spend_per_day", "12.99").map(|p| p.quota(Limit::Spend)), Ok((12, 86_400)));
        assert_eq!(set("gsm7", "strict").map(|p| p.gsm7), Ok(Gsm7::Strict));
    }

    #[test]
    fn defaults_hold_the_bound_of_two_in_a_hundred_thousand() {
        assert!((Policy::default().guess_probability() - 2e-5).abs() < 1e-12);
        assert!(set("code_length", "4").expect("a length").guess_probability() > GUESS_PROBABILITY_MAX);
    }

    #[test]
    fn the_sender_is_made_from_the_brand_where_a_letter_is_left() {
        let sender = |brand: &str| Policy { brand: brand.into(), ..Policy::default() }.sender();
        assert_eq!(sender("Ann & Co. Shopping").as_deref(), Some("Ann  Co Sho"));
        assert_eq!(sender("123"), None);
        assert_eq!(sender("Ünïcödé").as_deref(), Some("ncd"));
    }
}
