//! Masks the credentials in what is printed.

use serde_json::Value;

use crate::operator::is_credential;

/// What a credential is replaced by.
const MASK: &str = "***";
/// Shorter values are not masked in texts: they occur in many words.
const SECRET_LENGTH_MIN: usize = 4;
/// Headers whose value is masked whatever it is.
const SECRET_HEADERS: [&str; 4] = [
    "authorization",
    "x-cm-producttoken",
    "x-amz-security-token",
    "cookie",
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
        secrets.sort_by_key(|secret: &String| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self(secrets)
    }

    /// `text` without credentials, as they are and as a form or JSON writes them.
    pub(super) fn masked(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.0 {
            let in_json = Value::from(secret.as_str()).to_string();
            for form in [
                secret.as_str(),
                in_json.trim_matches('"'),
                &percent_encoded(secret),
            ] {
                masked = masked.replace(form, MASK);
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
}

fn collect(value: &Value, is_secret: bool, secrets: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret && text.len() >= SECRET_LENGTH_MIN => {
            secrets.push(text.clone());
        }
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
}
