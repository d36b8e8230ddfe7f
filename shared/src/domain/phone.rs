//! Phone numbers: parsed once, kept as E.164, masked in logs.
//!
//! Invariant: the library only gets a bounded text of digits and at most one leading `+`.

use std::fmt;

use rlibphonenumber::{PhoneNumberFormat, PhoneNumberType, Region};
use thiserror::Error;

use crate::domain::pasted_text;
use crate::domain::phone_lines::{self, Calls};
use crate::domain::phone_tables;

/// Longest spelling that is parsed, in characters, without invisible ones.
const SPELLING_CHARS_MAX: usize = 40;
/// Most digits of an E.164 number, the country code included.
const DIGITS_MAX: usize = 15;

/// A valid phone number to which a code may be sent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber {
    e164: String,
    /// The number that is dialed for a call, if it is another one.
    called: Option<String>,
    country: String,
    line: Line,
}

/// The kind of line behind a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Line {
    /// Receives text messages and calls. Also where the numbering plan does not distinguish mobile
    /// from fixed lines.
    Mobile,
    /// Receives calls only.
    Fixed,
}

/// Why a spelling was rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PhoneError {
    /// Not exactly one valid number in a supported spelling.
    #[error("not a valid phone number")]
    Invalid,
    /// Valid, but of a type to which no message is sent: premium rate, shared cost, toll-free,
    /// pager, voicemail, universal (UAN), satellite or a global network.
    #[error("messages cannot be sent to this type of number")]
    NotAllowed,
}

impl PhoneNumber {
    /// Parses an international spelling (`+33 6 12-34-56-78`, `0033612345678`) or, with `country`
    /// (ISO 3166 alpha-2, upper case), a national one.
    ///
    /// # Errors
    /// [`PhoneError`], by the metadata of libphonenumber.
    pub fn parse(spelling: &str, country: Option<&str>) -> Result<Self, PhoneError> {
        let dialed = normalize_spelling(spelling)?;
        let region = country
            .map(|c| c.parse::<Region>().map_err(|_| PhoneError::Invalid))
            .transpose()?;
        let international = dialed.strip_prefix("00").map(|rest| format!("+{rest}"));
        if region.is_none() && international.is_none() && !dialed.starts_with('+') {
            return Err(PhoneError::Invalid);
        }
        // Some countries have another international prefix that also begins with 00: 0011 in
        // Australia.
        let as_dialed = || {
            international
                .is_some()
                .then(|| read(&dialed, region))
                .flatten()
        };
        let (number, called) = read(international.as_deref().unwrap_or(&dialed), region)
            .or_else(as_dialed)
            .ok_or(PhoneError::Invalid)?;
        if is_global_network(number.country_code) {
            return Err(PhoneError::NotAllowed);
        }
        let tables = phone_tables::tables_for(&number).ok_or(PhoneError::Invalid)?;
        let line = allowed_line(tables.get_number_type(&number))?;
        let country = tables
            .get_region_for_number(&number)
            .ok_or(PhoneError::Invalid)?;
        let e164 = tables.format(&number, PhoneNumberFormat::E164).into_owned();
        // Some plans, such as Germany's, let libphonenumber accept longer numbers.
        if e164.len() > "+".len() + DIGITS_MAX {
            return Err(PhoneError::Invalid);
        }
        Ok(Self {
            e164,
            called,
            country: country.as_region_str().to_string(),
            line,
        })
    }

    /// Parses a number in E.164, as [`pasted_text::e164`] returns it.
    ///
    /// # Errors
    /// [`PhoneError`]: [`PhoneError::Invalid`] also for a number with digits that are not part of
    /// it, such as `+33 06…`.
    pub fn parse_e164(e164: &str) -> Result<Self, PhoneError> {
        let number = Self::parse(e164, None)?;
        if phone_lines::spellings(e164).any(|spelling| spelling == number.e164) {
            Ok(number)
        } else {
            Err(PhoneError::Invalid)
        }
    }

