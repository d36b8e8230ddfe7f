//! Kind `vonage`: Vonage, Messages API v1.
//! Wire: `POST {base_url}/v1/messages`; <https://developer.vonage.com/en/api/messages>. Reports carry a JWT over the hash of their body:
//! <https://developer.vonage.com/en/messages/concepts/signed-webhooks>

use ::http::{HeaderMap, Method, Request, Response};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};

use super::vendor_formats::{self, whole};
use super::{Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError};
use crate::crypto::hashes::sha256;
use crate::crypto::signatures::{equal_in_constant_time, hmac_sha256};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::time::Timestamp;
use crate::message::Encoding;
use crate::platform::json::Fields;

/// Bounds of `ttl`.
const TTL_SECONDS_MIN: i64 = 20;
const TTL_SECONDS_MAX: i64 = 604_800;
/// How far the moment of a signature may be from now, either way.
const SIGNATURE_TOLERANCE_SECONDS: i64 = 300;
/// Errors in reports: <https://developer.vonage.com/en/messages/concepts/messages-status-callbacks>
const ERROR_OUTCOME_UNKNOWN: i64 = 1330;
const ERROR_TTL_EXPIRED: i64 = 1360;

/// A carrier of kind `vonage`.
pub struct Vonage {
    base_url: String,
    api_key: String,
    api_secret: String,
    signature_secret: String,
    callback_token: Option<String>,
}

impl Vonage {
    /// From its settings: `api_key`, `api_secret`, `signature_secret`, perhaps `callback_token`.
    pub fn read(fields: &mut Fields) -> Self {
        Self {
            base_url: super::base_url(fields, "https://api.nexmo.com"),
            api_key: vendor_formats::basic_credential(fields, "api_key"),
            api_secret: vendor_formats::credential(fields, "api_secret"),
            signature_secret: vendor_formats::credential(fields, "signature_secret"),
            callback_token: vendor_formats::callback_token_if_any(fields),
        }
    }
}

impl Carrier for Vonage {
    fn request(&self, message: &OutgoingMessage<'_>) -> Request<String> {
        let encoding = match message.message.encoding {
            Encoding::Gsm7 => "text",
            Encoding::Ucs2 => "unicode",
        };
        let mut body = json!({
            "message_type": "text", "channel": "sms", "to": vendor_formats::digits(message.to), "text": message.message.text, "client_ref": message.reference,
            "ttl": message.validity_seconds.clamp(TTL_SECONDS_MIN, TTL_SECONDS_MAX), "webhook_url": message.callback_url, "webhook_version": "v1",
            "sms": {"encoding_type": encoding},
        });
        if let Some(sender) = message.sender {
            body["from"] = sender.trim_start_matches('+').into();
        }
        let headers = [(
            "authorization",
            vendor_formats::basic(&self.api_key, &self.api_secret),
        )];
        vendor_formats::post_json(&format!("{}/v1/messages", self.base_url), &headers, &body)
    }

    /// 202 with an id, or problem details.
    fn receipt(&self, answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
        let Ok(body) = serde_json::from_slice::<Value>(answer.body()) else {
            return vendor_formats::unreadable(answer, now);
        };
        let invalid: Vec<&str> = body["invalid_parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|field| field["name"].as_str())
            .collect();
        let is_success = answer.status().is_success();
        if is_success
            && body["message_uuid"]
                .as_str()
                .is_some_and(|id| !id.is_empty())
        {
            Receipt::Accepted
        } else if is_success
            || invalid.is_empty()
            || invalid
                .iter()
                .any(|name| *name == "to" || name.ends_with(".to"))
        {
            vendor_formats::unreadable(answer, now)
        } else {
            // Something in our document or in the settings, not the number.
            vendor_formats::unlisted(answer, now)
        }
    }

    fn report(&self, callback: &Callback<'_>, now: Timestamp) -> Result<Report, ReportError> {
        if callback.method != Method::POST || !self.is_signed(callback.headers, callback.body, now)
        {
            return Err(ReportError::Forged);
        }
        let report = vendor_formats::json_report(callback.body)?;
        let reference = report["client_ref"].as_str().map(str::to_owned);
        Ok(Report {
            reference,
            status: report["status"]
                .as_str()
                .and_then(|word| status(word, error(&report["error"]))),
        })
    }

    fn account_token(&self) -> Option<&str> {
        self.callback_token.as_deref()
    }
}

impl Vonage {
    /// Whether the token is Vonage's, of now, and about this body. Its verifiers check the first of these only.
    fn is_signed(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
        let Some(claims) = self.claims(headers) else {
            return false;
        };
        let is_fresh = |iat: i64| {
            now.seconds_since(Timestamp(iat)).saturating_abs() <= SIGNATURE_TOLERANCE_SECONDS
        };
        claims["payload_hash"]
            .as_str()
            .is_some_and(|hash| hash.eq_ignore_ascii_case(&HEXLOWER.encode(&sha256(body))))
            && claims["iat"].as_i64().is_some_and(is_fresh)
            && claims["iss"] == "Vonage"
            && (claims["api_key"].is_null() || claims["api_key"] == *self.api_key)
    }

