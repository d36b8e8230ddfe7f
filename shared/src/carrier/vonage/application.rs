//! A Vonage application: it authenticates calls and WhatsApp messages by a JWT of its private key.
//! <https://developer.vonage.com/en/getting-started/concepts/authentication#json-web-tokens>

use data_encoding::BASE64URL_NOPAD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::carrier::carrier_trait::OutgoingMessage;
use crate::carrier::vendor_format::config_fields;
use crate::crypto::signatures::RsaPrivateKey;
use crate::platform::json::Fields;

/// How long a token is valid.
const TOKEN_SECONDS: i64 = 300;

/// An application with its private key.
pub(super) struct Application {
    id: String,
    /// `None` in functions without credentials, which call nothing.
    key: Option<RsaPrivateKey>,
}

impl Application {
    /// Fields: `application_id`, `private_key` (PEM, PKCS #8).
    pub(super) fn from_fields(fields: &mut Fields) -> Self {
        let id = config_fields::credential(fields, "application_id");
        let key = fields.required_text("private_key");
        let parsed = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes())
            .ok()
            .and_then(|der| RsaPrivateKey::from_pkcs8(der.secret_pkcs8_der()));
        if parsed.is_none() && !key.is_empty() {
            let problem = "Must be the PEM of an RSA private key, `-----BEGIN PRIVATE KEY-----`.";
            fields.reject("private_key", problem);
        }
        Self { id, key: parsed }
    }

    /// The `authorization` header of a request for `message`.
    pub(super) fn authorization(&self, message: &OutgoingMessage<'_>) -> (&'static str, String) {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let issued_at = message.now.0;
        let claims = json!({
            "application_id": self.id,
            "iat": issued_at,
            "exp": issued_at + TOKEN_SECONDS,
            "jti": format!("{}-{issued_at}", message.reference),
        });
        let header = json!({"alg": "RS256", "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(&claims));
        let key = self.key.as_ref();
        let signature = key.and_then(|key| key.sign(signed.as_bytes()));
        let signature = BASE64URL_NOPAD.encode(&signature.unwrap_or_default());
        ("authorization", format!("Bearer {signed}.{signature}"))
    }
}
