//! Rendering: one text for a channel, a locale and a wording. For an SMS also its GSM-7 variant,
//! its number of parts and the last line that lets phones fill the code in.

use std::borrow::Cow;

use super::email::{PARAGRAPH_SEPARATOR, email};
use super::gsm7::{Encoding, Segments, segments};
use super::locales::Locale;
use super::rendered::Message;
use super::transliterate::{is_transliterable, transliterate};
use super::values::{Values, Wording};
use crate::domain::channel::Channel;
use crate::domain::policy::Gsm7Mode;

/// Longest message that Android's SMS Retriever reads:
/// <https://developers.google.com/identity/sms-retriever/verify>
const ANDROID_BYTES_MAX: usize = 140;
/// The last resort if no other text fits beside the Android hash.
const MINIMAL_TEMPLATE: &str = "{code} {brand}";
/// The same for a payment, whose amount and payee the law requires in the text.
const MINIMAL_TRANSACTION_TEMPLATE: &str = "{code} {brand}: {amount} {currency} > {payee}";

/// Renders `wording` for `channel` in the language of `locale`.
#[must_use]
pub fn render(channel: Channel, locale: Locale, wording: &Wording) -> Message {
    let values = Values::in_locale(wording, locale);
    let template = |key: &str| match wording.transaction {
        None => locale.text(key),
        Some(_) => locale.text(&format!("{key}_transaction")),
    };
    match channel {
        Channel::Sms => sms(locale, wording, values),
        // Neither is charged by part, and no phone fills in a code from its last line.
        Channel::Whatsapp | Channel::Push => {
            let text = values.fill_isolated(locale, template("sms"));
            one_part(join(text, &marks(locale, wording, &values)))
        }
        Channel::Voice => {
            let spelled = Values::new(&Wording {
                reference: wording.reference.map(spell).as_deref(),
                ..*wording
            });
            let text = values.fill(template("voice"));
            one_part(join(text, &marks(locale, wording, &spelled)))
        }
        Channel::Email => {
            let paragraphs: Vec<&str> = std::iter::once(template("email"))
                .chain(mark_templates(locale, wording))
                .collect();
            email(locale, &values, &paragraphs.join(PARAGRAPH_SEPARATOR))
        }
    }
}

/// The templates of what `wording` shows to tell the text from others: reference and time.
fn mark_templates(locale: Locale, wording: &Wording) -> impl Iterator<Item = &'static str> {
    let reference = wording.reference.map(|_| locale.text("reference"));
    let sent_at = wording.sent_at.map(|_| locale.text("sent_at"));
    reference.into_iter().chain(sent_at)
}

/// Reference and time as sentences.
fn marks(locale: Locale, wording: &Wording, values: &Values) -> String {
    let sentences = mark_templates(locale, wording).map(|template| values.fill(template));
    sentences.collect::<Vec<_>>().join(" ")
}

fn join(text: String, marks: &str) -> String {
    if marks.is_empty() {
        text
    } else {
        format!("{text} {marks}")
    }
}

/// `letters` with pauses for speech.
fn spell(letters: &str) -> String {
    let letters: Vec<String> = letters.chars().map(String::from).collect();
    letters.join(", ")
}

/// Whether an SMS can show the reference and the time of `wording` without another part, and
/// Android can still read it.
pub(super) fn sms_has_room_for_marks(locale: Locale, wording: &Wording) -> bool {
    let without_marks = Wording {
        reference: None,
        sent_at: None,
        ..*wording
    };
    let plain = render(Channel::Sms, locale, &without_marks);
    let marked = render(Channel::Sms, locale, wording);
    let is_readable = wording.android_hash.is_none()
        || marked.text.len() <= ANDROID_BYTES_MAX
        || plain.text.len() > ANDROID_BYTES_MAX;
    let shows_time = wording
        .sent_at
        .is_none_or(|time| marked.text.contains(time));
    marked.parts == plain.parts && is_readable && shows_time
}

fn one_part(text: String) -> Message {
    Message {
        encoding: segments(&text).encoding,
        text,
        subject: None,
        html: None,
        parts: 1,
    }
}

