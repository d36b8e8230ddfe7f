//! Negotiate: which locale a message is in. Pure; may use the list of locales. Must always find one: a person who waits for a code
//! is helped by any text rather than none.

use super::locales::{self, Locale};

/// Longest language tag that is taken: what RFC 5646 section 4.4.1 works out for everything in use.
const TAG_CHARS_MAX: usize = 35;

/// Ranges that RFC 4647 lookup alone would not lead to the text that their speakers read, in lower case.
const ALIASES: [(&str, &str); 13] = [
    // Where Chinese is written in traditional characters.
    ("zh-tw", "zh-Hant"),
    ("zh-hk", "zh-Hant"),
    ("zh-mo", "zh-Hant"),
    ("yue", "zh-Hant"),
    ("cmn", "zh"),
    // Norwegian: one text for both written forms.
    ("no", "nb"),
    ("nn", "nb"),
    // Old codes that Java and Android still send.
    ("iw", "he"),
    ("in", "id"),
    ("tl", "fil"),
    ("mo", "ro"),
    // Punjabi in Pakistan is written in Arabic letters; our text is in Gurmukhi.
    ("pa-arab", "ur"),
    ("pa-pk", "ur"),
];

/// Main language of each country, by ISO 3166 codes, where there is a text in it (after CLDR's likely subtags).
/// Belgium, Switzerland and Luxembourg have the language of most of their numbers. Where many languages are spoken and English reaches
/// most people who have a phone (Canada, India, Pakistan, Nigeria, the Philippines, Singapore, South Africa, Kenya, …), it is English.
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
        "AC AG AI AS AU BB BM BS BW BZ CA CC CK CX DM FJ FK FM GB GD GG GH GI GM GU GY IE IM IN IO JE JM KE KI KN KY LC LK LR LS MH MP MS \
         MU MW NA NF NG NR NU NZ PG PH PK PN PW SB SG SH SL SS SX SZ TA TC TO TT TV UG UM US VC VG VI VU WS ZA ZM ZW",
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
        "BF BI BJ BL CD CF CG CI CM FR GA GF GN GP HT LU MC MF MG ML MQ NC NE PF PM RE SC SN TD TF TG WF YT",
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

/// Tags of RFC 5646 that were registered before its grammar and do not follow it.
const GRANDFATHERED: [&str; 17] = [
    "en-gb-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-be-fr",
    "sgn-be-nl",
    "sgn-ch-de",
];

/// The locale of a message: what the caller asked for, by lookup (RFC 4647 section 3.4); else the main language of the number's
/// country, if there is a text in it; else the app's; else English.
#[must_use]
pub fn negotiate(requested: Option<&str>, country: Option<&str>, app_locale: &str) -> Locale {
    requested
        .and_then(look_up)
        .or_else(|| country.and_then(main_language))
        .or_else(|| look_up(app_locale))
        .unwrap_or(Locale::ENGLISH)
}

/// Whether `tag` is well formed as BCP 47 (RFC 5646 section 2.1) and at most 35 characters long. It need not name a language that exists.
#[must_use]
pub fn is_language_tag(tag: &str) -> bool {
    if tag.len() > TAG_CHARS_MAX
        || !tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return false;
    }
    let tag = tag.to_ascii_lowercase();
    if GRANDFATHERED.contains(&tag.as_str()) {
        return true;
    }
    let subtags: Vec<&str> = tag.split('-').collect();
    subtags.iter().all(|subtag| (1..=8).contains(&subtag.len())) && follows_the_grammar(&subtags)
}

/// The locale that the longest prefix of `range` names.
fn look_up(range: &str) -> Option<Locale> {
    let mut range = range;
    loop {
        let alias = ALIASES
            .iter()
            .find(|(tag, _)| tag.eq_ignore_ascii_case(range))
            .map_or(range, |(_, tag)| *tag);
        if let Some(found) = locales::all().find(|locale| locale.tag().eq_ignore_ascii_case(alias))
        {
            return Some(found);
        }
        range = range.rsplit_once('-')?.0;
    }
}

fn main_language(country: &str) -> Option<Locale> {
    let is_here = |countries: &str| {
        countries
            .split(' ')
            .any(|code| code.eq_ignore_ascii_case(country))
    };
    let (tag, _) = COUNTRIES.iter().find(|(_, countries)| is_here(countries))?;
    locales::locale(tag)
}

/// `langtag` or `privateuse` of the grammar, over lower-case subtags of one to eight letters and digits.
fn follows_the_grammar(subtags: &[&str]) -> bool {
    let is_alpha = |subtag: &str| subtag.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_variant = |subtag: &str| {
        subtag.len() >= 5
            || (subtag.len() == 4 && subtag.starts_with(|first: char| first.is_ascii_digit()))
    };
    let is_region = |subtag: &str| {
        (subtag.len() == 2 && is_alpha(subtag))
            || (subtag.len() == 3 && subtag.bytes().all(|b| b.is_ascii_digit()))
    };
    let [language, rest @ ..] = subtags else {
        return false;
    };
    if *language == "x" {
        return !rest.is_empty();
    }
    if language.len() < 2 || !is_alpha(language) {
        return false;
    }
    let mut rest = rest;
    // Up to three extended languages, only behind a language of two or three letters; then script and region.
    for _ in 0..3 {
        rest = skip(rest, |subtag| {
            language.len() <= 3 && subtag.len() == 3 && is_alpha(subtag)
        });
    }
    rest = skip(rest, |subtag| subtag.len() == 4 && is_alpha(subtag));
    rest = skip(rest, is_region);
    while let [subtag, behind @ ..] = rest
        && is_variant(subtag)
    {
        rest = behind;
    }
    extensions_follow_the_grammar(rest)
}

/// `rest` without its first subtag if that is `wanted`.
fn skip<'a, 'b>(rest: &'a [&'b str], wanted: impl Fn(&str) -> bool) -> &'a [&'b str] {
    match rest {
        [first, behind @ ..] if wanted(first) => behind,
        _ => rest,
    }
}

/// Extensions, each a singleton that comes once and at least one longer subtag; at last perhaps `x` and anything.
fn extensions_follow_the_grammar(rest: &[&str]) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut rest = rest;
    while let [singleton, behind @ ..] = rest {
        if *singleton == "x" {
            return !behind.is_empty();
        }
        let length = behind.iter().take_while(|subtag| subtag.len() >= 2).count();
        if singleton.len() != 1 || seen.contains(singleton) || length == 0 {
            return false;
        }
        seen.push(singleton);
        rest = &behind[length..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(requested: &str) -> &'static str {
        negotiate(Some(requested), None, "en").tag()
    }

    #[test]
    fn a_requested_tag_is_cut_from_its_end_until_there_is_a_text() {
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
    fn without_a_text_for_it_the_country_decides_then_the_app_then_english() {
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
    fn every_alias_and_every_country_leads_to_a_text_and_no_country_to_two() {
        for (_, tag) in ALIASES {
            assert!(locales::locale(tag).is_some(), "{tag}");
        }
        let mut seen = Vec::new();
        for (tag, countries) in COUNTRIES {
            assert!(locales::locale(tag).is_some(), "{tag}");
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
    fn language_tags_follow_the_grammar() {
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
