//! Wire: what the formats of several vendors have in common: credentials, forms, flat reports, answers outside a vendor's table.
//! The only file that names the form library. Must never print what it reads.

use std::collections::BTreeMap;

use ::http::{Method, Request, Response, StatusCode};
use data_encoding::BASE64;
use form_urlencoded::Serializer;
use serde_json::Value;

use super::{Callback, Receipt, ReportError, post, receipt_by_status, retry_after_seconds};
use crate::domain::address::Address;
use crate::domain::time::Timestamp;
use crate::message::shows;
use crate::platform::json::Fields;

/// Longest credential that is believed.
const CREDENTIAL_LENGTH_MAX: usize = 256;
/// Fewest characters of an account's callback token: 128 bits in base64.
const CALLBACK_TOKEN_LENGTH_MIN: usize = 22;
const CALLBACK_TOKEN_LENGTH_MAX: usize = 128;

/// Longest name or number that messages come from.
const SENDER_LENGTH_MAX: usize = 32;

/// A credential that has to be there: printable ASCII, or no header could carry it.
pub(super) fn credential(fields: &mut Fields, name: &str) -> String {
    required(
        fields,
        name,
        is_credential,
        "1 to 256 printable ASCII characters",
    )
}

/// One half of HTTP Basic: a colon would end the first.
pub(super) fn basic_credential(fields: &mut Fields, name: &str) -> String {
    required(
        fields,
        name,
        |text| is_credential(text) && !text.contains(':'),
        "1 to 256 printable ASCII characters other than a colon",
    )
}

/// The secret in the one callback URL of an account, where there has to be one.
pub(super) fn callback_token(fields: &mut Fields) -> String {
    required(fields, "callback_token", is_callback_token, CALLBACK_TOKEN)
}

/// The same, where the vendor can do without.
pub(super) fn callback_token_if_any(fields: &mut Fields) -> Option<String> {
    fields.word(
        "callback_token",
        |text| is_callback_token(text).then(|| text.to_owned()),
        CALLBACK_TOKEN,
    )
}

const CALLBACK_TOKEN: &str = "22 to 128 letters, digits, hyphens and underscores";

/// A name or a number that messages come from. Vendors differ in what they take, and none takes what shows nothing.
pub(super) fn sender(fields: &mut Fields, name: &str) -> Option<String> {
    let fits = |text: &str| {
        (1..=SENDER_LENGTH_MAX).contains(&text.chars().count())
            && !text.contains(char::is_control)
            && shows(text)
    };
    fields.word(
        name,
        |text| fits(text).then(|| text.to_owned()),
        "1 to 32 characters that can be seen",
    )
}

/// `topic_arn`: the SNS topic that reports come from.
pub(super) fn topic_arn(fields: &mut Fields) -> Option<String> {
    let is_topic = |arn: &str| {
        arn.starts_with("arn:")
            && arn.split(':').nth(2) == Some("sns")
            && arn.split(':').count() == 6
    };
    fields.word(
        "topic_arn",
        |arn| is_topic(arn).then(|| arn.to_owned()),
        "the ARN of an SNS topic",
    )
}

/// A text that has to be there and fit.
pub(super) fn required(
    fields: &mut Fields,
    name: &str,
    fits: impl Fn(&str) -> bool,
    words: &str,
) -> String {
    match fields.value(name) {
        Some(Value::String(text)) if fits(&text) => return text,
        Some(_) => fields.refuse(name, &format!("Must be {words}.")),
        None => fields.refuse(name, "Is required."),
    }
    String::new()
}

