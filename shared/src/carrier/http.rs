//! Kind `http`: our own format, for any gateway that implements it, over every channel.
//!
//! API: `POST {base_url}/messages`; the HTTP status of the response is the receipt. Reports have a
//! Standard Webhooks signature:
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
//!
//! Invariant: a report is parsed only after its signature was verified and found recent.

use ::http::{HeaderMap, Method, Request, Response};
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::carrier_trait::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use super::vendor_format::lenient_json::report_object;
use super::vendor_format::{config_fields, request, response};
use crate::crypto::signatures::{equal_in_constant_time, hmac_sha256};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::platform::json::Fields;

/// Largest difference between the timestamp of a report and now, in both directions.
const SIGNATURE_TOLERANCE_SECONDS: i64 = 300;

/// A carrier of kind `http`.
pub struct Http {
    base_url: String,
    token: String,
    secret: Vec<u8>,
}

impl Http {
    /// Fields: `base_url`, `token`, `secret`.
    pub fn from_fields(fields: &mut Fields) -> Self {
        let base_url = config_fields::base_url(fields, None);
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let token =
            config_fields::required(fields, "token", is_token, "printable ASCII without spaces");
        let secret = config_fields::required(
            fields,
            "secret",
            |text| webhook_key(text).is_some(),
            "`whsec_` and the base64 of a key",
        );
        Self {
            base_url,
            token,
            secret: webhook_key(&secret).unwrap_or_default(),
        }
    }
}

/// The key in a secret of Standard Webhooks. An empty key is rejected, as signatures made with it
/// prove nothing.
fn webhook_key(secret: &str) -> Option<Vec<u8>> {
    let base64 = secret.strip_prefix("whsec_")?;
    let key = BASE64.decode(base64.as_bytes()).ok()?;
    Some(key).filter(|key| !key.is_empty())
}

impl Carrier for Http {
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let mut body = json!({
            "to": message.to.reveal(),
            "from": message.sender,
            "channel": message.channel.name(),
            "text": message.message.text,
            "reference": message.reference,
            "validity_seconds": message.validity_seconds,
            "callback_url": message.callback_url,
            "locale": message.locale,
        });
        if let Some(notification) = &message.notification {
            body["push_to"] = notification.device.into();
            body["title"] = notification.title.into();
            body["data"] = json!({
                "code": message.code,
                "verification_id": notification.verification_id,
            });
        }
        let headers = [
            ("authorization", format!("Bearer {}", self.token)),
            ("idempotency-key", message.reference.to_owned()),
        ];
        request::post_json(&format!("{}/messages", self.base_url), &headers, &body)
    }

    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        response::by_status(response, now)
    }

    fn report(&self, callback: &Callback<'_>, now: Timestamp) -> Result<Vec<Report>, ReportError> {
        if callback.method != Method::POST || !self.is_signed(callback.headers, callback.body, now)
        {
            return Err(ReportError::Forged);
        }
        let report = report_object(callback.body)?;
        let reference = match &report["reference"] {
            Value::Null => None,
            Value::String(reference) => Some(reference.clone()),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err(ReportError::Unreadable);
            }
        };
        let status = match report["status"].as_str().unwrap_or_default() {
            "queued" => Some(DeliveryStatus::Queued),
            "sent" => Some(DeliveryStatus::Sent),
            "delivered" => Some(DeliveryStatus::Delivered),
            "undelivered" => Some(DeliveryStatus::Undelivered),
            "rejected" => Some(DeliveryStatus::Rejected),
            "expired" => Some(DeliveryStatus::Expired),
            _ => None,
        };
        Ok(vec![Report::new(reference, status)])
    }
}

