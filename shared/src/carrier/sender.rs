//! Senders: the name or number that messages come from, and what each vendor accepts.
//!
//! Invariant: a name never loses a letter. It is spelled in ASCII, without the spaces and the
//! punctuation that the vendor rejects; a name that is too long then is not used at all.

use crate::message::ascii_spelling;

/// What a vendor accepts as the sender of a text message.
#[derive(Clone, Copy, Debug)]
pub struct SenderRules {
    /// Fewest characters of a name.
    pub name_length_min: usize,
    /// Most digits of a number.
    pub digits_max: usize,
    /// Characters of a name beside letters and digits.
    pub also_in_names: &'static str,
    /// What is used without a `sender`.
    pub default: DefaultSender,
    /// Countries whose networks accept no names.
    pub countries_without_names: &'static [&'static str],
    /// Whether a `sender` is passed on as it is written.
    pub is_as_written: bool,
}

/// What messages come from if the entry has no `sender` for their country.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DefaultSender {
    /// A setting of the kind.
    OfKind,
    /// The name of the app where networks accept names, else what the vendor chooses.
    AppName,
    /// The name of the app. The vendor rejects a message without a sender.
    AppNameRequired,
}

/// Longest name: that of a sender in the GSM alphabet, 3GPP TS 23.040, 9.1.2.5.
pub const NAME_LENGTH_MAX: usize = 11;

/// Countries whose networks accept no names, by the table of AWS of June 2023:
/// <https://github.com/awsdocs/amazon-pinpoint-user-guide>, `channels-sms-countries.md`.
pub const WITHOUT_NAMES_AT_AWS: &[&str] = &[
    "AR", "BS", "BE", "BR", "CA", "KY", "CL", "CN", "CO", "CR", "DO", "EC", "SV", "GU", "GT", "HU",
    "LR", "MY", "MH", "MX", "FM", "MC", "MZ", "NZ", "NI", "PY", "PE", "PR", "CG", "KN", "LC", "ZA",
    "KR", "TM", "US", "UY", "VE", "VI",
];
/// The same for other vendors. In Belgium they accept a name, which some networks overwrite.
pub const WITHOUT_NAMES: &[&str] = &[
    "AR", "BS", "BR", "CA", "KY", "CL", "CN", "CO", "CR", "DO", "EC", "SV", "GU", "GT", "HU", "LR",
    "MY", "MH", "MX", "FM", "MC", "MZ", "NZ", "NI", "PY", "PE", "PR", "CG", "KN", "LC", "ZA", "KR",
    "TM", "US", "UY", "VE", "VI",
];

/// What most vendors accept: up to 11 letters and digits, or up to 15 digits.
pub const USUAL: SenderRules = SenderRules {
    name_length_min: 1,
    digits_max: 15,
    also_in_names: "",
    default: DefaultSender::AppName,
    countries_without_names: WITHOUT_NAMES,
    is_as_written: false,
};

impl SenderRules {
    /// `sender` as the vendor accepts it; `None` if it accepts no form of it.
    #[must_use]
    pub fn fit(&self, sender: &str) -> Option<String> {
        let sender = sender.trim();
        match number_digits(sender) {
            Some(digits) => (1..=self.digits_max)
                .contains(&digits.len())
                .then(|| sender.to_owned()),
            None => self.fit_name(sender),
        }
    }

    fn fit_name(&self, name: &str) -> Option<String> {
        let is_allowed = |c: &char| c.is_ascii_alphanumeric() || self.also_in_names.contains(*c);
        let spelled: String = ascii_spelling(name)?.chars().filter(is_allowed).collect();
        let words: Vec<&str> = spelled.split_whitespace().collect();
        let has_letter = spelled.bytes().any(|b| b.is_ascii_alphabetic());
        [words.join(" "), words.concat()].into_iter().find(|name| {
            has_letter && (self.name_length_min..=NAME_LENGTH_MAX).contains(&name.len())
        })
    }

    /// The format of a sender, for errors.
    #[must_use]
    pub fn format(&self) -> String {
        let Self {
            name_length_min: min,
            digits_max,
            ..
        } = self;
        format!(
            "a name of {min} to {NAME_LENGTH_MAX} letters and digits with a letter, or a number of \
             up to {digits_max} digits"
        )
    }
}

/// Whether `sender` is a number, with or without `+`.
#[must_use]
pub fn is_number(sender: &str) -> bool {
    number_digits(sender).is_some()
}

fn number_digits(sender: &str) -> Option<&str> {
    let digits = sender.strip_prefix('+').unwrap_or(sender);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_in_ascii_and_never_cut() {
        let fit = |name: &str| USUAL.fit(name);
        for (name, expected) in [
            ("Acme Shop", Some("AcmeShop")),
            ("O'Neill & Co.", Some("ONeillCo")),
            ("Crème Brûlée", Some("CremeBrulee")),
            ("Кафе", Some("Kafe")),
            ("Ψυχή", Some("Psychi")),
            ("Straße", Some("Strasse")),
            ("Acme", Some("Acme")),
            ("Crédit Agricole", None),
            ("楽天", None),
            ("Acme 楽天", None),
            ("& Co", Some("Co")),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(fit(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn spaces_stay_where_they_are_allowed_and_fit() {
        let rules = SenderRules {
            also_in_names: " ",
            ..USUAL
        };
        assert_eq!(rules.fit("Ann & Co.").as_deref(), Some("Ann Co"));
        assert_eq!(rules.fit("Acme Store X").as_deref(), Some("AcmeStoreX"));
    }

    #[test]
    fn numbers_keep_their_form_up_to_their_length() {
        for number in ["+12025550100", "12025550100", "36001"] {
            assert_eq!(USUAL.fit(number).as_deref(), Some(number));
        }
        assert_eq!(USUAL.fit("+1234567890123456"), None, "16 digits");
        let longer = SenderRules {
            digits_max: 16,
            name_length_min: 3,
            ..USUAL
        };
        assert!(longer.fit("+1234567890123456").is_some());
        assert_eq!(longer.fit("Al"), None, "too short");
    }
}