    /// A number that was parsed before it was stored. It is trusted: nothing is validated again.
    #[must_use]
    pub fn from_stored(e164: &str, country: &str, line: Line) -> Self {
        Self {
            e164: e164.to_owned(),
            called: None,
            country: country.to_owned(),
            line,
        }
    }

    /// The number with another one for calls.
    #[must_use]
    pub fn with_called(self, called: Option<String>) -> Self {
        Self { called, ..self }
    }

    /// The number in E.164: `+` and digits. Both spellings of a line have the same one.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.e164
    }

    /// The number that is dialed for a call, in E.164, if it is another one.
    #[must_use]
    pub fn reveal_called(&self) -> Option<&str> {
        self.called.as_deref()
    }

    /// The number as it is dialed for a call.
    #[must_use]
    pub fn as_called(&self) -> Self {
        let mut called = self.clone();
        if let Some(number) = called.called.take() {
            called.e164 = number;
        }
        called
    }

    /// The number's country, ISO 3166 alpha-2.
    #[must_use]
    pub fn country(&self) -> &str {
        &self.country
    }

    /// The kind of line behind the number.
    #[must_use]
    pub fn line(&self) -> Line {
        self.line
    }
}

impl fmt::Debug for PhoneNumber {
    /// Masked for logs: `+…78`, the last two digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+…{}", &self.e164[self.e164.len().saturating_sub(2)..])
    }
}

/// Whether `code` is the ISO 3166 alpha-2 code, in upper case, of a country that has phone numbers.
#[must_use]
pub fn is_country(code: &str) -> bool {
    code.len() == 2 && COUNTRIES.split(' ').any(|country| country == code)
}

/// The regions of libphonenumber. A copy, so that a function that only validates settings is not
/// linked with its tables.
const COUNTRIES: &str = "\
    AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
    BS BT BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC \
    EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK \
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB \
    LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY \
    MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO RS \
    RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL \
    TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Builds the tables for numbers of `countries` at once, which otherwise happens for each calling
/// code when the first number of it is parsed. Lambda gives the initialization of a function a full
/// core.
pub fn warm_up<'a>(countries: impl Iterator<Item = &'a str>) {
    phone_tables::build(countries);
}

/// The number that `spelling` writes, and the number to dial for a call if that is another one.
/// `None` unless it is valid, or of a global network.
fn read(
    spelling: &str,
    region: Option<Region>,
) -> Option<(rlibphonenumber::PhoneNumber, Option<String>)> {
    let number = phone_tables::parse(spelling, region)?;
    let tables = phone_tables::tables_for(&number)?;
    let is_known = is_global_network(number.country_code) || tables.is_valid_number(&number);
    let written = tables.format(&number, PhoneNumberFormat::E164).into_owned();
    let canonical = phone_lines::canonical(&written).and_then(|(canonical, calls)| {
        let number = phone_tables::parse(&canonical, None)?;
        let is_line = match calls {
            Calls::Canonical => tables.is_valid_number(&number),
            Calls::AsWritten => tables.get_number_type(&number) == PhoneNumberType::Mobile,
        };
        let called = (calls == Calls::AsWritten && is_known).then_some(written);
        is_line.then_some((number, called))
    });
    canonical.or_else(|| is_known.then_some((number, None)))
}

