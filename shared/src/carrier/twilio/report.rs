//! Reports of Twilio: they are signed over the callback URL and the form.
//! <https://www.twilio.com/docs/usage/webhooks/webhooks-security>
//!
//! Invariant: a report is parsed only after its signature was verified.

use std::collections::BTreeMap;

use ::http::Method;
use data_encoding::{BASE64, HEXLOWER};

use super::errors::{call_status, is_account_fault, text_status};
use crate::carrier::carrier_trait::{Callback, Report, ReportError};
use crate::carrier::vendor_format::{flat_report, form};
use crate::crypto::hashes::sha256;
use crate::crypto::signatures::{equal_in_constant_time, hmac_sha1};

/// The report in `callback`, which the account with `auth_token` signed.
///
/// # Errors
/// [`ReportError`].
pub(super) fn read(auth_token: &str, callback: &Callback<'_>) -> Result<Vec<Report>, ReportError> {
    let parameters = signed_parameters(auth_token, callback).ok_or(ReportError::Forged)?;
    let value = |name: &str| parameters.get(name).map(String::as_str);
    let message_status = value("MessageStatus").or_else(|| value("SmsStatus"));
    let error = value("ErrorCode").unwrap_or_default();
    let status = match (value("CallStatus"), message_status) {
        (Some(word), _) => call_status(word, value("AnsweredBy").unwrap_or_default()),
        (None, Some(word)) => text_status(word, error),
        (None, None) if parameters.is_empty() => return Err(ReportError::Unreadable),
        (None, None) => None,
    };
    Ok(vec![Report {
        is_account_fault: is_account_fault(error),
        ..Report::new(None, status)
    }])
}

/// The signed parameters of a report: those of its form, or those of a JSON body whose hash is
/// in the signed URL. `None` if the signature is not valid.
fn signed_parameters(
    auth_token: &str,
    callback: &Callback<'_>,
) -> Option<BTreeMap<String, String>> {
    if callback.method != Method::POST {
        return None;
    }
    let signature = BASE64
        .decode(callback.headers.get("x-twilio-signature")?.as_bytes())
        .ok()?;
    let url = match callback.query {
        "" => callback.url.to_owned(),
        _ if callback.url.contains('?') => callback.url.to_owned(),
        query => format!("{}?{query}", callback.url),
    };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let body_hash = form::decode(query.as_bytes()).find(|(name, _)| name == "bodySHA256");
    let mut form: Vec<(String, String)> = vec![];
    match &body_hash {
        Some((_, hash)) if *hash != HEXLOWER.encode(&sha256(callback.body)) => return None,
        Some(_) => {}
        None => form.extend(form::decode(callback.body)),
    }
    // Sorted, and repeated pairs once, as in Twilio's own validators.
    form.sort();
    form.dedup();
    let parameters: Vec<&[u8]> = form
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])
        .collect();
    let is_signed = |url: &String| {
        let signed = [&[url.as_bytes()][..], &parameters].concat();
        equal_in_constant_time(&hmac_sha1(auth_token.as_bytes(), &signed), &signature)
    };
    if !url_variants(&url)?.iter().any(is_signed) {
        return None;
    }
    if body_hash.is_some() {
        flat_report::fields(&Callback {
            query: "",
            ..*callback
        })
        .ok()
    } else {
        Some(form.into_iter().collect())
    }
}

