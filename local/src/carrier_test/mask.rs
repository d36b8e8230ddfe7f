//! Masks the credentials in what is printed.
//!
//! Invariant: every credential is masked, also a short one, and one within base64 or the escapes of
//! a form, of JSON or of XML.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use serde_json::Value;

use crate::operator::is_credential;

/// What a credential is replaced by.
const MASK: &str = "***";
/// A shorter credential is masked where it is a word of its own: its letters occur in many words.
const PART_OF_WORDS_LENGTH_MIN: usize = 4;
/// The shortest base64 that is decoded: that of two characters.
const BASE64_LENGTH_MIN: usize = 3;
/// Headers whose value is masked whatever it is.
const SECRET_HEADERS: [&str; 6] = [
    "authorization",
    "proxy-authorization",
    "x-cm-producttoken",
    "x-amz-security-token",
    "cookie",
    "set-cookie",
];

/// The credentials of the carriers.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// The texts in fields with such names, at any depth.
    pub(super) fn of(documents: impl Iterator<Item = Value>) -> Self {
        let mut secrets = vec![];
        for document in documents {
            collect(&document, false, &mut secrets);
        }
        // A secret that contains another one is replaced first.
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self(secrets)
    }

    /// `text` without credentials: as they are, as a form, JSON or XML writes them, and in base64,
    /// as in HTTP Basic authentication.
    pub(super) fn masked(&self, text: &str) -> String {
        let mut masked = self.masked_base64(text);
        for secret in &self.0 {
            for form in forms(secret) {
                masked = replaced(&masked, &form);
            }
        }
        masked
    }

    /// The value of a header without credentials.
    pub(super) fn masked_header(&self, name: &str, value: &str) -> String {
        if SECRET_HEADERS.contains(&name) {
            let scheme = value.split_once(' ').map(|(scheme, _)| scheme);
            return scheme.map_or_else(|| MASK.to_owned(), |scheme| format!("{scheme} {MASK}"));
        }
        self.masked(value)
    }

    fn masked_base64(&self, text: &str) -> String {
        let mut masked = String::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c| !is_base64(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match self.is_in_base64(word) {
                true => {
                    masked += MASK;
                    rest = after.trim_start_matches('=');
                }
                false => {
                    // In a path, `/` separates words.
                    let parts = word.split('/').map(|part| match self.is_in_base64(part) {
                        true => MASK,
                        false => part,
                    });
                    masked += &parts.collect::<Vec<_>>().join("/");
                    rest = after;
                }
            }
            let separators = rest.find(is_base64).unwrap_or(rest.len());
            let (separators, after) = rest.split_at(separators);
            masked += separators;
            rest = after;
        }
        masked
    }

    fn is_in_base64(&self, word: &str) -> bool {
        if word.len() < BASE64_LENGTH_MIN {
            return false;
        }
        let decoded = [BASE64_NOPAD, BASE64URL_NOPAD].map(|form| form.decode(word.as_bytes()));
        let texts = decoded.into_iter().flatten();
        let mut texts = texts.filter_map(|bytes| String::from_utf8(bytes).ok());
        texts.any(|text| self.0.iter().any(|secret| replaced(&text, secret) != text))
    }
}

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_')
}

/// How a credential may be written.
fn forms(secret: &str) -> Vec<String> {
    let in_json = Value::from(secret).to_string();
    let in_json = in_json.trim_matches('"').to_owned();
    let in_xml = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let in_url = percent_encoded(secret);
    let mut forms = vec![
        secret.to_owned(),
        in_json.replace('/', "\\/"),
        in_json,
        in_xml.replace('"', "&quot;").replace('\'', "&apos;"),
        in_xml,
        in_url.replace('+', "%20"),
        in_url.to_lowercase(),
        in_url,
    ];
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms
}

/// `text` with the mask in place of `secret`.
fn replaced(text: &str, secret: &str) -> String {
    if secret.len() >= PART_OF_WORDS_LENGTH_MIN {
        return text.replace(secret, MASK);
    }
    let mut masked = String::new();
    let mut end = 0;
    let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    for (at, _) in text.match_indices(secret) {
        let after = at + secret.len();
        let is_word =
            !is_letter(text[..at].chars().next_back()) && !is_letter(text[after..].chars().next());
        if is_word && at >= end {
            masked += &text[end..at];
            masked += MASK;
            end = after;
        }
    }
    masked + &text[end..]
}

