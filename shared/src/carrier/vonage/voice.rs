//! Calls of Vonage: Voice API v1, `POST {base_url}/v1/calls`,
//! <https://developer.vonage.com/en/api/voice>; events:
//! <https://developer.vonage.com/en/voice/voice-api/webhook-reference#event-webhook>.

use ::http::Request;
use serde_json::{Value, json};

use super::application::Application;
use crate::carrier::carrier_trait::OutgoingMessage;
use crate::carrier::vendor_format::request;
use crate::domain::delivery::DeliveryStatus;

/// How long the phone rings.
const RINGING_SECONDS: u8 = 45;
/// How often the text is read.
const LOOPS: u8 = 2;
/// Languages of our texts that the voices speak; the default region of a language comes first.
const LANGUAGES: [&str; 44] = [
    "ar", "ca-ES", "cmn-CN", "cmn-TW", "cs-CZ", "cy-GB", "da-DK", "de-DE", "el-GR", "en-US",
    "en-GB", "en-AU", "en-IN", "en-ZA", "es-ES", "es-MX", "es-US", "eu-ES", "fi-FI", "fil-PH",
    "fr-FR", "fr-CA", "he-IL", "hi-IN", "hu-HU", "id-ID", "is-IS", "it-IT", "ja-JP", "ko-KR",
    "nb-NO", "nl-NL", "pl-PL", "pt-PT", "pt-BR", "ro-RO", "ru-RU", "sk-SK", "sv-SE", "th-TH",
    "tr-TR", "uk-UA", "vi-VN", "yue-CN",
];

/// The request that calls the recipient from `from` and reads the text.
pub(super) fn request(
    base_url: &str,
    application: &Application,
    from: &str,
    message: &OutgoingMessage<'_>,
) -> Request<String> {
    let mut talk = json!({"action": "talk", "text": message.message.text, "loop": LOOPS});
    if let Some(language) = language(message.locale) {
        talk["language"] = language.into();
    }
    let body = json!({
        "to": [{"type": "phone", "number": request::digits(message.to)}],
        "from": {"type": "phone", "number": from.trim_start_matches('+')},
        "ncco": [talk],
        "event_url": [message.callback_url],
        "event_method": "POST",
        "ringing_timer": RINGING_SECONDS,
    });
    let authorization = application.authorization(message);
    request::post_json(&format!("{base_url}/v1/calls"), &[authorization], &body)
}

/// `None` for a language that no voice speaks: the default voice reads the digits, in English.
fn language(locale: &str) -> Option<&'static str> {
    match locale {
        "zh-Hant" => return Some("cmn-TW"),
        "zh" | "zh-Hans" => return Some("cmn-CN"),
        _ => {}
    }
    let language = locale.split('-').next();
    let find = |is_it: &dyn Fn(&str) -> bool| LANGUAGES.into_iter().find(|tag| is_it(tag));
    find(&|tag| tag == locale).or_else(|| find(&|tag| tag.split('-').next() == language))
}

/// Whether `event` is about a call.
pub(super) fn is_event(event: &Value) -> bool {
    event["message_uuid"].is_null() && event["uuid"].is_string()
}

/// The status in an event.
pub(super) fn status(word: &str) -> Option<DeliveryStatus> {
    match word {
        "started" => Some(DeliveryStatus::Queued),
        "ringing" | "answered" | "human" | "machine" => Some(DeliveryStatus::Sent),
        "completed" => Some(DeliveryStatus::Delivered),
        "busy" | "unanswered" | "timeout" | "failed" => Some(DeliveryStatus::Undelivered),
        "rejected" | "cancelled" => Some(DeliveryStatus::Rejected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_those_of_the_voices() {
        for (locale, tag) in [
            ("fr", Some("fr-FR")),
            ("fr-CA", Some("fr-CA")),
            ("pt-BR", Some("pt-BR")),
            ("pt", Some("pt-PT")),
            ("zh-Hant", Some("cmn-TW")),
            ("zh", Some("cmn-CN")),
            ("en", Some("en-US")),
            ("sw", None),
        ] {
            assert_eq!(language(locale), tag, "{locale}");
        }
    }
}