    /// The claims of a token with our MAC. HS256 and nothing else: the sender does not choose how it is verified.
    fn claims(&self, headers: &HeaderMap) -> Option<Value> {
        let (scheme, token) = headers
            .get("authorization")?
            .to_str()
            .ok()?
            .split_once(' ')?;
        let (signed, mac) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decoded = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).ok();
        let expected = hmac_sha256(self.signature_secret.as_bytes(), &[signed.as_bytes()]);
        if !scheme.eq_ignore_ascii_case("bearer")
            || !equal_in_constant_time(&expected, &decoded(mac)?)
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

/// Number of a report's error: its `title`, the end of its `type`, or `code` in version 0.1.
fn error(error: &Value) -> Option<i64> {
    let of_type = || error["type"].as_str()?.rsplit_once('#')?.1.parse().ok();
    whole(&error["title"])
        .or_else(of_type)
        .or_else(|| whole(&error["code"]))
}

/// `rejected` is also what Vonage calls two ends that are none.
fn status(word: &str, error: Option<i64>) -> Option<DeliveryStatus> {
    match word {
        "submitted" => Some(DeliveryStatus::Sent),
        "delivered" | "read" => Some(DeliveryStatus::Delivered),
        "undeliverable" => Some(DeliveryStatus::Undelivered),
        "rejected" if error == Some(ERROR_TTL_EXPIRED) => Some(DeliveryStatus::Expired),
        "rejected" if error == Some(ERROR_OUTCOME_UNKNOWN) => Some(DeliveryStatus::Undelivered),
        "rejected" => Some(DeliveryStatus::Rejected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::vendor_formats::fixture::{
        self, CALLBACK_TOKEN, CALLBACK_URL, IN_SEVEN_SECONDS, REFERENCE,
    };
    use super::*;

    const SECRET: &str = "my-vonage-signature-secret-32bytes";

    fn settings() -> Value {
        json!({ "api_key": "abcd1234", "api_secret": "secret-for-tests", "signature_secret": SECRET, "base_url": "http://127.0.0.1:9000" })
    }

    fn carrier() -> Vonage {
        fixture::read(Vonage::read, settings()).0
    }

    fn carrier_with_one_url() -> Vonage {
        fixture::read(
            Vonage::read,
            fixture::with(&settings(), "callback_token", json!(CALLBACK_TOKEN)),
        )
        .0
    }

    #[test]
    fn a_message_is_posted_as_documented() {
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
        let expected = json!({"message_type": "text", "channel": "sms", "to": "33612345678", "from": "AcmeInc", "text": "Your code is 4217",
            "client_ref": REFERENCE, "ttl": 300, "webhook_url": CALLBACK_URL, "webhook_version": "v1", "sms": {"encoding_type": "text"}});
        assert_eq!(fixture::json(&request), expected);
        let elsewhere = fixture::read(
            Vonage::read,
            fixture::with(&settings(), "base_url", Value::Null),
        )
        .0;
        let request = fixture::request(&elsewhere, "код", Encoding::Ucs2, |message| {
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
    fn the_validity_stays_within_what_the_vendor_takes() {
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
    fn settings_without_secrets_are_refused() {
        assert_eq!(
            fixture::read(Vonage::read, settings()).1,
            Vec::<String>::new()
        );
        assert_eq!(
            fixture::read(Vonage::read, json!({})).1,
            ["api_key", "api_secret", "signature_secret"]
        );
        assert_eq!(
            fixture::read(
                Vonage::read,
                fixture::with(&settings(), "signature_secret", json!(""))
            )
            .1,
            ["signature_secret"]
        );
        assert_eq!(
            fixture::read(
                Vonage::read,
                fixture::with(&settings(), "api_key", json!("a:b"))
            )
            .1,
            ["api_key"]
        );
        assert_eq!(
            fixture::read(
                Vonage::read,
                fixture::with(&settings(), "callback_token", json!("short"))
            )
            .1,
            ["callback_token"]
        );
        assert_eq!(
            (
                carrier().account_token(),
                carrier_with_one_url().account_token()
            ),
            (None, Some(CALLBACK_TOKEN))
        );
    }

    #[test]
    fn every_class_of_answer_is_read() {
        let class =
            |status: u16, body: Value| fixture::receipt(&carrier(), status, &body.to_string());
        let problem = json!({"type": "https://developer.vonage.com/api-errors", "title": "…", "detail": "…", "instance": "bf0ca0bf927b3b52"});
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
        for status in [401, 402, 403] {
            assert_eq!(
                class(status, problem.clone()),
                Receipt::Misconfigured,
                "{status}"
            );
        }
        assert_eq!(
            [
                class(422, problem.clone()),
                class(422, invalid("to")),
                class(422, invalid("$.to"))
            ],
            [const { Receipt::Permanent }; 3]
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
        fixture::answers_that_cannot_be_read_are_no_success(&carrier());
    }

    // Made without this code; PyPI `vonage-jwt` 1.1.5 and npm `@vonage/jwt` 1.17 take it.
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

    fn authorized(
        carrier: &Vonage,
        authorization: &str,
        body: &[u8],
        now: i64,
    ) -> Result<Report, ReportError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            "authorization",
            ::http::HeaderValue::from_bytes(authorization.as_bytes()).expect("a header value"),
        );
        carrier.report(
            &Callback {
                method: &Method::POST,
                query: "",
                headers: &headers,
                body,
                url: CALLBACK_URL,
            },
            Timestamp(now),
        )
    }

    fn reported(token: &str, body: &[u8], now: i64) -> Result<Report, ReportError> {
        authorized(&carrier(), &format!("Bearer {token}"), body, now)
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
        json!({"iat": fixture::NOW.0, "jti": "1", "iss": "Vonage", "payload_hash": HEXLOWER.encode(&sha256(body)), "api_key": "abcd1234"})
    }

    /// `report` as Vonage would sign it.
    fn genuine(carrier: &Vonage, report: &Value) -> Result<Report, ReportError> {
        let body = report.to_string();
        authorized(
            carrier,
            &format!(
                "Bearer {}",
                token(&header(), &claims(body.as_bytes()), SECRET)
            ),
            body.as_bytes(),
            fixture::NOW.0,
        )
    }

    #[test]
    fn the_token_of_the_vendors_sdks_holds_for_five_minutes() {
        let delivered = Ok(Report {
            reference: Some("msg_01HZX".into()),
            status: Some(DeliveryStatus::Delivered),
        });
        for seconds in [0, 300, -300, 0] {
            assert_eq!(
                reported(TOKEN, BODY.as_bytes(), fixture::NOW.0 + seconds),
                delivered,
                "{seconds}"
            );
        }
        for seconds in [301, -301, 86_400] {
            assert_eq!(
                reported(TOKEN, BODY.as_bytes(), fixture::NOW.0 + seconds),
                Err(ReportError::Forged),
                "{seconds}"
            );
        }
        assert_eq!(
            authorized(
                &carrier_with_one_url(),
                &format!("bearer {TOKEN}"),
                BODY.as_bytes(),
                fixture::NOW.0
            ),
            delivered
        );
    }

    #[test]
    fn a_report_altered_by_a_byte_is_forged() {
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
    fn only_a_token_of_ours_about_this_body_in_hs256_is_taken() {
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
            "a claim that Vonage may leave out"
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
    fn a_header_that_is_no_token_is_forged() {
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
                authorized(&carrier(), authorization, BODY.as_bytes(), fixture::NOW.0),
                Err(ReportError::Forged),
                "{authorization:.40}"
            );
        }
        assert_eq!(
            authorized(
                &carrier(),
                &format!("Basic {TOKEN}"),
                BODY.as_bytes(),
                fixture::NOW.0
            ),
            Err(ReportError::Forged)
        );
        assert_eq!(
            fixture::report(&carrier(), &Method::POST, "", BODY.as_bytes()),
            Err(ReportError::Forged),
            "no header"
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
                carrier().report(&callback, fixture::NOW),
                Err(ReportError::Forged)
            );
        }
        fixture::hostile_reports_change_nothing(&carrier());
    }

    #[test]
    fn every_word_is_read_with_the_error_beside_it() {
        use DeliveryStatus::{Delivered, Expired, Rejected, Sent, Undelivered};
        let titled = |code: &str| json!({"type": format!("https://developer.vonage.com/api-errors/messages#{code}"), "title": code, "detail": "…"});
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
                json!({"type": "https://developer.vonage.com/api-errors/messages#1360", "title": "TTL expired"}),
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
            let report = json!({"message_uuid": "a", "to": to, "status": word, "client_ref": REFERENCE, "error": error});
            let expected = Ok(Report {
                reference: Some(REFERENCE.into()),
                status: expected,
            });
            assert_eq!(genuine(&carrier(), &report), expected, "{word} {error}");
            assert_eq!(
                genuine(&carrier_with_one_url(), &report),
                expected,
                "{word} {error}"
            );
        }
    }

    #[test]
    fn a_report_that_lacks_something_is_taken_and_one_for_another_message_says_so() {
        let report = json!({"message_uuid": "a", "status": "delivered", "client_ref": "other"});
        assert_eq!(
            genuine(&carrier(), &report).map(|report| report.reference),
            Ok(Some("other".into()))
        );
        let nameless = fixture::with(&report, "client_ref", Value::Null);
        assert_eq!(
            genuine(&carrier(), &nameless).map(|report| report.reference),
            Ok(None),
            "the URL names the message"
        );
        assert_eq!(
            genuine(&carrier_with_one_url(), &nameless),
            fixture::status(DeliveryStatus::Delivered),
            "nothing does"
        );
        for wordless in [
            json!({}),
            json!({"status": 1}),
            json!({"message_type": "text", "text": "STOP"}),
        ] {
            assert_eq!(
                genuine(&carrier_with_one_url(), &wordless),
                Ok(Report {
                    reference: None,
                    status: None
                }),
                "{wordless}"
            );
        }
        for unreadable in [json!([]), json!("delivered"), Value::Null] {
            assert_eq!(
                genuine(&carrier(), &unreadable),
                Err(ReportError::Unreadable)
            );
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
