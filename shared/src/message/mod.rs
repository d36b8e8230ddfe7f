//! Message: the text for a channel, a locale and a purpose; its GSM-7 or UCS-2 parts; the last line that fills codes in by itself.
//! Pure; may use `delivery` for the channel and the files in `locales`. Must never print a code outside a text, and never let a variable
//! add a line, a link, a direction mark or another code to one.

mod compose;
mod gsm7;
mod locales;
mod locale_negotiation;
mod sanitize;
mod transliterate;

use std::{borrow::Cow, fmt};

pub use compose::compose;
pub use gsm7::{Encoding, segments};
pub use locale_negotiation::{is_language_tag, negotiate};
pub use locales::{Locale, locale};

use crate::domain::channel::Channel;
use crate::domain::policy::Gsm7Mode;
use locales::fill;

/// Whether anything of `text` is left to be seen where a message says it.
#[must_use]
pub fn shows(text: &str) -> bool {
    !sanitize::plain(text, text.len()).is_empty()
}

/// Longest brand that a text shows, in characters.
const BRAND_CHARS_MAX: usize = 32;
/// Longest amount, currency and payee, in characters: as long as the API takes them, since a payment is shown whole or not at all.
const TRANSACTION_CHARS_MAX: usize = 64;
/// Android's SMS Retriever reads no longer message: <https://developers.google.com/identity/sms-retriever/verify>
const ANDROID_BYTES_MAX: usize = 140;
/// What is left of a text when nothing else fits beside Android's hash.
const BARE: &str = "{code} {brand}";
/// The same for a payment, whose amount and payee the law wants shown.
const BARE_TRANSACTION: &str = "{code} {brand}: {amount} {currency} > {payee}";

/// What a text says.
#[derive(Clone, Copy)]
pub struct Wording<'a> {
    /// Who sends it.
    pub brand: &'a str,
    /// The code, canonical: no separators.
    pub code: &'a str,
    /// How long the code is valid.
    pub minutes: i64,
    /// Amount, currency and payee of the payment that the code is for.
    pub transaction: Option<[&'a str; 3]>,
    /// Host that browsers fill the code in for (`OTP_WEB_DOMAIN`).
    pub web_domain: Option<&'a str>,
    /// Hash of the Android app that reads the message (`OTP_ANDROID_HASH`).
    pub android_hash: Option<&'a str>,
    /// Which alphabet to aim at.
    pub gsm7: Gsm7Mode,
}

/// What is handed to a carrier.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The text; of an e-mail its plain form. Holds the code.
    pub text: String,
    /// Of an e-mail only.
    pub subject: Option<String>,
    /// Of an e-mail only: the same text as a document.
    pub html: Option<String>,
    /// The alphabet that the text needs.
    pub encoding: Encoding,
    /// Text messages that it is billed as; 1 for other channels.
    pub parts: u8,
}

impl Message {
    fn of(text: String) -> Self {
        let (encoding, ..) = segments(&text);
        Self {
            text,
            subject: None,
            html: None,
            encoding,
            parts: 1,
        }
    }
}

// The text holds the code, so it is not printed.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("encoding", &self.encoding)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// The message that says `wording` over `channel` in the language of `locale`.
#[must_use]
pub fn render(channel: Channel, locale: Locale, wording: &Wording) -> Message {
    let values = Values::of(wording);
    let is_payment = wording.transaction.is_some();
    match channel {
        Channel::Sms => sms(locale, wording, values),
        // It costs no more for a letter outside GSM-7, and nothing on the phone reads a last line of it.
        Channel::Whatsapp => Message::of(values.fill_shown(
            locale,
            locale.text(if is_payment { "sms_transaction" } else { "sms" }),
        )),
        Channel::Voice => Message::of(values.fill(locale.text(if is_payment {
            "voice_transaction"
        } else {
            "voice"
        }))),
        Channel::Email => email(
            locale,
            &values,
            locale.text(if is_payment {
                "email_transaction"
            } else {
                "email"
            }),
        ),
    }
}

