//! PhoneNumber: read once, kept as E.164, masked when printed.
//! Pure; the only file that names the libphonenumber port. Must never hand hostile text to it: the gate stands first.

use std::fmt;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

/// Longest spelling that is looked at; the longest E.164 number has 15 digits.
const SPELLING_LENGTH_MAX: usize = 40;
/// Digits of a whole number: ITU E.164 allows 15.
const DIGITS_MAX: usize = 15;

/// A valid number that a code may be sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber {
    e164: String,
    country: String,
    line: Line,
}

/// What is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    /// Takes texts and calls, or cannot be told apart from one that does.
    Mobile,
    /// Takes calls only.
    Fixed,
}

/// Why a spelling is not a number that we serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PhoneError {
    /// Not one valid number in a spelling that we read.
    Invalid,
    /// Valid, but of a kind that is never sent to: premium rate, shared cost, toll-free, pager, voicemail, universal,
    /// satellite or a global network.
    NotAllowed,
}

impl PhoneNumber {
    /// Reads an international spelling (`+33 6 12-34-56-78`, `0033612345678`) or, with `country` (ISO 3166 alpha-2),
    /// a national one.
    ///
    /// # Errors
    /// [`PhoneError`], decided by libphonenumber's metadata.
    pub fn parse(spelling: &str, country: Option<&str>) -> Result<Self, PhoneError> {
        let dialled = gate(spelling)?;
        let region = country
            .map(|c| c.parse::<Region>().map_err(|_| PhoneError::Invalid))
            .transpose()?;
        let international = dialled.strip_prefix("00").map(|rest| format!("+{rest}"));
        if region.is_none() && international.is_none() && !dialled.starts_with('+') {
            return Err(PhoneError::Invalid);
        }
        let util = &PHONE_NUMBER_UTIL;
        let is_read = |number: &rlibphonenumber::PhoneNumber| {
            on_global_network(number.country_code) || util.is_valid_number(number)
        };
        let read = |spelling: &str| util.parse(spelling, region).ok().filter(is_read);
        // Some countries dial abroad by another prefix that begins like ours: 0011 in Australia.
        let as_dialled = || international.is_some().then(|| read(&dialled)).flatten();
        let number = read(international.as_deref().unwrap_or(&dialled))
            .or_else(as_dialled)
            .ok_or(PhoneError::Invalid)?;
        if on_global_network(number.country_code) {
            return Err(PhoneError::NotAllowed);
        }
        let line = line_of(util.get_number_type(&number))?;
        let country = util
            .get_region_for_number(&number)
            .ok_or(PhoneError::Invalid)?;
        let e164 = util.format(&number, PhoneNumberFormat::E164).into_owned();
        Ok(Self {
            e164,
            country: country.as_region_str().to_string(),
            line,
        })
    }

    /// A number that rested sealed.
    #[must_use]
    pub fn unsealed(e164: &str, country: &str, line: Line) -> Self {
        Self {
            e164: e164.to_owned(),
            country: country.to_owned(),
            line,
        }
    }

    /// Canonical form, `+` and digits.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.e164
    }

    /// ISO 3166 alpha-2.
    #[must_use]
    pub fn country(&self) -> &str {
        &self.country
    }

    /// What is at the other end.
    #[must_use]
    pub fn line(&self) -> Line {
        self.line
    }
}

impl fmt::Debug for PhoneNumber {
    /// `+…78`: the last two digits, which logs may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+…{}", &self.e164[self.e164.len().saturating_sub(2)..])
    }
}

/// Whether `code` is an ISO 3166 alpha-2 code that has phone numbers. Case matters: upper.
#[must_use]
pub fn is_country(code: &str) -> bool {
    code.len() == 2 && COUNTRIES.split(' ').any(|country| country == code)
}

/// The regions of the library, written out so that a function that only reads settings does without its tables.
const COUNTRIES: &str = "AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ CA CC CD CF \
    CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG \
    GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW \
    KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF \
    NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM \
    SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG VI VN VU WF WS XK \
    YE YT ZA ZM ZW";

/// The library's tables are built at the first number that it reads (13 ms); at init a full core pays for it.
pub fn warm_up() {
    let _ = PhoneNumber::parse("+12025550143", None);
}

/// Lets only ASCII digits, usual separators and one leading `+` through, and turns `00` into `+`.
/// Letters, extensions, `tel:`, several numbers and control characters end here, before any parser sees them.
fn gate(spelling: &str) -> Result<String, PhoneError> {
    if spelling.len() > SPELLING_LENGTH_MAX {
        return Err(PhoneError::Invalid);
    }
    let mut digits = String::with_capacity(spelling.len());
    for (at, byte) in spelling.trim_matches(' ').bytes().enumerate() {
        match byte {
            b'0'..=b'9' => digits.push(char::from(byte)),
            b'+' if at == 0 => digits.push('+'),
            b' ' | b'-' | b'.' | b'(' | b')' => {}
            _ => return Err(PhoneError::Invalid),
        }
    }
    let abroad = ["+", "00"]
        .into_iter()
        .find_map(|prefix| digits.strip_prefix(prefix));
    // "+44 (0)20 …" is one digit longer than the number itself, and a prefix may be two digits longer than ours.
    if abroad.map_or(digits.len(), str::len) > DIGITS_MAX + 2 {
        return Err(PhoneError::Invalid);
    }
    Ok(digits)
}