fn collect(value: &Value, is_secret: bool, secrets: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret && !text.is_empty() => secrets.push(text.clone()),
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect(item, is_secret, secrets)),
        Value::Object(members) => {
            for (name, member) in members {
                collect(member, is_secret || is_credential(name), secrets);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        b' ' => "+".to_owned(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_masked_in_every_notation() {
        let carriers =
            json!([{"kind": "smsbox", "api_key": "k/1 2\"3", "sender": "Acme", "username": "me"}]);
        let of_carrier = json!({"signature_secret": ["first-secret", "second-secret"]});
        let secrets = json!({"carriers": {"smsbox": of_carrier}});
        let secrets = Secrets::of([carriers, secrets].into_iter());
        for (text, expected) in [
            ("key=k/1 2\"3&sender=Acme", "key=***&sender=Acme"),
            ("key=k%2F1+2%223", "key=***"),
            (r#"{"key":"k/1 2\"3"}"#, r#"{"key":"***"}"#),
            ("first-secret me second-secret", "*** me ***"),
        ] {
            assert_eq!(secrets.masked(text), expected);
        }
        assert_eq!(
            secrets.masked_header("authorization", "Basic bWU6a2V5"),
            "Basic ***"
        );
        assert_eq!(secrets.masked_header("x-cm-producttoken", "abc"), "***");
        assert_eq!(secrets.masked_header("accept", "first-secret"), "***");
    }

    fn secrets(of_carrier: Value) -> Secrets {
        Secrets::of([of_carrier].into_iter())
    }

    #[test]
    fn short_credentials_are_masked_as_words() {
        let secrets = secrets(json!({"api_key": "k1", "api_secret": "x", "hash": "a/"}));
        for (text, expected) in [
            (
                "POST https://h/k1/send?key=k1&s=x",
                "POST https://h/***/send?key=***&s=***",
            ),
            (
                r#"{"key":"k1","secret":"x","text":"ok10"}"#,
                r#"{"key":"***","secret":"***","text":"ok10"}"#,
            ),
            ("<key>x</key><to>xx</to>", "<key>***</key><to>xx</to>"),
            ("h=a%2F&g=a%2f", "h=***&g=***"),
            ("x", "***"),
            ("x x", "*** ***"),
            ("", ""),
        ] {
            assert_eq!(secrets.masked(text), expected);
        }
    }

    #[test]
    fn credentials_in_base64_are_masked() {
        let secrets = secrets(json!({"token": "t", "auth_token": "first-secret"}));
        // `user:t`, `me:first-secret` with and without padding, `a?>first-secret` in both forms.
        for (text, expected) in [
            (
                r#"{"authorization":"Basic dXNlcjp0"}"#,
                r#"{"authorization":"Basic ***"}"#,
            ),
            ("Basic bWU6Zmlyc3Qtc2VjcmV0, next", "Basic ***, next"),
            ("x: bWU6Zmlyc3Qtc2VjcmV0Cg==;", "x: ***;"),
            ("YT8+Zmlyc3Qtc2VjcmV0", "***"),
            ("YT8-Zmlyc3Qtc2VjcmV0", "***"),
            (
                "https://h/v1/bWU6Zmlyc3Qtc2VjcmV0/send",
                "https://h/v1/***/send",
            ),
            ("https://h/v1/send dGV4dA==", "https://h/v1/send dGV4dA=="),
        ] {
            assert_eq!(secrets.masked(text), expected);
        }
    }

    #[test]
    fn escapes_of_responses_are_masked() {
        let secrets = secrets(json!({"secret": "ab/c<d>&\"e f"}));
        for text in [
            r#"ab\/c<d>&\"e f"#,
            "ab/c&lt;d&gt;&amp;&quot;e f",
            "ab/c&lt;d&gt;&amp;\"e f",
            "ab%2Fc%3Cd%3E%26%22e%20f",
            "ab%2fc%3cd%3e%26%22e+f",
        ] {
            assert_eq!(secrets.masked(text), "***");
        }
    }
}
