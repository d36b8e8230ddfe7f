//! The tables of libphonenumber. Those of one country calling code are built when a number of it is
//! parsed for the first time. They take about 0.4 MB, all tables 8 MB and four times the work.
//!
//! Invariant: a spelling is read as with all tables. The library reads a spelling with the tables
//! of one calling code alone, once it knows the code; if it finds one whose tables are missing, it
//! reports that the calling code is invalid, and then all tables decide.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use prost::Message as _;
use rlibphonenumber::{ParseError, PhoneMetadataCollection, PhoneNumber, PhoneNumberUtil, Region};

use super::phone_metadata::{BYTES, CODES};

/// Digits of the longest calling code.
const CODE_DIGITS_MAX: usize = 3;
/// Calling codes with tables of their own. For more of them all tables are built: each code has its
/// own copy of the library's regular expressions, so those of all codes would take 80 MB.
const CODES_MAX: usize = if cfg!(test) { CODES.len() } else { 8 };

/// On the heap: 216 of them in place would be 0.3 MB of the binary.
type Tables = OnceLock<Option<Box<PhoneNumberUtil>>>;

static OF_CODES: [Tables; CODES.len()] = [const { OnceLock::new() }; CODES.len()];
static STARTED_COUNT: AtomicUsize = AtomicUsize::new(0);
static ALL: Tables = OnceLock::new();

/// The number that `spelling` writes: digits, with `region`, or a `+` and digits. It need not be
/// valid.
pub(super) fn parse(spelling: &str, region: Option<Region>) -> Option<PhoneNumber> {
    let code = match spelling.strip_prefix('+') {
        Some(digits) => code_before(digits),
        None => Some(code_of(region?)?),
    };
    match code
        .and_then(tables)
        .map(|tables| tables.parse(spelling, region))
    {
        Some(Ok(number)) => Some(number),
        // A prefix for calls abroad comes first: `011` in the US.
        None | Some(Err(ParseError::InvalidCountryCode)) if region.is_some() => {
            all()?.parse(spelling, region).ok()
        }
        _ => None,
    }
}

/// The tables with which to judge and format `number`.
pub(super) fn tables_for(number: &PhoneNumber) -> Option<&'static PhoneNumberUtil> {
    let code = u16::try_from(number.country_code).ok()?;
    tables(position(code)?)
}

/// Builds the tables for numbers of `country`, ISO 3166 alpha-2.
pub(super) fn build(country: &str) {
    if let Some(code) = country.parse().ok().and_then(code_of) {
        tables(code);
    }
}

/// Where in [`CODES`] the calling code is with which `digits` begin. No code begins with another.
fn code_before(digits: &str) -> Option<usize> {
    (1..=CODE_DIGITS_MAX)
        .filter_map(|length| digits.get(..length)?.parse().ok())
        .find_map(position)
}

fn code_of(region: Region) -> Option<usize> {
    let region = &*region.as_region_str();
    CODES
        .iter()
        .position(|(_, _, regions)| regions.split(' ').any(|name| name == region))
}

fn position(code: u16) -> Option<usize> {
    CODES.binary_search_by_key(&code, |(code, ..)| *code).ok()
}

fn tables(code: usize) -> Option<&'static PhoneNumberUtil> {
    let own = &OF_CODES[code];
    if own.get().is_none() && STARTED_COUNT.fetch_add(1, Ordering::Relaxed) >= CODES_MAX {
        return all();
    }
    let built = own.get_or_init(|| {
        let end = CODES.get(code + 1).map_or(BYTES.len(), |next| next.1);
        built_from(&BYTES[CODES[code].1..end])
    });
    built.as_deref()
}

fn all() -> Option<&'static PhoneNumberUtil> {
    ALL.get_or_init(|| built_from(BYTES)).as_deref()
}