/// Renders an SMS. With an Android hash it is the first of these texts that fits into Android's
/// limit:
///
/// 1. the full text, if it needs only one part,
/// 2. the text without the advice not to share the code,
/// 3. code and brand.
///
/// If none fits, Android cannot read the message, and it is the full text without the hash.
fn sms(locale: Locale, wording: &Wording, values: Values) -> Message {
    let key = match wording.transaction {
        None => "sms",
        Some(_) => "sms_transaction",
    };
    let marks = SmsMarks::new(locale, wording, &values);
    let sms = SmsRenderer::new(locale, wording.gsm7, values, key, marks);
    let (full, shorter): (_, &[_]) = match wording.transaction {
        None => (
            sms.template(key),
            &[sms.template("sms_short"), MINIMAL_TEMPLATE.into()],
        ),
        Some(_) => (sms.template(key), &[MINIMAL_TRANSACTION_TEMPLATE.into()]),
    };
    if wording.android_hash.is_some() {
        let line = autofill_line(wording, wording.android_hash);
        let message = sms.message(&full, line.as_deref());
        if message.text.len() <= ANDROID_BYTES_MAX && message.parts == 1 {
            return message;
        }
        let fitting = shorter
            .iter()
            .map(|template| sms.message(template, line.as_deref()))
            .find(|message| message.text.len() <= ANDROID_BYTES_MAX);
        if let Some(message) = fitting {
            return message;
        }
    }
    sms.message(&full, autofill_line(wording, None).as_deref())
}

/// The line that lets phones fill the code in: `@host #code` for browsers
/// (<https://wicg.github.io/sms-one-time-codes/>), which ignore what follows it, then the Android
/// hash, which must come last. No line break may follow this line.
fn autofill_line(wording: &Wording, android_hash: Option<&str>) -> Option<String> {
    let code = wording.code;
    match (wording.web_domain, android_hash) {
        (Some(host), Some(hash)) => Some(format!("@{host} #{code} {hash}")),
        (Some(host), None) => Some(format!("@{host} #{code}")),
        (None, Some(hash)) => Some(hash.to_owned()),
        (None, None) => None,
    }
}

/// Renders the SMS templates of one locale with one set of values.
struct SmsRenderer {
    locale: Locale,
    gsm7: Gsm7Mode,
    values: Values,
    marks: SmsMarks,
}

/// Reference and time at the end of an SMS.
struct SmsMarks {
    /// As sentences.
    sentences: String,
    /// As short as possible.
    short: String,
    /// The reference, which is shown even where there is no room: the page names it.
    reference: Option<String>,
}

impl SmsMarks {
    fn new(locale: Locale, wording: &Wording, values: &Values) -> Self {
        let shown = wording.reference.into_iter().chain(wording.sent_at);
        Self {
            sentences: marks(locale, wording, values),
            short: shown.collect::<Vec<_>>().join(" "),
            reference: wording.reference.map(str::to_owned),
        }
    }

    /// Their forms in a text of this encoding, from the most explicit to the shortest.
    fn forms(&self, encoding: Encoding) -> [Option<Cow<'_, str>>; 2] {
        let sentences = match encoding {
            Encoding::Ucs2 => Some(Cow::from(&self.sentences)),
            Encoding::Gsm7 if is_transliterable(&self.sentences) => {
                Some(transliterate(&self.sentences).into())
            }
            Encoding::Gsm7 => None,
        };
        [sentences, Some(Cow::from(&self.short))]
    }
}

impl SmsRenderer {
    /// `key`: the text for which the values are spelled.
    fn new(locale: Locale, gsm7: Gsm7Mode, values: Values, key: &str, marks: SmsMarks) -> Self {
        // Values change only if the words around them can be written in GSM-7 too.
        let gsm7_words = locale.find(&format!("{key}_gsm7"));
        let values = match gsm7 {
            Gsm7Mode::Strict if gsm7_words.is_some() || is_transliterable(locale.text(key)) => {
                values.into_gsm7()
            }
            Gsm7Mode::Prefer => {
                let replaced = values.with_gsm7_punctuation();
                let template = gsm7_words.unwrap_or_else(|| locale.text(key));
                let is_gsm7 = segments(&replaced.fill(template)).encoding == Encoding::Gsm7;
                if is_gsm7 { replaced } else { values }
            }
            Gsm7Mode::Strict | Gsm7Mode::Off => values,
        };
        Self {
            locale,
            gsm7,
            values,
            marks,
        }
    }

