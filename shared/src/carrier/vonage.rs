//! Kind `vonage`: Vonage, over SMS, WhatsApp and voice.
//!
//! API: Messages API v1, `POST {base_url}/v1/messages`,
//! <https://developer.vonage.com/en/api/messages>. Reports have a JWT with the hash of their body:
//! <https://developer.vonage.com/en/messages/concepts/signed-webhooks>.
//!
//! Invariant: a report is parsed only after its JWT was verified with HS256, and its age checked.

mod application;
mod errors;
mod voice;

use ::http::header::AUTHORIZATION;
use ::http::{HeaderMap, Method, Request, Response};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};

use self::application::Application;
use super::carrier_trait::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use super::vendor_format::lenient_json::report_object;
use super::vendor_format::whatsapp_template::WhatsappTemplate;
use super::vendor_format::{config_fields, request, response};
use crate::crypto::hashes::sha256;
use crate::crypto::signatures::{equal_in_constant_time, hmac_sha256};
use crate::domain::channel::Channel;
use crate::domain::time::Timestamp;
use crate::message::Encoding;
use crate::platform::json::Fields;

/// Bounds of `ttl`.
const TTL_SECONDS_MIN: i64 = 20;
const TTL_SECONDS_MAX: i64 = 604_800;
/// How far the vendor's clock may be ahead of ours.
const CLOCK_DIFFERENCE_SECONDS_MAX: i64 = 300;
/// Oldest signature. Vonage repeats a report for 24 hours, perhaps with the first signature. A
/// report that is sent again by a stranger changes nothing: a status only moves up.
const SIGNATURE_AGE_SECONDS_MAX: i64 = 24 * 3600 + CLOCK_DIFFERENCE_SECONDS_MAX;

/// A carrier of kind `vonage`.
pub struct Vonage {
    base_url: String,
    api_key: String,
    api_secret: String,
    /// More than one while the secret is changed.
    signature_secrets: Vec<String>,
    /// For WhatsApp and calls.
    application: Option<Application>,
    whatsapp: Option<Whatsapp>,
    /// The number that calls come from.
    voice_from: Option<String>,
}

struct Whatsapp {
    from: String,
    template: WhatsappTemplate,
}

impl Vonage {
    /// Fields: `api_key`, `api_secret`, `signature_secret` (one, or a list of two). For calls
    /// `voice_from`, for WhatsApp `whatsapp_template` and `whatsapp_from`; for both
    /// `application_id` and `private_key`.
    pub fn from_fields(fields: &mut Fields) -> Self {
        let voice_from = config_fields::number(fields, "voice_from");
        let whatsapp = WhatsappTemplate::from_fields(fields).map(|template| Whatsapp {
            from: config_fields::required_number(fields, "whatsapp_from"),
            template,
        });
        let needs_application = voice_from.is_some() || whatsapp.is_some();
        Self {
            application: needs_application.then(|| Application::from_fields(fields)),
            whatsapp,
            voice_from,
            base_url: config_fields::base_url(fields, Some("https://api.nexmo.com")),
            api_key: config_fields::basic_user(fields, "api_key"),
            api_secret: config_fields::credential(fields, "api_secret"),
            signature_secrets: config_fields::one_or_two_credentials(fields, "signature_secret"),
        }
    }
}

