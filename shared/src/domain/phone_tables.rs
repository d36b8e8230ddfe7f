//! The tables of libphonenumber. Those of one country calling code are built when a number of it is
//! parsed for the first time, or for several codes at once at the start. Most of their cost is the
//! library's own regular expressions, of which each build has a copy: 2 million instructions and
//! 0.3 MB. All tables take 8 MB and four times the work.
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
/// Builds for some calling codes. All tables are built in the place of a further one: builds for
/// each code would take 80 MB.
const BUILDS_MAX: usize = if cfg!(test) { CODES.len() } else { 8 };

/// Leaked, as they are needed until the process ends. `None` never happens: a test builds all
/// tables.
type Tables = OnceLock<Option<&'static PhoneNumberUtil>>;

static BUILT: BuiltTables = BuiltTables::new();

/// The tables that were built so far.
struct BuiltTables {
    of_codes: [Tables; CODES.len()],
    /// How many builds for some codes were started, and look-ups that found the limit reached.
    builds: AtomicUsize,
    all: Tables,
}

/// The number that `spelling` writes: digits, with `region`, or a `+` and digits. It need not be
/// valid.
pub(super) fn parse(spelling: &str, region: Option<Region>) -> Option<PhoneNumber> {
    BUILT.parse(spelling, region)
}

/// The tables with which to judge and format `number`.
pub(super) fn tables_for(number: &PhoneNumber) -> Option<&'static PhoneNumberUtil> {
    BUILT.tables_for(number)
}

/// Builds the tables for numbers of `countries`, ISO 3166 alpha-2, at once.
pub(super) fn build<'a>(countries: impl Iterator<Item = &'a str>) {
    BUILT.build(countries);
}

impl BuiltTables {
    const fn new() -> Self {
        Self {
            of_codes: [const { OnceLock::new() }; CODES.len()],
            builds: AtomicUsize::new(0),
            all: OnceLock::new(),
        }
    }

    fn parse(&self, spelling: &str, region: Option<Region>) -> Option<PhoneNumber> {
        let code = match spelling.strip_prefix('+') {
            Some(digits) => code_before(digits),
            None => Some(code_of(region?)?),
        };
        match code
            .and_then(|code| self.tables(code))
            .map(|tables| tables.parse(spelling, region))
        {
            Some(Ok(number)) => Some(number),
            // A prefix for calls abroad comes first: `011` in the US.
            None | Some(Err(ParseError::InvalidCountryCode)) if region.is_some() => {
                self.all()?.parse(spelling, region).ok()
            }
            _ => None,
        }
    }

    fn tables_for(&self, number: &PhoneNumber) -> Option<&'static PhoneNumberUtil> {
        let code = u16::try_from(number.country_code).ok()?;
        self.tables(position(code)?)
    }

    fn build<'a>(&self, countries: impl Iterator<Item = &'a str>) {
        let mut codes: Vec<usize> = countries
            .filter_map(|country| code_of(country.parse().ok()?))
            .filter(|code| self.of_codes[*code].get().is_none())
            .collect();
        codes.sort_unstable();
        codes.dedup();
        if codes.is_empty() {
            return;
        }
        self.builds.fetch_add(1, Ordering::Relaxed);
        let metadata: Vec<_> = codes.iter().map(|code| metadata_of(*code)).collect();
        let built = built_from(&metadata.concat());
        for code in codes {
            let _ = self.of_codes[code].set(built);
        }
    }

    fn tables(&self, code: usize) -> Option<&'static PhoneNumberUtil> {
        let own = &self.of_codes[code];
        if own.get().is_none() && self.builds.fetch_add(1, Ordering::Relaxed) >= BUILDS_MAX {
            return self.all();
        }
        *own.get_or_init(|| built_from(metadata_of(code)))
    }

    fn all(&self) -> Option<&'static PhoneNumberUtil> {
        *self.all.get_or_init(|| built_from(BYTES))
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

fn metadata_of(code: usize) -> &'static [u8] {
    let end = CODES.get(code + 1).map_or(BYTES.len(), |next| next.1);
    &BYTES[CODES[code].1..end]
}

fn built_from(metadata: &[u8]) -> Option<&'static PhoneNumberUtil> {
    let metadata = PhoneMetadataCollection::decode(metadata).ok()?;
    let tables = PhoneNumberUtil::new_for_metadata(metadata).ok()?;
    Some(Box::leak(Box::new(tables)))
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

    /// Compares all spellings of the numbers of `regions` with all tables; returns their count.
    fn compare(built: &BuiltTables, regions: &[Region]) -> usize {
        let (mut count, mut judged) = (0, HashSet::new());
        for region in regions {
            for number in examples(*region) {
                for (spelling, from) in spellings(&number, *region) {
                    let expected = PHONE_NUMBER_UTIL.parse(&spelling, from).ok();
                    let read = built.parse(&spelling, from);
                    assert_eq!(read, expected, "{spelling} {from:?}");
                    count += 1;
                    if let Some(number) = read.filter(|read| judged.insert(format!("{read:?}"))) {
                        let tables = built.tables_for(&number).expect("tables");
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
            let running: Vec<_> = parts
                .map(|part| scope.spawn(|| compare(&BUILT, part)))
                .collect();
            let counts = running.into_iter().map(|part| part.join().expect("equal"));
            counts.sum()
        });
        assert!(count >= 60_000, "{count} spellings");
    }

    #[test]
    fn tables_of_several_codes_read_as_all_tables() {
        let built = BuiltTables::new();
        built.build(["US", "FR", "GB", "IT", "FR"].into_iter());
        let of = |region| *built.of_codes[code_of(region).expect("a code")].get()?;
        let of_us = of(Region::US).expect("tables");
        let regions = [Region::US, Region::CA, Region::FR, Region::GG, Region::VA];
        for region in regions {
            let tables = of(region).expect("tables");
            assert!(std::ptr::eq(tables, of_us), "{region:?}");
        }
        assert!(of(Region::DE).is_none());
        built.build(["FR", "DE"].into_iter());
        assert!(of(Region::DE).is_some_and(|tables| !std::ptr::eq(tables, of_us)));
        assert!(compare(&built, &regions) > 1_000);
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
        assert!(BUILT.all().is_some());
    }
}
