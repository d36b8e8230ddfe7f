//! Policy: the limits, code format and texts of one app, with their defaults.

use crate::domain::code::Alphabet;
use crate::domain::conversion::{ConversionRule, HELD_SECONDS};
use crate::domain::decision::DECISIONS_MAX;
use crate::domain::factor::SKEW_STEPS;
use crate::domain::money::Money;
use crate::domain::rate_limit::{Limit, Quota};
use crate::domain::time::{DAY_SECONDS, HOUR_SECONDS};

/// Shortest and longest life of a code, in seconds.
pub const TTL_SECONDS: std::ops::RangeInclusive<i64> = 60..=1800;
/// NIST SP 800-63B-4 allows an out-of-band code to live ten minutes; over it the start warns.
pub const TTL_SECONDS_NIST_MAX: i64 = 600;
/// A policy under which a recipient's code is guessed with a greater probability in a day does not
/// start.
pub const GUESS_PROBABILITY_MAX: f64 = 1e-3;

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
    /// Whether the app may choose codes. The bound on guessing does not hold for these.
    pub caller_codes: bool,
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
    pub conversion_min: Option<ConversionRule>,
    /// ISO 3166 alpha-2; empty: all.
    pub allowed_countries: Vec<String>,
    /// `+…` prefixes that are never sent to.
    pub blocked_prefixes: Vec<String>,
    /// Name that messages come from; absent: the brand.
    pub sender_id: Option<String>,
    /// Whether texts show a reference of two letters.
    pub text_reference: bool,
    /// Whether texts show the time of sending.
    pub text_time: bool,
    /// Host of the WebOTP last line.
    pub web_domain: Option<String>,
    /// SMS Retriever hash of the Android app.
    pub android_hash: Option<String>,
    /// Whether a text is worded to fit the phones' own alphabet.
    pub gsm7: Gsm7Mode,
    /// Wrong codes of a subject in any 24 h: of TOTP and HOTP factors together, and of backup
    /// codes.
    pub factor_guess_budget: u8,
    /// Steps before and after the current one of new TOTP factors that name none.
    pub totp_skew: u8,
    /// Counters that new HOTP factors accept.
    pub hotp_look_ahead: u8,
    /// Whether a recipient belongs to at most one subject.
    pub unique_recipients: bool,
    /// Life of a decision.
    pub decision_ttl_seconds: i64,
}

/// What a resend carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResendCode {
    /// The code of the first send: codes alive at once multiply the odds of a guess.
    Same,
    /// A new one that replaces it.
    Fresh,
}

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
            caller_codes: false,
            cooldown_seconds: vec![30, 60, 120, 300, 600],
            sends_per_hour: 5,
            sends_per_day: 10,
            client_sends_per_hour: 30,
            prefix_sends: Quota {
                sends: 20,
                seconds: 600,
            },
            spend_per_day: None,
            conversion_min: Some(ConversionRule {
                percent: 10,
                window: 100,
            }),
            allowed_countries: vec![],
            blocked_prefixes: vec![],
            sender_id: None,
            text_reference: false,
            text_time: false,
            web_domain: None,
            android_hash: None,
            gsm7: Gsm7Mode::Prefer,
            factor_guess_budget: 20,
            totp_skew: 1,
            hotp_look_ahead: 10,
            unique_recipients: false,
            decision_ttl_seconds: 600,
        }
    }
}

impl Policy {
    /// Probability at most that a recipient's code is guessed in a day: F/N.
    #[must_use]
    pub fn guess_probability(&self) -> f64 {
        f64::from(self.guess_budget) / self.code_alphabet.combinations(self.code_length)
    }

    /// Probability at most that a code of a subject's factors is guessed in a day: with six digits
    /// and the widest window that a factor can have.
    #[must_use]
    pub fn factor_guess_probability(&self) -> f64 {
        let window = (2 * SKEW_STEPS.end() + 1).max(self.hotp_look_ahead);
        f64::from(u32::from(self.factor_guess_budget) * u32::from(window)) / 1e6
    }

    /// The name that messages come from, where networks and vendors accept it.
    #[must_use]
    pub fn sender_name(&self) -> &str {
        self.sender_id.as_ref().unwrap_or(&self.brand)
    }

