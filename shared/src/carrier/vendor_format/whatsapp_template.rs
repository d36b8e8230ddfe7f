//! An authentication template of WhatsApp: the code is the parameter of its text and of the button
//! that copies the code.
//! <https://developers.facebook.com/docs/whatsapp/business-management-api/authentication-templates>

use serde_json::{Value, json};

use crate::platform::json::Fields;

/// Longest name of a template.
const NAME_LENGTH_MAX: usize = 512;

/// A template that WhatsApp has approved.
pub struct WhatsappTemplate {
    /// Its name.
    pub name: String,
    /// The language that it is in; that of the message if `None`.
    language: Option<String>,
}

impl WhatsappTemplate {
    /// Fields: `whatsapp_template`, and `whatsapp_language` if it is in one language only.
    pub fn from_fields(fields: &mut Fields) -> Option<Self> {
        let language = fields.parsed_text(
            "whatsapp_language",
            |code| is_name(code, 10, false).then(|| code.to_owned()),
            "the code of a language, such as en or pt_BR",
        );
        let name = fields.parsed_text(
            "whatsapp_template",
            |name| is_name(name, NAME_LENGTH_MAX, true).then(|| name.to_owned()),
            "the name of a template",
        )?;
        Some(Self { name, language })
    }

    /// WhatsApp writes `pt_BR` for `pt-BR`.
    #[must_use]
    pub fn language(&self, locale: &str) -> Value {
        let code = self.language.clone();
        let code = code.unwrap_or_else(|| locale.replace('-', "_"));
        json!({"code": code, "policy": "deterministic"})
    }

    /// The parameters: `code` in the text and in the button.
    #[must_use]
    pub fn components(code: &str) -> Value {
        let parameters = json!([{"type": "text", "text": code}]);
        json!([
            {"type": "body", "parameters": parameters},
            {"type": "button", "sub_type": "url", "index": 0, "parameters": parameters},
        ])
    }
}

fn is_name(text: &str, length_max: usize, is_lower_case: bool) -> bool {
    (1..=length_max).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !(is_lower_case && text.bytes().any(|b| b.is_ascii_uppercase()))
}