/// `spelling` without separators. Rejects everything but decimal digits, common separators and one
/// leading `+`: letters, extensions, `tel:`, several numbers and line breaks never reach the
/// library.
fn normalize_spelling(spelling: &str) -> Result<String, PhoneError> {
    let spelling = pasted_text::plain(spelling);
    if spelling.chars().count() > SPELLING_CHARS_MAX {
        return Err(PhoneError::Invalid);
    }
    let mut digits = String::with_capacity(spelling.len());
    // "(+49)" and "( +49" begin with a plus sign as well.
    let mut may_be_plus = true;
    for character in spelling.chars() {
        match character {
            '0'..='9' => digits.push(character),
            '+' | '＋' if may_be_plus => digits.push('+'),
            ' ' | '(' => continue,
            '-' | '.' | '/' | ')' => {}
            _ => return Err(PhoneError::Invalid),
        }
        may_be_plus = false;
    }
    let after_prefix = ["+", "00"]
        .into_iter()
        .find_map(|prefix| digits.strip_prefix(prefix));
    // Two more digits: "+44 (0)20 …" has one that is not part of the number, and an international
    // prefix may be two digits longer than 00.
    if after_prefix.map_or(digits.len(), str::len) > DIGITS_MAX + 2 {
        return Err(PhoneError::Invalid);
    }
    Ok(digits)
}

/// Whether a country code belongs to no country: Inmarsat, universal personal numbers, mobile
/// satellite, international networks, disaster relief, international premium rate.
fn is_global_network(country_code: i32) -> bool {
    matches!(country_code, 870 | 878 | 881 | 882 | 883 | 888 | 979)
}