/// The text message. With a hash for Android it has to stay short, so it is the first of these that fits: the whole text if it takes
/// one part, the one that does not say not to share, the code and the brand. Where none fits, Android cannot read it: no hash then.
fn sms(locale: Locale, wording: &Wording, values: Values) -> Message {
    let draft = Draft::new(locale, wording.gsm7, values);
    let (whole, shorter): (_, &[_]) = match wording.transaction {
        None => (
            draft.template("sms"),
            &[draft.template("sms_short"), BARE.into()],
        ),
        Some(_) => (
            draft.template("sms_transaction"),
            &[BARE_TRANSACTION.into()],
        ),
    };
    let line = last_line(wording, wording.android_hash);
    if wording.android_hash.is_some() {
        let message = draft.message(&whole, line.as_deref());
        if message.text.len() <= ANDROID_BYTES_MAX && message.parts == 1 {
            return message;
        }
        let fitting = shorter
            .iter()
            .map(|template| draft.message(template, line.as_deref()))
            .find(|m| m.text.len() <= ANDROID_BYTES_MAX);
        if let Some(message) = fitting {
            return message;
        }
    }
    draft.message(&whole, last_line(wording, None).as_deref())
}

/// What makes phones fill the code in: `@host #code` for browsers (<https://wicg.github.io/sms-one-time-codes/>), which ignore what
/// follows, and Android's hash, which is last. It has to be the last line, so nothing ends it.
fn last_line(wording: &Wording, android_hash: Option<&str>) -> Option<String> {
    let code = wording.code;
    match (wording.web_domain, android_hash) {
        (Some(host), Some(hash)) => Some(format!("@{host} #{code} {hash}")),
        (Some(host), None) => Some(format!("@{host} #{code}")),
        (None, Some(hash)) => Some(hash.to_owned()),
        (None, None) => None,
    }
}

/// A text message in the making.
struct Draft {
    locale: Locale,
    gsm7: Gsm7Mode,
    values: Values,
}

impl Draft {
    fn new(locale: Locale, gsm7: Gsm7Mode, values: Values) -> Self {
        // Only `Strict` touches the values, and only where the words around them end up in GSM-7 as well.
        let is_readable =
            || locale.find("sms_gsm7").is_some() || gsm7::is_transliterable(locale.text("sms"));
        let values = if gsm7 == Gsm7Mode::Strict && is_readable() {
            values.transliterated()
        } else {
            values
        };
        Self {
            locale,
            gsm7,
            values,
        }
    }

    /// The wording to use of `key`: native, or the one for GSM-7.
    fn template(&self, key: &str) -> Cow<'static, str> {
        let native = self.locale.text(key);
        let thrifty = self.locale.find(&format!("{key}_gsm7"));
        match (self.gsm7, thrifty) {
            (Gsm7Mode::Off, _) | (Gsm7Mode::Prefer, None) => native.into(),
            (Gsm7Mode::Prefer, Some(thrifty)) => {
                // A brand outside GSM-7 can make the sacrifice useless: then people get their own letters.
                let (encoding, _, parts) = segments(&self.values.fill(thrifty));
                let is_worth_it =
                    encoding == Encoding::Gsm7 || parts < segments(&self.values.fill(native)).2;
                if is_worth_it {
                    thrifty.into()
                } else {
                    native.into()
                }
            }
            (Gsm7Mode::Strict, thrifty) => {
                let wording = thrifty.unwrap_or(native);
                if gsm7::is_transliterable(wording) {
                    gsm7::transliterate(wording).into()
                } else {
                    wording.into()
                }
            }
        }
    }

    /// The message that `template` makes with `line` below it.
    fn message(&self, template: &str, line: Option<&str>) -> Message {
        let compose = |body: String| match line {
            Some(line) => body + "\n" + line,
            None => body,
        };
        let mut text = compose(self.values.fill(template));
        let (encoding, _, parts) = segments(&text);
        if encoding == Encoding::Ucs2 {
            // Isolation is worth two characters of what is left in a part, but no part, and not Android's limit.
            let shown = compose(self.values.fill_shown(self.locale, template));
            if segments(&shown).2 == parts && (line.is_none() || shown.len() <= ANDROID_BYTES_MAX) {
                text = shown;
            }
        }
        Message {
            text,
            subject: None,
            html: None,
            encoding,
            parts,
        }
    }
}

