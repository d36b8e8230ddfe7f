//! What the tests of the kinds share: an entry, a message, responses and reports, also hostile
//! ones.

use ::http::{HeaderMap, Method, Request, Response};
use serde_json::{Map, Value};

use crate::carrier::carrier_trait::{
    Callback, Carrier, OutgoingMessage, Receipt, Report, ReportError,
};
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::phone::{Line, PhoneNumber};
use crate::domain::time::Timestamp;
use crate::message::{Encoding, Message};
use crate::platform::json::Fields;

pub const NOW: Timestamp = Timestamp(1_763_753_400);
pub const REFERENCE: &str = "abcdefghijklmnopqrstuvwxyz234567";
pub const CALLBACK_URL: &str = "https://otp.example.com/v1/callbacks/vendor/token";
pub const CALLBACK_TOKEN: &str = "for-tests-only-0123456";

/// The carrier that `from_fields` reads from `entry`, and the names of the invalid fields.
pub fn read<C>(from_fields: impl FnOnce(&mut Fields) -> C, entry: Value) -> (C, Vec<String>) {
    let Value::Object(object) = entry else {
        panic!("an entry is an object")
    };
    let mut fields = Fields::new(object);
    let carrier = from_fields(&mut fields);
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

/// `object` with `name` set to `value`; null removes a field from an entry.
pub fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object: Map<String, Value> = object.as_object().expect("an object").clone();
    object.insert(name.to_owned(), value);
    Value::Object(object)
}

/// The request for a text message to +33612345678, after `change`.
pub fn request(
    carrier: &dyn Carrier,
    text: &str,
    encoding: Encoding,
    change: impl FnOnce(&mut OutgoingMessage<'_>),
) -> Request<String> {
    let to = Address::Phone(PhoneNumber::from_stored("+33612345678", "FR", Line::Mobile));
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
        notification: None,
        registered: None,
        channel: Channel::Sms,
        message: &message,
        code: "4217",
        locale: "en",
        reference: REFERENCE,
        validity_seconds: 300,
        now: NOW,
        callback_url: CALLBACK_URL,
    };
    change(&mut outgoing);
    carrier.request(&outgoing)
}

/// The body of a request as JSON.
pub fn json(request: &Request<String>) -> Value {
    serde_json::from_str(request.body()).expect("JSON")
}

/// The receipt for a response with `Retry-After: 7`.
pub fn receipt(carrier: &dyn Carrier, status: u16, body: &str) -> Receipt {
    let response = Response::builder()
        .status(status)
        .header("retry-after", "7")
        .body(body.as_bytes().to_vec())
        .expect("a response");
    carrier.receipt(&response, NOW)
}

/// Transient, with the delay of [`receipt`].
pub const IN_SEVEN_SECONDS: Receipt = Receipt::Transient {
    retry_after_seconds: Some(7),
};

/// The only report in a callback without headers.
pub fn report(
    carrier: &dyn Carrier,
    method: &Method,
    query: &str,
    body: &[u8],
) -> Result<Report, ReportError> {
    only_report(reports(carrier, method, query, body))
}

/// The one report in `reports`.
pub fn only_report(reports: Result<Vec<Report>, ReportError>) -> Result<Report, ReportError> {
    let mut reports = reports?;
    assert_eq!(reports.len(), 1, "{reports:?}");
    Ok(reports.remove(0))
}

/// The reports in a callback without headers.
pub fn reports(
    carrier: &dyn Carrier,
    method: &Method,
    query: &str,
    body: &[u8],
) -> Result<Vec<Report>, ReportError> {
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

/// A report with `status` and without a reference.
pub fn status(status: DeliveryStatus) -> Result<Report, ReportError> {
    Ok(Report::new(None, Some(status)))
}

/// Checks that responses in no vendor's format are not accepted, whatever their status.
pub fn unreadable_responses_are_not_accepted(carrier: &dyn Carrier) {
    for body in HOSTILE.iter().copied().chain([
        &b"OKAY"[..],
        b"<html>OK</html>",
        b"\"OK\"",
        b"{\"OK\":true}",
        b"true",
    ]) {
        for status in [200, 201, 202, 204] {
            let response = Response::builder()
                .status(status)
                .body(body.to_vec())
                .expect("a response");
            assert_eq!(
                carrier.receipt(&response, NOW),
                Receipt::Unknown,
                "{status} {:?}",
                String::from_utf8_lossy(body)
            );
        }
        for (status, expected) in [
            (400, Receipt::Misconfigured),
            (404, Receipt::Misconfigured),
            (401, Receipt::AccountRejected),
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

/// Checks that hostile reports, as to a callback URL that has leaked, have no status and do not
/// panic.
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
                let reported = reports(carrier, &method, query, body);
                let changes_nothing = reported.is_err()
                    || reported
                        .as_ref()
                        .is_ok_and(|reports| reports.iter().all(|report| report.status.is_none()));
                assert!(
                    changes_nothing,
                    "{method} {reported:?} of {:.80}",
                    String::from_utf8_lossy(bytes)
                );
            }
        }
    }
}

/// Bodies and query strings in no vendor's format.
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