fn allowed_line(kind: PhoneNumberType) -> Result<Line, PhoneError> {
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

    #[test]
    fn e164_with_digits_outside_the_number_is_rejected() {
        for e164 in [
            "+12025550143",
            "+33612345678",
            "+5215512345678",
            "+541169071234",
        ] {
            let number = PhoneNumber::parse_e164(e164).map(|number| number.e164);
            assert!(number.is_ok(), "{e164}: {number:?}");
        }
        for e164 in ["+330612345678", "+4402079460018", "+1202555014"] {
            let number = PhoneNumber::parse_e164(e164);
            assert_eq!(number, Err(PhoneError::Invalid), "{e164}");
        }
    }
    use proptest::prelude::*;

    fn number(spelling: &str, country: Option<&str>) -> Result<String, PhoneError> {
        PhoneNumber::parse(spelling, country).map(|n| n.reveal().to_owned())
    }

    #[test]
    fn common_spellings_are_one_number() {
        for spelling in [
            "+33612345678",
            "+33 6 12-34-56-78",
            "0033612345678",
            " +33 (6) 12.34.56.78 ",
            "+33 (0)6 12 34 56 78",
        ] {
            assert_eq!(
                number(spelling, None).as_deref(),
                Ok("+33612345678"),
                "{spelling}"
            );
        }
        assert_eq!(
            number("06 12 34 56 78", Some("FR")).as_deref(),
            Ok("+33612345678")
        );
        assert_eq!(
            number("+1 (234) 567-8901", None).as_deref(),
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
    fn pasted_numbers_are_read_as_typed() {
        for spelling in [
            "\u{202a}+33 6 12 34 56 78\u{202c}",
            "\u{2066}+33612345678\u{2069}",
            "\u{feff}+33\u{a0}6\u{a0}12\u{a0}34\u{a0}56\u{a0}78",
            "+33\u{200b}612\u{200d}345678\u{fe0f}",
            "+33\u{2011}6\u{2013}12\u{2212}34—56－78",
            "\t+33 6\t12 34 56 78\r\n",
            "+33\u{202f}6\u{2009}12\u{3000}34 56 78\u{2029}",
            "+33/612/345/678",
            "(+33) 612345678",
            " ( +33 ) 612345678",
            "(0033) 612345678",
            "＋３３６１２３４５６７８",
            "+٣٣٦١٢٣٤٥٦٧٨",
            "+۳۳۶۱۲۳۴۵۶۷۸",
            "+३३६१२३४५६७८",
            "+๓๓๖๑๒๓๔๕๖๗๘",
            "+𝟑𝟑𝟔𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖",
        ] {
            let read = number(spelling, None);
            assert_eq!(read.as_deref(), Ok("+33612345678"), "{spelling:?}");
        }
        let national = number("०६/१२ ३४ ५६ ७८", Some("FR"));
        assert_eq!(national.as_deref(), Ok("+33612345678"));
    }

    /// The canonical number and the number that is called.
    fn line(spelling: &str, country: Option<&str>) -> (String, String) {
        let number = PhoneNumber::parse(spelling, country);
        let number = number.unwrap_or_else(|error| panic!("{spelling}: {error}"));
        assert_eq!(number.line(), Line::Mobile, "{spelling}");
        let called = number.reveal_called().unwrap_or(number.reveal());
        (number.reveal().to_owned(), called.to_owned())
    }

    #[test]
    fn argentine_mobile_without_its_9_is_one_line() {
        for (spelling, country, canonical, called) in [
            ("+541169071234", None, "+5491169071234", "+541169071234"),
            ("+54 11 6907-1234", None, "+5491169071234", "+541169071234"),
            (
                "11 6907 1234",
                Some("AR"),
                "+5491169071234",
                "+541169071234",
            ),
            (
                "011 6907-1234",
                Some("AR"),
                "+5491169071234",
                "+541169071234",
            ),
            ("+543513116713", None, "+5493513116713", "+543513116713"),
            ("+542944123456", None, "+5492944123456", "+542944123456"),
            ("+5491169071234", None, "+5491169071234", "+5491169071234"),
            (
                "011 15 6907-1234",
                Some("AR"),
                "+5491169071234",
                "+5491169071234",
            ),
            (
                "+54 11 15 6907 1234",
                None,
                "+5491169071234",
                "+5491169071234",
            ),
        ] {
            let expected = (canonical.to_owned(), called.to_owned());
            assert_eq!(line(spelling, country), expected, "{spelling}");
        }
    }

    #[test]
    fn mexican_number_with_its_earlier_prefix_is_one_line() {
        for (spelling, country) in [
            ("+5215512345678", None),
            ("+52 1 55 1234 5678", None),
            ("005215512345678", None),
            ("+525512345678", None),
            ("55 1234 5678", Some("MX")),
            ("1 55 1234 5678", Some("MX")),
            ("044 55 1234 5678", Some("MX")),
            ("045 55 1234 5678", Some("MX")),
            ("01 55 1234 5678", Some("MX")),
        ] {
            let expected = ("+525512345678".to_owned(), "+525512345678".to_owned());
            assert_eq!(line(spelling, country), expected, "{spelling}");
        }
        for spelling in ["+52155123456789", "+521551234567", "+52115512345678"] {
            assert_eq!(
                number(spelling, None),
                Err(PhoneError::Invalid),
                "{spelling}"
            );
        }
    }

    #[test]
    fn gabonese_number_with_its_0_is_one_line() {
        for first in 2..=7 {
            let short = format!("+241{first}031234");
            for (spelling, country) in [
                (short.clone(), None),
                (format!("+2410{first}031234"), None),
                (format!("0{first} 03 12 34"), Some("GA")),
                (format!("{first}031234"), Some("GA")),
            ] {
                let expected = (short.clone(), short.clone());
                assert_eq!(line(&spelling, country), expected, "{spelling}");
            }
        }
        assert_eq!(
            line("+241066031234", None),
            ("+24166031234".into(), "+24166031234".into())
        );
        assert_eq!(number("+24101031234", None).as_deref(), Ok("+24101031234"));
    }

    #[test]
    fn beninese_number_without_its_01_is_one_line() {
        for (spelling, country) in [
            ("+22997123456", None),
            ("+2290197123456", None),
            ("97 12 34 56", Some("BJ")),
            ("01 97 12 34 56", Some("BJ")),
        ] {
            let expected = ("+2290197123456".to_owned(), "+2290197123456".to_owned());
            assert_eq!(line(spelling, country), expected, "{spelling}");
        }
    }

    #[test]
    fn international_prefixes_of_the_country_are_supported() {
        for (spelling, country) in [
            ("0011 33 612345678", "AU"),
            ("001 33 612345678", "TH"),
            ("00700 33 612345678", "KR"),
            ("0033 612345678", "AU"),
        ] {
            assert_eq!(
                number(spelling, Some(country)).as_deref(),
                Ok("+33612345678"),
                "{spelling} in {country}"
            );
        }
        assert_eq!(number("0011 33 612345678", None), Err(PhoneError::Invalid));
    }

    #[test]
    fn anything_but_one_number_is_rejected() {
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
            "+33612345678\n2",
            "+336123\n45678",
            "+336123\u{2028}45678",
            "++33612345678",
            "+ +33612345678",
            "-+33612345678",
            "6+33612345678",
            "+33612345678²",
            "☎+33612345678",
            "+33612345678 / +33612345679",
            "+33612345678/12",
            "+33+612345678",
            "33612345678",
            "+00123",
            "112",
        ] {
            assert_eq!(
                number(spelling, None),
                Err(PhoneError::Invalid),
                "{spelling:?}"
            );
        }
        assert_eq!(number("0612345678", Some("ZZ")), Err(PhoneError::Invalid));
        assert_eq!(
            number(&"1".repeat(100_000), Some("US")),
            Err(PhoneError::Invalid)
        );
    }

    #[test]
    fn number_over_fifteen_digits_is_rejected() {
        // A German number may have more digits than E.164 for libphonenumber.
        let read = |national: &str| PhoneNumber::parse(national, Some("DE"));
        assert_eq!(
            read("(201) 555-0345-678").map(|number| number.e164.len()),
            Ok("+".len() + DIGITS_MAX)
        );
        assert_eq!(read("(201) 555-0345-6789"), Err(PhoneError::Invalid));
    }

    #[test]
    fn premium_toll_free_and_satellite_numbers_are_rejected() {
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
                number(spelling, None),
                Err(PhoneError::NotAllowed),
                "{spelling}"
            );
        }
    }

    #[test]
    fn line_kinds_follow_the_numbering_plan() {
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
            "the US plan does not distinguish"
        );
    }

    #[test]
    fn countries_equal_those_of_the_library() {
        let mut regions: Vec<String> = rlibphonenumber::PHONE_NUMBER_UTIL
            .get_supported_regions()
            .map(|region| region.as_region_str().to_string())
            .collect();
        regions.sort_unstable();
        assert_eq!(COUNTRIES.split_whitespace().collect::<Vec<_>>(), regions);
    }

    #[test]
    fn debug_shows_only_the_last_two_digits() {
        assert_eq!(
            PhoneNumber::parse("+33612345678", None).map(|n| format!("{n:?}")),
            Ok("+…78".to_owned())
        );
    }

    proptest! {
        #[test]
        fn hostile_text_never_panics(
            text in ".{0,60}",
            country in proptest::option::of("[A-Z]{2}"),
        ) {
            let _ = PhoneNumber::parse(&text, country.as_deref());
        }

        #[test]
        fn parsed_numbers_are_canonical(
            text in "[+0-9 ()./-]{0,40}",
            country in proptest::option::of("[A-Z]{2}"),
        ) {
            if let Ok(number) = PhoneNumber::parse(&text, country.as_deref()) {
                let canonical = number.clone().with_called(None);
                prop_assert_eq!(PhoneNumber::parse(number.reveal(), None), Ok(canonical));
            }
        }
    }

    #[test]
    fn long_spelling_is_rejected_before_it_is_read() {
        let spelled = |chars: usize| format!("+33{}612345678", "-".repeat(chars - 12));
        assert!(normalize_spelling(&spelled(SPELLING_CHARS_MAX)).is_ok());
        assert!(normalize_spelling(&spelled(SPELLING_CHARS_MAX + 1)).is_err());
        for prefix in ["+", "00", ""] {
            let digits = |count: usize| format!("{prefix}{}", "1".repeat(count));
            assert!(
                normalize_spelling(&digits(DIGITS_MAX + 2)).is_ok(),
                "{prefix}"
            );
            assert!(
                normalize_spelling(&digits(DIGITS_MAX + 3)).is_err(),
                "{prefix}"
            );
        }
    }
}