/// `None` never happens: a test builds all tables.
fn built_from(metadata: &[u8]) -> Option<Box<PhoneNumberUtil>> {
    let metadata = PhoneMetadataCollection::decode(metadata).ok()?;
    PhoneNumberUtil::new_for_metadata(metadata)
        .ok()
        .map(Box::new)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};

    use super::*;

    const TYPES: [PhoneNumberType; 11] = [
        PhoneNumberType::FixedLine,
        PhoneNumberType::Mobile,
        PhoneNumberType::TollFree,
        PhoneNumberType::PremiumRate,
        PhoneNumberType::SharedCost,
        PhoneNumberType::VoIP,
        PhoneNumberType::PersonalNumber,
        PhoneNumberType::Pager,
        PhoneNumberType::UAN,
        PhoneNumberType::VoiceMail,
        PhoneNumberType::Unknown,
    ];

    /// An example of each type that the region has.
    fn examples(region: Region) -> Vec<PhoneNumber> {
        let example = |kind| PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind);
        let mut seen = HashSet::new();
        let examples = TYPES.into_iter().filter_map(|kind| example(kind).ok());
        examples
            .filter(|number| seen.insert(format(&PHONE_NUMBER_UTIL, number)))
            .collect()
    }

    fn format(tables: &PhoneNumberUtil, number: &PhoneNumber) -> String {
        tables.format(number, PhoneNumberFormat::E164).into_owned()
    }

    /// What can be typed for `number` and close to it.
    fn spellings(number: &PhoneNumber, region: Region) -> Vec<(String, Option<Region>)> {
        let e164 = format(&PHONE_NUMBER_UTIL, number);
        let national = PHONE_NUMBER_UTIL.format(number, PhoneNumberFormat::National);
        let national: String = national.chars().filter(char::is_ascii_digit).collect();
        let digits = &e164[1..];
        let significant = &digits[number.country_code.to_string().len()..];
        let own = [
            e164.clone(),
            digits.to_owned(),
            national,
            format!("+{significant}"),
            significant.to_owned(),
            format!("00{digits}"),
        ];
        let mut all = vec![];
        for spelling in own {
            for typed in mistyped(&spelling) {
                if typed.starts_with('+') {
                    all.push((typed.clone(), None));
                }
                all.push((typed, Some(region)));
            }
        }
        for (prefix, from) in [("011", "US"), ("0011", "AU"), ("810", "RU"), ("00", "FR")] {
            all.push((format!("{prefix}{digits}"), from.parse().ok()));
            all.push((format!("+{prefix}{digits}"), from.parse().ok()));
        }
        all
    }

    /// `spelling`, and with a digit too many, too few or a wrong one.
    fn mistyped(spelling: &str) -> Vec<String> {
        let (plus, digits) = match spelling.strip_prefix('+') {
            Some(digits) => ("+", digits),
            None => ("", spelling),
        };
        let (head, last) = digits.split_at(digits.len() - 1);
        let other = if last == "9" { "0" } else { "9" };
        let (start, end) = digits.split_at(digits.len() / 2);
        let variants = [
            digits.to_owned(),
            head.to_owned(),
            format!("{head}{other}"),
            format!("{digits}7"),
            format!("0{digits}"),
            format!("1{digits}"),
            digits[1..].to_owned(),
            format!("{start}5{}", &end[1..]),
        ];
        variants.map(|digits| format!("{plus}{digits}")).into()
    }

    /// Compares all spellings of the numbers of `regions`; returns their count.
    fn compare(regions: &[Region]) -> usize {
        let (mut count, mut judged) = (0, HashSet::new());
        for region in regions {
            for number in examples(*region) {
                for (spelling, from) in spellings(&number, *region) {
                    let expected = PHONE_NUMBER_UTIL.parse(&spelling, from).ok();
                    let read = parse(&spelling, from);
                    assert_eq!(read, expected, "{spelling} {from:?}");
                    count += 1;
                    if let Some(number) = read.filter(|read| judged.insert(format!("{read:?}"))) {
                        let tables = tables_for(&number).expect("tables");
                        let judge = |tables| judgement(tables, &number);
                        assert_eq!(judge(tables), judge(&PHONE_NUMBER_UTIL), "{spelling}");
                    }
                }
            }
        }
        count
    }

    type Judgement = (String, bool, PhoneNumberType, Option<Region>);

    fn judgement(tables: &PhoneNumberUtil, number: &PhoneNumber) -> Judgement {
        (
            format(tables, number),
            tables.is_valid_number(number),
            tables.get_number_type(number),
            tables.get_region_for_number(number),
        )
    }

    #[test]
    fn every_spelling_is_read_as_with_all_tables() {
        let regions: Vec<Region> = PHONE_NUMBER_UTIL.get_supported_regions().collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let count: usize = std::thread::scope(|scope| {
            let parts = regions.chunks(regions.len().div_ceil(threads));
            let running: Vec<_> = parts.map(|part| scope.spawn(|| compare(part))).collect();
            let counts = running.into_iter().map(|part| part.join().expect("equal"));
            counts.sum()
        });
        assert!(count >= 60_000, "{count} spellings");
    }

    #[test]
    fn global_networks_are_read_as_with_all_tables() {
        for code in PHONE_NUMBER_UTIL.get_supported_global_network_calling_codes() {
            let example = PHONE_NUMBER_UTIL.get_example_number_for_non_geo_entity(code);
            let number = example.expect("an example");
            let read = parse(&format(&PHONE_NUMBER_UTIL, &number), None);
            assert_eq!(read.as_ref(), Some(&number));
            let tables = tables_for(&number).expect("tables");
            let expected = judgement(&PHONE_NUMBER_UTIL, &number);
            assert_eq!(judgement(tables, &number), expected);
        }
    }

    #[test]
    fn codes_have_the_regions_of_all_tables() {
        assert!(CODES.is_sorted_by_key(|(code, ..)| *code));
        for region in PHONE_NUMBER_UTIL.get_supported_regions() {
            let code = code_of(region).expect("a code");
            let expected = PHONE_NUMBER_UTIL.get_country_code_for_region(region);
            assert_eq!(Some(i32::from(CODES[code].0)), expected, "{region:?}");
        }
        assert!(all().is_some());
    }
}