impl Http {
    /// Standard Webhooks: `v1,<base64 of HMAC-SHA-256 over id.timestamp.body>`, several of them
    /// while a secret is rotated. The signature is not verified with a library, so that the
    /// simulated carrier, which signs with one, checks this code.
    fn is_signed(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(timestamp), Some(signatures)) = (
            header("webhook-id"),
            header("webhook-timestamp"),
            header("webhook-signature"),
        ) else {
            return false;
        };
        let Ok(sent_at) = timestamp.parse::<i64>() else {
            return false;
        };
        if now.seconds_since(Timestamp(sent_at)).saturating_abs() > SIGNATURE_TOLERANCE_SECONDS {
            return false;
        }
        let expected = hmac_sha256(
            &self.secret,
            &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body],
        );
        signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|signature| BASE64.decode(signature.as_bytes()).ok())
            .any(|mac| equal_in_constant_time(&expected, &mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::fixture;
    use crate::domain::address::Address;
    use crate::domain::channel::Channel;
    use crate::domain::email::EmailAddress;
    use crate::message::{Encoding, Message};

    const SIGNED_AT: i64 = 1_763_753_400;
    const BODY: &str = r#"{"id":"gen-1","reference":"msg_01HZX","status":"delivered","timestamp":"2025-11-21T19:30:00Z"}"#;

    fn carrier() -> Http {
        let secret = BASE64.encode(b"generic-carrier-secret-32-bytes!");
        let object = json!({
            "base_url": "http://127.0.0.1:9000/",
            "token": "t0ken",
            "secret": format!("whsec_{secret}"),
        });
        let Value::Object(object) = object else {
            unreachable!()
        };
        Http::from_fields(&mut Fields::new(object))
    }

    fn report(
        headers: &[(&'static str, &str)],
        body: &str,
        now: i64,
    ) -> Result<Report, ReportError> {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| {
            drop(map.insert(*name, value.parse().expect("a header value")))
        });
        let callback = Callback {
            method: &Method::POST,
            query: "",
            headers: &map,
            body: body.as_bytes(),
            url: "",
        };
        fixture::only_report(carrier().report(&callback, Timestamp(now)))
    }

    /// Checked with PyPI `standardwebhooks`.
    const HEADERS: [(&str, &str); 3] = [
        ("webhook-id", "evt_1"),
        ("webhook-timestamp", "1763753400"),
        (
            "webhook-signature",
            "v1,old v1,NoFaJyXl/bMy6fWxK7QzschPgk3syauq5h8dyM7IXmM=",
        ),
    ];

    #[test]
    fn message_is_posted_as_documented() {
        let to = Address::Email(EmailAddress::parse("ann@example.com").expect("an address"));
        let message = Message {
            text: "123456".into(),
            subject: None,
            html: None,
            encoding: Encoding::Gsm7,
            parts: 1,
        };
        let request = carrier().request(&OutgoingMessage {
            to: &to,
            sender: None,
            notification: None,
            registered: None,
            channel: Channel::Email,
            message: &message,
            code: "123456",
            locale: "en",
            reference: "ref1",
            validity_seconds: 300,
            now: Timestamp(1_763_753_400),
            callback_url: "https://otp.example/v1/callbacks/http/x",
        });
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://127.0.0.1:9000/messages")
        );
        assert_eq!(request.headers()["authorization"], "Bearer t0ken");
        assert_eq!(request.headers()["idempotency-key"], "ref1");
        let body: Value = serde_json::from_str(request.body()).expect("JSON");
        let expected = json!({
            "to": "ann@example.com",
            "from": null,
            "channel": "email",
            "text": "123456",
            "reference": "ref1",
            "validity_seconds": 300,
            "callback_url": "https://otp.example/v1/callbacks/http/x",
            "locale": "en",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn signed_report_is_valid_for_five_minutes() {
        let delivered = Report::new(Some("msg_01HZX".into()), Some(DeliveryStatus::Delivered));
        assert_eq!(
            report(&HEADERS, BODY, SIGNED_AT + 300),
            Ok(delivered.clone())
        );
        assert_eq!(report(&HEADERS, BODY, SIGNED_AT - 300), Ok(delivered));
        assert_eq!(
            report(&HEADERS, BODY, SIGNED_AT + 301),
            Err(ReportError::Forged)
        );
        assert_eq!(
            report(&HEADERS, BODY, SIGNED_AT - 301),
            Err(ReportError::Forged)
        );
    }

    #[test]
    fn report_with_one_altered_byte_is_forged() {
        for at in 0..BODY.len() {
            let mut altered = BODY.as_bytes().to_vec();
            altered[at] ^= 1;
            assert_eq!(
                report(&HEADERS, &String::from_utf8_lossy(&altered), SIGNED_AT),
                Err(ReportError::Forged),
                "byte {at}"
            );
        }
        for (at, (_, value)) in HEADERS.iter().enumerate() {
            let mut headers = HEADERS;
            let altered = value.replace('1', "2");
            headers[at].1 = &altered;
            assert_eq!(report(&headers, BODY, SIGNED_AT), Err(ReportError::Forged));
            let without_one: Vec<_> = HEADERS
                .into_iter()
                .enumerate()
                .filter(|(n, _)| *n != at)
                .map(|(_, h)| h)
                .collect();
            assert_eq!(
                report(&without_one, BODY, SIGNED_AT),
                Err(ReportError::Forged)
            );
        }
    }

    /// The report in `body`, with a valid signature.
    fn signed_report(body: &str) -> Result<Report, ReportError> {
        let mac = hmac_sha256(&carrier().secret, &[b"evt_1.1763753400.", body.as_bytes()]);
        report(
            &[
                HEADERS[0],
                HEADERS[1],
                ("webhook-signature", &format!("v1,{}", BASE64.encode(&mac))),
            ],
            body,
            SIGNED_AT,
        )
    }

    #[test]
    fn reports_with_missing_fields_are_accepted() {
        let delivered = Report::new(None, Some(DeliveryStatus::Delivered));
        assert_eq!(
            signed_report(r#"{"status":"delivered"}"#),
            Ok(delivered.clone()),
            "only the URL names the message"
        );
        assert_eq!(
            signed_report(r#"{"status":"delivered","reference":null}"#),
            Ok(delivered)
        );
        assert_eq!(
            signed_report(r#"{"reference":"r"}"#),
            Ok(Report::new(Some("r".into()), None))
        );
        assert_eq!(signed_report("{}"), Ok(Report::new(None, None)));
        for unreadable in [
            "",
            "{",
            "[]",
            "null",
            "7",
            r#""delivered""#,
            r#"{"status":"delivered","reference":7}"#,
        ] {
            assert_eq!(
                signed_report(unreadable),
                Err(ReportError::Unreadable),
                "{unreadable}"
            );
        }
    }

    #[test]
    fn hostile_timestamps_do_not_overflow() {
        for timestamp in [
            "-9223372036854775808",
            "9223372036854775807",
            "99999999999999999999",
            "",
            "1e9",
            "+1763753400x",
        ] {
            let headers = [HEADERS[0], ("webhook-timestamp", timestamp), HEADERS[2]];
            assert_eq!(
                report(&headers, BODY, SIGNED_AT),
                Err(ReportError::Forged),
                "{timestamp}"
            );
        }
    }
}