impl Carrier for Vonage {
    fn serves(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => true,
            Channel::Voice => self.voice_from.is_some(),
            Channel::Whatsapp => self.whatsapp.is_some(),
            Channel::Email | Channel::Push => false,
        }
    }

    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let from = &self.voice_from;
        match (message.channel, &self.application, &self.whatsapp, from) {
            (Channel::Voice, Some(application), _, Some(from)) => {
                voice::request(&self.base_url, application, from, message)
            }
            (Channel::Whatsapp, Some(application), Some(whatsapp), _) => {
                let body = whatsapp.body(message);
                let url = format!("{}/v1/messages", self.base_url);
                request::post_json(&url, &[application.authorization(message)], &body)
            }
            _ => self.text(message),
        }
    }

    /// 202 with an id of a message, 201 with that of a call, or problem details.
    fn receipt(&self, response: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(response.body()) else {
            return response::without_result(response, now);
        };
        let mut ids = ["message_uuid", "uuid"].into_iter();
        let has_id = ids.any(|name| body[name].as_str().is_some_and(|id| !id.is_empty()));
        match response.status().is_success() {
            true if has_id => Receipt::Accepted,
            true => response::without_result(response, now),
            false => errors::receipt(&body, response, now),
        }
    }

    fn report(&self, callback: &Callback<'_>, now: Timestamp) -> Result<Vec<Report>, ReportError> {
        if callback.method != Method::POST {
            return Err(ReportError::Forged);
        }
        // After an internal error Vonage calls without a signature, and again after a 5xx.
        if !callback.headers.contains_key(AUTHORIZATION) {
            return Err(ReportError::Unsigned);
        }
        if !self.is_signed(callback.headers, callback.body, now) {
            return Err(ReportError::Forged);
        }
        let report = report_object(callback.body)?;
        let status = report["status"].as_str();
        if voice::is_event(&report) {
            return Ok(vec![Report::new(None, status.and_then(voice::status))]);
        }
        let error = errors::number(&report["error"]);
        Ok(vec![Report {
            is_account_fault: errors::is_account_fault(error),
            ..Report::new(
                report["client_ref"].as_str().map(str::to_owned),
                status.and_then(|word| errors::status(word, error)),
            )
        }])
    }
}

impl Whatsapp {
    /// A template message as WhatsApp has it, which is passed on.
    fn body(&self, message: &OutgoingMessage<'_>) -> Value {
        let template = json!({
            "name": self.template.name,
            "language": self.template.language(message.locale),
            "components": WhatsappTemplate::components(message.code),
        });
        json!({
            "message_type": "custom",
            "channel": "whatsapp",
            "to": request::digits(message.to),
            "from": self.from.trim_start_matches('+'),
            "client_ref": message.reference,
            "webhook_url": message.callback_url,
            "webhook_version": "v1",
            "custom": {"type": "template", "template": template},
        })
    }
}

impl Vonage {
    fn text(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let encoding = match message.message.encoding {
            Encoding::Gsm7 => "text",
            Encoding::Ucs2 => "unicode",
        };
        let mut body = json!({
            "message_type": "text",
            "channel": "sms",
            "to": request::digits(message.to),
            "text": message.message.text,
            "client_ref": message.reference,
            "ttl": message.validity_seconds.clamp(TTL_SECONDS_MIN, TTL_SECONDS_MAX),
            "webhook_url": message.callback_url,
            "webhook_version": "v1",
            "sms": {"encoding_type": encoding},
        });
        if let Some(sender) = message.sender {
            body["from"] = sender.trim_start_matches('+').into();
        }
        if let Some(registered) = message.registered {
            body["sms"]["entity_id"] = registered.entity_id.as_str().into();
            body["sms"]["content_id"] = registered.template_id.as_str().into();
        }
        let authorization = request::basic_auth(&self.api_key, &self.api_secret);
        let url = format!("{}/v1/messages", self.base_url);
        request::post_json(&url, &[authorization], &body)
    }
}

impl Vonage {
    /// Whether the JWT was signed by Vonage, not too long ago, for this body. Vonage's own
    /// libraries check only the signature.
    fn is_signed(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
        let Some(claims) = self.claims(headers) else {
            return false;
        };
        let is_recent = |iat: i64| {
            (-CLOCK_DIFFERENCE_SECONDS_MAX..=SIGNATURE_AGE_SECONDS_MAX)
                .contains(&now.seconds_since(Timestamp(iat)))
        };
        claims["payload_hash"]
            .as_str()
            .is_some_and(|hash| hash.eq_ignore_ascii_case(&HEXLOWER.encode(&sha256(body))))
            && claims["iat"].as_i64().is_some_and(is_recent)
            && claims["iss"] == "Vonage"
            && (claims["api_key"].is_null() || claims["api_key"] == *self.api_key)
    }