/// `url` as it is, without a port and with a port: Twilio signs any of them.
fn url_variants(url: &str) -> Option<[String; 3]> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let with_port = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let host = with_port.map_or(authority, |(host, _)| host);
    let port = if scheme == "http" { 80 } else { 443 };
    Some([
        url.to_owned(),
        format!("{scheme}://{host}{path}"),
        format!("{scheme}://{host}:{port}{path}"),
    ])
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::carrier::fixture::{self, CALLBACK_URL};
    use crate::domain::delivery::DeliveryStatus;

    // Test vectors that were made without this code and checked with `RequestValidator` of PyPI
    // `twilio` 9.13.0.
    const TOKEN: &str = "twilio-auth-token-for-tests-0001";
    const URL: &str = "https://otp.example.com/dlr/twilio?t=tenant1&m=msg_01HZX";
    const OTHER_URL: &str = "https://otp.example.com/dlr/twilio?m=msg_01HZX";
    const VOICE_URL: &str = "https://otp.example.com/dlr/twilio-voice?m=msg_01HZX";
    const T1: &str = "AccountSid=ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&ApiVersion=2010-04-01&From=%2B15017122661\
        &MessageSid=SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb&MessageStatus=delivered&RawDlrDoneDate=2511211930\
        &SmsSid=SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb&SmsStatus=delivered&To=%2B15558675310";
    const T1_SIGNATURE: &str = "jgJLpMnXwtWWsHjB8kMfehWRL1A=";
    const T6: &str = "Called=%2B33612345678&ToState=&CallerCountry=US&Direction=outbound-api&Timestamp=Fri%2C+21+Nov+2025+19%3A30%3A00+%2B0000\
        &CallbackSource=call-progress-events&SipResponseCode=200&CallerState=CA&ToZip=&SequenceNumber=3\
        &CallSid=CAcccccccccccccccccccccccccccccccc&To=%2B33612345678&CallerZip=&ToCountry=FR&CalledZip=&ApiVersion=2010-04-01&CalledCity=\
        &CallStatus=completed&Duration=1&From=%2B15017122661&CallDuration=18&AccountSid=ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&CalledCountry=FR\
        &CallerCity=&ToCity=&FromCountry=US&Caller=%2B15017122661&FromCity=&CalledState=&FromZip=&FromState=CA";
    const T7: &str = "ChannelPrefix=whatsapp&ApiVersion=2010-04-01&MessageStatus=read&SmsSid=SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb&SmsStatus=read\
        &ChannelInstallSid=XEdddddddddddddddddddddddddddddddd&To=whatsapp%3A%2B33612345678&From=whatsapp%3A%2B14155238886\
        &MessageSid=SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb&AccountSid=ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&EventType=READ";

    fn reported(
        token: &str,
        url: &str,
        signature: &str,
        body: &[u8],
    ) -> Result<Report, ReportError> {
        let mut headers = HeaderMap::new();
        let signature = HeaderValue::from_bytes(signature.as_bytes()).expect("a header value");
        headers.insert("x-twilio-signature", signature);
        let callback = Callback {
            method: &Method::POST,
            query: "",
            headers: &headers,
            body,
            url,
        };
        fixture::only_report(read(token, &callback))
    }

    fn signed(url: &str, signature: &str, body: &str) -> Result<Report, ReportError> {
        reported(TOKEN, url, signature, body.as_bytes())
    }

    /// The report with these fields and a valid signature.
    fn signed_report(fields: &[(&str, &str)]) -> Result<Report, ReportError> {
        let mut sorted = fields.to_vec();
        sorted.sort_unstable();
        let parts: Vec<&[u8]> = sorted
            .iter()
            .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])
            .collect();
        let signature = BASE64.encode(&hmac_sha1(
            TOKEN.as_bytes(),
            &[&[CALLBACK_URL.as_bytes()][..], &parts].concat(),
        ));
        signed(CALLBACK_URL, &signature, &form::encode(fields))
    }

    #[test]
    fn signatures_of_the_sdk_are_valid() {
        use DeliveryStatus::{Delivered, Undelivered};
        let undelivered = T1.replace("delivered", "undelivered") + "&ErrorCode=30003";
        let text = form::encode(&[("Body", "Ваш код 4217 & +1=2")]);
        for (name, url, signature, body, expected) in [
            ("T1", URL, T1_SIGNATURE, T1, Delivered),
            ("T1p", URL, "3JSDkm9NVbk5tKhFG9XdHr0J0VA=", T1, Delivered),
            (
                "T1p",
                "https://otp.example.com:443/dlr/twilio?t=tenant1&m=msg_01HZX",
                T1_SIGNATURE,
                T1,
                Delivered,
            ),
            (
                "T2",
                URL,
                "rhWA9i0jVH28VOGEbFnHVbG9VF8=",
                &undelivered,
                Undelivered,
            ),
            (
                "T3",
                URL,
                "M8GXS1Ivbt0JUHtkHK1MBKxmmC8=",
                &format!("{T1}&ErrorMessage="),
                Delivered,
            ),
            (
                "T4",
                URL,
                "JsyyHLJ7rQrQ9gE1A1BvLkpeTvo=",
                &format!("{T1}&{text}"),
                Delivered,
            ),
            (
                "T6",
                VOICE_URL,
                "YxiT4W3gT3DGc/lfEM/0Hlvnl1I=",
                T6,
                Delivered,
            ),
            (
                "T7",
                OTHER_URL,
                "CsbdLyR2PU8bN05pLWJa66KC25Y=",
                T7,
                Delivered,
            ),
        ] {
            assert_eq!(
                signed(url, signature, body),
                fixture::status(expected),
                "{name}"
            );
            assert_eq!(
                signed(url, signature, body),
                fixture::status(expected),
                "{name} again"
            );
        }
        let body = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
        let twilio_example = reported(
            "12345",
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
            body.as_bytes(),
        );
        let nothing = Ok(Report::new(None, None));
        assert_eq!(
            twilio_example, nothing,
            "T0: an example of Twilio without a status"
        );
        let url = "https://otp.example.com/dlr/twilio?bodySHA256=93a23971a914e5eacbf0a8d25154cda309c3c1c72fbb9914d47c60f3cb681588";
        let json = |body: &str| signed(url, "Pjlt3KfRsrdc6JHcLMUZE0VyYyk=", body);
        assert_eq!(
            json("{\"hello\":\"world\"}"),
            nothing,
            "T5: a JSON body without a status"
        );
        assert_eq!(json("{\"hello\":\"World\"}"), Err(ReportError::Forged));
    }

    #[test]
    fn repeated_parameters_are_signed_once_per_value() {
        let signature = BASE64.encode(&hmac_sha1(
            TOKEN.as_bytes(),
            &[CALLBACK_URL.as_bytes(), b"CallStatusbusyEventaEventb"],
        ));
        assert_eq!(
            signed(
                CALLBACK_URL,
                &signature,
                "Event=b&CallStatus=busy&Event=a&Event=b"
            ),
            fixture::status(DeliveryStatus::Undelivered)
        );
    }

    #[test]
    fn query_counts_once_in_the_signed_url() {
        let (path, query) = URL.split_once('?').expect("a query");
        let mut headers = HeaderMap::new();
        headers.insert("x-twilio-signature", HeaderValue::from_static(T1_SIGNATURE));
        for (url, query, expected) in [
            (path, query, fixture::status(DeliveryStatus::Delivered)),
            (URL, query, fixture::status(DeliveryStatus::Delivered)),
            (path, "", Err(ReportError::Forged)),
            (path, "t=tenant1&m=msg_01HZY", Err(ReportError::Forged)),
        ] {
            for method in [Method::POST, Method::GET, Method::PUT] {
                let callback = Callback {
                    method: &method,
                    query,
                    headers: &headers,
                    body: T1.as_bytes(),
                    url,
                };
                let expected = if method == Method::POST {
                    expected.clone()
                } else {
                    Err(ReportError::Forged)
                };
                assert_eq!(
                    fixture::only_report(read(TOKEN, &callback)),
                    expected,
                    "{method} {url} {query}"
                );
            }
        }
    }

    #[test]
    fn report_with_one_altered_byte_is_forged() {
        for at in 0..T1.len() {
            let mut altered = T1.as_bytes().to_vec();
            altered[at] ^= 1;
            assert_eq!(
                reported(TOKEN, URL, T1_SIGNATURE, &altered),
                Err(ReportError::Forged),
                "byte {at}"
            );
            assert_eq!(
                reported(TOKEN, URL, T1_SIGNATURE, &T1.as_bytes()[..at]),
                Err(ReportError::Forged),
                "cut at {at}"
            );
        }
        for at in 0..URL.len() {
            let mut url = URL.as_bytes().to_vec();
            url[at] ^= 1;
            assert_eq!(
                signed(&String::from_utf8_lossy(&url), T1_SIGNATURE, T1),
                Err(ReportError::Forged),
                "byte {at} of the URL"
            );
        }
        for at in 0..T1_SIGNATURE.len() {
            let mut signature = T1_SIGNATURE.as_bytes().to_vec();
            signature[at] ^= 1;
            assert_eq!(
                signed(URL, &String::from_utf8_lossy(&signature), T1),
                Err(ReportError::Forged),
                "signature byte {at}"
            );
        }
        let without_empty_fields: Vec<_> = T6
            .split('&')
            .filter(|field| !field.ends_with('='))
            .collect();
        assert_eq!(
            signed(
                VOICE_URL,
                "YxiT4W3gT3DGc/lfEM/0Hlvnl1I=",
                &without_empty_fields.join("&")
            ),
            Err(ReportError::Forged)
        );
        assert_eq!(
            signed(VOICE_URL, "gBvEMtI+aHjmYIeMP9WeiNsd/UA=", T6),
            Err(ReportError::Forged)
        );
        assert_eq!(
            signed(&URL.replace("https", "http"), T1_SIGNATURE, T1),
            Err(ReportError::Forged)
        );
        assert_eq!(
            reported(
                "twilio-auth-token-for-tests-0002",
                URL,
                T1_SIGNATURE,
                T1.as_bytes()
            ),
            Err(ReportError::Forged)
        );
    }

    #[test]
    fn unsigned_reports_are_forged() {
        let with_sha256 = "SSyZI1d4bmMHrhpVBYkBijlb8iLL3s4atT5OVQRYGYo=";
        let long = "A".repeat(10_000);
        for signature in [
            "",
            "=",
            "jgJLpMnXwtWWsHjB8kMfehWRL1A",
            " jgJLpMnXwtWWsHjB8kMfehWRL1A=",
            "AAAA",
            "ÿÿÿÿ",
            with_sha256,
            &long,
        ] {
            assert_eq!(
                signed(URL, signature, T1),
                Err(ReportError::Forged),
                "{signature:.60}"
            );
        }
        for url in [
            "",
            "otp.example.com",
            "https://",
            "://",
            "https://:@:/?",
            "https://[::1]:x/?bodySHA256=",
            "https://h?bodySHA256=%ff",
        ] {
            assert_eq!(
                signed(url, T1_SIGNATURE, T1),
                Err(ReportError::Forged),
                "{url}"
            );
        }
        let huge = "MessageStatus=delivered&".repeat(40_000) + "%ff=%";
        assert_eq!(signed(URL, T1_SIGNATURE, &huge), Err(ReportError::Forged));
        assert_eq!(
            reported(TOKEN, URL, T1_SIGNATURE, b"\xff\xfe=\xc0&%ff=%f"),
            Err(ReportError::Forged)
        );
    }

    #[test]
    fn statuses_of_messages_are_read() {
        use DeliveryStatus::{Delivered, Expired, Queued, Rejected, Sent, Undelivered};
        for (words, error, expected) in [
            (
                &["queued", "accepted", "scheduled", "sending"][..],
                "",
                Some(Queued),
            ),
            (&["sent"], "", Some(Sent)),
            (&["delivered", "read"], "", Some(Delivered)),
            (&["undelivered"], "", Some(Undelivered)),
            (&["undelivered"], "30003", Some(Undelivered)),
            (&["undelivered", "failed"], "30007", Some(Rejected)),
            (&["undelivered", "failed"], "30450", Some(Rejected)),
            (&["undelivered", "failed"], "30453", Some(Rejected)),
            (&["undelivered", "failed"], "30036", Some(Expired)),
            (&["failed", "canceled"], "", Some(Rejected)),
            (
                &[
                    "partially_delivered",
                    "receiving",
                    "received",
                    "teleported",
                    "",
                ],
                "",
                None,
            ),
        ] {
            for word in words {
                let expected = Ok(Report::new(None, expected));
                assert_eq!(
                    signed_report(&[
                        ("MessageStatus", word),
                        ("SmsStatus", word),
                        ("ErrorCode", error)
                    ]),
                    expected,
                    "{word} {error}"
                );
                assert_eq!(
                    signed_report(&[("SmsStatus", word), ("ErrorCode", error)]),
                    expected,
                    "{word} {error}"
                );
            }
        }
        assert_eq!(
            signed_report(&[("ErrorCode", "30003")]),
            Ok(Report::new(None, None)),
            "a report without a status changes nothing"
        );
        assert_eq!(signed_report(&[]), Err(ReportError::Unreadable));
    }

    #[test]
    fn statuses_of_calls_are_read() {
        use DeliveryStatus::{Delivered, Queued, Rejected, Sent, Undelivered};
        for (word, answered_by, expected) in [
            ("queued", "", Some(Queued)),
            ("initiated", "", Some(Queued)),
            ("ringing", "", Some(Sent)),
            ("in-progress", "", Some(Sent)),
            ("completed", "", Some(Delivered)),
            ("completed", "human", Some(Delivered)),
            ("completed", "machine_end_beep", Some(Undelivered)),
            ("completed", "fax", Some(Undelivered)),
            ("busy", "", Some(Undelivered)),
            ("no-answer", "", Some(Undelivered)),
            ("failed", "", Some(Undelivered)),
            ("canceled", "", Some(Rejected)),
            ("teleported", "", None),
        ] {
            let expected = Ok(Report::new(None, expected));
            assert_eq!(
                signed_report(&[
                    ("CallStatus", word),
                    ("AnsweredBy", answered_by),
                    ("ToZip", "")
                ]),
                expected,
                "{word} {answered_by}"
            );
        }
    }
}