/// `value` between a left-to-right isolate and its end, if right-to-left words around it would change the order of what it shows:
/// between Arabic words "1 234,50" is shown as "234,50 1".
fn isolated(value: &str) -> Cow<'_, str> {
    let is_number = value.starts_with(|c: char| c.is_ascii_digit())
        && value.ends_with(|c: char| c.is_ascii_digit())
        && value
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | ','));
    let is_name = value.starts_with(char::is_alphabetic) && value.ends_with(char::is_alphanumeric);
    // A value with letters that are themselves right-to-left is left to the phone.
    let is_left_to_right = value.chars().all(
        |c| !matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'),
    );
    if is_number || is_name || !is_left_to_right {
        value.into()
    } else {
        format!("\u{2066}{value}\u{2069}").into()
    }
}

/// The e-mail: paragraphs in `template` are set apart by ` | `.
fn email(locale: Locale, values: &Values, template: &str) -> Message {
    let paragraphs = || template.split(" | ");
    let text = paragraphs()
        .map(|paragraph| values.fill_shown(locale, paragraph))
        .collect::<Vec<_>>()
        .join("\n\n");
    let subject = values.fill(locale.text("subject"));
    // Everything inline and nothing from elsewhere: mail programs block the rest, and people learn not to trust links beside a code.
    let (lang, dir, title) = (locale.tag(), locale.text("dir"), escaped(&subject));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\" dir=\"{dir}\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"font-family: sans-serif; font-size: 16px; line-height: 1.5\">\n"
    );
    for paragraph in paragraphs() {
        let filled = fill(&escaped(paragraph), |name| {
            values.get(name).map(|value| marked_up(name, value))
        });
        html.push_str(&format!("<p>{filled}</p>\n"));
    }
    html.push_str("</body>\n</html>\n");
    Message {
        subject: Some(subject),
        html: Some(html),
        ..Message::of(text)
    }
}

/// A variable in HTML: escaped, and apart from the direction of the text around it.
fn marked_up<'a>(name: &str, value: &str) -> Cow<'a, str> {
    let value = escaped(value);
    if name == "code" {
        format!(
            "<strong dir=\"ltr\" style=\"font-size: 24px; letter-spacing: 3px\">{value}</strong>"
        )
        .into()
    } else {
        format!("<bdi>{value}</bdi>").into()
    }
}

/// `text` for HTML, between tags and in attributes. Placeholders pass unharmed.
fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut html, character| {
            match character {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                _ => html.push(character),
            }
            html
        })
}

/// The variables of a text, fit to be seen.
struct Values {
    brand: String,
    code: String,
    digits: String,
    minutes: String,
    amount: String,
    currency: String,
    payee: String,
}

impl Values {
    fn of(wording: &Wording) -> Self {
        let [amount, currency, payee] = wording.transaction.unwrap_or_default();
        Self {
            brand: sanitize::plain_name(wording.brand, BRAND_CHARS_MAX),
            code: wording.code.to_owned(),
            // A comma is a pause in every voice; without it "4217" is four thousand two hundred and seventeen.
            digits: wording
                .code
                .chars()
                .map(String::from)
                .collect::<Vec<_>>()
                .join(", "),
            minutes: wording.minutes.to_string(),
            amount: sanitize::plain(amount, TRANSACTION_CHARS_MAX),
            currency: sanitize::plain_name(currency, TRANSACTION_CHARS_MAX),
            payee: sanitize::plain_name(payee, TRANSACTION_CHARS_MAX),
        }
    }