    /// The claims of a JWT with a valid signature. Only HS256 is accepted: the sender does not
    /// choose the algorithm. The JWT is not verified with a library, so that the simulated carrier,
    /// which signs with one, checks this code.
    fn claims(&self, headers: &HeaderMap) -> Option<Value> {
        let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let (signed, mac) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decoded = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).ok();
        let mac = decoded(mac)?;
        let is_signed_with = |secret: &String| {
            let expected = hmac_sha256(secret.as_bytes(), &[signed.as_bytes()]);
            equal_in_constant_time(&expected, &mac)
        };
        if !scheme.eq_ignore_ascii_case("bearer")
            || !self.signature_secrets.iter().any(is_signed_with)
        {
            return None;
        }
        let header: Value = serde_json::from_slice(&decoded(header)?).ok()?;
        if header["alg"] != "HS256" {
            return None;
        }
        serde_json::from_slice(&decoded(claims)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::fixture::{self, CALLBACK_URL, IN_SEVEN_SECONDS, REFERENCE};
    use crate::domain::delivery::DeliveryStatus;

    const SECRET: &str = "my-vonage-signature-secret-32bytes";

    fn entry() -> Value {
        json!({
            "api_key": "abcd1234",
            "api_secret": "secret-for-tests",
            "signature_secret": SECRET,
            "base_url": "http://127.0.0.1:9000",
        })
    }

    fn carrier() -> Vonage {
        fixture::read(Vonage::from_fields, entry()).0
    }

    #[test]
    fn message_is_posted_as_documented() {
        let request = fixture::request(&carrier(), "Your code is 4217", Encoding::Gsm7, |_| ());
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://127.0.0.1:9000/v1/messages")
        );
        assert_eq!(
            request.headers()["authorization"],
            "Basic YWJjZDEyMzQ6c2VjcmV0LWZvci10ZXN0cw=="
        );
        assert_eq!(request.headers()["content-type"], "application/json");
        let expected = json!({
            "message_type": "text",
            "channel": "sms",
            "to": "33612345678",
            "from": "AcmeInc",
            "text": "Your code is 4217",
            "client_ref": REFERENCE,
            "ttl": 300,
            "webhook_url": CALLBACK_URL,
            "webhook_version": "v1",
            "sms": {"encoding_type": "text"},
        });
        assert_eq!(fixture::json(&request), expected);
        let default_url = fixture::read(
            Vonage::from_fields,
            fixture::with(&entry(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&default_url, "код", Encoding::Ucs2, |message| {
            message.sender = Some("+15017122661")
        });
        let body = fixture::json(&request);
        assert_eq!(request.uri(), "https://api.nexmo.com/v1/messages");
        assert_eq!(
            (&body["sms"]["encoding_type"], &body["from"]),
            (&json!("unicode"), &json!("15017122661"))
        );
    }

    #[test]
    fn validity_is_clamped_to_the_limits_of_the_vendor() {
        for (seconds, ttl) in [(i64::MIN, 20), (42, 42), (i64::MAX, 604_800)] {
            let request = fixture::request(&carrier(), "x", Encoding::Gsm7, |message| {
                message.validity_seconds = seconds;
                message.sender = None;
            });
            let body = fixture::json(&request);
            assert_eq!((&body["ttl"], body.get("from")), (&json!(ttl), None));
        }
    }

    #[test]
    fn entries_without_secrets_are_rejected() {
        assert_eq!(
            fixture::read(Vonage::from_fields, entry()).1,
            Vec::<String>::new()
        );
        assert_eq!(
            fixture::read(Vonage::from_fields, json!({})).1,
            ["api_key", "api_secret", "signature_secret"]
        );
        assert_eq!(
            fixture::read(
                Vonage::from_fields,
                fixture::with(&entry(), "signature_secret", json!(""))
            )
            .1,
            ["signature_secret"]
        );
        assert_eq!(
            fixture::read(
                Vonage::from_fields,
                fixture::with(&entry(), "api_key", json!("a:b"))
            )
            .1,
            ["api_key"]
        );
    }

    #[test]
    fn responses_are_classified() {
        let class =
            |status: u16, body: Value| fixture::receipt(&carrier(), status, &body.to_string());
        let problem = json!({
            "type": "https://developer.vonage.com/api-errors",
            "title": "…",
            "detail": "…",
            "instance": "bf0ca0bf927b3b52",
        });
        let invalid = |name: &str| {
            fixture::with(
                &problem,
                "invalid_parameters",
                json!([{"name": name, "reason": "…"}]),
            )
        };
        assert_eq!(
            class(
                202,
                json!({"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"})
            ),
            Receipt::Accepted
        );
        assert_eq!(
            [
                class(202, json!({"message_uuid": ""})),
                class(200, problem.clone()),
                class(200, invalid("from"))
            ],
            [const { Receipt::Unknown }; 3]
        );
        for status in [401, 402] {
            assert_eq!(
                class(status, problem.clone()),
                Receipt::AccountRejected,
                "{status}"
            );
        }
        assert_eq!(class(403, problem.clone()), Receipt::Misconfigured);
        assert_eq!(
            [class(422, invalid("to")), class(422, invalid("$.to"))],
            [const { Receipt::Permanent }; 2]
        );
        assert_eq!(
            [class(422, problem.clone()), class(404, problem.clone())],
            [const { Receipt::Misconfigured }; 2],
            "not about the number"
        );
        assert_eq!(
            [class(422, invalid("from")), class(422, invalid("sms.ttl"))],
            [const { Receipt::Misconfigured }; 2]
        );
        assert_eq!(
            [
                class(429, problem.clone()),
                class(500, problem.clone()),
                class(503, invalid("from"))
            ],
            [const { IN_SEVEN_SECONDS }; 3]
        );
        fixture::unreadable_responses_are_not_accepted(&carrier());
    }

    #[test]
    fn error_number_decides_whatever_the_status() {
        let class = |status: u16, number: i64| {
            let problem = json!({
                "type": format!("https://developer.vonage.com/api-errors/messages#{number}"),
                "title": "…",
                "detail": "…",
                "instance": "bf0ca0bf927b3b52",
            });
            fixture::receipt(&carrier(), status, &problem.to_string())
        };
        for status in [400, 403, 422] {
            for number in [1050, 1170, 1190, 1240, 1300] {
                assert_eq!(class(status, number), Receipt::Permanent, "{number}");
            }
            for number in [1060, 1070, 1080] {
                assert_eq!(class(status, number), Receipt::AccountRejected, "{number}");
            }
            for number in [1020, 1022, 1040, 1120, 1140, 1160, 1250, 1340, 9999] {
                assert_eq!(class(status, number), Receipt::Misconfigured, "{number}");
            }
            for number in [1000, 1030, 1100, 1230, 1241, 1331] {
                assert_eq!(class(status, number), IN_SEVEN_SECONDS, "{number}");
            }
        }
        let invalid_number = json!({
            "type": "https://developer.vonage.com/api-errors/messages#1020",
            "invalid_parameters": [{"name": "to", "reason": "…"}],
        });
        let receipt = fixture::receipt(&carrier(), 422, &invalid_number.to_string());
        assert_eq!(receipt, Receipt::Permanent);
    }

    #[test]
    fn report_about_the_account_blames_it() {
        let blamed = |number: i64| {
            let error = json!({"title": number.to_string(), "detail": "…"});
            let report = json!({"status": "rejected", "client_ref": "r", "error": error});
            signed_report(&report).map(|report| (report.status, report.is_account_fault))
        };
        for number in [1022, 1060, 1070, 1120, 1160, 1340] {
            assert_eq!(
                blamed(number),
                Ok((Some(DeliveryStatus::Rejected), true)),
                "{number}"
            );
        }
        for number in [1050, 1210, 1240, 1260, 1300] {
            assert_eq!(
                blamed(number),
                Ok((Some(DeliveryStatus::Rejected), false)),
                "{number}"
            );
        }
    }

    // Made without this code; PyPI `vonage-jwt` 1.1.5 and npm `@vonage/jwt` 1.17 accept it.
    const BODY: &str = concat!(
        r#"{"message_uuid":"aaaaaaaa-bbbb-cccc-dddd-0123456789ab","to":"447700900000","from":"AcmeInc","timestamp":"2025-11-21T19:30:00.000Z","#,
        r#""status":"delivered","channel":"sms","client_ref":"msg_01HZX"}"#
    );
    const TOKEN: &str = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        ".eyJpYXQiOjE3NjM3NTM0MDAsImp0aSI6ImM1YmE4ZjI0LTFhMTQtNGMxMC1iZmRmLTNmYmU4Y2U1MTFiNSIsImlzcyI6IlZvbmFnZSIsInBheWxvYWRfaGFzaCI6",
        "IjFiNmE2YWRhMzI2MWIwMzM3ZTIxNmU2OWIzZWIxNjRlYzMwZTQ4Nzg0MTRkOTQzNmNmNWIzYWI0MTYwMzRiNTgiLCJhcGlfa2V5IjoiYWJjZDEyMzQiLCJhcHBs",
        "aWNhdGlvbl9pZCI6ImFhYWFhYWFhLWJiYmItY2NjYy1kZGRkLTAxMjM0NTY3ODlhYiJ9",
        ".6CY02PFKa65MIt5vc6A2S4m2uOyppCk9y6_8UFP97VQ"
    );

    fn authorized(authorization: &str, body: &[u8], now: i64) -> Result<Report, ReportError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            "authorization",
            ::http::HeaderValue::from_bytes(authorization.as_bytes()).expect("a header value"),
        );
        let callback = Callback {
            method: &Method::POST,
            query: "",
            headers: &headers,
            body,
            url: CALLBACK_URL,
        };
        fixture::only_report(carrier().report(&callback, Timestamp(now)))
    }

    fn reported(token: &str, body: &[u8], now: i64) -> Result<Report, ReportError> {
        authorized(&format!("Bearer {token}"), body, now)
    }

    fn token(header: &Value, claims: &Value, secret: &str) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        format!(
            "{signed}.{}",
            BASE64URL_NOPAD.encode(&hmac_sha256(secret.as_bytes(), &[signed.as_bytes()]))
        )
    }

    fn header() -> Value {
        json!({"alg": "HS256", "typ": "JWT"})
    }

    fn claims(body: &[u8]) -> Value {
        json!({
            "iat": fixture::NOW.0,
            "jti": "1",
            "iss": "Vonage",
            "payload_hash": HEXLOWER.encode(&sha256(body)),
            "api_key": "abcd1234",
        })
    }

    /// `report` with a valid signature.
    fn signed_report(report: &Value) -> Result<Report, ReportError> {
        let body = report.to_string();
        authorized(
            &format!(
                "Bearer {}",
                token(&header(), &claims(body.as_bytes()), SECRET)
            ),
            body.as_bytes(),
            fixture::NOW.0,
        )
    }

    #[test]
    fn token_of_the_sdk_is_valid_for_a_day() {
        let delivered = Ok(Report::new(
            Some("msg_01HZX".into()),
            Some(DeliveryStatus::Delivered),
        ));
        for seconds in [0, 300, -300, 301, 86_400, 86_700] {
            assert_eq!(
                reported(TOKEN, BODY.as_bytes(), fixture::NOW.0 + seconds),
                delivered,
                "{seconds}"
            );
        }
        for seconds in [86_701, -301, i64::MAX - fixture::NOW.0] {
            assert_eq!(
                reported(TOKEN, BODY.as_bytes(), fixture::NOW.0 + seconds),
                Err(ReportError::Forged),
                "{seconds}"
            );
        }
        assert_eq!(
            authorized(&format!("bearer {TOKEN}"), BODY.as_bytes(), fixture::NOW.0),
            delivered
        );
    }

    #[test]
    fn report_with_one_altered_byte_is_forged() {
        for at in 0..BODY.len() {
            let mut altered = BODY.as_bytes().to_vec();
            altered[at] ^= 1;
            assert_eq!(
                reported(TOKEN, &altered, fixture::NOW.0),
                Err(ReportError::Forged),
                "byte {at}"
            );
        }
        for at in 0..TOKEN.len() {
            let mut altered = TOKEN.as_bytes().to_vec();
            altered[at] ^= 1;
            let altered = String::from_utf8_lossy(&altered);
            assert_eq!(
                reported(&altered, BODY.as_bytes(), fixture::NOW.0),
                Err(ReportError::Forged),
                "token byte {at}"
            );
            assert_eq!(
                reported(&TOKEN[..at], BODY.as_bytes(), fixture::NOW.0),
                Err(ReportError::Forged),
                "token cut at {at}"
            );
        }
    }

    #[test]
    fn token_must_be_ours_for_this_body_in_hs256() {
        let report = |header: Value, claims: Value, secret: &str| {
            reported(
                &token(&header, &claims, secret),
                BODY.as_bytes(),
                fixture::NOW.0,
            )
        };
        let good = claims(BODY.as_bytes());
        assert!(report(header(), good.clone(), SECRET).is_ok());
        assert!(
            report(
                header(),
                fixture::with(&good, "api_key", Value::Null),
                SECRET
            )
            .is_ok(),
            "Vonage may leave out this claim"
        );
        assert_eq!(
            report(header(), good.clone(), "another-signature-secret"),
            Err(ReportError::Forged)
        );
        for alg in [
            json!("none"),
            json!("None"),
            json!("RS256"),
            json!("HS512"),
            json!("hs256"),
            json!(["HS256"]),
            Value::Null,
        ] {
            assert_eq!(
                report(
                    fixture::with(&header(), "alg", alg.clone()),
                    good.clone(),
                    SECRET
                ),
                Err(ReportError::Forged),
                "{alg}"
            );
        }
        for (name, value) in [
            ("payload_hash", json!("")),
            ("payload_hash", Value::Null),
            (
                "payload_hash",
                json!(HEXLOWER.encode(&sha256(b"another body"))),
            ),
            ("iat", Value::Null),
            ("iat", json!("1763753400")),
            ("iat", json!(i64::MIN)),
            ("iat", json!(i64::MAX)),
            ("iat", json!(u64::MAX)),
            ("iat", json!(1e300)),
            ("iss", json!("vonage")),
            ("iss", Value::Null),
            ("api_key", json!("dcba4321")),
            ("api_key", json!(7)),
        ] {
            assert_eq!(
                report(header(), fixture::with(&good, name, value.clone()), SECRET),
                Err(ReportError::Forged),
                "{name} {value}"
            );
        }
        for document in [json!([]), json!("x"), Value::Null] {
            assert_eq!(
                report(document.clone(), good.clone(), SECRET),
                Err(ReportError::Forged)
            );
            assert_eq!(report(header(), document, SECRET), Err(ReportError::Forged));
        }
    }

    #[test]
    fn both_secrets_are_valid_while_one_is_changed() {
        let of_secrets = |secrets: Value| {
            let entry = fixture::with(&entry(), "signature_secret", secrets);
            fixture::read(Vonage::from_fields, entry)
        };
        let (carrier, wrong) = of_secrets(json!(["the-secret-before-this-one", SECRET]));
        assert_eq!(wrong, Vec::<String>::new());
        let report = |secret: &str| {
            let token = token(&header(), &claims(BODY.as_bytes()), secret);
            let mut headers = HeaderMap::new();
            let value = format!("Bearer {token}").parse().expect("a header value");
            headers.insert(AUTHORIZATION, value);
            let callback = Callback {
                method: &Method::POST,
                query: "",
                headers: &headers,
                body: BODY.as_bytes(),
                url: CALLBACK_URL,
            };
            carrier.report(&callback, fixture::NOW).is_ok()
        };
        assert_eq!(
            [SECRET, "the-secret-before-this-one", "another"].map(report),
            [true, true, false]
        );
        for wrong in [
            json!([]),
            json!(["a", "b", "c"]),
            json!(["a", ""]),
            json!(["a", 7]),
            json!({"a": "b"}),
        ] {
            assert_eq!(of_secrets(wrong.clone()).1, ["signature_secret"], "{wrong}");
        }
    }

    #[test]
    fn header_without_a_token_is_forged() {
        let long = ".".repeat(100_000);
        for authorization in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer .",
            "Bearer ..",
            "Bearer a.b.c",
            "Bearer ÿ.ÿ.ÿ",
            "Basic eA==",
            TOKEN,
            &long,
        ] {
            assert_eq!(
                authorized(authorization, BODY.as_bytes(), fixture::NOW.0),
                Err(ReportError::Forged),
                "{authorization:.40}"
            );
        }
        assert_eq!(
            authorized(&format!("Basic {TOKEN}"), BODY.as_bytes(), fixture::NOW.0),
            Err(ReportError::Forged)
        );
        assert_eq!(
            fixture::report(&carrier(), &Method::POST, "", BODY.as_bytes()),
            Err(ReportError::Unsigned),
            "no header"
        );
        assert_eq!(
            fixture::report(&carrier(), &Method::GET, "", BODY.as_bytes()),
            Err(ReportError::Forged),
            "no header and the wrong method"
        );
        let mut headers = HeaderMap::new();
        headers.insert(
            "authorization",
            format!("Bearer {TOKEN}").parse().expect("a header value"),
        );
        for method in [Method::GET, Method::PUT] {
            let callback = Callback {
                method: &method,
                query: "",
                headers: &headers,
                body: BODY.as_bytes(),
                url: CALLBACK_URL,
            };
            assert_eq!(
                fixture::only_report(carrier().report(&callback, fixture::NOW)),
                Err(ReportError::Forged)
            );
        }
        fixture::hostile_reports_change_nothing(&carrier());
    }

    #[test]
    fn statuses_are_read_with_their_errors() {
        use DeliveryStatus::{Delivered, Expired, Rejected, Sent, Undelivered};
        let titled = |code: &str| {
            json!({
                "type": format!("https://developer.vonage.com/api-errors/messages#{code}"),
                "title": code,
                "detail": "…",
            })
        };
        for (word, error, expected) in [
            ("submitted", Value::Null, Some(Sent)),
            ("delivered", Value::Null, Some(Delivered)),
            ("read", Value::Null, Some(Delivered)),
            ("undeliverable", titled("1260"), Some(Undelivered)),
            ("rejected", Value::Null, Some(Rejected)),
            ("rejected", titled("1240"), Some(Rejected)),
            ("rejected", titled("1360"), Some(Expired)),
            ("rejected", titled("1330"), Some(Undelivered)),
            (
                "rejected",
                json!({
                    "type": "https://developer.vonage.com/api-errors/messages#1360",
                    "title": "TTL expired",
                }),
                Some(Expired),
            ),
            (
                "rejected",
                json!({"code": 1360, "reason": "TTL expired"}),
                Some(Expired),
            ),
            (
                "rejected",
                json!({"type": "#", "title": [], "code": {}}),
                Some(Rejected),
            ),
            ("delivered", titled("1360"), Some(Delivered)),
            ("teleported", Value::Null, None),
        ] {
            let to = json!({"type": "sms", "number": "447700900000"});
            let report = json!({
                "message_uuid": "a",
                "to": to,
                "status": word,
                "client_ref": REFERENCE,
                "error": error,
            });
            let expected = Ok(Report::new(Some(REFERENCE.into()), expected));
            assert_eq!(signed_report(&report), expected, "{word} {error}");
        }
    }

    #[test]
    fn reports_with_missing_fields_are_accepted() {
        let report = json!({"message_uuid": "a", "status": "delivered", "client_ref": "other"});
        assert_eq!(
            signed_report(&report).map(|report| report.reference),
            Ok(Some("other".into()))
        );
        let without_reference = fixture::with(&report, "client_ref", Value::Null);
        assert_eq!(
            signed_report(&without_reference).map(|report| report.reference),
            Ok(None),
            "only the URL names the message"
        );
        assert_eq!(
            signed_report(&without_reference),
            fixture::status(DeliveryStatus::Delivered)
        );
        for without_status in [
            json!({}),
            json!({"status": 1}),
            json!({"message_type": "text", "text": "STOP"}),
        ] {
            assert_eq!(
                signed_report(&without_status),
                Ok(Report::new(None, None)),
                "{without_status}"
            );
        }
        for unreadable in [json!([]), json!("delivered"), Value::Null] {
            assert_eq!(signed_report(&unreadable), Err(ReportError::Unreadable));
        }
        for body in [&b"\xff\xfe"[..], b"{", b""] {
            let token = token(&header(), &claims(body), SECRET);
            assert_eq!(
                reported(&token, body, fixture::NOW.0),
                Err(ReportError::Unreadable)
            );
        }
    }
}
