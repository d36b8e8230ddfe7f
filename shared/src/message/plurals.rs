//! Plurals: which form of a word goes with a number, by the rules of CLDR. The only file that names
//! the library with these rules.

use icu_locale_core::Locale as LanguageTag;
use icu_plurals::{PluralCategory, PluralRules};

/// The category of the whole number `number` in the language `tag`: `zero`, `one`, `two`, `few`,
/// `many` or `other`.
pub(super) fn plural_category(tag: &str, number: i64) -> &'static str {
    let tag: Option<LanguageTag> = tag.parse().ok();
    let rules = tag.and_then(|tag| PluralRules::try_new_cardinal(tag.into()).ok());
    let number = usize::try_from(number).unwrap_or(0);
    match rules.map(|rules| rules.category_for(number)) {
        Some(PluralCategory::Zero) => "zero",
        Some(PluralCategory::One) => "one",
        Some(PluralCategory::Two) => "two",
        Some(PluralCategory::Few) => "few",
        Some(PluralCategory::Many) => "many",
        Some(PluralCategory::Other) | None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_follow_the_language() {
        for (tag, number, category) in [
            ("en", 1, "one"),
            ("en", 2, "other"),
            ("ar", 1, "one"),
            ("ar", 2, "two"),
            ("ar", 5, "few"),
            ("ar", 15, "many"),
            ("ru", 21, "one"),
            ("ru", 22, "few"),
            ("ru", 12, "many"),
            ("lv", 10, "zero"),
            ("sl", 3, "few"),
            ("pt-BR", 1, "one"),
            ("zh-Hant", 1, "other"),
            ("", 1, "other"),
        ] {
            assert_eq!(plural_category(tag, number), category, "{tag} {number}");
        }
    }
}
