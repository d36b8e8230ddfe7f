//! Classifies the responses of vendors by their HTTP status.
//!
//! Invariant: no success status makes a response `Accepted`, and no error status makes it
//! `Permanent`, unless the vendor documents that the status alone means so.

use ::http::header::RETRY_AFTER;
use ::http::{HeaderMap, Response, StatusCode};

use crate::carrier::carrier_trait::Receipt;
use crate::domain::time::Timestamp;

/// The receipt for a vendor that documents nothing but the HTTP status. 2xx: accepted; 408, 425,
/// 429 and 5xx: transient; 401 and 402: the account is rejected; 403, 1xx and 3xx: misconfigured;
/// other 4xx: permanent.
#[must_use]
pub fn by_status<B>(response: &Response<B>, now: Timestamp) -> Receipt {
    match response.status() {
        status if status.is_success() => Receipt::Accepted,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            transient(response, now)
        }
        status if status.is_server_error() => transient(response, now),
        StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED => Receipt::AccountRejected,
        StatusCode::FORBIDDEN => Receipt::Misconfigured,
        status if status.is_client_error() => Receipt::Permanent,
        _ => Receipt::Misconfigured,
    }
}

/// Transient, with the delay of `Retry-After`.
#[must_use]
pub fn transient<B>(response: &Response<B>, now: Timestamp) -> Receipt {
    Receipt::Transient {
        retry_after_seconds: retry_after_seconds(response.headers(), now),
    }
}

/// The receipt for a response without a result that the vendor documents. It may come from a proxy
/// or from a wrong `base_url`: a success status proves nothing, and 4xx says nothing about the
/// number.
#[must_use]
pub fn without_result<B>(response: &Response<B>, now: Timestamp) -> Receipt {
    match by_status(response, now) {
        Receipt::Accepted => Receipt::Unknown,
        Receipt::Permanent => Receipt::Misconfigured,
        receipt => receipt,
    }
}

/// The receipt for an error code that the vendor does not document. It may not be about the number,
/// so it does not end the delivery: the next carrier is tried, and the operator is alerted.
#[must_use]
pub fn unknown_error<B>(response: &Response<B>, now: Timestamp) -> Receipt {
    match by_status(response, now) {
        Receipt::Accepted | Receipt::Permanent => Receipt::Misconfigured,
        receipt => receipt,
    }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after_seconds(headers: &HeaderMap, now: Timestamp) -> Option<i64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = value.parse::<u32>().ok().map(i64::from);
    seconds.or_else(|| {
        let retry_at = Timestamp::from_http_date(value)?;
        Some(retry_at.seconds_since(now).max(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_classified_and_retry_after_is_read() {
        let class = |status: u16, retry_after: &str| {
            let response = Response::builder()
                .status(status)
                .header("retry-after", retry_after)
                .body(())
                .expect("a response");
            by_status(&response, Timestamp(784_111_700))
        };
        assert_eq!(class(204, ""), Receipt::Accepted);
        assert_eq!(
            class(429, "7"),
            Receipt::Transient {
                retry_after_seconds: Some(7)
            }
        );
        assert_eq!(
            class(503, "Sun, 06 Nov 1994 08:49:37 GMT"),
            Receipt::Transient {
                retry_after_seconds: Some(77)
            }
        );
        assert_eq!(
            class(500, "soon"),
            Receipt::Transient {
                retry_after_seconds: None
            }
        );
        assert_eq!(
            [408, 425].map(|s| class(s, "")),
            [408, 425].map(|_| Receipt::Transient {
                retry_after_seconds: None
            })
        );
        assert_eq!(
            [401, 402].map(|s| class(s, "")),
            [const { Receipt::AccountRejected }; 2]
        );
        assert_eq!(
            [403, 301].map(|s| class(s, "")),
            [const { Receipt::Misconfigured }; 2]
        );
        assert_eq!(
            [400, 404, 422].map(|s| class(s, "")),
            [400, 404, 422].map(|_| Receipt::Permanent)
        );
    }
}