/// Inmarsat, universal personal, mobile satellite, international networks, disaster relief, international premium.
fn on_global_network(country_code: i32) -> bool {
    matches!(country_code, 870 | 878 | 881 | 882 | 883 | 888 | 979)
}

fn line_of(kind: PhoneNumberType) -> Result<Line, PhoneError> {
    match kind {
        PhoneNumberType::Mobile
        | PhoneNumberType::FixedLineOrMobile
        | PhoneNumberType::VoIP
        | PhoneNumberType::PersonalNumber
        | PhoneNumberType::Unknown => Ok(Line::Mobile),
        PhoneNumberType::FixedLine => Ok(Line::Fixed),
        PhoneNumberType::TollFree
        | PhoneNumberType::PremiumRate
        | PhoneNumberType::SharedCost
        | PhoneNumberType::Pager
        | PhoneNumberType::UAN
        | PhoneNumberType::VoiceMail => Err(PhoneError::NotAllowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn e164(spelling: &str, country: Option<&str>) -> Result<String, PhoneError> {
        PhoneNumber::parse(spelling, country).map(|n| n.reveal().to_owned())
    }

    #[test]
    fn usual_spellings_are_one_number() {
        for spelling in [
            "+33612345678",
            "+33 6 12-34-56-78",
            "0033612345678",
            " +33 (6) 12.34.56.78 ",
            "+33 (0)6 12 34 56 78",
        ] {
            assert_eq!(
                e164(spelling, None).as_deref(),
                Ok("+33612345678"),
                "{spelling}"
            );
        }
        assert_eq!(
            e164("06 12 34 56 78", Some("FR")).as_deref(),
            Ok("+33612345678")
        );
        assert_eq!(
            e164("+1 (234) 567-8901", None).as_deref(),
            Ok("+12345678901")
        );
        assert_eq!(
            PhoneNumber::parse("+33612345678", None)
                .map(|n| n.country().to_owned())
                .as_deref(),
            Ok("FR")
        );
    }

    #[test]
    fn a_prefix_that_a_country_dials_abroad_by_is_known_there() {
        for (spelling, country) in [
            ("0011 33 612345678", "AU"),
            ("001 33 612345678", "TH"),
            ("00700 33 612345678", "KR"),
            ("0033 612345678", "AU"),
        ] {
            assert_eq!(
                e164(spelling, Some(country)).as_deref(),
                Ok("+33612345678"),
                "{spelling} in {country}"
            );
        }
        assert_eq!(e164("0011 33 612345678", None), Err(PhoneError::Invalid));
    }

    #[test]
    fn what_is_not_one_number_is_refused() {
        for spelling in [
            "",
            "+",
            "00",
            "0612345678",
            "+33 6 12 34 56",
            "tel:+33612345678",
            "+33612345678;ext=5",
            "+33612345678 x5",
            "+33612345678,+33612345679",
            "+1800FLOWERS",
            "+３３６１２３４５６７８",
            "+33612345678\n",
            "\u{202e}+33612345678",
            "++33612345678",
            "+33+612345678",
            "33612345678",
            "+00123",
            "112",
        ] {
            assert_eq!(
                e164(spelling, None),
                Err(PhoneError::Invalid),
                "{spelling:?}"
            );
        }
        assert_eq!(e164("0612345678", Some("ZZ")), Err(PhoneError::Invalid));
        assert_eq!(
            e164(&"1".repeat(100_000), Some("US")),
            Err(PhoneError::Invalid)
        );
    }

    #[test]
    fn numbers_that_earn_money_for_a_stranger_are_not_served() {
        for spelling in [
            "+33899123456",
            "+18005550143",
            "+19002345678",
            "+870773111632",
            "+881612345678",
            "+882161234567",
            "+979123456789",
        ] {
            assert_eq!(
                e164(spelling, None),
                Err(PhoneError::NotAllowed),
                "{spelling}"
            );
        }
    }

    #[test]
    fn a_fixed_line_is_told_from_a_mobile_where_the_plan_tells() {
        assert_eq!(
            PhoneNumber::parse("+33142685300", None).map(|n| n.line()),
            Ok(Line::Fixed)
        );
        assert_eq!(
            PhoneNumber::parse("+33612345678", None).map(|n| n.line()),
            Ok(Line::Mobile)
        );
        assert_eq!(
            PhoneNumber::parse("+12025550143", None).map(|n| n.line()),
            Ok(Line::Mobile),
            "the US does not tell"
        );
    }

    #[test]
    fn the_countries_are_those_of_the_library() {
        let mut regions: Vec<String> = PHONE_NUMBER_UTIL
            .get_supported_regions()
            .map(|region| region.as_region_str().to_string())
            .collect();
        regions.sort_unstable();
        assert_eq!(COUNTRIES.split_whitespace().collect::<Vec<_>>(), regions);
    }

    #[test]
    fn a_number_prints_two_digits_of_itself() {
        assert_eq!(
            PhoneNumber::parse("+33612345678", None).map(|n| format!("{n:?}")),
            Ok("+…78".to_owned())
        );
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(text in ".{0,60}", country in proptest::option::of("[A-Z]{2}")) {
            let _ = PhoneNumber::parse(&text, country.as_deref());
        }

        #[test]
        fn digits_and_separators_never_panic_and_come_out_canonical(text in "[+0-9 ().-]{0,40}", country in proptest::option::of("[A-Z]{2}")) {
            if let Ok(number) = PhoneNumber::parse(&text, country.as_deref()) {
                prop_assert_eq!(PhoneNumber::parse(number.reveal(), None), Ok(number));
            }
        }
    }
}