    /// Quota and window of `limit`, for the `RateLimit-Policy` header. That of `spend` is in whole
    /// units of money.
    #[must_use]
    pub fn quota(&self, limit: Limit) -> (u64, i64) {
        match limit {
            Limit::Cooldown => (1, self.cooldown_seconds.last().copied().unwrap_or(0)),
            Limit::RecipientHour => (u64::from(self.sends_per_hour), HOUR_SECONDS),
            Limit::RecipientDay => (u64::from(self.sends_per_day), DAY_SECONDS),
            Limit::GuessBudget => (u64::from(self.guess_budget), DAY_SECONDS),
            Limit::FactorGuessBudget => (u64::from(self.factor_guess_budget), DAY_SECONDS),
            Limit::Decisions => (DECISIONS_MAX as u64, self.decision_ttl_seconds),
            Limit::Client => (u64::from(self.client_sends_per_hour), HOUR_SECONDS),
            Limit::Prefix => (
                u64::from(self.prefix_sends.sends),
                self.prefix_sends.seconds,
            ),
            Limit::Conversion(_) => (1, HELD_SECONDS),
            Limit::Spend => (
                self.spend_per_day.map_or(1, Money::units).max(1),
                DAY_SECONDS,
            ),
        }
    }
}

/// When a text message is written in the GSM-7 alphabet although its language has letters outside
/// it (`OTP_GSM7`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Gsm7Mode {
    /// Never: the native wording.
    Off,
    /// Where the locale has a wording that people read as well.
    #[default]
    Prefer,
    /// Wherever the script allows it: what is left is transliterated.
    Strict,
}

/// Whether `text` is an alphanumeric sender: up to 11 letters, digits and spaces, with a letter.
#[must_use]
pub fn is_sender_id(text: &str) -> bool {
    let is_allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ');
    (1..=11).contains(&text.len()) && is_allowed && text.bytes().any(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_guess_probability_is_two_in_a_hundred_thousand() {
        assert!((Policy::default().guess_probability() - 2e-5).abs() < 1e-12);
    }

    #[test]
    fn factor_guess_probability_is_that_of_the_widest_window() {
        let of = |hotp_look_ahead| {
            let policy = Policy {
                hotp_look_ahead,
                ..Policy::default()
            };
            policy.factor_guess_probability()
        };
        assert!((of(10) - 2e-4).abs() < 1e-12, "ten counters");
        assert!((of(3) - 1e-4).abs() < 1e-12, "five steps");
    }

    #[test]
    fn messages_come_from_sender_or_brand() {
        let mut policy = Policy::default();
        assert_eq!(policy.sender_name(), "Example");
        policy.sender_id = Some("Shop".into());
        assert_eq!(policy.sender_name(), "Shop");
    }

    #[test]
    fn quota_of_each_limit_is_that_of_the_policy() {
        let mut policy = Policy {
            factor_guess_budget: 7,
            decision_ttl_seconds: 900,
            ..Policy::default()
        };
        let quotas = Limit::ALL.map(|limit| policy.quota(limit));
        let expected = [
            (1, 600),
            (5, 3600),
            (10, 86_400),
            (20, 86_400),
            (30, 3600),
            (20, 600),
            (1, 600),
            (1, 600),
            (1, 86_400),
            (7, 86_400),
            (20, 900),
        ];
        assert_eq!(quotas, expected);
        for (cap, units) in [("12.99", 12), ("0.50", 1)] {
            policy.spend_per_day = Money::parse(cap);
            assert_eq!(policy.quota(Limit::Spend), (units, 86_400));
        }
        policy.cooldown_seconds.clear();
        assert_eq!(policy.quota(Limit::Cooldown), (1, 0));
    }

    #[test]
    fn sender_has_up_to_eleven_characters_and_a_letter() {
        for text in ["a", "Shop 24", "12345678901".replace('1', "A").as_str()] {
            assert!(is_sender_id(text), "{text}");
        }
        for text in ["", "123", " ", "Shop!", "Shöp", "abcdefghijkl"] {
            assert!(!is_sender_id(text), "{text}");
        }
    }
}