    /// The same in GSM-7. A value of which nothing would be left stays: a payment to nobody is worse than a dearer text.
    fn transliterated(self) -> Self {
        let transliterated = |value: String| {
            let written = gsm7::transliterate(&value).trim().to_owned();
            if written.contains(char::is_alphanumeric) {
                written
            } else {
                value
            }
        };
        Self {
            brand: transliterated(self.brand),
            amount: transliterated(self.amount),
            currency: transliterated(self.currency),
            payee: transliterated(self.payee),
            ..self
        }
    }

    fn fill(&self, template: &str) -> String {
        fill(template, |name| self.get(name).map(Cow::from))
    }

    /// `template` filled in for the eye: in a right-to-left text the values keep their own order.
    fn fill_shown(&self, locale: Locale, template: &str) -> String {
        if locale.is_right_to_left() {
            fill(template, |name| self.get(name).map(isolated))
        } else {
            self.fill(template)
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        Some(match name {
            "brand" => &self.brand,
            "code" => &self.code,
            "digits" => &self.digits,
            "minutes" => &self.minutes,
            "amount" => &self.amount,
            "currency" => &self.currency,
            "payee" => &self.payee,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "FA+9qCX9VSu";
    const HOST: &str = "otp.example.com";

    fn wording() -> Wording<'static> {
        let (web_domain, android_hash) = (None, None);
        Wording {
            brand: "Example Inc",
            code: "48205917",
            minutes: 30,
            transaction: None,
            web_domain,
            android_hash,
            gsm7: Gsm7Mode::Prefer,
        }
    }

    fn english(channel: Channel, wording: &Wording) -> Message {
        render(channel, Locale::ENGLISH, wording)
    }

    /// What a browser reads from a message: host and code, after "parse an origin-bound one-time code message" of
    /// https://wicg.github.io/sms-one-time-codes/ and nothing of ours.
    fn origin_bound(message: &str) -> Option<(String, String)> {
        let normalised = message.replace("\r\n", "\n").replace('\r', "\n");
        let mut line = normalised.split('\n').next_back()?.chars().peekable();
        let mut take = |mark: char| {
            line.next_if_eq(&mark)?;
            let mut run = String::new();
            while let Some(character) =
                line.next_if(|character| !matches!(character, '\t' | '\n' | '\u{c}' | '\r' | ' '))
            {
                run.push(character);
            }
            let is_followed_by_space = line.next_if_eq(&' ').is_some();
            (!run.is_empty()).then_some((run, is_followed_by_space))
        };
        let (host, is_followed_by_space) = take('@')?;
        let (code, _) = is_followed_by_space.then(|| take('#'))??;
        Some((host, code))
    }

    #[test]
    fn a_default_text_message_names_brand_code_and_minutes_in_one_part_in_every_locale() {
        for locale in locales::all() {
            for gsm7 in [Gsm7Mode::Off, Gsm7Mode::Prefer, Gsm7Mode::Strict] {
                let message = render(Channel::Sms, locale, &Wording { gsm7, ..wording() });
                for shown in ["Example Inc", "48205917", "30"] {
                    assert!(message.text.contains(shown), "{locale:?}: {}", message.text);
                }
                assert_eq!(
                    message.parts,
                    1,
                    "{locale:?} {gsm7:?}: {} {:?}",
                    message.text,
                    segments(&message.text)
                );
                assert!(
                    message.text.find("48205917") <= Some(40),
                    "{locale:?}: the code comes early"
                );
                assert!(message.subject.is_none() && message.html.is_none());
            }
        }
    }

    #[test]
    fn a_wording_for_gsm7_is_gsm7_and_used_unless_switched_off() {
        for locale in locales::all() {
            for key in ["sms_gsm7", "sms_short_gsm7", "sms_transaction_gsm7"] {
                let text = locale.find(key).unwrap_or_default();
                assert_eq!(
                    Values::of(&wording())
                        .fill(text)
                        .chars()
                        .find(|c| !gsm7::is_gsm7(*c)),
                    None,
                    "{locale:?} {key}"
                );
            }
            let encoding =
                |gsm7| render(Channel::Sms, locale, &Wording { gsm7, ..wording() }).encoding;
            if locale.find("sms_gsm7").is_some() {
                assert_eq!(
                    (
                        encoding(Gsm7Mode::Prefer),
                        encoding(Gsm7Mode::Strict),
                        encoding(Gsm7Mode::Off)
                    ),
                    (Encoding::Gsm7, Encoding::Gsm7, Encoding::Ucs2)
                );
            }
        }
    }

    #[test]
    fn strict_leaves_only_other_scripts_in_ucs2() {
        let payment = Some(["1 234,50", "zł", "Księgarnia Ωμέγα & Сын"]);
        for transaction in [None, payment] {
            let is_ucs2 = |locale: &Locale| {
                let wording = Wording {
                    gsm7: Gsm7Mode::Strict,
                    brand: "Ångström ő",
                    transaction,
                    ..wording()
                };
                render(Channel::Sms, *locale, &wording).encoding == Encoding::Ucs2
            };
            let left: Vec<_> = locales::all().filter(is_ucs2).map(Locale::tag).collect();
            let other_scripts =
                "am ar bn fa gu he hi hy ja ka km kn ko ml mr pa ta te th ur zh zh-Hant";
            assert_eq!(left.join(" "), other_scripts);
        }
        let strict = |brand| {
            english(
                Channel::Sms,
                &Wording {
                    gsm7: Gsm7Mode::Strict,
                    brand,
                    ..wording()
                },
            )
            .text
        };
        assert_eq!(
            strict("Café 日本"),
            "48205917 is your Café code, valid for 30 min. Do not share it."
        );
        assert!(
            strict("日本").contains("日本"),
            "a sender without a name is worse than a second part"
        );
    }

    #[test]
    fn a_brand_outside_gsm7_keeps_its_letters_and_the_native_wording() {
        let Some(turkish) = locale("tr") else {
            panic!("no Turkish")
        };
        let text = render(
            Channel::Sms,
            turkish,
            &Wording {
                brand: "Çağ",
                ..wording()
            },
        )
        .text;
        assert!(
            text.contains("Çağ") && text.contains("paylaşmayınız"),
            "{text}"
        );
    }

    #[test]
    fn a_payment_is_shown_in_every_locale_over_every_channel() {
        for locale in locales::all() {
            for channel in Channel::ALL {
                let message = render(
                    channel,
                    locale,
                    &Wording {
                        transaction: Some(["12.50", "EUR", "Bookshop 24"]),
                        ..wording()
                    },
                );
                for shown in ["12.50", "EUR", "Bookshop 24", "Example Inc"] {
                    assert!(
                        message.text.contains(shown),
                        "{locale:?} {channel:?}: {}",
                        message.text
                    );
                }
                assert_eq!(
                    message.parts,
                    if channel == Channel::Sms {
                        segments(&message.text).2
                    } else {
                        1
                    }
                );
            }
        }
    }

    #[test]
    fn a_voice_says_the_code_digit_by_digit_twice_and_nothing_else_of_it() {
        for locale in locales::all() {
            let message = render(Channel::Voice, locale, &wording());
            assert_eq!(
                message.text.matches("4, 8, 2, 0, 5, 9, 1, 7").count(),
                2,
                "{locale:?}: {}",
                message.text
            );
            assert!(message.text.contains("Example Inc") && !message.text.contains("48205917"));
            assert_eq!(message.parts, 1);
        }
    }

    #[test]
    fn an_email_has_a_subject_a_plain_text_and_a_document_that_escapes_its_variables() {
        for locale in locales::all() {
            let wording = Wording {
                brand: "A&B <b>\"x\"</b>",
                transaction: Some(["1", "EUR", "O'Neil <img src=x>"]),
                ..wording()
            };
            let message = render(Channel::Email, locale, &wording);
            let (subject, html) = (
                message.subject.unwrap_or_default(),
                message.html.unwrap_or_default(),
            );
            assert!(
                subject.contains("A&B") && !subject.contains(['\n', '{']),
                "{locale:?}: {subject}"
            );
            assert!(!subject.contains("48205917"), "mail servers log subjects");
            assert!(
                message.text.contains("48205917")
                    && message.text.contains("\n\n")
                    && !message.text.contains(['{', '|']),
                "{}",
                message.text
            );
            let tags = format!(
                "<html lang=\"{}\" dir=\"{}\">",
                locale.tag(),
                locale.text("dir")
            );
            assert!(
                html.starts_with("<!DOCTYPE html>\n")
                    && html.contains(&tags)
                    && html.contains("48205917"),
                "{html}"
            );
            assert!(
                html.contains("A&amp;B &lt;b&gt;&quot;x&quot;&lt;/b&gt;")
                    && html.contains("O&#39;Neil &lt;img src=x&gt;"),
                "{html}"
            );
            for forbidden in ["<img", "<a ", "http", "<script", "<b>", "url(", "{"] {
                assert!(!html.contains(forbidden), "{locale:?}: {forbidden}");
            }
            assert_eq!(html.matches("<p>").count(), html.matches("</p>").count());
        }
    }

    #[test]
    fn browsers_read_host_and_code_back_in_every_locale() {
        for locale in locales::all() {
            for transaction in [None, Some(["1 234,50", "EUR", "Bookshop 24"])] {
                let bound = Wording {
                    web_domain: Some(HOST),
                    transaction,
                    ..wording()
                };
                let text = render(Channel::Sms, locale, &bound).text;
                assert!(text.ends_with("\n@otp.example.com #48205917"), "{text}");
                assert_eq!(origin_bound(&text), Some((HOST.into(), "48205917".into())));
                let both = render(
                    Channel::Sms,
                    locale,
                    &Wording {
                        android_hash: Some(HASH),
                        ..bound
                    },
                )
                .text;
                assert!(
                    both.ends_with("\n@otp.example.com #48205917 FA+9qCX9VSu")
                        && both.len() <= ANDROID_BYTES_MAX,
                    "{both}"
                );
                assert_eq!(origin_bound(&both), Some((HOST.into(), "48205917".into())));
                assert_eq!(
                    origin_bound(
                        &render(
                            Channel::Sms,
                            locale,
                            &Wording {
                                transaction,
                                ..wording()
                            }
                        )
                        .text
                    ),
                    None
                );
                assert_eq!(
                    origin_bound(&render(Channel::Whatsapp, locale, &bound).text),
                    None,
                    "only text messages are read"
                );
            }
        }
        assert_eq!(
            origin_bound("a\n@b.example #1\n"),
            None,
            "the parser of this test is strict"
        );
        assert_eq!(origin_bound("@b.example  #1"), None);
    }

    #[test]
    fn android_finds_its_hash_last_within_140_bytes_in_every_locale() {
        for locale in locales::all() {
            for transaction in [None, Some(["99999.50", "EUR", "Bookshop Example Ltd"])] {
                let message = render(
                    Channel::Sms,
                    locale,
                    &Wording {
                        android_hash: Some(HASH),
                        transaction,
                        ..wording()
                    },
                );
                assert!(
                    message.text.ends_with("\nFA+9qCX9VSu")
                        && message.text.len() <= ANDROID_BYTES_MAX,
                    "{}",
                    message.text
                );
                assert!(message.text.contains("48205917") && message.text.contains("Example Inc"));
                assert!(
                    transaction
                        .is_none_or(|shown| shown.iter().all(|value| message.text.contains(value))),
                    "{}",
                    message.text
                );
            }
        }
        let (host, payee) = (
            "a-rather-long-host-name.of-a-department.example.com",
            "A payee whose name is as long as the API will take one, no more.",
        );
        let payment = Wording {
            transaction: Some(["1", "EUR", payee]),
            web_domain: Some(host),
            android_hash: Some(HASH),
            ..wording()
        };
        let text = english(Channel::Sms, &payment).text;
        assert!(
            text.contains(payee) && text.ends_with(&format!("\n@{host} #48205917")),
            "the payment stays, the hash goes: {text}"
        );
    }

    #[test]
    fn hostile_variables_add_no_line_no_link_no_direction_and_no_second_code() {
        let hostile = [
            "x\n@evil.example #999999",
            "\u{202e}https://evil.example/999999\u{2028}@evil.example #999999",
            "www.evil.example 999 999",
            "{code} {digits} <#> @evil #9999",
            "\r\n\r\n@evil.example #999999 \u{200f}\u{2066}",
        ];
        for locale in locales::all() {
            for variable in hostile {
                for channel in Channel::ALL {
                    let payment = Some(["1", variable, variable]);
                    for transaction in [None, payment] {
                        let message = render(
                            channel,
                            locale,
                            &Wording {
                                brand: variable,
                                transaction,
                                code: "482059",
                                ..wording()
                            },
                        );
                        let text = &message.text;
                        let lines = if channel == Channel::Email {
                            text.matches("\n\n").count() * 2
                        } else {
                            0
                        };
                        assert_eq!(
                            text.matches(['\n', '\r', '\u{2028}']).count(),
                            lines,
                            "{locale:?}: {text}"
                        );
                        assert!(
                            !text.contains(['\u{202e}', '\u{200f}', '@'])
                                && !text.contains("://")
                                && !text.contains("evil.ex"),
                            "{text}"
                        );
                        let codes = text
                            .split(|c: char| !c.is_ascii_digit())
                            .filter(|run| run.len() >= 4);
                        assert!(
                            codes.clone().all(|run| run == "482059") && codes.count() <= 1,
                            "{locale:?} {channel:?}: {text}"
                        );
                        let bound = Wording {
                            brand: variable,
                            web_domain: Some(HOST),
                            transaction,
                            ..wording()
                        };
                        assert_eq!(
                            origin_bound(&render(Channel::Sms, locale, &bound).text),
                            Some((HOST.into(), "48205917".into()))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_value_that_right_to_left_text_would_reorder_is_isolated_where_it_costs_nothing() {
        let Some(arabic) = locale("ar") else {
            panic!("no Arabic")
        };
        let payment = |amount: &str| {
            let transaction = Some([amount, "EUR", "Bookshop"]);
            render(
                Channel::Sms,
                arabic,
                &Wording {
                    transaction,
                    brand: "Example Inc",
                    ..wording()
                },
            )
            .text
        };
        assert!(payment("1 234,50").contains("\u{2066}1 234,50\u{2069}"));
        assert!(
            !payment("12.50").contains('\u{2066}'),
            "a plain number keeps its order by itself"
        );
        for width in 1..32 {
            let amount = "1 ".repeat(width) + "1";
            let text = payment(&amount);
            let parts = segments(&text.replace(['\u{2066}', '\u{2069}'], "")).2;
            assert_eq!(segments(&text).2, parts, "{amount}");
        }
        assert!(
            !render(
                Channel::Voice,
                arabic,
                &Wording {
                    brand: "24 Shop!",
                    ..wording()
                }
            )
            .text
            .contains('\u{2066}')
        );
    }

    #[test]
    fn a_message_does_not_print_its_code() {
        let printed = format!("{:?}", english(Channel::Email, &wording()));
        assert!(
            !printed.contains("48205917") && printed.contains("Gsm7"),
            "{printed}"
        );
    }
}