    /// The template `key`, in its native spelling or its GSM-7 variant.
    fn template(&self, key: &str) -> Cow<'static, str> {
        let native = self.locale.text(key);
        let gsm7_variant = self.locale.find(&format!("{key}_gsm7"));
        match (self.gsm7, gsm7_variant) {
            (Gsm7Mode::Off, _) | (Gsm7Mode::Prefer, None) => native.into(),
            (Gsm7Mode::Prefer, Some(variant)) => {
                // With a brand outside GSM-7 the variant may save no part. The native spelling is
                // better then.
                let with_variant = segments(&self.values.fill(variant));
                let saves_parts = with_variant.encoding == Encoding::Gsm7
                    || with_variant.parts < segments(&self.values.fill(native)).parts;
                if saves_parts { variant } else { native }.into()
            }
            (Gsm7Mode::Strict, _) => {
                let template = gsm7_variant.unwrap_or(native);
                if is_transliterable(template) {
                    transliterate(template).into()
                } else {
                    template.into()
                }
            }
        }
    }

    /// The message of `template`, with `last_line` below it.
    fn message(&self, template: &str, last_line: Option<&str>) -> Message {
        let body = self.values.fill(template);
        let marks = self.fitting_marks(&body, last_line);
        let mut text = lines(&join(body, &marks), last_line);
        let Segments {
            encoding, parts, ..
        } = segments(&text);
        if encoding == Encoding::Ucs2 {
            // Isolating a value takes two characters. It must not add a part or exceed Android's
            // limit.
            let body = self.values.fill_isolated(self.locale, template);
            let isolated = lines(&join(body, &marks), last_line);
            let is_short = last_line.is_none() || isolated.len() <= ANDROID_BYTES_MAX;
            if segments(&isolated).parts == parts && is_short {
                text = isolated;
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

    /// The most explicit marks that add no part to a text and do not make it too long for Android.
    /// If none do so, the reference alone.
    fn fitting_marks(&self, body: &str, last_line: Option<&str>) -> String {
        let plain = lines(body, last_line);
        let Segments {
            encoding, parts, ..
        } = segments(&plain);
        let fits = |form: &Cow<'_, str>| {
            let marked = lines(&join(body.to_owned(), form), last_line);
            let is_short = last_line.is_none()
                || marked.len() <= ANDROID_BYTES_MAX
                || plain.len() > ANDROID_BYTES_MAX;
            let counted = segments(&marked);
            (counted.encoding, counted.parts) == (encoding, parts) && is_short
        };
        let fitting = self.marks.forms(encoding).into_iter().flatten().find(fits);
        let reference = self.marks.reference.clone().unwrap_or_default();
        fitting.map_or(reference, Cow::into_owned)
    }
}

/// A text and the line below it.
fn lines(body: &str, last_line: Option<&str>) -> String {
    match last_line {
        Some(line) => format!("{body}\n{line}"),
        None => body.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::gsm7::is_gsm7;
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
            reference: None,
            sent_at: None,
            web_domain,
            android_hash,
            gsm7: Gsm7Mode::Prefer,
        }
    }

    fn english(channel: Channel, wording: &Wording) -> Message {
        render(channel, Locale::ENGLISH, wording)
    }

    /// The host and the code that a browser reads from a message: the algorithm "parse an
    /// origin-bound one-time code message" of <https://wicg.github.io/sms-one-time-codes/>,
    /// independent of the code under test.
    fn origin_bound(message: &str) -> Option<(String, String)> {
        let normalized = message.replace("\r\n", "\n").replace('\r', "\n");
        let mut line = normalized.split('\n').next_back()?.chars().peekable();
        let mut read_field = |mark: char| {
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
        let (host, is_followed_by_space) = read_field('@')?;
        let (code, _) = is_followed_by_space.then(|| read_field('#'))??;
        Some((host, code))
    }

    #[test]
    fn sms_fits_one_part_in_every_locale() {
        for locale in Locale::all() {
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
    fn gsm7_variants_are_gsm7_and_used_unless_off() {
        for locale in Locale::all() {
            for key in ["sms_gsm7", "sms_short_gsm7", "sms_transaction_gsm7"] {
                let text = locale.find(key).unwrap_or_default();
                assert_eq!(
                    Values::in_locale(&wording(), locale)
                        .fill(text)
                        .chars()
                        .find(|c| !is_gsm7(*c)),
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
    fn strict_mode_leaves_only_other_scripts_in_ucs2() {
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
            let left: Vec<_> = Locale::all().filter(is_ucs2).map(Locale::tag).collect();
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
            "a missing sender name is worse than a second part"
        );
    }

    #[test]
    fn a_brand_outside_gsm7_keeps_the_native_spelling() {
        let Some(turkish) = Locale::from_tag("tr") else {
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
    fn typographic_punctuation_adds_no_part_unless_off() {
        let text = |gsm7, payee| {
            let transaction = Some(["12.50", "EUR", payee]);
            let brand = "Joe’s Bar";
            english(
                Channel::Sms,
                &Wording {
                    gsm7,
                    brand,
                    transaction,
                    ..wording()
                },
            )
        };
        for payee in ["Joe’s Bar", "A – B", "More…", "“Quoted”", "a\u{202f}b"] {
            let preferred = text(Gsm7Mode::Prefer, payee);
            assert_eq!(preferred.parts, 1, "{}", preferred.text);
            assert_eq!(preferred.encoding, Encoding::Gsm7);
            assert!(preferred.text.contains("Joe's Bar"), "{}", preferred.text);
            let native = text(Gsm7Mode::Off, payee);
            assert!(
                native.text.contains("Joe’s Bar") && native.parts == 2,
                "{native:?}"
            );
        }
        // With a letter that needs the other alphabet anyway, nothing is gained.
        let polish = text(Gsm7Mode::Prefer, "Łódź’s");
        assert!(polish.text.contains("Łódź’s"), "{}", polish.text);
        // A link that only the other punctuation would make.
        for payee in ["evil·com", "x：／／y"] {
            let text = text(Gsm7Mode::Prefer, payee).text;
            assert!(
                !text.contains("evil.com") && !text.contains("://"),
                "{text}"
            );
        }
    }

    #[test]
    fn every_locale_and_channel_shows_the_payment() {
        for locale in Locale::all() {
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
                        segments(&message.text).parts
                    } else {
                        1
                    }
                );
            }
        }
    }

    #[test]
    fn marks_are_shown_in_every_locale_and_channel() {
        for locale in Locale::all() {
            let marked = Wording {
                reference: Some("KX"),
                sent_at: Some("14:05"),
                ..wording()
            };
            for channel in Channel::ALL {
                let text = render(channel, locale, &marked).text;
                let reference = match channel {
                    Channel::Voice => "K, X",
                    _ => "KX",
                };
                assert!(text.contains(reference), "{locale:?} {channel:?}: {text}");
                let has_room = channel != Channel::Sms || sms_has_room_for_marks(locale, &marked);
                assert_eq!(
                    text.contains("14:05"),
                    has_room,
                    "{locale:?} {channel:?}: {text}"
                );
            }
            let html = render(Channel::Email, locale, &marked)
                .html
                .unwrap_or_default();
            assert!(html.contains("KX") && html.contains("14:05"), "{html}");
        }
    }

    #[test]
    fn marks_add_no_part_where_there_is_room() {
        let mut without_room = vec![];
        for locale in Locale::all() {
            for sent_at in [None, Some("14:05"), Some("14:05 UTC")] {
                let marked = Wording {
                    brand: "Example Inc",
                    code: "482059",
                    reference: Some("KX"),
                    sent_at,
                    ..wording()
                };
                if sms_has_room_for_marks(locale, &marked) {
                    let message = render(Channel::Sms, locale, &marked);
                    assert_eq!(message.parts, 1, "{}", message.text);
                    assert!(message.text.contains("482059") && message.text.contains("KX"));
                } else {
                    without_room.push((locale.tag(), sent_at.unwrap_or_default()));
                }
            }
        }
        let count = |sent_at| without_room.iter().filter(|(_, at)| *at == sent_at).count();
        assert_eq!(
            (count(""), count("14:05"), count("14:05 UTC")),
            (0, 17, 26),
            "{without_room:?}"
        );
    }

    #[test]
    fn marks_are_sentences_where_these_fit() {
        let marked = Wording {
            reference: Some("KX"),
            sent_at: Some("14:05"),
            minutes: 5,
            code: "482059",
            ..wording()
        };
        let text = |tag| {
            let locale = Locale::from_tag(tag).unwrap_or(Locale::ENGLISH);
            render(Channel::Sms, locale, &marked).text
        };
        let english = "482059 is your Example Inc code, valid for 5 min. Do not share it. \
                       Reference: KX. Time: 14:05.";
        assert_eq!(text("en"), english);
        assert!(
            text("cs").ends_with("Reference: KX. Cas: 14:05."),
            "{}",
            text("cs")
        );
        assert!(text("hi").ends_with(" KX 14:05"), "{}", text("hi"));
    }

    #[test]
    fn minutes_have_the_plural_form_of_their_number() {
        for (tag, minutes, form) in [
            ("en", 1, "1 minute."),
            ("es", 1, "1 minuto."),
            ("es", 5, "5 minutos."),
            ("pt", 1, "1 minuto."),
            ("de", 1, "1 Minute "),
            ("it", 1, "1 minuto."),
            ("nl", 1, "1 minuut "),
            ("da", 1, "1 minut."),
            ("nb", 1, "1 minutt."),
            ("sv", 1, "1 minut."),
            ("ca", 1, "1 minut."),
            ("fi", 1, "1 minuutin."),
            ("he", 1, "לדקה אחת"),
            ("he", 2, "ל-2 דקות"),
            ("ar", 1, "دقيقة واحدة"),
            ("ar", 2, "دقيقتين"),
            ("ar", 5, "5 دقائق"),
            ("ar", 15, "15 دقيقة"),
        ] {
            let Some(locale) = Locale::from_tag(tag) else {
                panic!("no {tag}")
            };
            let shown = Wording {
                minutes,
                ..wording()
            };
            let text = render(Channel::Email, locale, &shown).text;
            assert!(text.contains(form), "{tag} {minutes}: {text}");
        }
        let sms = |tag, minutes| {
            let locale = Locale::from_tag(tag).unwrap_or(Locale::ENGLISH);
            let shown = Wording {
                minutes,
                ..wording()
            };
            render(Channel::Sms, locale, &shown).text
        };
        assert!(sms("ar", 5).contains("صالح 5 دقائق"));
        assert!(sms("es", 1).contains("Vence en 1 minuto."));
        assert!(sms("de", 1).contains("Er ist 1 Minute gültig"));
    }

    #[test]
    fn sms_fits_one_part_at_any_time_left() {
        for locale in Locale::all() {
            for minutes in 1..=30 {
                let shown = Wording {
                    minutes,
                    ..wording()
                };
                let message = render(Channel::Sms, locale, &shown);
                assert_eq!(message.parts, 1, "{locale:?} {minutes}: {}", message.text);
            }
        }
    }

    #[test]
    fn voice_texts_spell_the_code_twice() {
        for locale in Locale::all() {
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
    fn emails_escape_their_variables() {
        for locale in Locale::all() {
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
    fn browsers_read_host_and_code_in_every_locale() {
        for locale in Locale::all() {
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
    fn the_android_hash_is_last_within_140_bytes() {
        for locale in Locale::all() {
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
            "the payment is kept, the hash is dropped: {text}"
        );
    }

    #[test]
    fn hostile_variables_add_no_line_link_or_code() {
        let hostile = [
            "x\n@evil.example #999999",
            "\u{202e}https://evil.example/999999\u{2028}@evil.example #999999",
            "www.evil.example 999 999",
            "{code} {digits} <#> @evil #9999",
            "\r\n\r\n@evil.example #999999 \u{200f}\u{2066}",
        ];
        for locale in Locale::all() {
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
    fn reorderable_values_are_isolated_at_no_extra_part() {
        let Some(arabic) = Locale::from_tag("ar") else {
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
            "a plain number is never reordered"
        );
        for width in 1..32 {
            let amount = "1 ".repeat(width) + "1";
            let text = payment(&amount);
            let parts = segments(&text.replace(['\u{2066}', '\u{2069}'], "")).parts;
            assert_eq!(segments(&text).parts, parts, "{amount}");
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
    fn debug_hides_the_code() {
        let printed = format!("{:?}", english(Channel::Email, &wording()));
        assert!(
            !printed.contains("48205917") && printed.contains("Gsm7"),
            "{printed}"
        );
    }
}
