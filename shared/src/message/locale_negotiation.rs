//! Locale negotiation: selects the locale of a message, and validates language tags. The only file
//! that names the parser of language tags.
//!
//! Invariant: negotiation always finds a locale.

use oxilangtag::LanguageTag;

use super::locales::Locale;
use crate::domain::pasted_text;

/// Longest language tag that is accepted: the practical limit of RFC 5646 section 4.4.1.
const TAG_CHARS_MAX: usize = 35;

/// Language ranges, in lower case, for which RFC 4647 lookup alone does not find the text that
/// their speakers read.
const ALIASES: [(&str, &str); 13] = [
    // Regions that write Chinese in traditional characters.
    ("zh-tw", "zh-Hant"),
    ("zh-hk", "zh-Hant"),
    ("zh-mo", "zh-Hant"),
    ("yue", "zh-Hant"),
    ("cmn", "zh"),
    // Norwegian: one text for both written forms, Bokmål and Nynorsk.
    ("no", "nb"),
    ("nn", "nb"),
    // Withdrawn codes that Java and Android still send.
    ("iw", "he"),
    ("in", "id"),
    ("tl", "fil"),
    ("mo", "ro"),
    // Punjabi in Pakistan is written in Arabic letters; our text is in Gurmukhi.
    ("pa-arab", "ur"),
    ("pa-pk", "ur"),
];

/// Locales and the countries (ISO 3166) whose main language they are, after CLDR's likely subtags.
/// Belgium, Switzerland and Luxembourg have the language of most of their numbers. Countries with
/// many languages in which English reaches most people who have a phone (Canada, India, Pakistan,
/// Nigeria, the Philippines, Singapore, South Africa, Kenya, …) have English.
const COUNTRIES: [(&str, &str); 53] = [
    ("am", "ET"),
    (
        "ar",
        "AE BH DJ DZ EG EH IQ JO KM KW LB LY MA MR OM PS QA SA SD SY TN YE",
    ),
    ("az", "AZ"),
    ("bg", "BG"),
    ("bn", "BD"),
    ("bs", "BA"),
    ("ca", "AD"),
    ("cs", "CZ"),
    ("da", "DK FO GL"),
    ("de", "AT CH DE LI"),
    ("el", "CY GR"),
    (
        "en",
        "AC AG AI AS AU BB BM BS BW BZ CA CC CK CX DM FJ FK FM GB GD GG GH GI GM GU GY IE IM IN \
         IO JE JM KE KI KN KY LC LK LR LS MH MP MS MU MW NA NF NG NR NU NZ PG PH PK PN PW SB SG \
         SH SL SS SX SZ TA TC TO TT TV UG UM US VC VG VI VU WS ZA ZM ZW",
    ),
    (
        "es",
        "AR BO CL CO CR CU DO EA EC ES GQ GT HN IC MX NI PA PE PR PY SV UY VE",
    ),
    ("et", "EE"),
    ("fa", "AF IR"),
    ("fi", "FI"),
    (
        "fr",
        "BF BI BJ BL CD CF CG CI CM FR GA GF GN GP HT LU MC MF MG ML MQ NC NE PF PM RE SC SN TD \
         TF TG WF YT",
    ),
    ("he", "IL"),
    ("hr", "HR"),
    ("hu", "HU"),
    ("hy", "AM"),
    ("id", "ID"),
    ("is", "IS"),
    ("it", "IT SM VA"),
    ("ja", "JP"),
    ("ka", "GE"),
    ("kk", "KZ"),
    ("km", "KH"),
    ("ko", "KP KR"),
    ("lt", "LT"),
    ("lv", "LV"),
    ("mk", "MK"),
    ("ms", "BN MY"),
    ("mt", "MT"),
    ("nb", "BV NO SJ"),
    ("nl", "AW BE BQ CW NL SR"),
    ("pl", "PL"),
    ("pt", "AO CV GW MZ PT ST TL"),
    ("pt-BR", "BR"),
    ("ro", "MD RO"),
    ("ru", "BY KG RU TJ"),
    ("sk", "SK"),
    ("sl", "SI"),
    ("sq", "AL XK"),
    ("sr", "ME RS"),
    ("sv", "AX SE"),
    ("sw", "TZ"),
    ("th", "TH"),
    ("tr", "TR"),
    ("uk", "UA"),
    ("vi", "VN"),
    ("zh", "CN"),
    ("zh-Hant", "HK MO TW"),
];

/// The locale of a message: the `requested` one by lookup (RFC 4647 section 3.4), else the main
/// language of the number's `country`, else `app_locale`, else English.
#[must_use]
pub fn negotiate(requested: Option<&str>, country: Option<&str>, app_locale: &str) -> Locale {
    requested
        .and_then(look_up)
        .or_else(|| country.and_then(main_language))
        .or_else(|| look_up(app_locale))
        .unwrap_or(Locale::ENGLISH)
}

/// The language tag in `text`, which may have `_` in place of `-`. `None` unless it is well-formed
/// in BCP 47 (RFC 5646 section 2.1) and at most 35 characters long. The language need not exist.
#[must_use]
pub fn parse_language_tag(text: &str) -> Option<String> {
    let tag = pasted_text::plain(text).replace('_', "-");
    is_language_tag(&tag).then_some(tag)
}

fn is_language_tag(tag: &str) -> bool {
    tag.len() <= TAG_CHARS_MAX
        && LanguageTag::parse(tag).is_ok_and(|tag| !has_repeated_singleton(&tag))
}