fn is_credential(text: &str) -> bool {
    (1..=CREDENTIAL_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_callback_token(text: &str) -> bool {
    (CALLBACK_TOKEN_LENGTH_MIN..=CALLBACK_TOKEN_LENGTH_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Value of an `Authorization` header.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64.encode(format!("{user}:{password}").as_bytes())
    )
}

/// A number without its `+`.
pub(super) fn digits(to: &Address) -> &str {
    to.reveal().trim_start_matches('+')
}

/// A POST of a JSON document.
pub(super) fn post_json(
    url: &str,
    headers: &[(&'static str, String)],
    body: &Value,
) -> Request<String> {
    let content_type = ("content-type", "application/json".to_owned());
    post(url, &[headers, &[content_type]].concat(), body.to_string())
}

/// A POST of a form.
pub(super) fn post_form(
    url: &str,
    headers: &[(&'static str, String)],
    fields: &[(&str, &str)],
) -> Request<String> {
    let content_type = (
        "content-type",
        "application/x-www-form-urlencoded".to_owned(),
    );
    post(url, &[headers, &[content_type]].concat(), form(fields))
}

/// `fields` as a form or a query string.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The fields of a form or a query string, in their order. What is not UTF-8 comes out as replacement characters.
pub(super) fn form_fields(form: &[u8]) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(form).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// The fields of a flat report wherever its vendor puts them: in the query, in a form, in a JSON object. What stands twice
/// counts the first time, and a body that cannot be read has no fields.
///
/// # Errors
/// A method that no vendor uses.
pub(super) fn report_fields(
    callback: &Callback<'_>,
) -> Result<BTreeMap<String, String>, ReportError> {
    let body: Vec<(String, String)> = match *callback.method {
        Method::GET => vec![],
        Method::POST if callback.body.trim_ascii_start().starts_with(b"{") => {
            json_fields(callback.body)
        }
        Method::POST => form_fields(callback.body).collect(),
        _ => return Err(ReportError::Forged),
    };
    let mut fields = BTreeMap::new();
    for (name, value) in form_fields(callback.query.as_bytes()).chain(body) {
        fields.entry(name).or_insert(value);
    }
    Ok(fields)
}

/// A report that is one JSON object. What it lacks is no reason to refuse it: the account may carry messages that are none of
/// ours, and what is refused comes again for days.
///
/// # Errors
/// Anything that is no object.
pub(super) fn json_report(body: &[u8]) -> Result<Value, ReportError> {
    serde_json::from_slice(body)
        .ok()
        .filter(Value::is_object)
        .ok_or(ReportError::Unreadable)
}

/// Texts and numbers of a JSON object.
fn json_fields(body: &[u8]) -> Vec<(String, String)> {
    let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
        return vec![];
    };
    let texts = object.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        Value::Number(number) => Some((name, number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    });
    texts.collect()
}

/// A whole number, which vendors write as a number in one call and as a string in the next.
pub(super) fn whole(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// What an answer of AWS means: accepted with an id, not now, or what `refusal` makes of the error's code and body.
/// See <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#operation-error-serialization>.
pub(super) fn aws_receipt(
    answer: &Response<Vec<u8>>,
    now: Timestamp,
    refusal: fn(&str, &Value) -> Receipt,
) -> Receipt {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    if answer.status().is_success() {
        let is_accepted = body["MessageId"].as_str().is_some_and(|id| !id.is_empty());
        return if is_accepted {
            Receipt::Accepted
        } else {
            Receipt::Unknown
        };
    }
    // A header or a field, with a name space before it or an address after it.
    let header = answer
        .headers()
        .get("x-amzn-errortype")
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty());
    let named = header
        .or_else(|| body["__type"].as_str())
        .unwrap_or_default();
    let code = named
        .rsplit('#')
        .next()
        .and_then(|code| code.split(':').next())
        .unwrap_or_default();
    let is_load = matches!(
        code,
        "ThrottlingException"
            | "TooManyRequestsException"
            | "LimitExceededException"
            | "InternalServerException"
    );
    if is_load
        || answer.status() == StatusCode::TOO_MANY_REQUESTS
        || answer.status().is_server_error()
    {
        return not_now(answer, now);
    }
    refusal(code, &body)
}

/// Not now, and when, if the answer says so.
pub(super) fn not_now(answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
    Receipt::Transient {
        retry_after_seconds: retry_after_seconds(answer.headers(), now),
    }
}

/// An answer without the words of its vendor: the status tells of a refusal, but of success only the words.
pub(super) fn unreadable(answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
    match receipt_by_status(answer, now) {
        Receipt::Accepted => Receipt::Unknown,
        receipt @ (Receipt::Permanent
        | Receipt::Transient { .. }
        | Receipt::Misconfigured
        | Receipt::Unknown) => receipt,
    }
}

/// A refusal with an error that is not in the vendor's table. That it is the number's fault would be a guess, and would end
/// the delivery: so the next carrier has a try and a person a look.
pub(super) fn unlisted(answer: &Response<Vec<u8>>, now: Timestamp) -> Receipt {
    match receipt_by_status(answer, now) {
        Receipt::Accepted | Receipt::Permanent => Receipt::Misconfigured,
        receipt @ (Receipt::Transient { .. } | Receipt::Misconfigured | Receipt::Unknown) => {
            receipt
        }
    }
}

/// What the tests of the vendors share.
#[cfg(test)]
pub(super) mod fixture {
    use ::http::HeaderMap;
    use serde_json::Map;

    use super::*;
    use crate::carrier::{Carrier, OutgoingMessage, Report};
    use crate::domain::channel::Channel;
    use crate::domain::delivery::DeliveryStatus;
    use crate::domain::phone::PhoneNumber;
    use crate::message::{Encoding, Message};

    pub const NOW: Timestamp = Timestamp(1_763_753_400);
    pub const REFERENCE: &str = "abcdefghijklmnopqrstuvwxyz234567";
    pub const CALLBACK_URL: &str = "https://otp.example.com/v1/callbacks/vendor/token";
    pub const CALLBACK_TOKEN: &str = "for-tests-only-0123456";

    /// What `read` makes of `settings`, and the fields that were wrong.
    pub fn read<C>(read: fn(&mut Fields) -> C, settings: Value) -> (C, Vec<String>) {
        let Value::Object(object) = settings else {
            panic!("settings are an object")
        };
        let mut fields = Fields::of(object);
        let carrier = read(&mut fields);
        (
            carrier,
            fields
                .finish()
                .err()
                .unwrap_or_default()
                .into_iter()
                .map(|error| error.field)
                .collect(),
        )
    }

    /// The same settings with `name` set to `value`, or left out.
    pub fn with(settings: &Value, name: &str, value: Value) -> Value {
        let mut object: Map<String, Value> = settings
            .as_object()
            .expect("settings are an object")
            .clone();
        object.insert(name.to_owned(), value);
        Value::Object(object)
    }

    /// A text message for +33612345678 as `change` changes it, on its way to `carrier`.
    pub fn request(
        carrier: &dyn Carrier,
        text: &str,
        encoding: Encoding,
        change: impl FnOnce(&mut OutgoingMessage<'_>),
    ) -> Request<String> {
        let to = Address::Phone(PhoneNumber::unsealed(
            "+33612345678",
            "FR",
            crate::domain::phone::Line::Mobile,
        ));
        let message = Message {
            text: text.to_owned(),
            subject: None,
            html: None,
            encoding,
            parts: 1,
        };
        let mut outgoing = OutgoingMessage {
            to: &to,
            sender: Some("AcmeInc"),
            channel: Channel::Sms,
            message: &message,
            code: "4217",
            locale: "en",
            reference: REFERENCE,
            validity_seconds: 300,
            callback_url: CALLBACK_URL,
        };
        change(&mut outgoing);
        carrier.request(&outgoing)
    }

    /// A request's body as JSON.
    pub fn json(request: &Request<String>) -> Value {
        serde_json::from_str(request.body()).expect("JSON")
    }

    pub fn receipt(carrier: &dyn Carrier, status: u16, body: &str) -> Receipt {
        let answer = Response::builder()
            .status(status)
            .header("retry-after", "7")
            .body(body.as_bytes().to_vec())
            .expect("an answer");
        carrier.receipt(&answer, NOW)
    }

    /// A carrier that says when.
    pub const IN_SEVEN_SECONDS: Receipt = Receipt::Transient {
        retry_after_seconds: Some(7),
    };

    pub fn report(
        carrier: &dyn Carrier,
        method: &Method,
        query: &str,
        body: &[u8],
    ) -> Result<Report, ReportError> {
        carrier.report(
            &Callback {
                method,
                query,
                headers: &HeaderMap::new(),
                body,
                url: CALLBACK_URL,
            },
            NOW,
        )
    }

    pub fn status(status: DeliveryStatus) -> Result<Report, ReportError> {
        Ok(Report {
            reference: None,
            status: Some(status),
        })
    }

    /// Answers that no vendor gives are never success, whatever the status.
    pub fn answers_that_cannot_be_read_are_no_success(carrier: &dyn Carrier) {
        for body in HOSTILE.iter().copied().chain([
            &b"OKAY"[..],
            b"<html>OK</html>",
            b"\"OK\"",
            b"{\"OK\":true}",
            b"true",
        ]) {
            for status in [200, 201, 202, 204] {
                let answer = Response::builder()
                    .status(status)
                    .body(body.to_vec())
                    .expect("an answer");
                assert_eq!(
                    carrier.receipt(&answer, NOW),
                    Receipt::Unknown,
                    "{status} {:?}",
                    String::from_utf8_lossy(body)
                );
            }
            for (status, expected) in [
                (400, Receipt::Permanent),
                (401, Receipt::Misconfigured),
                (429, IN_SEVEN_SECONDS),
                (503, IN_SEVEN_SECONDS),
                (302, Receipt::Misconfigured),
            ] {
                assert_eq!(
                    receipt(carrier, status, &String::from_utf8_lossy(body)),
                    expected,
                    "{status} {:?}",
                    String::from_utf8_lossy(body)
                );
            }
        }
    }

    /// What is posted to a URL that leaked: none of it is a word about a message, and none of it panics.
    pub fn hostile_reports_change_nothing(carrier: &dyn Carrier) {
        let huge: Vec<Vec<u8>> = [
            "{",
            "[",
            "{\"messages\":",
            "a=&",
            "%",
            "status=",
            "\u{fffd}",
        ]
        .iter()
        .map(|part| part.repeat(60_000).into_bytes())
        .collect();
        for method in [Method::POST, Method::GET] {
            for bytes in HOSTILE
                .iter()
                .copied()
                .chain(huge.iter().map(Vec::as_slice))
            {
                let query = String::from_utf8_lossy(bytes);
                for (query, body) in [("", bytes), (&*query, &b""[..]), (&*query, bytes)] {
                    let reported = report(carrier, &method, query, body);
                    let changes_nothing = reported.as_ref().is_err()
                        || reported
                            .as_ref()
                            .is_ok_and(|report| report.status.is_none());
                    assert!(
                        changes_nothing,
                        "{method} {reported:?} of {:.80}",
                        String::from_utf8_lossy(bytes)
                    );
                }
            }
        }
    }

    const HOSTILE: [&[u8]; 22] = [
        b"",
        b" ",
        b"\0",
        b"\xff\xfe\xc0\x80",
        b"status=\xff\xfe&accuse=\xc0&m=\xff",
        b"status=%ff%fe&accuse=%&desc=%zz&m=%00",
        b"&&&&====&=&",
        b"{",
        b"{}",
        b"[]",
        b"[[[[",
        b"null",
        b"1e999",
        b"{\"status\":{\"status\":\"delivered\"}}",
        b"{\"status\":[\"delivered\"],\"code\":[0]}",
        b"{\"status\":null,\"code\":null,\"messages\":null}",
        b"{\"messages\":[]}",
        b"{\"messages\":[null]}",
        b"{\"messages\":{\"msg\":[]}}",
        b"{\"messages\":{\"msg\":[null]}}",
        b"{\"messages\":{\"msg\":{\"status\":7}}}",
        b"{\"status\":\"\xff\"}",
    ];
}

#[cfg(test)]
mod tests {
    use ::http::HeaderMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_printable_and_tokens_of_accounts_are_long() {
        let wrong = |value: Value| {
            let mut fields = Fields::of(
                json!({ "callback_token": value.clone(), "key": value.clone(), "user": value })
                    .as_object()
                    .cloned()
                    .unwrap_or_default(),
            );
            callback_token(&mut fields);
            credential(&mut fields, "key");
            basic_credential(&mut fields, "user");
            fields
                .finish()
                .err()
                .unwrap_or_default()
                .into_iter()
                .map(|error| error.field)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(wrong(json!("abcdefghijklmnopqrs_-9")), "");
        assert_eq!(wrong(json!("abcdefghijklmnopqrs_-")), "callback_token");
        assert_eq!(wrong(json!("a".repeat(129))), "callback_token");
        assert_eq!(
            wrong(json!("abcdefghijklmnopqrstuv:/")),
            "callback_token user"
        );
        for value in [
            json!(""),
            json!("a\r\nb"),
            json!("a b"),
            json!("é"),
            json!("a".repeat(257)),
            json!(5),
            Value::Null,
        ] {
            assert_eq!(wrong(value.clone()), "callback_token key user", "{value}");
        }
    }

    #[test]
    fn a_form_is_read_back_as_it_was_written() {
        let fields = [
            ("To", "+33612345678"),
            ("Body", "a & b = 100% é\n€"),
            ("Empty", ""),
            ("To", "again"),
        ];
        let written = form(&fields);
        assert_eq!(
            written,
            "To=%2B33612345678&Body=a+%26+b+%3D+100%25+%C3%A9%0A%E2%82%AC&Empty=&To=again"
        );
        let read: Vec<_> = form_fields(written.as_bytes()).collect();
        assert!(
            read.iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .eq(fields)
        );
    }

    #[test]
    fn a_flat_report_is_found_in_query_form_and_json() {
        let read = |method: &Method, query: &str, body: &str| {
            let callback = Callback {
                method,
                query,
                headers: &HeaderMap::new(),
                body: body.as_bytes(),
                url: "",
            };
            report_fields(&callback).map(|fields| {
                fields
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        assert_eq!(
            read(&Method::GET, "a=1&b=%2B2&a=3", "a=4").as_deref(),
            Ok("a=1 b=+2"),
            "a GET has no body"
        );
        assert_eq!(
            read(&Method::POST, "a=1", "a=2&c=3").as_deref(),
            Ok("a=1 c=3")
        );
        assert_eq!(
            read(
                &Method::POST,
                "",
                " {\"a\":1,\"b\":\"x\",\"c\":{},\"d\":null}"
            )
            .as_deref(),
            Ok("a=1 b=x")
        );
        assert_eq!(read(&Method::POST, "a=1", "{").as_deref(), Ok("a=1"));
        for method in [Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS] {
            assert_eq!(read(&method, "a=1", ""), Err(ReportError::Forged));
        }
    }
}
