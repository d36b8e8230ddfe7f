//! The languages in which Twilio speaks a call.

/// Languages of our texts that `<Say>` speaks; the default region of a language comes first
/// (`SayLanguage` in
/// <https://github.com/twilio/twilio-node/blob/main/src/twiml/VoiceResponse.ts>). With an unknown
/// language `<Say>` may be silent: <https://www.twilio.com/docs/voice/twiml/say>
const LANGUAGES: [&str; 59] = [
    "en-US", "en-GB", "en-AU", "en-CA", "en-IE", "en-IN", "en-NZ", "en-ZA", "am-ET", "ar-AE",
    "bg-BG", "bn-IN", "ca-ES", "cs-CZ", "da-DK", "de-DE", "de-AT", "el-GR", "es-ES", "es-MX",
    "es-US", "fi-FI", "fil-PH", "fr-FR", "fr-BE", "fr-CA", "gu-IN", "he-IL", "hi-IN", "hu-HU",
    "id-ID", "is-IS", "it-IT", "ja-JP", "kn-IN", "ko-KR", "lv-LV", "ml-IN", "mr-IN", "ms-MY",
    "nb-NO", "nl-NL", "nl-BE", "pa-IN", "pl-PL", "pt-PT", "pt-BR", "ro-RO", "ru-RU", "sk-SK",
    "sr-RS", "sv-SE", "ta-IN", "te-IN", "th-TH", "tr-TR", "uk-UA", "vi-VN", "zh-CN",
];
/// For `zh-Hant`.
const TRADITIONAL_CHINESE: &str = "zh-TW";

/// The language tag for `locale`, with the region of `country` if Twilio has it. `None` for a
/// language that Twilio does not speak: its default voice still reads the digits, in English.
pub(super) fn language(locale: &str, country: Option<&str>) -> Option<&'static str> {
    if locale == "zh-Hant" {
        return Some(TRADITIONAL_CHINESE);
    }
    let find = |tag: &str| LANGUAGES.into_iter().find(|known| *known == tag);
    let language = locale.split('-').next().unwrap_or_default();
    let in_country = || find(&format!("{language}-{}", country?));
    find(locale).or_else(in_country).or_else(|| {
        LANGUAGES
            .into_iter()
            .find(|known| known.split('-').next() == Some(language))
    })
}
