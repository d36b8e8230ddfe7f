//! E-mail: subject, plain text and HTML from one template.
//!
//! Invariant: the HTML is self-contained, has no link, and every variable in it is escaped.

use std::borrow::Cow;

use super::gsm7::segments;
use super::locales::Locale;
use super::rendered::Message;
use super::values::{Values, fill};

/// Separates paragraphs in a template.
pub(super) const PARAGRAPH_SEPARATOR: &str = " | ";

/// The e-mail that `template` makes with `values`.
pub(super) fn email(locale: Locale, values: &Values, template: &str) -> Message {
    let text = template
        .split(PARAGRAPH_SEPARATOR)
        .map(|paragraph| values.fill_isolated(locale, paragraph))
        .collect::<Vec<_>>()
        .join("\n\n");
    let subject = values.fill(locale.text("subject"));
    let html = html(locale, values, &subject, template);
    Message {
        encoding: segments(&text).encoding,
        text,
        subject: Some(subject),
        html: Some(html),
        parts: 1,
    }
}

/// The HTML form. All styles are inline and nothing is loaded: e-mail clients block external
/// content. There are no links, so that people do not learn to trust links beside a code.
fn html(locale: Locale, values: &Values, subject: &str, template: &str) -> String {
    let (lang, dir, title) = (locale.tag(), locale.text("dir"), escape_html(subject));
    let mut html = format!(
        "<!DOCTYPE html>\n\
         <html lang=\"{lang}\" dir=\"{dir}\">\n\
         <head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"font-family: sans-serif; font-size: 16px; line-height: 1.5\">\n"
    );
    for paragraph in template.split(PARAGRAPH_SEPARATOR) {
        // Escaping leaves placeholders as they are.
        let filled = fill(&escape_html(&values.for_currency(paragraph)), |name| {
            values.get(name).map(|value| value_html(name, value))
        });
        html.push_str(&format!("<p>{filled}</p>\n"));
    }
    html.push_str("</body>\n</html>\n");
    html
}

/// A variable in HTML: escaped, and isolated from the text direction around it.
fn value_html<'a>(name: &str, value: &str) -> Cow<'a, str> {
    let value = escape_html(value);
    if name == "code" {
        format!(
            "<strong dir=\"ltr\" style=\"font-size: 24px; letter-spacing: 3px\">{value}</strong>"
        )
        .into()
    } else {
        format!("<bdi>{value}</bdi>").into()
    }
}

/// `text` for HTML, between tags and in attributes.
fn escape_html(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
    html
}