/// Whether an extension occurs twice (`en-a-bb-a-cc`). RFC 5646 forbids it, and `oxilangtag` does
/// not check it.
fn has_repeated_singleton(tag: &LanguageTag<&str>) -> bool {
    let mut seen = vec![];
    tag.extension_subtags().any(|(singleton, _)| {
        let singleton = singleton.to_ascii_lowercase();
        let is_repeated = seen.contains(&singleton);
        seen.push(singleton);
        is_repeated
    })
}

/// The locale of the longest prefix of `range` for which there is one.
fn look_up(range: &str) -> Option<Locale> {
    let mut range = range;
    loop {
        let alias = ALIASES
            .iter()
            .find(|(tag, _)| tag.eq_ignore_ascii_case(range))
            .map_or(range, |(_, tag)| *tag);
        if let Some(found) = Locale::all().find(|locale| locale.tag().eq_ignore_ascii_case(alias)) {
            return Some(found);
        }
        range = range.rsplit_once('-')?.0;
    }
}

/// The locale of the main language of `country`.
fn main_language(country: &str) -> Option<Locale> {
    let has_country = |countries: &str| {
        countries
            .split(' ')
            .any(|code| code.eq_ignore_ascii_case(country))
    };
    let (tag, _) = COUNTRIES
        .iter()
        .find(|(_, countries)| has_country(countries))?;
    Locale::from_tag(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(requested: &str) -> &'static str {
        negotiate(Some(requested), None, "en").tag()
    }

    #[test]
    fn requested_tags_are_shortened_until_a_text_exists() {
        for (requested, found) in [
            ("fr", "fr"),
            ("FR-ca", "fr"),
            ("de-CH-1996", "de"),
            ("pt", "pt"),
            ("pt-PT", "pt"),
            ("pt-br", "pt-BR"),
            ("zh-Hant-TW", "zh-Hant"),
            ("zh-hant-x-private", "zh-Hant"),
            ("zh-TW", "zh-Hant"),
            ("zh-HK", "zh-Hant"),
            ("zh-Hans-SG", "zh"),
            ("zh-CN", "zh"),
            ("no", "nb"),
            ("nn-NO", "nb"),
            ("iw-IL", "he"),
            ("in", "id"),
            ("tl-PH", "fil"),
            ("pa-Arab-PK", "ur"),
            ("pa", "pa"),
            ("en-GB-oed", "en"),
        ] {
            assert_eq!(tag(requested), found, "{requested}");
        }
    }

    #[test]
    fn country_then_app_then_english_are_the_fallbacks() {
        let chosen = |requested, country, app| negotiate(requested, country, app).tag();
        assert_eq!(chosen(Some("tlh"), Some("FR"), "de"), "fr");
        assert_eq!(chosen(None, Some("br"), "de"), "pt-BR");
        assert_eq!(chosen(Some("de"), Some("FR"), "it"), "de");
        assert_eq!(chosen(None, Some("MN"), "de-AT"), "de", "no Mongolian text");
        assert_eq!(chosen(None, Some("ZZ"), "tlh"), "en");
        assert_eq!(chosen(None, None, ""), "en");
        for (country, language) in [
            ("BE", "nl"),
            ("CH", "de"),
            ("LU", "fr"),
            ("CA", "en"),
            ("IN", "en"),
            ("TW", "zh-Hant"),
            ("CN", "zh"),
            ("NO", "nb"),
        ] {
            assert_eq!(chosen(None, Some(country), "tr"), language, "{country}");
        }
    }

    #[test]
    fn every_alias_and_country_has_exactly_one_text() {
        for (_, tag) in ALIASES {
            assert!(Locale::from_tag(tag).is_some(), "{tag}");
        }
        let mut seen = Vec::new();
        for (tag, countries) in COUNTRIES {
            assert!(Locale::from_tag(tag).is_some(), "{tag}");
            for country in countries.split(' ') {
                assert!(
                    country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()),
                    "{country:?}"
                );
                assert!(!seen.contains(&country), "{country} twice");
                seen.push(country);
            }
        }
        assert!(seen.len() > 220, "{}", seen.len());
    }

    #[test]
    fn language_tags_must_be_well_formed() {
        for tag in [
            "en",
            "fr-CA",
            "zh-Hant-TW",
            "es-419",
            "sl-rozaj-biske",
            "de-CH-1901",
            "zh-cmn-Hans-CN",
            "en-US-u-hc-h12",
            "x-house",
            "de-x-1",
            "i-klingon",
            "en-GB-oed",
            "abcd",
            "abcdefgh",
            "EN-latn-us",
            "en-a-bbb-b-ccc-x-y",
            "de-DE-u-co-phonebk",
        ] {
            assert!(is_language_tag(tag), "{tag}");
        }
        for tag in [
            "",
            "e",
            "-",
            "en-",
            "-en",
            "en--US",
            "en_US",
            "fr_FR",
            "123",
            "e1",
            "abcdefghi",
            "en-a",
            "en-u",
            "en-a-bb-a-cc",
            "x",
            "x-",
            "en-x",
            "i-nothing",
            "en US",
            "français",
            "en\n",
            "*",
            "abcd-cmn",
            "en-1",
            "en-US-FR",
            "en-US-Latn",
            "a-b",
            "aa-bbb-ccc-ddd-eee-ffff-gg-hhhhhh",
        ] {
            assert!(!is_language_tag(tag), "{tag}");
        }
        assert!(
            !is_language_tag("en-x-345678-012345678"),
            "nine characters in a subtag"
        );
        let longest = "en-x-12345678-12345678-12345678-123";
        assert!(
            longest.len() == 35
                && is_language_tag(longest)
                && !is_language_tag(&format!("{longest}4"))
        );
    }
}
